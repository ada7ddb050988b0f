"""E-mails, their bodies and conversations, and the queue of those to send."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_activities.migrations.all_activities import add_to_view
from crm_kit.store.searching import Fill, Searched

revision = "0015"
down_revision = "0014"

SEARCHED = Searched(
    ("subject", "sender", "preview"),
    more=(
        "(select string_agg(concat_ws(' ', p ->> 'name', p ->> 'address'), ' ') from jsonb_array_elements(new.parties) p)",
    ),
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
        "automatic_mail",
        sa.Column("mailbox", sa.String(length=254), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "recipient", name=op.f("pk_automatic_mail")),
    )
    op.create_index("ix_automatic_mail_at", "automatic_mail", ["at"], unique=False)
    op.create_table(
        "email",
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
                "outgoing", "incoming", name="emaildirection", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("sender", sa.String(length=254), nullable=True),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("preview", sa.String(length=500), nullable=True),
        sa.Column("body_digest", sa.String(length=64), nullable=True),
        sa.Column("message_id", sa.String(length=998), nullable=False),
        sa.Column("in_reply_to", sa.String(length=998), nullable=True),
        sa.Column("references", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.Column("mailboxes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "automatic",
            sa.Enum(
                "no",
                "auto_generated",
                "auto_replied",
                name="automatic",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "delivery",
            sa.Enum(
                "none",
                "queued",
                "sent",
                "uncertain",
                "failed",
                "bounced",
                "complained",
                name="delivery",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "delivery_phase",
            sa.Enum(
                "setup",
                "connect",
                "login",
                "envelope",
                "data",
                name="deliveryphase",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("delivery_answer", sa.String(length=500), nullable=True),
        sa.Column("undelivered", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("received_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("decode_warnings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
        sa.Column("party_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column(
            "happened_at",
            crm_kit.store.columns.Timestamp(),
            sa.Computed("coalesce(completed_at, created_at)", persisted=True),
            nullable=False,
        ),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("search_rule", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email")),
    )
    op.create_index(
        "ix_email_business_unit_id_created_at_id", "email", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_email_created_at_id", "email", ["created_at", "id"], unique=False)
    op.create_index("ix_email_due_at_id", "email", [sa.literal_column("due_at nulls first"), "id"], unique=False)
    op.create_index("ix_email_message_id", "email", ["message_id"], unique=True)
    op.create_index("ix_email_modified_at_id", "email", ["modified_at", "id"], unique=False)
    op.create_index("ix_email_owner_id_created_at_id", "email", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_email_owner_id_due_at_id",
        "email",
        ["owner_id", sa.literal_column("due_at nulls first"), "id"],
        unique=False,
    )
    op.create_index("ix_email_party_ids", "email", ["party_ids"], unique=False, postgresql_using="gin")
    op.create_index("ix_email_priority_rank_id", "email", ["priority_rank", "id"], unique=False)
    op.create_index(
        "ix_email_received_at_id", "email", [sa.literal_column("received_at nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_email_reminder",
        "email",
        ["remind_at"],
        unique=False,
        postgresql_where=sa.text("reminded_at is null and status = 'open' and remind_at is not null"),
    )
    op.create_index(
        op.f("ix_email_search_text"),
        "email",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_email_sender", "email", ["sender"], unique=False, postgresql_where=sa.text("sender is not null")
    )
    op.create_index("ix_email_sent_at_id", "email", [sa.literal_column("sent_at nulls first"), "id"], unique=False)
    op.create_index("ix_email_subject_id", "email", ["subject", "id"], unique=False)
    op.create_index("ix_email_thread_id_happened_at_id", "email", ["thread_id", "happened_at", "id"], unique=False)
    op.create_index(
        "ix_email_timeline",
        "email",
        ["regarding_id", "happened_at", "id"],
        unique=False,
        postgresql_where=sa.text("regarding_id is not null"),
    )
    op.create_table(
        "email_reference",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_email_reference")),
    )
    op.create_index("ix_email_reference_thread_id", "email_reference", ["thread_id"], unique=False)
    op.create_table(
        "email_thread",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_thread")),
    )
    op.create_table(
        "email_body",
        sa.Column("email_id", sa.Uuid(), nullable=False),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reply_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["email_id"],
            ["email.id"],
            name=op.f("fk_email_body_email_id"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("email_id", name=op.f("pk_email_body")),
    )
    op.create_table(
        "outgoing_mail",
        sa.Column("email_id", sa.Uuid(), nullable=False),
        sa.Column("recipients", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("null_sender", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("queued_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("due_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=True),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["email_id"],
            ["email.id"],
            name=op.f("fk_outgoing_mail_email_id"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("email_id", name=op.f("pk_outgoing_mail")),
    )
    op.create_index("ix_outgoing_mail_due_at", "outgoing_mail", ["due_at"], unique=False)
    for step in SEARCHED.statements("email"):
        op.execute(step)
    add_to_view("email", "party_ids")
