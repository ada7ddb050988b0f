"""The addresses at which owners of log-in names have logged in."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "known_address",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("seen_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_known_address")),
    )
