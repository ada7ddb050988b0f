"""Removals of users, teams and API clients."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "principal_removal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("principal_type", sa.String(length=8), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("principal_name", sa.String(length=200), nullable=False),
        sa.Column("transfer", sa.Boolean(), nullable=False),
        sa.Column("recipient_type", sa.String(length=8), nullable=False),
        sa.Column("recipient_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("services", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal_removal")),
    )
    op.create_index(op.f("ix_principal_removal_created_at_id"), "principal_removal", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_principal_removal_principal_id_created_at"),
        "principal_removal",
        ["principal_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_principal_removal_open",
        "principal_removal",
        ["principal_id"],
        unique=True,
        postgresql_where=sa.text("status in ('counting', 'moving')"),
    )
