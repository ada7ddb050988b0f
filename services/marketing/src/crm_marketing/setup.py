"""Prepare the marketing database: migrate it. An organisation starts without campaigns."""

from crm_kit.schema.setup import prepare
from crm_marketing.app import SERVICE


def run() -> None:
    """Migrate, then return."""
    prepare(SERVICE)
