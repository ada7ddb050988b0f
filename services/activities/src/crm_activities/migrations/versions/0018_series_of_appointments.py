"""Series of appointments, and the occurrences of them."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_activities.migrations.all_activities import add_to_view
from crm_kit.store.searching import Fill, Searched

revision = "0018"
down_revision = "0017"


SEARCHED: Final = Searched(
    ("subject", "location"),
    more=("(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)",),
    fills=(
        Fill(
            column="party_ids",
            definition="uuid[] default '{}' not null",
            value="array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p where p -> 'party' ->> 'id' is not null)",
        ),
    ),
)


def upgrade() -> None:
    op.create_table(
        "recurring_appointment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column(
            "show_as",
            sa.Enum(
                "free",
                "tentative",
                "busy",
                "out_of_office",
                name="shownas",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("skips", sa.Boolean(), nullable=False),
        sa.Column("exceptions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expanded_until", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("expand_at", crm_kit.store.columns.Timestamp(), nullable=True),
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
        sa.Column("location", sa.String(length=200), nullable=True),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("scheduled_start_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("scheduled_end_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("start_zone", sa.String(length=64), nullable=False),
        sa.Column("end_zone", sa.String(length=64), nullable=False),
        sa.Column("duration_minutes", sa.Integer(), nullable=False),
        sa.Column("reminder_minutes", sa.Integer(), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("uid", sa.String(length=255), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
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
        sa.Column("party_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column(
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("search_rule", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurring_appointment")),
    )
    op.create_index(
        "ix_recurring_appointment_business_unit_id_created_at_id",
        "recurring_appointment",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_recurring_appointment_created_at_id", "recurring_appointment", ["created_at", "id"], unique=False
    )
    op.create_index(
        "ix_recurring_appointment_due_at_id",
        "recurring_appointment",
        [sa.literal_column("due_at nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_recurring_appointment_expand_at",
        "recurring_appointment",
        ["expand_at"],
        unique=False,
        postgresql_where=sa.text("status = 'open' and expand_at is not null"),
    )
    op.create_index(
        "ix_recurring_appointment_modified_at_id", "recurring_appointment", ["modified_at", "id"], unique=False
    )
    op.create_index(
        "ix_recurring_appointment_owner_id_created_at_id",
        "recurring_appointment",
        ["owner_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_recurring_appointment_owner_id_due_at_id",
        "recurring_appointment",
        ["owner_id", sa.literal_column("due_at nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_recurring_appointment_party_ids",
        "recurring_appointment",
        ["party_ids"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_recurring_appointment_priority_rank_id", "recurring_appointment", ["priority_rank", "id"], unique=False
    )
    op.create_index(
        "ix_recurring_appointment_reminder",
        "recurring_appointment",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        "ix_recurring_appointment_scheduled_start_at_id",
        "recurring_appointment",
        ["scheduled_start_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_recurring_appointment_search_text"),
        "recurring_appointment",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_recurring_appointment_subject_in_order",
        "recurring_appointment",
        [sa.literal_column("crm_sort_key(subject) nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_recurring_appointment_timeline",
        "recurring_appointment",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_index("ix_recurring_appointment_uid", "recurring_appointment", ["uid"], unique=False)
    op.add_column("appointment", sa.Column("series_id", sa.Uuid(), nullable=True))
    op.add_column("appointment", sa.Column("occurrence_at", crm_kit.store.columns.Timestamp(), nullable=True))
    op.add_column("appointment", sa.Column("occurrence_changed", sa.Boolean(), server_default="false", nullable=False))
    op.create_index(
        "ix_appointment_series_id_occurrence_at",
        "appointment",
        ["series_id", "occurrence_at"],
        unique=True,
        postgresql_where=sa.text("series_id is not null"),
    )
    for statement in SEARCHED.statements("recurring_appointment"):
        op.get_bind().exec_driver_sql(statement)
    add_to_view("recurring_appointment", "party_ids")
