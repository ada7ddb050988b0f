"""Merging: references that still have to move to a survivor."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0002"
down_revision = "0001"


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
