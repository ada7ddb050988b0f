"""Projections whose own rows store the handled version."""

from crm_kit.schema import v0006_own_rows

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    v0006_own_rows.upgrade({})
