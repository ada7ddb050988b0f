"""Prepare the activities database: migrate it, and make the rules every organisation starts with."""

from crm_activities.app import SERVICE
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate and seed, then return."""
    prepare(SERVICE)
