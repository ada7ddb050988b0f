"""The progress of a rebuild. It is stored in the follower's database, in the transactions that change the copies."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.reconciling.parties import SMALLEST


def rebuild_tables(metadata: MetaData) -> None:
    """Add the tables ``projection_rebuild`` and ``projection_check``, each with a row per group and source."""
    Table(
        "projection_rebuild",
        metadata,
        Column("consumer", Text, primary_key=True, comment="handler group"),
        Column("source", Text, primary_key=True),
        Column("epoch", Integer, nullable=False, comment="the publisher's"),
        Column("part", Integer, nullable=False, comment="what is told now: an entity by its number, then what is gone"),
        Column("after", Uuid, nullable=False, comment="the last record of that part"),
        Column("told", BigInteger, nullable=False, server_default="0"),
        Column("gone", BigInteger, nullable=False, server_default="0"),
        Column("failed", BigInteger, nullable=False, server_default="0"),
        Column("started_at", TIMESTAMP(timezone=True), nullable=False),
        Column("finished_at", TIMESTAMP(timezone=True)),
    )
    Table(
        "projection_check",
        metadata,
        Column("consumer", Text, primary_key=True, comment="handler group"),
        Column("source", Text, primary_key=True),
        Column("checked_at", TIMESTAMP(timezone=True), nullable=False),
        Column("missing", BigInteger, nullable=False),
        Column("extra", BigInteger, nullable=False),
        Column("behind", BigInteger, nullable=False),
        Column("ahead", BigInteger, nullable=False),
    )


@dataclass(slots=True)
class Progress:
    """The progress of a rebuild of one group from one source."""

    part: int
    after: UUID
    told: int
    gone: int
    failed: int
    finished: bool = False


_BEGIN = """
insert into projection_rebuild as r (consumer, source, epoch, part, after, started_at) values ($1, $2, $3, 0, $4, $5)
on conflict (consumer, source) do update set epoch = excluded.epoch, part = 0, after = excluded.after, told = 0, gone = 0,
  failed = 0, started_at = excluded.started_at, finished_at = null
where r.finished_at is not null or r.epoch <> excluded.epoch or $6
"""
_LOCK = """
select part, after, told, gone, failed, finished_at is not null from projection_rebuild
where consumer = $1 and source = $2 for update
"""
_NOTE = """
update projection_rebuild set part = $3, after = $4, told = $5, gone = $6, failed = $7, finished_at = $8
where consumer = $1 and source = $2
"""


async def begin(conn: AsyncConnection, group: str, source: str, epoch: int, *, anew: bool) -> bool:
    """Begin a rebuild, unless an unfinished one can continue. Returns whether it begins. ``anew`` always begins."""
    done = await conn.exec_driver_sql(_BEGIN, (group, source, epoch, SMALLEST, clock.now(), anew))
    return bool(done.rowcount)


async def lock(conn: AsyncConnection, group: str, source: str) -> Progress:
    """Lock and return the progress. Another process with the same rebuild waits until the commit and continues from there."""
    row: Any = (await conn.exec_driver_sql(_LOCK, (group, source))).one()
    return Progress(*row)


async def note(conn: AsyncConnection, group: str, source: str, progress: Progress) -> None:
    """Store the progress."""
    finished_at = clock.now() if progress.finished else None
    counts = (progress.told, progress.gone, progress.failed)
    await conn.exec_driver_sql(_NOTE, (group, source, progress.part, progress.after, *counts, finished_at))
