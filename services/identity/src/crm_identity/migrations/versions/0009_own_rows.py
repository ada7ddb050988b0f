"""Projections whose own rows store the handled version."""

from crm_kit.schema import v0006_own_rows

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    v0006_own_rows.upgrade({})
