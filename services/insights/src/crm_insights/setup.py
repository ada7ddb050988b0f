"""Prepare the insights database: run the migrations. The data comes from other services by snapshots and events."""

from crm_insights.app import SERVICE
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate the database, then return."""
    prepare(SERVICE)
