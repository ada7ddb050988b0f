"""The epoch of a service's database: it grows with each restore from a backup.

A restored database goes on from older versions than others have heard of. Its events say so by the epoch they carry, which
is compared before the version. The outbox stamps it as a column's default: whichever release writes, and however long its
processes have run, what is committed after the epoch began carries it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import source_of
from crm_kit import clock
from crm_kit.operators import operator_name
from crm_kit.schema.revisions import RAISE_COMPATIBLE
from crm_kit.store.database import Database
from crm_kit.store.outages import database_busy

BEGINNING: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Epochs are seconds since then: of two restores of the same backup the later has the higher one, though neither knows of the
other. They fit into CloudEvents' integers until 2088."""


LOCK_SECONDS: Final = 1.0
"""Longest that writers wait behind one attempt."""
LOOK_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0


class InTheWay(Exception):
    """Somebody used the outbox all the time; the text says who."""


class NoEpochs(Exception):
    """The database is of a release that knows no epochs."""


def epoch_table(metadata: MetaData) -> None:
    """Add ``database_epoch``: a row per restore; none where there was none."""
    Table(
        "database_epoch",
        metadata,
        Column("epoch", Integer, primary_key=True, autoincrement=False),
        Column("begun_at", TIMESTAMP(timezone=True), nullable=False),
        Column("begun_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("outbox_seq", BigInteger, nullable=False, comment="the last event before it"),
    )


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of one database."""

    number: int
    outbox_seq: int
    """The last event of the outbox before it began."""


FIRST: Final = Epoch(0, 0)


async def current(conn: AsyncConnection) -> Epoch:
    """The epoch that this database is in."""
    latest = "select epoch, outbox_seq from database_epoch order by epoch desc limit 1"
    row: Any = (await conn.exec_driver_sql(latest)).one_or_none()
    return FIRST if row is None else Epoch(*row)


async def begin_epoch(
    service: str,
    url: str,
    *,
    reason: str,
    others: Sequence[str] = (),
    compatible_from: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> Epoch:
    """Begin a new epoch of a service's database, which was restored and migrated; best before its processes start.

    ``others`` are the URLs of the databases that follow the service: the epoch is higher than what they have heard of, also
    when the clock was set back. ``compatible_from`` is the service's revision that brought epochs: a release from before it must
    not use the database any more, because what its relay sends does not carry the epoch, and followers would leave it out as old.
    ``tell`` hears who is in the way, such as a dump, which is waited for. Raises NoEpochs and InTheWay.
    """
    if not reason.strip():
        raise ValueError("a reason is required")
    heard = [await _heard(other, source_of(service)) for other in others]
    db = Database(url, pool_size=1, application_name="crm events")
    ends, told = clock.monotonic() + PATIENCE_SECONDS, False
    try:
        while True:
            try:
                return await _begin(db, service, reason.strip(), heard, compatible_from)
            except DBAPIError as error:
                if not database_busy(error):
                    raise
            holders = await _holders(db)
            if clock.monotonic() >= ends:
                raise InTheWay(
                    f"{holders} held the outbox of {service} for {PATIENCE_SECONDS:.0f} s; nothing was changed:"
                    " try again when it has ended"
                )
            if not told:
                tell(f"waits for {holders}, for up to {PATIENCE_SECONDS:.0f} s")
                told = True
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await db.dispose()


async def _begin(db: Database, service: str, reason: str, heard: Sequence[int], compatible_from: str) -> Epoch:
    async with db.begin() as conn:
        if (await conn.exec_driver_sql("select to_regclass('database_epoch') is null")).scalar_one():
            raise NoEpochs(f"the database of {service} is of an earlier release: migrate it first (its setup does)")
        # Whoever is about to commit an event does so before, and in the old epoch. Who writes waits behind this meanwhile.
        await conn.exec_driver_sql(f"set local lock_timeout = {LOCK_SECONDS * 1000:.0f}")
        await conn.exec_driver_sql("lock table outbox in access exclusive mode")
        before = await current(conn)
        now = clock.now()
        number = max(int((now - BEGINNING).total_seconds()), before.number + 1, *(known + 1 for known in heard))
        last = (await conn.exec_driver_sql("select coalesce(max(seq), 0) from outbox")).scalar_one()
        await conn.exec_driver_sql(f"alter table outbox alter column epoch set default {number}")
        await conn.exec_driver_sql(
            "insert into database_epoch (epoch, begun_at, begun_by, reason, outbox_seq) values ($1, $2, $3, $4, $5)",
            (number, now, operator_name(), reason, last),
        )
        if compatible_from:
            await conn.exec_driver_sql(RAISE_COMPATIBLE, (compatible_from,))
        return Epoch(number, last)


_HOLDERS = """
select distinct coalesce(nullif(application_name, ''), 'a session') from pg_locks join pg_stat_activity a using (pid)
where locktype = 'relation' and relation = 'outbox'::regclass and granted and a.datname = current_database()
  and pid <> pg_backend_pid() order by 1
"""


async def _holders(db: Database) -> str:
    """Who uses the outbox now, by the names of their connections."""
    async with db.autocommit() as conn:
        return ", ".join((await conn.exec_driver_sql(_HOLDERS)).scalars()) or "a transaction"


_AT_WORK = """
select distinct application_name from pg_stat_activity
where datname = current_database() and application_name = any($1::text[]) order by 1
"""


async def at_work(conn: AsyncConnection, service: str) -> list[str]:
    """The kinds of processes of a service that are connected to its database."""
    names = [f"{service}-{role}" for role in ("api", "worker", "all")]
    return list((await conn.exec_driver_sql(_AT_WORK, (names,))).scalars())


_HEARD = "select coalesce(max(epoch), 0) from ({}) heard"
_TABLES = ("inbox_bound", "inbox_position", "inbox_epoch")


async def _heard(url: str, source: str) -> int:
    """The highest epoch of a source that a follower has heard of."""
    db = Database(url, pool_size=1, application_name="crm events")
    try:
        async with db.autocommit() as conn:
            if (await conn.exec_driver_sql("select to_regclass('database_epoch') is null")).scalar_one():
                return 0
            # A follower that is not migrated yet has not all of them.
            present = "select name from unnest($1::text[]) as name where to_regclass(name) is not null"
            tables = (await conn.exec_driver_sql(present, (list(_TABLES),))).scalars()
            parts = (f"select max(epoch) as epoch from {table} where source = $1" for table in tables)
            return int((await conn.exec_driver_sql(_HEARD.format(" union all ".join(parts)), (source,))).scalar_one())
    finally:
        await db.dispose()
