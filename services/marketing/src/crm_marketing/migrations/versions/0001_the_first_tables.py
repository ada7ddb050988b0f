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
    op.execute("create sequence number_cmp")
    op.create_table(
        "campaign",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=200), nullable=True),
        sa.Column(
            "type",
            sa.Enum(
                "advertisement",
                "direct_marketing",
                "event",
                "co_branding",
                "other",
                name="campaigntype",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("channels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("objective", sa.Text(), nullable=True),
        sa.Column("offer", sa.Text(), nullable=True),
        sa.Column("proposed_start", sa.Date(), nullable=True),
        sa.Column("proposed_end", sa.Date(), nullable=True),
        sa.Column("budget_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("budget_currency", sa.String(length=3), nullable=True),
        sa.Column("other_cost_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("other_cost_currency", sa.String(length=3), nullable=True),
        sa.Column("expected_response", crm_kit.store.columns.PercentType(), nullable=True),
        sa.Column("expected_revenue_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("expected_revenue_currency", sa.String(length=3), nullable=True),
        sa.Column("is_template", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("actual_start", sa.Date(), nullable=True),
        sa.Column("actual_end", sa.Date(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed(
                "lower(coalesce(name, '') || ' ' || coalesce(code, '') || ' ' || coalesce(number, ''))", persisted=True
            ),
            nullable=False,
        ),
        sa.CheckConstraint("proposed_end >= proposed_start", name=op.f("ck_campaign_proposed_end")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
        sa.UniqueConstraint("number", name=op.f("uq_campaign_number")),
    )
    op.create_index(
        op.f("ix_campaign_business_unit_id_created_at_id"),
        "campaign",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_campaign_created_at_id"), "campaign", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_campaign_modified_at_id"), "campaign", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_campaign_name_id"), "campaign", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_campaign_owner_id_created_at_id"), "campaign", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_campaign_proposed_start_id",
        "campaign",
        [sa.literal_column("proposed_start nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_campaign_search_text"),
        "campaign",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_table(
        "deal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("won_base", sa.Numeric(precision=20, scale=4), nullable=True, comment="null unless it is won"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deal")),
    )
    op.create_index(
        "ix_deal_campaign_id",
        "deal",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null and not deleted"),
    )
    op.create_table(
        "lead_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead_ref")),
    )
    op.create_index(
        "ix_lead_ref_campaign_id",
        "lead_ref",
        ["campaign_id", "status"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null and not deleted and not merged"),
    )
