"""The outbox holds events until the broker has them. They are written in the same transaction as their changes.

The unit of work writes the rows, and ``crm_kit.events.relay`` publishes them. Published rows are kept for replays: when a row
is marked, it moves from the partition of pending rows to the partition of the day on which it was created. Every statement of
the hot path names ``state = 'pending'``, so that PostgreSQL reads only that small partition.
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
    """Return the shard of a record, which is the same in every process. One relay at a time holds a shard, which keeps order."""
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
"""The published and skipped rows, partitioned by the day on which they were created."""

PENDING_STORAGE = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000"
"""Every row soon leaves this partition, so vacuum starts after a number of dead rows and not after a proportion of them."""


def stamped(body: bytes, epoch: int) -> bytes:
    """Return an event's body with its epoch, as it is published. The epoch is unknown until the row has been inserted."""
    return b'{"epoch":%d,' % epoch + body[1:] if epoch else body


def outbox_parts(since: datetime) -> list[str]:
    """Return the statements that create the partitions of an empty outbox."""
    pending, sent = f"{SCHEMA}.outbox_pending", SENT.parent
    return [
        f"create schema if not exists {SCHEMA}",
        f"create table {pending} (like public.outbox {LIKE}, primary key (seq)) with ({PENDING_STORAGE})",
        # The condition is true for every row here, but it lets PostgreSQL choose this index for statements that name it.
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
    """Delete some old rows of the default partition; returns the number. All other rows are dropped with their partitions."""
    return await delete_some(conn, SENT.default, "coalesce(published_at, created_at) < $1", before)
