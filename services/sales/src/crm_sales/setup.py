"""Prepare the sales database: run the migrations, and insert the initial stages and settings."""

from crm_kit.schema.setup import prepare
from crm_sales.app import SERVICE


def run() -> None:
    """Migrate and seed the database, then return."""
    prepare(SERVICE)
