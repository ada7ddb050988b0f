"""The outbox: what a committed change has to tell, kept in the change's own transaction until the broker has it.

The unit of work writes the rows; ``crm_kit.events.relay`` publishes them. Published rows stay as the source of replays: marked,
a row moves from the part that holds what is pending to the part of the day that it was made on. So every statement of the
hot path names ``state = 'pending'``, and PostgreSQL looks at that one small part.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    event,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.store.chores import delete_some
from crm_kit.store.partitions import LIKE, SCHEMA, Partitioned

SHARDS = 16
WAKE_CHANNEL = "crm_outbox"
INSERT_SHARDS = f"insert into outbox_shard select generate_series(0, {SHARDS - 1}) on conflict do nothing"
"""For the migration that creates the tables."""

Timestamp = TIMESTAMP(timezone=True)


def shard_of(entity_id: UUID) -> int:
    """The shard of a record, the same in every process: one relay at a time holds it, which keeps its order."""
    return entity_id.bytes[15] % SHARDS


def outbox_tables(metadata: MetaData) -> Table:
    """Add ``outbox``, ``outbox_shard`` and ``snapshot_request``; returns the first."""
    outbox = Table(
        "outbox",
        metadata,
        Column("seq", BigInteger, Identity(always=True), nullable=False),
        Column("id", Uuid, nullable=False, comment="event id = AMQP message id"),
        Column("shard", SmallInteger, nullable=False),
        Column("entity_type", Text, nullable=False),
        Column("entity_id", Uuid, nullable=False),
        Column("entity_version", Integer, nullable=False),
        Column("type", Text, nullable=False, comment="event type = routing key"),
        Column("body", LargeBinary, nullable=False, comment="the CloudEvent exactly as published"),
        Column("traceparent", Text),
        Column("created_at", Timestamp, nullable=False),
        Column("published_at", Timestamp),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_attempt_at", Timestamp, comment="set while this row is in back-off"),
        Column("last_error", Text),
        Column("state", Text, nullable=False, server_default="pending", comment="pending, published or skipped"),
        Column("epoch", Integer, nullable=False, server_default="0", comment="the default is the database's epoch"),
        postgresql_partition_by="LIST (state)",
        info={"parts": ("outbox_pending", "outbox_sent")},
    )
    event.listen(outbox, "after_create", _make_parts)
    shards = Table("outbox_shard", metadata, Column("shard", SmallInteger, primary_key=True, autoincrement=False))
    event.listen(shards, "after_create", DDL(INSERT_SHARDS))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
    Table(
        "snapshot_request",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("entities", ARRAY(Text), nullable=False, comment="entities whose records are to be sent"),
        Column("queue", Text, nullable=False, comment="the one queue they go to"),
        Column("requested_at", Timestamp, nullable=False),
        Column("requested_by", Text, nullable=False),
        Column("sent", BigInteger, nullable=False, server_default="0"),
        Column("done_at", Timestamp),
        Column("error", Text),
    )
    return outbox


SENT = Partitioned(f"{SCHEMA}.outbox_sent", "created_at", period="day", ahead=3, key="seq")
"""What is published or skipped, by the day it was made on."""

PENDING_STORAGE = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000"
"""Every row leaves soon: dead ones are cleared away by their number, not by their part of what is there."""


def stamped(body: bytes, epoch: int) -> bytes:
    """An event's body with its epoch, as it is published: it is known by the row, not when the body is made."""
    return b'{"epoch":%d,' % epoch + body[1:] if epoch else body


def outbox_parts(since: datetime) -> list[str]:
    """The statements that make the parts of an empty outbox."""
    pending, sent = f"{SCHEMA}.outbox_pending", SENT.parent
    return [
        f"create schema if not exists {SCHEMA}",
        f"create table {pending} (like public.outbox {LIKE}, primary key (seq)) with ({PENDING_STORAGE})",
        # True of every row here, but who asks for nothing else has an index by this.
        f"create index ix_outbox_pending on {pending} (shard, seq) where state = 'pending'",
        f"create index ix_outbox_held on {pending} (shard, entity_id)"
        " where state = 'pending' and next_attempt_at is not null",
        f"alter table public.outbox attach partition {pending} for values in ('pending')",
        f"create table {sent} (like public.outbox {LIKE}) partition by range (created_at)",
        f"alter table public.outbox attach partition {sent} default",
        *SENT.tree(since),
    ]


def _make_parts(_: Table, connection: Connection, **__: Any) -> None:
    for statement in outbox_parts(SENT.begin(clock.now())):
        connection.exec_driver_sql(statement)


async def forget_stray(conn: AsyncConnection, before: datetime) -> int:
    """Delete what no part took and is older; returns how many rows. All other rows go with their parts."""
    return await delete_some(conn, SENT.default, "coalesce(published_at, created_at) < $1", before)
