"""Prepare the service database: run the migrations. There is no initial data."""

from crm_kit.schema.setup import prepare
from crm_service_mgmt.app import SERVICE


def run() -> None:
    """Migrate the database, then return."""
    prepare(SERVICE)
