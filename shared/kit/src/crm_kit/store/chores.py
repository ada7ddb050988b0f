"""Housekeeping at intervals, by one replica at a time. A chore processes its backlog in batches, one transaction each.

After each batch a chore pauses for as long as the batch took. It therefore uses at most half of one connection and slows down
when the database is slow. A failing chore is retried after growing pauses; the others continue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.signals.metrics import counter, gauge
from crm_kit.store.database import Database
from crm_kit.store.outages import database_away, database_busy

log = structlog.get_logger(__name__)

Chore = Callable[[AsyncConnection], Awaitable[int | None]]
"""Does a part of the work in the given transaction and returns the number of rows. It is called again until it returns 0."""

AT_ONCE = 5000
"""Rows that a chore changes in one transaction."""
SHORTEST_REST = 1.0
TURN_SECONDS = 30.0
"""Seconds after which a chore with more work lets the others run."""
LONGEST_REST = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

ROWS = counter("crm.chore.rows", "Rows or partitions that a chore has processed.", "chore")
FAILED = counter("crm.chore.failed", "Failed attempts at a chore.", "chore")
DONE = gauge(
    "crm.chore.last_success_timestamp",
    "When this process last completed a chore. Any replica may run it.",
    "chore",
    unit="s",
)
BEHIND = gauge("crm.chore.behind", "How long a chore has been unfinished; 0 when it is finished.", "chore", unit="s")


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """A task that one replica at a time runs at intervals."""

    name: str
    seconds: float
    chore: Chore


async def delete_some(conn: AsyncConnection, table: str, where: str, *parameters: object) -> int:
    """Delete up to ``AT_ONCE`` rows that match a condition; returns the number. Locked rows are skipped."""
    found = f"select ctid from {table} where {where} limit {AT_ONCE} for update skip locked"
    return (
        await conn.exec_driver_sql(f"delete from {table} where ctid = any(array({found}))", tuple(parameters))
    ).rowcount


@dataclass(slots=True)
class _Run:
    """The progress of a chore."""

    pause: Backoff
    due: float = 0.0
    began: float | None = None
    rows: int = 0


class ChoreLoop:
    """Runs the chores of one service in one process."""

    def __init__(self, chores: Sequence[Housekeeping], db: Database) -> None:
        self._chores, self._db = chores, db
        self._runs = {chore.name: _Run(Backoff(FIRST_PAUSE, LONGEST_PAUSE)) for chore in chores}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Return from ``run`` after the current batch."""
        self._stopping.set()

    async def run(self) -> None:
        """Run due chores until stopped."""
        while not self._stopping.is_set():
            for chore in self._chores:
                if clock.monotonic() >= self._runs[chore.name].due:
                    await self._take_turn(chore, self._runs[chore.name])
            due = min((run.due for run in self._runs.values()), default=inf)
            await self._rest(max(SHORTEST_REST, due - clock.monotonic()))

    async def _take_turn(self, chore: Housekeeping, run: _Run) -> None:
        run.began = run.began or clock.monotonic()
        try:
            is_done = await self._work(chore, run)
        except Exception as error:  # the other chores continue after any error
            run.due = clock.monotonic() + run.pause.next()
            FAILED.labels(chore.name).inc()
            if isinstance(error, OSError) or database_away(error) or database_busy(error):
                log.warning("chore.waiting", chore=chore.name, error=type(error).__name__)
            else:
                log.exception("chore.failed", chore=chore.name)
            return
        run.pause.reset()
        if is_done:
            self._finish(chore, run)

    async def _work(self, chore: Housekeeping, run: _Run) -> bool:
        """Run batch after batch; True if nothing is left, or another replica runs the chore."""
        turn_ends = clock.monotonic() + TURN_SECONDS
        while not self._stopping.is_set():
            began = clock.monotonic()
            worked = await self._batch(chore)
            if worked is None:
                run.began, run.rows, run.due = None, 0, clock.monotonic() + chore.seconds
                return False
            if not worked:
                return True
            run.rows += worked
            ROWS.labels(chore.name).inc(worked)
            now = clock.monotonic()
            BEHIND.labels(chore.name).set(now - (run.began or now))
            if now > turn_ends:
                return False
            await self._rest(min(now - began, LONGEST_REST))
        return False

    async def _batch(self, chore: Housekeeping) -> int | None:
        """Run one transaction of a chore; None if another replica runs it."""
        async with self._db.begin() as conn:
            lock = "select pg_try_advisory_xact_lock(hashtext($1))"
            if not (await conn.exec_driver_sql(lock, (f"chore:{chore.name}",))).scalar():
                return None
            return await chore.chore(conn) or 0

    def _finish(self, chore: Housekeeping, run: _Run) -> None:
        now = clock.monotonic()
        if run.rows:
            seconds = round(now - (run.began or now), 1)
            log.info("chore.done", chore=chore.name, rows=run.rows, seconds=seconds)
        DONE.labels(chore.name).set(clock.now().timestamp())
        BEHIND.labels(chore.name).set(0)
        run.began, run.rows, run.due = None, 0, now + chore.seconds

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._stopping.wait()
