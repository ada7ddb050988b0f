"""Queues of other systems, and what was dropped from them."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "subscriber_queue",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("announced_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_subscriber_queue")),
    )
    op.create_table(
        "subscriber_drop",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=30), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("last_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "reason", name=op.f("pk_subscriber_drop")),
    )
