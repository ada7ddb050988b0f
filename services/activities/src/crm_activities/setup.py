"""Prepare the activities database: run the migrations, and insert the initial rules."""

from crm_activities.app import SERVICE
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate and seed the database, then return."""
    prepare(SERVICE)
