"""Prepare the identity database: migrate it, and make what every installation starts with."""

from crm_identity.app import SERVICE
from crm_identity.settings import own_settings
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate and seed, then return."""
    own_settings()
    prepare(SERVICE)
