"""The first tables of the kit: outbox, inbox, audit, idempotency, directory and imports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_kit.work.outbox import INSERT_SHARDS


def upgrade() -> None:
    """Create the tables. Call it in a revision."""
    op.create_table(
        "access_state",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("marker", sa.BigInteger(), nullable=False, comment="+1 with every change of the tables above"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_state")),
    )
    op.create_table(
        "audit",
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entity_type", sa.String(length=60), nullable=False),
        sa.Column("fact", sa.String(length=60), nullable=False),
        sa.Column("at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("correlation_id", sa.String(length=128), nullable=False),
        sa.Column("changes", postgresql.JSON(astext_type=sa.Text()), nullable=True, comment="{field: {old, new}}"),
        sa.Column(
            "record",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=True,
            comment="the whole record, where it was created or deleted",
        ),
        sa.PrimaryKeyConstraint("entity_id", "version", name=op.f("pk_audit")),
    )
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.Uuid(), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("headers", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("principal", "method", "path", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "import_job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("entity_type", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("duplicates", sa.String(length=8), nullable=False),
        sa.Column(
            "columns", postgresql.JSON(astext_type=sa.Text()), nullable=False, comment="the file's columns, in order"
        ),
        sa.Column("mapping", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "principal",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="on whose behalf, with the rights of that moment",
        ),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("correlation_id", sa.String(length=128), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True, comment="of the request that brought the file"),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("started_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("finished_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_job")),
    )
    op.create_index(
        "ix_import_job_waiting",
        "import_job",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status in ('queued', 'running')"),
    )
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False, comment="handler group"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("entity", sa.Uuid(), nullable=True),
        sa.Column("entity_version", sa.Integer(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="done", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="only until done"),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("consumer", "source", "event_id", name=op.f("pk_inbox")),
    )
    op.create_index(
        "ix_inbox_due", "inbox", ["next_attempt_at"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index(
        "ix_inbox_unfinished",
        "inbox",
        ["consumer", "entity", "entity_version"],
        unique=False,
        postgresql_where=sa.text("state in ('pending', 'waiting', 'parked')"),
    )
    op.create_table(
        "inbox_bound",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("bound_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("snapshot_requested_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("consumer", "source", name=op.f("pk_inbox_bound")),
    )
    op.create_table(
        "inbox_position",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("entity", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("consumer", "source", "entity", name=op.f("pk_inbox_position")),
    )
    op.create_table(
        "jwks",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fetched_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_jwks")),
    )
    op.create_table(
        "organization_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("base_currency", sa.String(length=3), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization_ref")),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False, comment="event id = AMQP message id"),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("entity_version", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False, comment="event type = routing key"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the CloudEvent exactly as published"),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("published_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "next_attempt_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="set while this row is in back-off",
        ),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column(
            "state", sa.Text(), server_default="pending", nullable=False, comment="pending, published or skipped"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_held",
        "outbox",
        ["shard", "entity_id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending' and next_attempt_at is not null"),
    )
    op.create_index(
        "ix_outbox_pending", "outbox", ["shard", "seq"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "outbox_shard",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_outbox_shard")),
    )
    op.create_table(
        "principal_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("marker", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="user, team or client"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal_ref")),
    )
    op.create_index(op.f("ix_principal_ref_email"), "principal_ref", ["email"], unique=False)
    op.create_table(
        "revocation",
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("not_before", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", name=op.f("pk_revocation")),
    )
    op.create_index(op.f("ix_revocation_not_before"), "revocation", ["not_before"], unique=False)
    op.create_table(
        "snapshot_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "entities", postgresql.ARRAY(sa.Text()), nullable=False, comment="entities whose records are to be sent"
        ),
        sa.Column("queue", sa.Text(), nullable=False, comment="the one queue they go to"),
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot_request")),
    )
    op.create_table(
        "unit_ref",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit_ref")),
    )
    op.create_table(
        "import_error",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("column", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("cells", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["import_job.id"], name=op.f("fk_import_error_job_id"), ondelete="cascade"),
        sa.PrimaryKeyConstraint("job_id", "line", "position", name=op.f("pk_import_error")),
    )
    op.create_table(
        "import_row",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("cells", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["import_job.id"], name=op.f("fk_import_row_job_id"), ondelete="cascade"),
        sa.PrimaryKeyConstraint("job_id", "line", name=op.f("pk_import_row")),
    )
    op.execute(INSERT_SHARDS)
