"""Prepare the sales database: migrate it, and make the stages and settings every organisation starts with."""

from crm_kit.schema.setup import prepare
from crm_sales.app import SERVICE


def run() -> None:
    """Migrate and seed, then return."""
    prepare(SERVICE)
