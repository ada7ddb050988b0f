"""Tables that are partitioned by time: partitions are created ahead and dropped when they are old enough.

Partitions are in a separate schema. Rows without a partition go to the default partition and move when their partition is
created.
A partition is created as a separate table and then attached, which blocks nobody. It is dropped under a lock with a short
timeout, because later transactions queue behind a waiting lock (``crm_kit.store.chores`` retries).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.signals.metrics import gauge

log = structlog.get_logger(__name__)

SCHEMA: Final = "partitions"
LOCK_WAIT: Final = "200ms"

STRAY = gauge(
    "crm.partition.stray_rows",
    "Rows in the default partition of a table because no partition covers their time.",
    "table",
)
AHEAD = gauge("crm.partition.ahead", "Time from now to the end of the newest partition of a table.", "table", unit="s")


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table with a partition for each period."""

    parent: str
    """With its schema."""
    column: str
    """The column with the time that determines the partition."""
    period: Literal["day", "month"]
    ahead: int
    """Number of partitions that are created ahead, in addition to the current one."""
    key: str
    """The columns of each partition's primary key."""

    @property
    def name(self) -> str:
        """Without its schema."""
        return self.parent.partition(".")[2]

    @property
    def default(self) -> str:
        """The default partition, for rows without another one."""
        return f"{SCHEMA}.{self.name}_default"

    def begin(self, at: datetime) -> datetime:
        """The start of the period of a time."""
        day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day if self.period == "day" else day.replace(day=1)

    def after(self, at: datetime) -> datetime:
        """The start of the next period."""
        return self.begin(self.begin(at) + timedelta(days=1 if self.period == "day" else 31))

    def tree(self, since: datetime) -> list[str]:
        """Create the default partition of an empty table, and the partitions from then on."""
        like = f"(like {self.parent} {LIKE}, primary key ({self.key}))"
        statements = [
            f"create table {self.default} {like}",
            f"alter table {self.parent} attach partition {self.default} default",
        ]
        for _ in range(self.ahead + 1):
            until = self.after(since)
            statements += self.part(since, until)
            since = until
        return statements

    def part(self, since: datetime, until: datetime) -> list[str]:
        """Create one partition, and move the rows of its period from the default partition to it."""
        part = f"{SCHEMA}.{self.name}_{since:%Y%m%d}"
        period = f"{self.column} >= '{since.isoformat()}' and {self.column} < '{until.isoformat()}'"
        return [
            f"create table {part} (like {self.parent} {LIKE}, primary key ({self.key}))",
            f"with stray as (delete from {self.default} where {period} returning *) insert into {part} select * from stray",
            f"alter table {self.parent} attach partition {part}"
            f" for values from ('{since.isoformat()}') to ('{until.isoformat()}')",
        ]


LIKE: Final = "including defaults including constraints including comments including storage"


@dataclass(frozen=True, slots=True)
class Part:
    """An existing partition other than the default one."""

    name: str
    until: datetime


_PARTS = """
select format('%I.%I', n.nspname, c.relname), pg_get_expr(c.relpartbound, c.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
where i.inhparent = $1::text::regclass
"""
_UNTIL = re.compile(r"TO \('([^']+)'\)")


async def parts(conn: AsyncConnection, table: Partitioned) -> list[Part]:
    """The partitions of a table, oldest first."""
    rows: Sequence[Any] = (await conn.exec_driver_sql(_PARTS, (table.parent,))).all()
    found = [(row[0], _UNTIL.search(row[1])) for row in rows]
    return sorted(
        (Part(name, datetime.fromisoformat(until[1]).astimezone(UTC)) for name, until in found if until),
        key=lambda part: part.until,
    )


async def make_next(conn: AsyncConnection, table: Partitioned, now: datetime, oldest: datetime | None) -> int:
    """Create the next partition, until enough are ahead of now; returns the number, 0 or 1.

    One per transaction, so that the moved rows are locked only for the time of one partition. ``oldest`` is the start
    of the retention: no earlier partition is created.
    """
    there = await parts(conn, table)
    since = there[-1].until if there else table.begin(oldest or now)
    if oldest is not None:
        since = max(since, table.begin(oldest))
    last = now
    for _ in range(table.ahead):
        last = table.after(last)
    made = 0
    if since <= last:
        await conn.exec_driver_sql(f"set local lock_timeout = '{LOCK_WAIT}'")
        # No row is added to it between the move and the attachment.
        await conn.exec_driver_sql(f"lock table {table.default} in access exclusive mode")
        until = table.after(since)
        for statement in table.part(since, until):
            await conn.exec_driver_sql(statement)
        log.info("partition.made", table=table.name, since=since.isoformat(), until=until.isoformat())
        since, made = until, 1
    AHEAD.labels(table.name).set((since - now).total_seconds())
    return made


async def drop_oldest(conn: AsyncConnection, table: Partitioned, before: datetime) -> int:
    """Drop the oldest partition if it ends before a time; returns the number, 0 or 1."""
    there = await parts(conn, table)
    if not there or there[0].until > before:
        return 0
    await conn.exec_driver_sql(f"set local lock_timeout = '{LOCK_WAIT}'")
    await conn.exec_driver_sql(f"drop table {there[0].name}")
    log.info("partition.dropped", table=table.name, part=there[0].name, until=there[0].until.isoformat())
    return 1


async def count_stray(conn: AsyncConnection, table: Partitioned) -> int:
    """The number of rows in the default partition."""
    stray: int = (await conn.exec_driver_sql(f"select count(*) from {table.default}")).scalar_one()
    STRAY.labels(table.name).set(stray)
    return stray
