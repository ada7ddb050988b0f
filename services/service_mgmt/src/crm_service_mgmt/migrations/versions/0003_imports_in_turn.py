"""Imports that end if they cannot continue, and that take turns by owner."""

from crm_kit.schema import v0002_imports

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    v0002_imports.upgrade()
