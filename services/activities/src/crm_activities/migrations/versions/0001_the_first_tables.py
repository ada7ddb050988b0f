"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_kit.schema import v0001

revision = "0001"
down_revision = None


ACTIVITY = """
create view activity as
select 'phone_call'::varchar(50) as type, id, version, owner_type, owner_id, business_unit_id, status, status_reason, subject,
  regarding_type, regarding_id, due_at, priority, remind_at, reminded_at, completed_at, happened_at, priority_rank,
  created_at, created_by, modified_at, modified_by
from phone_call
union all
select 'task'::varchar(50) as type, id, version, owner_type, owner_id, business_unit_id, status, status_reason, subject,
  regarding_type, regarding_id, due_at, priority, remind_at, reminded_at, completed_at, happened_at, priority_rank,
  created_at, created_by, modified_at, modified_by
from task
"""


def upgrade() -> None:
    v0001.upgrade()
    op.execute("create extension if not exists pg_trgm")
    op.create_table(
        "follow_up_rule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="{name} stands for the name of the record"),
        sa.Column("days", sa.Integer(), nullable=False, comment="from the event to the day the task is due"),
        sa.Column(
            "priority",
            sa.Enum("low", "normal", "high", name="priority", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("category", sa.String(length=200), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("days between 0 and 3650", name=op.f("ck_follow_up_rule_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up_rule")),
    )
    op.create_index(op.f("ix_follow_up_rule_created_at_id"), "follow_up_rule", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_follow_up_rule_event_type_id"), "follow_up_rule", ["event_type", "id"], unique=False)
    op.create_table(
        "record_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("business_unit_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=24), nullable=True),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_ref")),
    )
    op.create_table(
        "phone_call",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column(
            "direction",
            sa.Enum("outgoing", "incoming", name="calldirection", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("phone_number", sa.String(length=16), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("left_voicemail", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=200), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("regarding_type", sa.String(length=50), nullable=True),
        sa.Column("regarding_id", sa.Uuid(), nullable=True),
        sa.Column("due_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column(
            "priority",
            sa.Enum("low", "normal", "high", name="priority", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("remind_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("reminded_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("completed_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("scheduled_start_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("scheduled_end_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("started_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("ended_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("duration_minutes", sa.Integer(), nullable=True),
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
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed(
                "lower(coalesce(subject, '') || ' ' || coalesce(phone_number, '') || ' ' || coalesce(outcome, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phone_call")),
    )
    op.create_index(
        "ix_phone_call_business_unit_id_created_at_id",
        "phone_call",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_phone_call_created_at_id", "phone_call", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_phone_call_due_at_id", "phone_call", [sa.literal_column("due_at nulls first"), "id"], unique=False
    )
    op.create_index("ix_phone_call_modified_at_id", "phone_call", ["modified_at", "id"], unique=False)
    op.create_index(
        "ix_phone_call_owner_id_created_at_id", "phone_call", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_phone_call_owner_id_due_at_id",
        "phone_call",
        ["owner_id", sa.literal_column("due_at nulls first"), "id"],
        unique=False,
    )
    op.create_index("ix_phone_call_priority_rank_id", "phone_call", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_phone_call_reminder",
        "phone_call",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        op.f("ix_phone_call_search_text"),
        "phone_call",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_phone_call_scheduled_start_at_id",
        "phone_call",
        [sa.literal_column("scheduled_start_at nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_phone_call_started_at_id", "phone_call", [sa.literal_column("started_at nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_phone_call_phone_number",
        "phone_call",
        ["phone_number"],
        unique=False,
        postgresql_where=sa.text("phone_number is not null"),
    )
    op.create_index("ix_phone_call_subject_id", "phone_call", ["subject", "id"], unique=False)
    op.create_index(
        "ix_phone_call_timeline",
        "phone_call",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("percent_complete", crm_kit.store.columns.PercentType(), nullable=False),
        sa.Column("category", sa.String(length=200), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("regarding_type", sa.String(length=50), nullable=True),
        sa.Column("regarding_id", sa.Uuid(), nullable=True),
        sa.Column("due_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column(
            "priority",
            sa.Enum("low", "normal", "high", name="priority", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("remind_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("reminded_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("completed_at", crm_kit.store.columns.Timestamp(), nullable=True),
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
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(subject, '') || ' ' || coalesce(category, ''))", persisted=True),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index(
        "ix_task_business_unit_id_created_at_id", "task", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_task_created_at_id", "task", ["created_at", "id"], unique=False)
    op.create_index("ix_task_due_at_id", "task", [sa.literal_column("due_at nulls first"), "id"], unique=False)
    op.create_index("ix_task_modified_at_id", "task", ["modified_at", "id"], unique=False)
    op.create_index("ix_task_owner_id_created_at_id", "task", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_task_owner_id_due_at_id", "task", ["owner_id", sa.literal_column("due_at nulls first"), "id"], unique=False
    )
    op.create_index("ix_task_priority_rank_id", "task", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_task_reminder",
        "task",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        op.f("ix_task_search_text"),
        "task",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index("ix_task_subject_id", "task", ["subject", "id"], unique=False)
    op.create_index(
        "ix_task_timeline",
        "task",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_table(
        "timeline_event",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("record_id", "at", "id", name=op.f("pk_timeline_event")),
    )
    op.create_table(
        "timeline_link",
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "target_id", name=op.f("pk_timeline_link")),
    )
    op.execute(ACTIVITY)
