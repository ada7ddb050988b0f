"""Measures the backlog of a service's database and queues. Each of its workers reports the same figures.

All replicas read the same tables, so query ``max by (service_name)`` and do not add the figures up. A worker that could not
read for a while reports nothing instead of old figures.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import MetaData, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.publishing import Publisher
from crm_kit.events import inbox
from crm_kit.events.consumers import Consumers
from crm_kit.events.timers import Timer
from crm_kit.signals.attention import ATTENTION
from crm_kit.signals.metrics import Observed, Readings, observed
from crm_kit.store.database import Database

log = structlog.get_logger(__name__)

MEASURE_SECONDS: Final = 5.0
"""Seconds between measurements while somebody reads them (``crm_kit.signals.attention``)."""
SLOWLY_SECONDS: Final = 29.0
"""Seconds between two measurements of what changes slowly or burdens other servers: sizes, and the broker's queues."""
STALE_SECONDS: Final = 90.0
GAP_SECONDS: Final = 60.0
"""Seconds for which a version may be missing before it is logged."""
OVERDUE: Final = timedelta(seconds=60)
MOST_OVERDUE: Final = 10_000
STATES: Final = ("pending", "waiting", "parked")

PENDING = observed("crm.outbox.pending", "Outbox rows that the broker has not confirmed.")
OLDEST = observed(
    "crm.outbox.oldest_pending", "Age of the oldest outbox row that the broker has not confirmed.", unit="s"
)
HELD = observed(
    "crm.outbox.held", "Outbox rows that wait for another attempt because the broker returned or refused them."
)
STORED = observed(
    "crm.inbox.stored",
    "Stored events that are not done: to be retried, waiting for an earlier version, or parked.",
    "group",
    "state",
)
STORED_AGE = observed(
    "crm.inbox.oldest_stored", "Age of the oldest stored event that is not done.", "group", "state", unit="s"
)
GAP = observed(
    "crm.inbox.oldest_gap", "How long the oldest event has waited for a version that has not come.", unit="s"
)
MESSAGES = observed("crm.queue.messages", "Messages that wait in the service's own queues on the broker.", "queue")
JOBS = observed("crm.import.jobs", "Unfinished imports.", "status")
JOBS_AGE = observed("crm.import.oldest", "Age of the oldest unfinished import.", unit="s")
JOBS_RESTING = observed("crm.import.resting", "Imports that failed and wait for another attempt.")
DUE = observed(
    "crm.timer.overdue",
    f"Rows that have been due for more than a minute, counted up to {MOST_OVERDUE}.",
    "timer",
)
SIZE = observed("crm.database.size", "Size of the service's database.", unit="By")
SERVER_USED = observed("crm.database.server_connections", "Connections to the PostgreSQL server by all clients.")
SERVER_MAX = observed(
    "crm.database.server_connections_max",
    "The most connections that the PostgreSQL server accepts, without those reserved for superusers.",
)

DIVERGED = observed(
    "crm.projection.divergence",
    "Records that differ between a group's copies and their publisher, found by the last crm events compare.",
    *("group", "source", "kind"),
)
COMPARED = observed(
    "crm.projection.compared",
    "Time since a group's copies were last compared with their publisher.",
    *("group", "source"),
    unit="s",
)

_OUTBOX = """
select count(*), coalesce(extract(epoch from $1 - min(created_at)), 0)::float8,
  count(*) filter (where next_attempt_at > $1)
from outbox where state = 'pending'
"""
_IMPORTS = """
select count(*) filter (where status = 'queued'), count(*) filter (where status = 'running'),
  count(*) filter (where next_attempt_at > $1), coalesce(extract(epoch from $1 - min(created_at)), 0)::float8
from import_job where status in ('queued', 'running')
"""
_CHECKS = """
select consumer, source, extract(epoch from $1 - checked_at)::float8, missing, extra, behind, ahead from projection_check
"""
_SERVER = """
select pg_database_size(current_database()), (select sum(numbackends) from pg_stat_database)::int,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""


class Measured:
    """Figures that were read before. They are reported for ``STALE_SECONDS``."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._found: dict[Observed, tuple[float, Readings]] = {}

    def note(self, figure: Observed, readings: Readings) -> None:
        """Report these readings of a figure until they are too old."""
        if figure not in self._found:
            self._stack.enter_context(figure.reading(lambda: self._fresh(figure)))
        self._found[figure] = clock.monotonic(), list(readings)

    def close(self) -> None:
        """Stop reporting."""
        self._stack.close()

    def _fresh(self, figure: Observed) -> Readings:
        at, readings = self._found[figure]
        return readings if clock.monotonic() - at < STALE_SECONDS else ()


