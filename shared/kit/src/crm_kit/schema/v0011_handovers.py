"""The table of handovers of a service (``crm_kit.records.handing_over``)."""

import sqlalchemy as sa
from alembic import op

from crm_kit.store.columns import Timestamp


def upgrade(table: str) -> None:
    """Create the table."""
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("removal_id", sa.Uuid(), nullable=False),
        sa.Column("principal_type", sa.String(length=8), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("recipient_type", sa.String(length=8), nullable=False),
        sa.Column("recipient_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("owned", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who asked for the removal"),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("looks", sa.SmallInteger(), nullable=False, comment="looks for late records that are done"),
        sa.Column("due_at", Timestamp(), nullable=True),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("removal_id", name=op.f(f"uq_{table}_removal_id")),
    )
    op.create_index(
        op.f(f"ix_{table}_due_at"), table, ["due_at"], unique=False, postgresql_where=sa.text("due_at is not null")
    )
    op.create_index(op.f(f"ix_{table}_principal_id"), table, ["principal_id"], unique=False)
