"""Types of custom activities and the versions of their schemas."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "activity_type",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("labels", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("values_schema", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity_type")),
        sa.UniqueConstraint("name", name=op.f("uq_activity_type_name")),
    )
    op.create_index(op.f("ix_activity_type_created_at_id"), "activity_type", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_activity_type_name_id"), "activity_type", ["name", "id"], unique=False)
    op.create_table(
        "activity_type_version",
        sa.Column("type_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("values_schema", sa.JSON(), nullable=False, comment="keeps the order of the fields"),
        sa.Column("published_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("type_id", "number", name=op.f("pk_activity_type_version")),
    )
