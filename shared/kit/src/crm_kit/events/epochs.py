"""The epoch of a service's database, which increases with each restore from a backup.

A restored database continues from older versions than its followers have got. Its events therefore carry the epoch, which is
compared before the version. The epoch is the default of a column of the outbox. Every event that is committed after the epoch
began carries it, whichever release writes it and however long that process has run.
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
"""Epochs are seconds since this instant. Of two restores of the same backup, the later one therefore has the higher epoch,
although neither database knows the other. They fit into the integers of CloudEvents until 2088."""


LOCK_SECONDS: Final = 1.0
"""The longest time that writers wait for one attempt."""
LOOK_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0


class InTheWay(Exception):
    """Other sessions used the outbox all the time. The text names them."""


class NoEpochs(Exception):
    """The database was migrated by a release that has no epochs."""


def epoch_table(metadata: MetaData) -> None:
    """Add the table ``database_epoch``, which has a row per restore."""
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
    """An epoch of a database."""

    number: int
    outbox_seq: int
    """The number of the last event in the outbox before the epoch began."""
    begun_at: datetime | None
    """None for the first one."""


FIRST: Final = Epoch(0, 0, None)


async def current(conn: AsyncConnection) -> Epoch:
    """Return the current epoch of this database."""
    latest = "select epoch, outbox_seq, begun_at from database_epoch order by epoch desc limit 1"
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
    """Begin a new epoch of a service's restored and migrated database, preferably before its processes start.

    ``others`` are the URLs of the databases that follow the service. The epoch is higher than those that they have got, even if
    the clock was set back. ``compatible_from`` is the service's revision that introduced epochs. Earlier releases must no
    longer use the database, because their relays send events without the epoch, which followers would ignore as old.
    ``tell`` is called with a text that names the sessions that block the outbox, such as a dump. The function waits for them for
    up to 60 s. Raises InTheWay if they are not done then, NoEpochs if the database has no epochs, and ValueError if the reason is
    empty.
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
        # The lock waits for transactions that have inserted events in the old epoch. Other writers wait for it.
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
        return Epoch(number, last, now)


_HOLDERS = """
select distinct coalesce(nullif(application_name, ''), 'a session') from pg_locks join pg_stat_activity a using (pid)
where locktype = 'relation' and relation = 'outbox'::regclass and granted and a.datname = current_database()
  and pid <> pg_backend_pid() order by 1
"""


async def _holders(db: Database) -> str:
    """Return the names of the connections that use the outbox now."""
    async with db.autocommit() as conn:
        return ", ".join((await conn.exec_driver_sql(_HOLDERS)).scalars()) or "a transaction"


_AT_WORK = """
select distinct application_name from pg_stat_activity
where datname = current_database() and application_name = any($1::text[]) order by 1
"""


async def at_work(conn: AsyncConnection, service: str) -> list[str]:
    """Return the application names of a service's processes that are connected to its database."""
    names = [f"{service}-{role}" for role in ("api", "worker", "all")]
    return list((await conn.exec_driver_sql(_AT_WORK, (names,))).scalars())


_HEARD = "select coalesce(max(epoch), 0) from ({}) heard"
_TABLES = ("inbox_bound", "inbox_position", "inbox_epoch")


async def _heard(url: str, source: str) -> int:
    """Return the highest epoch of a source that a follower has got."""
    db = Database(url, pool_size=1, application_name="crm events")
    try:
        async with db.autocommit() as conn:
            if (await conn.exec_driver_sql("select to_regclass('database_epoch') is null")).scalar_one():
                return 0
            # A follower that is not migrated yet lacks some of them.
            present = "select name from unnest($1::text[]) as name where to_regclass(name) is not null"
            tables = (await conn.exec_driver_sql(present, (list(_TABLES),))).scalars()
            parts = (f"select max(epoch) as epoch from {table} where source = $1" for table in tables)
            return int((await conn.exec_driver_sql(_HEARD.format(" union all ".join(parts)), (source,))).scalar_one())
    finally:
        await db.dispose()
