"""Handles rows that become due, and runs housekeeping at intervals (``crm_kit.store.chores``).

A due row is claimed with SKIP LOCKED and handled in its own transaction and unit of work, so that any number of workers can share
the work. The handler changes the row so that it is no longer due. After a crash before the commit, the row is still due.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock, failpoints
from crm_kit.backoff import Backoff
from crm_kit.events.received import describe
from crm_kit.process.runtime import Runtime
from crm_kit.signals.logs import working
from crm_kit.signals.metrics import counter
from crm_kit.signals.telemetry import SpanKind, span, trace_id_of
from crm_kit.store.chores import Chore, ChoreLoop, Housekeeping
from crm_kit.store.outages import database_away, database_busy
from crm_kit.store.pace import RARELY, Pace
from crm_kit.work.announcing import Cause
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)

DueQuery = Callable[[datetime], Select[UUID]]
DueHandler = Callable[[UUID, UnitOfWork], Awaitable[None]]

CHANNEL = "crm_timer"
"""Whoever writes a row that is due at once notifies this channel."""
POLL_SECONDS = 1.0
"""Between looks while a row is due within ``crm_kit.store.pace.RARELY``, which is the longest time between looks."""
RETRY_SECONDS = (10.0, 60.0, 600.0, 3600.0)
MOST_FAILING = 1000
"""The most rows that one process keeps in back-off. If there are more, the oldest are tried again early."""
FAILURES_A_ROUND = 50
"""Failures in one round after which the whole timer pauses, because otherwise rows would fail again and again. A round lasts
until no row is due, or until at least half of the rows of a turn succeed. It may have many turns, as slow rows need."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
TURN_SECONDS = 1.0
"""How long one timer handles rows before the others of the process have their turn. A handler may take longer with its row."""

FIRED = counter("crm.timer.fired", "Due rows handled.", "timer")
FAILED = counter("crm.timer.failed", "Due rows whose handler failed.", "timer")


@dataclass(frozen=True, slots=True)
class Timer:
    """A query for due rows, and their handler."""

    name: str
    due: DueQuery
    handler: DueHandler


@dataclass
class Timers:
    """The timers of one service."""

    timers: list[Timer] = field(default_factory=list)
    chores: list[Housekeeping] = field(default_factory=list)

    def due(self, name: str, query: DueQuery) -> Callable[[DueHandler], DueHandler]:
        """Register a handler of the rows that ``query(now)`` selects. The query selects only ids, the most urgent first."""

        def register(handler: DueHandler) -> DueHandler:
            self.timers.append(Timer(name, query, handler))
            return handler

        return register

    def every(self, name: str, *, seconds: float) -> Callable[[Chore], Chore]:
        """Register a chore that runs every ``seconds``. It is called again, each time in a new transaction, until it returns
        that it found nothing to do."""

        def register(chore: Chore) -> Chore:
            self.chores.append(Housekeeping(name, seconds, chore))
            return chore

        return register


