"""The first tables."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns
from crm_kit.schema import v0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    v0001.upgrade()
    op.create_table(
        "deal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("originating_lead_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("stage_id", sa.Uuid(), nullable=False),
        sa.Column("probability", crm_kit.store.columns.PercentType(), nullable=False),
        sa.Column("estimated_base", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("actual_base", sa.Numeric(precision=20, scale=4), nullable=True, comment="null unless it is won"),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deal")),
    )
    op.create_index(
        op.f("ix_deal_business_unit_id_created_at"), "deal", ["business_unit_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_deal_created_at"), "deal", ["created_at"], unique=False)
    op.create_index(
        "ix_deal_originating_lead_id",
        "deal",
        ["originating_lead_id"],
        unique=False,
        postgresql_where=sa.text("originating_lead_id is not null"),
    )
    op.create_index(op.f("ix_deal_owner_id_created_at"), "deal", ["owner_id", "created_at"], unique=False)
    op.create_table(
        "lead_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead_ref")),
    )
    op.create_index(
        op.f("ix_lead_ref_business_unit_id_created_at"), "lead_ref", ["business_unit_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_lead_ref_created_at"), "lead_ref", ["created_at"], unique=False)
    op.create_index(op.f("ix_lead_ref_owner_id_created_at"), "lead_ref", ["owner_id", "created_at"], unique=False)
    op.create_table(
        "stage_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_ref")),
    )
    op.create_table(
        "stage_visit",
        sa.Column("deal_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(length=200), nullable=False, comment="its name when it was entered"),
        sa.Column("entered_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("left_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("deal_id", "number", name=op.f("pk_stage_visit")),
    )
