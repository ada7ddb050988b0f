"""Prepare the insights database: migrate it. What it holds comes from the others, by snapshots and events."""

from crm_insights.app import SERVICE
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate, then return."""
    prepare(SERVICE)
