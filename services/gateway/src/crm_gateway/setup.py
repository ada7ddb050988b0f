"""Prepare the gateway's database."""

from crm_gateway.app import SERVICE
from crm_kit.schema.setup import prepare


def run() -> None:
    """Migrate the database, then return."""
    prepare(SERVICE)
