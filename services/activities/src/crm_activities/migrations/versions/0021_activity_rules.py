"""Activity rules in place of follow-up rules, and their runs.

The table of follow-up rules stays for the release before, which may run beside this one.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0021"
down_revision = "0020"

COPY = """
insert into activity_rule (id, version, name, event_type, filter, active, activity_type, subject, due_after, due_unit, priority,
    category, since, created_at, created_by, modified_at, modified_by)
select id, version, subject, event_type, filter, active, 'task', subject, days, 'days', priority, category,
    created_at, created_at, created_by, modified_at, modified_by
from follow_up_rule
"""


def upgrade() -> None:
    op.create_table(
        "activity_rule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column(
            "activity_type",
            sa.Enum("task", "phone_call", name="madetype", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("subject", sa.String(length=200), nullable=False, comment="{name} stands for the name of the record"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "due_after", sa.Integer(), nullable=False, comment="days from the event to the day the activity is due"
        ),
        sa.Column(
            "due_unit",
            sa.Enum("days", "business_days", name="dueunit", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum("low", "normal", "high", name="priority", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("category", sa.String(length=200), nullable=True),
        sa.Column("assigned_to_type", sa.String(length=8), nullable=True),
        sa.Column("assigned_to_id", sa.Uuid(), nullable=True),
        sa.Column(
            "since",
            crm_kit.store.columns.Timestamp(),
            nullable=False,
            comment="events that happened earlier are not for this rule",
        ),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("due_after between 0 and 3650", name=op.f("ck_activity_rule_due_after")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity_rule")),
    )
    op.create_index(op.f("ix_activity_rule_created_at_id"), "activity_rule", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_activity_rule_event_type"),
        "activity_rule",
        ["event_type"],
        unique=False,
        postgresql_where=sa.text("active"),
    )
    op.create_index(op.f("ix_activity_rule_event_type_id"), "activity_rule", ["event_type", "id"], unique=False)
    op.create_table(
        "activity_rule_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column(
            "event",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="what the activity is made of; null when it is made",
        ),
        sa.Column("state", sa.String(length=8), nullable=False, comment="pending, done, failed or skipped"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("activity_type", sa.String(length=50), nullable=True),
        sa.Column("activity_id", sa.Uuid(), nullable=True),
        sa.Column(
            "due_at", crm_kit.store.columns.Timestamp(), nullable=True, comment="when it is tried; null when it is not"
        ),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("done_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity_rule_run")),
        sa.UniqueConstraint("rule_id", "event_id", name=op.f("uq_activity_rule_run_rule_id_event_id")),
    )
    op.create_index(op.f("ix_activity_rule_run_created_at"), "activity_rule_run", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_activity_rule_run_due_at"),
        "activity_rule_run",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at is not null"),
    )
    op.create_index(
        op.f("ix_activity_rule_run_rule_id_created_at_id"),
        "activity_rule_run",
        ["rule_id", "created_at", "id"],
        unique=False,
    )
    op.execute(COPY)
