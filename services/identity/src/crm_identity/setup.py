"""Prepare the identity database: run the migrations, and insert the initial data."""

from crm_identity.app import SERVICE
from crm_identity.settings import own_settings
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate and seed the database, then return."""
    own_settings()
    prepare(SERVICE)
