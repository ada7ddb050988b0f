"""Goals."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "case_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("resolved_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_ref")),
    )
    op.create_index(
        "ix_case_ref_resolved",
        "case_ref",
        ["owner_id", "resolved_at"],
        unique=False,
        postgresql_where=sa.text("status = 'resolved' and not deleted"),
    )
    op.create_table(
        "goal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "metric",
            sa.Enum(
                "won_amount",
                "won_count",
                "leads_qualified",
                "cases_resolved",
                name="goalmetric",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("goal_owner_type", sa.String(length=8), nullable=True),
        sa.Column("goal_owner_id", sa.Uuid(), nullable=True),
        sa.Column("parent_goal_id", sa.Uuid(), nullable=True),
        sa.Column("target_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("target_currency", sa.String(length=3), nullable=True),
        sa.Column("target_count", sa.Integer(), nullable=True),
        sa.Column("stretch_target_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("stretch_target_currency", sa.String(length=3), nullable=True),
        sa.Column("stretch_target_count", sa.Integer(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("final_actual_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("final_actual_currency", sa.String(length=3), nullable=True),
        sa.Column("final_actual_count", sa.Integer(), nullable=True),
        sa.Column("closed_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column("search_text", sa.Text(), sa.Computed("lower(coalesce(name, ''))", persisted=True), nullable=False),
        sa.CheckConstraint("period_end >= period_start", name=op.f("ck_goal_period")),
        sa.ForeignKeyConstraint(["parent_goal_id"], ["goal.id"], name=op.f("fk_goal_parent_goal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goal")),
    )
    op.create_index(
        op.f("ix_goal_business_unit_id_created_at_id"), "goal", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_goal_created_at_id"), "goal", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_goal_goal_owner_id",
        "goal",
        ["goal_owner_id"],
        unique=False,
        postgresql_where=sa.text("goal_owner_id is not null"),
    )
    op.create_index(op.f("ix_goal_modified_at_id"), "goal", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_goal_name_id"), "goal", ["name", "id"], unique=False)
    op.create_index(op.f("ix_goal_owner_id_created_at_id"), "goal", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_goal_parent_goal_id",
        "goal",
        ["parent_goal_id"],
        unique=False,
        postgresql_where=sa.text("parent_goal_id is not null"),
    )
    op.create_index(op.f("ix_goal_period_end_id"), "goal", ["period_end", "id"], unique=False)
    op.create_index(op.f("ix_goal_period_start_id"), "goal", ["period_start", "id"], unique=False)
    op.create_index(
        op.f("ix_goal_search_text"),
        "goal",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_goal_target_amount_id", "goal", [sa.literal_column("target_amount nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_goal_target_count_id", "goal", [sa.literal_column("target_count nulls first"), "id"], unique=False
    )
    op.create_table(
        "member_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("team_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_ref")),
    )
    op.create_index(op.f("ix_member_ref_team_ids"), "member_ref", ["team_ids"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_lead_qualified",
        "lead",
        ["owner_id", "qualified_at"],
        unique=False,
        postgresql_where=sa.text("status = 'qualified'"),
    )
    op.create_index(
        "ix_opportunity_won",
        "opportunity",
        ["owner_id", "closed_at"],
        unique=False,
        postgresql_where=sa.text("status = 'won'"),
        postgresql_include=["actual_value_base_amount"],
    )