class TimerLoop:
    """Runs the timers of one service in one process."""

    def __init__(self, timers: Timers, runtime: Runtime) -> None:
        self._timers, self._runtime = timers, runtime
        self._failing: dict[tuple[str, UUID], tuple[int, float]] = {}
        self._chores = ChoreLoop(timers.chores, runtime.db)
        self._pauses = {timer.name: Backoff(FIRST_PAUSE, LONGEST_PAUSE) for timer in timers.timers}
        self._resting_until: dict[str, float] = {}
        self._failed: dict[str, int] = {}
        """Failures of each timer in the turns of its round that have ended."""
        self._stopping = asyncio.Event()
        self._more = False
        """Whether the turn of a timer has ended while rows may be due."""
        self._pace = Pace(runtime.notifier, CHANNEL, POLL_SECONDS)

    def stop(self) -> None:
        """Return from ``run`` after the current row."""
        self._stopping.set()
        self._pace.wake()
        self._chores.stop()

    async def run(self) -> None:
        """Run timers and chores until stopped. It waits while the database is unavailable. Long chores do not delay timers."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._chores.run())
            loops.create_task(self._watch())

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            self._more = False
            found = [await self._in_turn(timer) for timer in self._timers.timers]
            if not self._more:
                await self._pace.rest(found=any(found))

    async def _in_turn(self, timer: Timer) -> bool:
        """Run one timer. Returns whether it has work soon. A timer whose query fails pauses, and the others continue."""
        if self._rests(timer):
            return True
        try:
            if not await self._any_soon(timer):
                return False
            await self._fire(timer, TURN_SECONDS)
        except Exception as error:
            if database_away(error) or database_busy(error):
                log.warning("timers.waiting", timer=timer.name, error=type(error).__name__)
                return True
            self._resting_until[timer.name] = clock.monotonic() + self._pauses[timer.name].next()
            log.exception("timers.failed", timer=timer.name)
        return True

    async def _any_soon(self, timer: Timer) -> bool:
        """Whether a row is due before the loop may look again. A look that needs no transaction."""
        async with self._runtime.db.autocommit() as conn:
            soon = clock.now() + timedelta(seconds=RARELY)
            return (await conn.execute(timer.due(soon).limit(1))).first() is not None

    def _rests(self, timer: Timer) -> bool:
        return clock.monotonic() < self._resting_until.get(timer.name, 0.0)

    async def fire_due(self) -> int:
        """Handle every row that is due now; returns the number."""
        return sum([await self._fire(timer) for timer in self._timers.timers])

    async def _fire(self, timer: Timer, seconds: float = math.inf) -> int:
        """Handle due rows of one timer, for about ``seconds``. Returns the number."""
        if self._rests(timer):
            return 0
        fired = failed = 0
        before = self._failed.pop(timer.name, 0)
        ends = clock.monotonic() + seconds
        while not self._stopping.is_set() and (worked := await self._fire_one(timer)) is not None:
            fired += 1
            failed += not worked
            if before + failed >= FAILURES_A_ROUND:
                self._resting_until[timer.name] = clock.monotonic() + self._pauses[timer.name].next()
                return fired
            if clock.monotonic() >= ends:
                self._more = True
                self._failed[timer.name] = before + failed if 2 * failed > fired else 0
                return fired
        self._pauses[timer.name].reset()
        return fired

    async def _fire_one(self, timer: Timer) -> bool | None:
        """Claim and handle the most urgent due row. Returns whether that succeeded, or None if no row is due."""
        claimed: UUID | None = None
        try:
            async with self._runtime.db.begin() as conn:
                claimed = await self._claim(conn, timer)
                if claimed is None:
                    return None
                noted = {"crm.record_id": str(claimed)}
                with span(f"timer {timer.name}", SpanKind.INTERNAL, None, noted) as traced:
                    uow = UnitOfWork.for_timer(conn, self._runtime, traced.traceparent)
                    with working(partial(_ids, timer, claimed, uow.cause)):
                        await timer.handler(claimed, uow)
                        await uow.flush()
                failpoints.hit("timers.before_commit")
        except Exception as error:
            if claimed is None:
                raise
            if database_away(error):
                # This row itself may end the connection, so next time other rows come before it.
                self._rest(timer, claimed, self._failures_of(timer, claimed), RETRY_SECONDS[0])
                raise
            if database_busy(error):
                log.warning("timer.busy", timer=timer.name, entity=str(claimed))
                self._rest(timer, claimed, self._failures_of(timer, claimed), POLL_SECONDS)
                return True
            self._note_failure(timer, claimed, error)
            return False
        self._failing.pop((timer.name, claimed), None)
        FIRED.labels(timer.name).inc()
        self._runtime.notifier.notify(WAKE_CHANNEL)
        return True

    async def _claim(self, conn: AsyncConnection, timer: Timer) -> UUID | None:
        now = clock.monotonic()
        resting = [id_ for (name, id_), (_, until) in self._failing.items() if name == timer.name and until > now]
        query = timer.due(clock.now()).limit(1).with_for_update(skip_locked=True)
        if resting:
            query = query.where(query.selected_columns[0].not_in(resting))
        row = (await conn.execute(query)).first()
        return None if row is None else row[0]

    def _note_failure(self, timer: Timer, id_: UUID, error: Exception) -> None:
        """Count the failure and log it. The row then pauses, so that it neither repeats at once nor delays others."""
        failures = self._failures_of(timer, id_) + 1
        self._rest(timer, id_, failures, RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])
        FAILED.labels(timer.name).inc()
        log.error("timer.failed", timer=timer.name, entity=str(id_), failures=failures, error=describe(error))

    def _failures_of(self, timer: Timer, id_: UUID) -> int:
        return self._failing.get((timer.name, id_), (0, 0.0))[0]

    def _rest(self, timer: Timer, id_: UUID, failures: int, seconds: float) -> None:
        if len(self._failing) >= MOST_FAILING:
            self._failing.pop(next(iter(self._failing)))
        self._failing[timer.name, id_] = (failures, clock.monotonic() + seconds)


def _ids(timer: Timer, claimed: UUID, cause: Cause) -> dict[str, object]:
    return {
        "timer": timer.name,
        "record_id": str(claimed),
        "correlation_id": cause.correlation_id,
        "trace_id": trace_id_of(cause.traceparent),
    }