class Backlog:
    """Measures the backlog of one service until it is stopped."""

    def __init__(
        self, db: Database, metadata: MetaData, consumers: Consumers, timers: Sequence[Timer], publisher: Publisher
    ) -> None:
        self._db, self._metadata, self._consumers = db, metadata, consumers
        self._timers, self._publisher = timers, publisher
        self._measured = Measured()
        self._stopping, self._woken = False, asyncio.Event()

    def stop(self) -> None:
        """Return from ``run``."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Measure until stopped. It continues after an outage of the database or the broker."""
        slowly_due = 0.0
        try:
            while not self._stopping:
                await self._measure(self.measure)
                if clock.monotonic() >= slowly_due:
                    slowly_due = clock.monotonic() + SLOWLY_SECONDS
                    await self._measure(self.measure_slowly)
                    await self._measure(self.measure_queues)
                await ATTENTION.pause(MEASURE_SECONDS, woken=self._woken)
        finally:
            self._measured.close()

    async def _measure(self, what: Callable[[], Awaitable[None]]) -> None:
        try:
            await what()
        except (BrokerDown, OSError, SQLAlchemyError) as error:
            log.warning("worker.unmeasured", error=type(error).__name__)

    async def measure(self) -> None:
        """Measure what changes fast: outbox, inbox, imports and overdue timers."""
        async with self._db.autocommit() as conn:
            await self._outbox(conn)
            await self._inbox(conn)
            if "import_job" in self._metadata.tables:
                await self._imports(conn)
            await self._overdue(conn)

    async def measure_slowly(self) -> None:
        """Measure sizes and connections, and report the result of the last comparison of copies."""
        async with self._db.autocommit() as conn:
            row: Any = (await conn.exec_driver_sql(_SERVER)).one()
            await self._checks(conn)
        for figure, value in zip((SIZE, SERVER_USED, SERVER_MAX), row, strict=True):
            self._measured.note(figure, [((), value)])

    async def measure_queues(self) -> None:
        """Measure the broker's queues of this service. Raises BrokerDown."""
        if self._consumers.groups:
            queues = [self._consumers.queue, self._consumers.access_queue, self._consumers.parking]
            found = await self._publisher.depths(queues)
            self._measured.note(MESSAGES, [((queue,), messages) for queue, messages in found.items()])

    async def _outbox(self, conn: AsyncConnection) -> None:
        row: Any = (await conn.exec_driver_sql(_OUTBOX, (clock.now(),))).one()
        for figure, value in zip((PENDING, OLDEST, HELD), row, strict=True):
            self._measured.note(figure, [((), value)])

    async def _inbox(self, conn: AsyncConnection) -> None:
        stored, gap = await inbox.measure(conn)
        groups = [*self._consumers.groups, self._consumers.queue, self._consumers.access_queue]
        keys = [(group, state) for group in groups for state in STATES]
        self._measured.note(STORED, [(key, stored.get(key, (0, 0.0))[0]) for key in keys])
        self._measured.note(STORED_AGE, [(key, stored.get(key, (0, 0.0))[1]) for key in keys])
        self._measured.note(GAP, [((), gap)])
        if gap > GAP_SECONDS:
            log.error("inbox.gap", seconds=round(gap), at=clock.now().isoformat())

    async def _imports(self, conn: AsyncConnection) -> None:
        row: Any = (await conn.exec_driver_sql(_IMPORTS, (clock.now(),))).one()
        self._measured.note(JOBS, [(("queued",), row[0]), (("running",), row[1])])
        self._measured.note(JOBS_RESTING, [((), row[2])])
        self._measured.note(JOBS_AGE, [((), row[3])])

    async def _checks(self, conn: AsyncConnection) -> None:
        rows: Sequence[Any] = (await conn.exec_driver_sql(_CHECKS, (clock.now(),))).all()
        kinds = ("missing", "extra", "behind", "ahead")
        found = [((row[0], row[1], kind), count) for row in rows for kind, count in zip(kinds, row[3:], strict=True)]
        self._measured.note(DIVERGED, found)
        self._measured.note(COMPARED, [((row[0], row[1]), row[2]) for row in rows])

    async def _overdue(self, conn: AsyncConnection) -> None:
        found = []
        for timer in self._timers:
            due = timer.due(clock.now() - OVERDUE).order_by(None).limit(MOST_OVERDUE).subquery()
            found.append(((timer.name,), (await conn.execute(select(func.count()).select_from(due))).scalar_one()))
        self._measured.note(DUE, found)
