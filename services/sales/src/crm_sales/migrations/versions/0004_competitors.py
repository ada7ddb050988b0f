"""Competitors, and their references from deals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "competitor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("website", sa.String(length=2000), nullable=True),
        sa.Column("strengths", sa.Text(), nullable=True),
        sa.Column("weaknesses", sa.Text(), nullable=True),
        sa.Column("product_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(name, '') || ' ' || coalesce(website, ''))", persisted=True),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_competitor")),
    )
    op.create_index(
        op.f("ix_competitor_business_unit_id_created_at_id"),
        "competitor",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_competitor_created_at_id"), "competitor", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_competitor_modified_at_id"), "competitor", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_competitor_name_id"), "competitor", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_competitor_owner_id_created_at_id"), "competitor", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_competitor_product_ids", "competitor", ["product_ids"], unique=False, postgresql_using="gin")
    op.create_index(
        op.f("ix_competitor_search_text"),
        "competitor",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.add_column(
        "opportunity", sa.Column("competitor_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False)
    )
    op.create_index(
        "ix_opportunity_competitor_ids", "opportunity", ["competitor_ids"], unique=False, postgresql_using="gin"
    )
