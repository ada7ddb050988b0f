"""Handles a batch of events in one transaction. Each new event takes effect exactly once in every handler group.

Inbox rows, positions, projections, and the units of work of steps with their outbox rows commit together. A projection whose own
rows show which events they contain (``Group.keyless``) has neither inbox rows nor positions. It gets every event, and older
events do not change its rows.

When a handler raises, the transaction is rolled back and repeated with savepoints. In one mode, they find the events that fail.
These are stored for a retry, or parked if a retry is useless. In the other mode, all events of the failing group are set aside
for the retries, so that other groups do not wait for it. When the database refuses to store something about an event, the batch
is halved until that event is alone. The dispatcher waits only for a database that is unavailable or busy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import uniform

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import EnvelopeError
from crm_kit import clock, failpoints
from crm_kit.events import deferred, inbox, own_rows
from crm_kit.events.consumers import Consumers, Group
from crm_kit.events.failures import aside, failure_of, key_of
from crm_kit.events.handling import (
    HandlerFailed,
    cause_of,
    handle,
    ids_of,
    sift,
)
from crm_kit.events.inbox import Line
from crm_kit.events.ordering import NOTHING, Place
from crm_kit.events.planning import NewEpochs, Pair, Plan, line_of, plan_all
from crm_kit.events.received import (
    Message,
    describe,
)
from crm_kit.process.runtime import Runtime
from crm_kit.signals.logs import working
from crm_kit.signals.metrics import counter, histogram
from crm_kit.store.outages import database_away, database_busy
from crm_kit.work.outbox import WAKE_CHANNEL

log = structlog.get_logger(__name__)

HANDLED = counter("crm.inbox.handled", "Events that took effect in a handler group.", "group")
FAILED = counter("crm.inbox.failed", "Failed attempts to handle an event.", "group")
PROCESS = histogram(
    "messaging.process.duration",
    "Duration of a handler group's work on the events of one transaction, without the commit.",
    "group",
    "outcome",
)
LAG = histogram(
    "crm.inbox.lag",
    "Time from the change in its own service to its effect in this group.",
    "group",
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)

BUSY_ATTEMPTS = 5
LATE_START = timedelta(seconds=45)
"""Longer than the broker needs to notice a dead consumer by its heartbeats and to redeliver its messages."""


class TransactionFailed(Exception):
    """The bookkeeping of a transaction failed. It is unknown which event caused it."""


Work = Callable[[AsyncConnection, Plan], Awaitable[None]]
"""Runs the handlers of a plan."""


class Dispatcher:
    """Hands events to the groups of one service. ``bound`` has the instant at which each group began to follow each source."""

    def __init__(
        self, consumers: Consumers, runtime: Runtime, bound: dict[tuple[str, str], datetime] | None = None
    ) -> None:
        self.consumers, self.runtime = consumers, runtime
        self.bound = {} if bound is None else bound

    async def settle(self, messages: Sequence[Message], groups: Iterable[Group] | None = None) -> None:
        """Handle or store every message in every group that follows its record. Then the messages may be acknowledged.

        Raises only if the database is unavailable or busy. Then nothing has changed, and the call may be repeated.
        """
        if concerned := self._concerned(messages, groups):
            # Most stored events have failed before. With savepoints, one transaction is enough for them.
            await self._settle(concerned, self._sift if concerned[0][0].attempts else self._run)

    async def take(self, messages: Sequence[Message], groups: Iterable[Group] | None = None) -> set[str]:
        """Handle or store messages that have just arrived. Returns the names of the groups that failed.

        All messages of a failing group are stored for the retries, which find the events that fail. The other groups
        therefore wait for only one failed call of its handlers. Raises as ``settle`` does.
        """
        concerned = self._concerned(messages, groups)
        if not concerned:
            return set()
        try:
            await self._patiently(concerned, self._run)
        except TransactionFailed as failure:
            await self._halve(concerned, self._run, failure)
        except HandlerFailed:
            return await self._take_apart(concerned)
        return set()

    async def _take_apart(self, concerned: Sequence[Pair]) -> set[str]:
        behind: set[str] = set()
        if len({message for message, _ in concerned}) == 1:
            await self._settle(concerned, self._sift)
            return behind
        try:
            await self._patiently(concerned, partial(self._or_set_aside, behind=behind))
        except TransactionFailed as failure:
            await self._halve(concerned, self._sift, failure)
        return behind

    async def set_aside(self, messages: Sequence[Message], groups: Iterable[Group]) -> None:
        """Store every message for the retries of these groups, without an attempt."""
        failures = [
            aside(message, group, place, "set aside behind others that failed")
            for place, (message, group) in enumerate(self._concerned(messages, groups))
        ]
        if failures:
            async with self.runtime.db.begin() as conn:
                await deferred.set_aside(conn, failures)

    def _concerned(self, messages: Sequence[Message], groups: Iterable[Group] | None) -> list[Pair]:
        chosen = self._chosen(groups)
        unique = {(m.envelope.source, m.envelope.id): m for m in messages}.values()
        return [(m, g) for m in unique for g in self.consumers.interested(m.envelope.type) if g in chosen]

    async def _settle(self, concerned: Sequence[Pair], work: Work) -> None:
        try:
            await self._patiently(concerned, work)
        except HandlerFailed:
            await self._settle(concerned, self._sift)
        except TransactionFailed as failure:
            await self._halve(concerned, work, failure)

    async def _halve(self, concerned: Sequence[Pair], work: Work, failure: TransactionFailed) -> None:
        """Find the event that makes the bookkeeping fail, and store it. The other events are handled meanwhile."""
        if len(concerned) == 1:
            await self._store(*concerned[0], failure.__cause__)
            return
        in_order = sorted(concerned, key=lambda pair: pair[0].place)
        middle = len(in_order) // 2
        await self._settle(in_order[:middle], work)
        await self._settle(in_order[middle:], work)

    async def _patiently(self, concerned: Sequence[Pair], work: Work) -> None:
        """Run the transaction, and repeat it while other transactions block it. After the last attempt, that is a failure."""
        for attempt in range(1, BUSY_ATTEMPTS + 1):
            try:
                await self._transaction(concerned, work)
                return
            except HandlerFailed:
                raise
            except NewEpochs as news:
                async with self.runtime.db.begin() as conn:
                    # Others queue behind this lock, so it must not wait as long as a backup takes.
                    await conn.exec_driver_sql("set local lock_timeout = '2s'")
                    await inbox.note_epochs(conn, news.epochs)
                await self._patiently(concerned, work)
                return
            except Exception as error:
                if database_away(error):
                    raise
                if attempt == BUSY_ATTEMPTS or not database_busy(error):
                    raise TransactionFailed from error
                await asyncio.sleep(uniform(0.05, 0.1) * attempt)

    async def release(self, groups: Iterable[Group] | None = None) -> int:
        """Make waiting events due if nothing precedes them any more, and notify; returns the number."""
        chosen = self._chosen(groups)
        ordered = [group for group in chosen if group.keeps_order]
        projections = [group.name for group in ordered if group.kind == "projection"]
        async with self.runtime.db.begin() as conn:
            released = await inbox.release(conn, [group.name for group in ordered], projections)
            released += await inbox.release_all(conn, [group.name for group in chosen if not group.keeps_order])
        if released:
            self.runtime.notifier.notify(inbox.CHANNEL)
        return released

    def _chosen(self, groups: Iterable[Group] | None) -> tuple[Group, ...]:
        return tuple(self.consumers.groups.values() if groups is None else groups)

    async def start_late(self, groups: Iterable[Group] | None = None) -> int:
        """Start records at a later version than 1 if they are older than the binding of the queue, or if a restored publisher
        continues them. Returns the number.

        A record that was created after the binding starts at version 1. For an older one, the version that arrives first is
        unknown, and another replica may hold an earlier event. Its first event therefore waits until the broker would have
        redelivered such an event.
        """
        names = [group.name for group in self._chosen(groups) if group.keeps_order]
        async with self.runtime.db.begin() as conn:
            waiting = await inbox.unstarted(conn, names, clock.now() - LATE_START)
            heads = {line: (place, body) for line, place, body in waiting}
            if not heads:
                return 0
            positions = await inbox.lock_positions(conn, heads)
            late = [
                (line, Place(place.epoch, place.version - 1), False)
                for line, (place, body) in heads.items()
                if (positions[line].version > 0 and positions[line].epoch < place.epoch)
                or (positions[line].version == 0 and self._older_than_binding(line, body))
            ]
            await inbox.advance(conn, late)
        return len(late)

    def _older_than_binding(self, line: Line, body: bytes) -> bool:
        bound_at = self.bound.get((line.consumer, line.source))
        if bound_at is None:
            return False
        try:
            born = datetime.fromisoformat(Message.read(body).envelope.data["record"]["created_at"])
        except (EnvelopeError, ValueError, TypeError, KeyError):
            return False
        return born.tzinfo is not None and born <= bound_at

    async def tell_again(self, conn: AsyncConnection, group: Group, messages: Sequence[Message]) -> int:
        """Project one snapshot of each record, and replace every copy that is not newer. Returns the number of records.

        Stored events that precede the snapshots are skipped. Raises HandlerFailed.
        """
        lines = {line_of(message, group): message for message in messages}
        if group.keyless:
            copies = await own_rows.lock_copies(conn, group, [line.entity for line in lines])
            positions = {line: copies.get(line.entity, NOTHING) for line in lines}
        else:
            positions = await inbox.lock_positions(conn, lines)
        told = {line: message for line, message in lines.items() if message.place >= positions[line]}
        plan = Plan(group, run=list(told.values()), anew={line.entity for line in told})
        await self._run(conn, plan)
        if not group.keyless:
            await inbox.advance(conn, [(line, message.place, False) for line, message in told.items()])
        await inbox.supersede(conn, {line: message.place for line, message in told.items()})
        return len(told)

    async def run_again(self, conn: AsyncConnection, group: Group, messages: Sequence[Message]) -> None:
        """Hand events to a projection of each event once more. It keeps the rows that it has. Raises HandlerFailed."""
        await self._run(conn, Plan(group, run=list(messages)))

    async def _transaction(self, concerned: Sequence[Pair], work: Work) -> None:
        async with self.runtime.db.begin() as conn:
            plans = await plan_all(conn, self.consumers, concerned)
            for plan in plans:
                if plan.run:
                    await self._timed(conn, plan, work)
            await inbox.put_aside(
                conn, [(key_of(m, plan.group), m.body, m.place.epoch) for plan in plans for m in plan.wait]
            )
            await inbox.finish(conn, [key for plan in plans for key in plan.done()])
            await inbox.advance(conn, [position for plan in plans for position in plan.positions()])
            await deferred.fail(conn, [failure for plan in plans for failure in plan.kept_failures()])
            await deferred.set_aside(conn, [failure for plan in plans for failure in plan.new_failures()])
            failpoints.hit("inbox.before_commit")
        failpoints.hit("inbox.after_commit")
        now = clock.now()
        for plan in plans:
            for message in plan.run:
                HANDLED.labels(plan.group.name).inc()
                LAG.labels(plan.group.name).observe((now - message.envelope.time).total_seconds())
            _tell(plan)
        if any(plan.group.kind == "step" and plan.run for plan in plans):
            self.runtime.notifier.notify(WAKE_CHANNEL)

    async def _timed(self, conn: AsyncConnection, plan: Plan, work: Work) -> None:
        began, outcome = clock.monotonic(), "failed"
        try:
            await work(conn, plan)
            outcome = "failed" if plan.failed else "done"
        finally:
            PROCESS.labels(plan.group.name, outcome).observe(clock.monotonic() - began)

    async def _run(self, conn: AsyncConnection, plan: Plan) -> None:
        await handle(conn, self.runtime, plan.group, plan.run, plan.anew)

    async def _sift(self, conn: AsyncConnection, plan: Plan) -> None:
        """Run the events that do not fail, and store the others."""
        sifted = await sift(conn, self.runtime, plan.group, plan.run, plan.anew)
        plan.run = sifted.ran
        plan.wait += sifted.held
        plan.failed = [(message, failure_of(message, plan.group, error)) for message, error in sifted.failed]

    async def _or_set_aside(self, conn: AsyncConnection, plan: Plan, behind: set[str]) -> None:
        """Run all events of the plan, or store all of them and add the group's name to ``behind``."""
        try:
            async with conn.begin_nested():
                await handle(conn, self.runtime, plan.group, plan.run, plan.anew)
        except Exception as error:
            if database_away(error):
                raise
            behind.add(plan.group.name)
            why = f"set aside with others; of one: {describe(cause_of(error))}"
            # Events that were waiting in the store stay there.
            fresh = [message for message in plan.run if not message.attempts]
            plan.failed = [(message, aside(message, plan.group, place, why)) for place, message in enumerate(fresh)]
            plan.run = []

    async def _store(self, message: Message, group: Group, error: BaseException | None) -> None:
        failure = failure_of(message, group, error)
        async with self.runtime.db.begin() as conn:
            await deferred.store(conn, [failure])
        _tell(Plan(group, failed=[(message, failure)]))


def _tell(plan: Plan) -> None:
    """Log each event that failed, and the number of events that were set aside."""
    tried = [(message, failure) for message, failure in plan.failed if failure.attempts]
    for message, failure in tried:
        FAILED.labels(plan.group.name).inc()
        with working(partial(ids_of, plan.group, [message])):
            log.warning(
                "inbox.failed",
                entity=str(failure.entity),
                state=failure.state,
                attempts=failure.attempts,
                error=failure.error,
            )
    if aside := len(plan.failed) - len(tried):
        log.warning("inbox.set_aside", group=plan.group.name, events=aside, error=plan.failed[0][1].error)
