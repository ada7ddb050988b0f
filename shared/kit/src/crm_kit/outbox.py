"""The outbox: what a committed change has to tell, kept in the change's own transaction until the broker has it.

The unit of work writes the rows; ``crm_kit.relay`` publishes them. Published rows stay as the source of replays.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock

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
    pending = text("state = 'pending'")
    outbox = Table(
        "outbox",
        metadata,
        Column("seq", BigInteger, Identity(always=True), primary_key=True),
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
    )
    Index("ix_outbox_pending", outbox.c.shard, outbox.c.seq, postgresql_where=pending)
    Index(
        "ix_outbox_held",
        outbox.c.shard,
        outbox.c.entity_id,
        postgresql_where=text("state = 'pending' and next_attempt_at is not null"),
    )
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


_FORGET = """
with oldest as (select seq from outbox order by seq limit $2)
delete from outbox using oldest
where outbox.seq = oldest.seq and outbox.state <> 'pending' and coalesce(outbox.published_at, outbox.created_at) < $1
"""


def stamped(body: bytes, epoch: int) -> bytes:
    """An event's body with its epoch, as it is published: it is known by the row, not when the body is made."""
    return b'{"epoch":%d,' % epoch + body[1:] if epoch else body


async def forget_published(conn: AsyncConnection, *, days: int, limit: int = 5000) -> int:
    """Delete up to ``limit`` of the oldest rows published more than ``days`` ago; returns how many."""
    return (await conn.exec_driver_sql(_FORGET, (clock.now() - timedelta(days=days), limit))).rowcount
