"""Deals that were merged into others."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("opportunity", sa.Column("survivor_id", sa.Uuid(), nullable=True))
