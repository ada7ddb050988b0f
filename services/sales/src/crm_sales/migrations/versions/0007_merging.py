"""Merging: survivors, and references that still have to move to them."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "move_task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("entity", sa.String(length=50), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("opened_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("due_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_move_task")),
    )
    op.create_index(op.f("ix_move_task_due_at"), "move_task", ["due_at"], unique=False)
    op.create_index(op.f("ix_move_task_target_id"), "move_task", ["target_id"], unique=False)
    op.add_column("account", sa.Column("survivor_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_account_survivor_id",
        "account",
        ["survivor_id"],
        unique=False,
        postgresql_where=sa.text("survivor_id is not null"),
    )
    op.add_column("contact", sa.Column("survivor_id", sa.Uuid(), nullable=True))
    op.add_column("lead", sa.Column("survivor_id", sa.Uuid(), nullable=True))
