"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_kit.schema import v0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    v0001.upgrade()
    op.execute("create extension if not exists pg_trgm")
    op.execute("create sequence number_cas")
    op.create_table(
        "case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column(
            "customer_type",
            sa.Enum("account", "contact", name="customertype", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column(
            "type",
            sa.Enum(
                "question",
                "problem",
                "request",
                "complaint",
                name="casetype",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "origin",
            sa.Enum(
                "phone",
                "email",
                "web",
                "chat",
                "visit",
                name="caseorigin",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "priority",
            sa.Enum("low", "normal", "high", name="casepriority", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "severity",
            sa.Enum(
                "minor", "major", "critical", name="severity", native_enum=False, create_constraint=True, length=40
            ),
            nullable=True,
        ),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("escalated_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("first_responded_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("resolved_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("resolutions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "priority_rank",
            sa.Integer(),
            sa.Computed("case priority when 'low' then 1 when 'normal' then 2 else 3 end", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(title, '') || ' ' || coalesce(number, ''))", persisted=True),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case")),
        sa.UniqueConstraint("number", name=op.f("uq_case_number")),
    )
    op.create_index(
        op.f("ix_case_business_unit_id_created_at_id"), "case", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_case_contact_id", "case", ["contact_id"], unique=False, postgresql_where=sa.text("contact_id is not null")
    )
    op.create_index(op.f("ix_case_created_at_id"), "case", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_case_customer_id_created_at_id"), "case", ["customer_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_case_modified_at_id"), "case", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_case_owner_id_created_at_id"), "case", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(op.f("ix_case_priority_rank_id"), "case", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_case_product_id", "case", ["product_id"], unique=False, postgresql_where=sa.text("product_id is not null")
    )
    op.create_index(
        "ix_case_resolved_at_id", "case", [sa.literal_column("resolved_at nulls first"), "id"], unique=False
    )
    op.create_index(
        op.f("ix_case_search_text"),
        "case",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_case_title_id"), "case", ["title", "id"], unique=False)
    op.create_table(
        "customer_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("business_unit_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=True),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_ref")),
    )
