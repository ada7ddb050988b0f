"""Adds epochs, by which the events of a restored database are newer than its earlier events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


def upgrade() -> None:
    """Change the tables of outbox and inbox. Call it in a revision."""
    for table, comment in (
        ("outbox", "the default is the database's epoch"),
        ("inbox", "of what is not done"),
        ("inbox_position", None),
        ("inbox_bound", "what is older is known of no new record"),
    ):
        op.add_column(table, sa.Column("epoch", sa.Integer(), server_default="0", nullable=False, comment=comment))
    op.create_table(
        "database_epoch",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("begun_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("begun_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outbox_seq", sa.BigInteger(), nullable=False, comment="the last event before it"),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_database_epoch")),
    )
    op.create_table(
        "projection_rebuild",
        sa.Column("consumer", sa.Text(), nullable=False, comment="handler group"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="the publisher's"),
        sa.Column(
            "part",
            sa.Integer(),
            nullable=False,
            comment="what is told now: an entity by its number, then what is gone",
        ),
        sa.Column("after", sa.Uuid(), nullable=False, comment="the last record of that part"),
        sa.Column("told", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gone", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("consumer", "source", name=op.f("pk_projection_rebuild")),
    )
    op.create_table(
        "projection_check",
        sa.Column("consumer", sa.Text(), nullable=False, comment="handler group"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("checked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("missing", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.BigInteger(), nullable=False),
        sa.Column("behind", sa.BigInteger(), nullable=False),
        sa.Column("ahead", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "source", name=op.f("pk_projection_check")),
    )
