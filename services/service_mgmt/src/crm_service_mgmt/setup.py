"""Prepare the service database: migrate it. There is nothing that every organisation starts with."""

from crm_kit.schema.setup import prepare
from crm_service_mgmt.app import SERVICE


def run() -> None:
    """Migrate, then return."""
    prepare(SERVICE)
