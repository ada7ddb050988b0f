"""Letters, faxes and notes."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_activities.migrations.all_activities import add_to_view
from crm_kit.store.searching import Fill, Searched

revision = "0020"
down_revision = "0019"

NAMES: Final = "(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)"
IDS: Final = Fill(
    column="party_ids",
    definition="uuid[] default '{}' not null",
    value="array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p where p -> 'party' ->> 'id' is not null)",
)
SEARCHED: Final = {
    "fax": Searched(("subject", "fax_number"), more=(NAMES,), fills=(IDS,)),
    "letter": Searched(("subject",), more=(NAMES,), fills=(IDS,)),
    "note": Searched(("text",)),
}


def upgrade() -> None:
    op.create_table(
        "fax",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column(
            "direction",
            sa.Enum("outgoing", "incoming", name="faxdirection", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("fax_number", sa.String(length=16), nullable=True),
        sa.Column("cover_page", sa.Text(), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("document_id", sa.Uuid(), nullable=True),
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
        sa.Column("party_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column(
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("search_rule", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fax")),
    )
    op.create_index(
        "ix_fax_business_unit_id_created_at_id", "fax", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_fax_created_at_id", "fax", ["created_at", "id"], unique=False)
    op.create_index("ix_fax_due_at_id", "fax", [sa.literal_column("due_at nulls first"), "id"], unique=False)
    op.create_index("ix_fax_modified_at_id", "fax", ["modified_at", "id"], unique=False)
    op.create_index("ix_fax_owner_id_created_at_id", "fax", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_fax_owner_id_due_at_id", "fax", ["owner_id", sa.literal_column("due_at nulls first"), "id"], unique=False
    )
    op.create_index("ix_fax_party_ids", "fax", ["party_ids"], unique=False, postgresql_using="gin")
    op.create_index("ix_fax_priority_rank_id", "fax", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_fax_reminder",
        "fax",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        op.f("ix_fax_search_text"),
        "fax",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_fax_subject_in_order", "fax", [sa.literal_column("crm_sort_key(subject) nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_fax_timeline",
        "fax",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_table(
        "letter",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column(
            "direction",
            sa.Enum(
                "outgoing", "incoming", name="letterdirection", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("document_id", sa.Uuid(), nullable=True),
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
        sa.Column("party_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column(
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("search_rule", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letter")),
    )
    op.create_index(
        "ix_letter_business_unit_id_created_at_id", "letter", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_letter_created_at_id", "letter", ["created_at", "id"], unique=False)
    op.create_index("ix_letter_due_at_id", "letter", [sa.literal_column("due_at nulls first"), "id"], unique=False)
    op.create_index("ix_letter_modified_at_id", "letter", ["modified_at", "id"], unique=False)
    op.create_index("ix_letter_owner_id_created_at_id", "letter", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_letter_owner_id_due_at_id",
        "letter",
        ["owner_id", sa.literal_column("due_at nulls first"), "id"],
        unique=False,
    )
    op.create_index("ix_letter_party_ids", "letter", ["party_ids"], unique=False, postgresql_using="gin")
    op.create_index("ix_letter_priority_rank_id", "letter", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_letter_reminder",
        "letter",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        op.f("ix_letter_search_text"),
        "letter",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_letter_subject_in_order",
        "letter",
        [sa.literal_column("crm_sort_key(subject) nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_letter_timeline",
        "letter",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_table(
        "note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("regarding_type", sa.String(length=50), nullable=False),
        sa.Column("regarding_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("search_rule", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
    )
    op.create_index(
        op.f("ix_note_business_unit_id_created_at_id"), "note", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_note_created_at_id"), "note", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_note_modified_at_id"), "note", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_note_owner_id_created_at_id"), "note", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_note_regarding_id_created_at_id"), "note", ["regarding_id", "created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_note_search_text"),
        "note",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.drop_index(op.f("ix_phone_call_subject_id"), table_name="phone_call")
    op.drop_index(op.f("ix_task_subject_id"), table_name="task")
    for table, searched in SEARCHED.items():
        for statement in searched.statements(table):
            op.get_bind().exec_driver_sql(statement)
    for table in ("fax", "letter"):
        add_to_view(table, "party_ids")
