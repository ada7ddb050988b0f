"""Projections whose own rows say how far they are."""

import sqlalchemy as sa
from alembic import op

from crm_kit.schema import v0006_own_rows

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    v0006_own_rows.upgrade({"activities.refs": "record_ref"})
    op.add_column("timeline_event", sa.Column("version", sa.Integer(), server_default="0", nullable=False))
