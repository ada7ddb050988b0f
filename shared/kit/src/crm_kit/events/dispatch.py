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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import uniform
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import EnvelopeError
from crm_kit import clock, failpoints
from crm_kit.events import deferred, inbox, own_rows
from crm_kit.events.consumers import Consumers, Group
from crm_kit.events.deferred import LAST_ATTEMPT, RETRY_SECONDS, Failure
from crm_kit.events.handling import (
    HandlerFailed,
    cause_of,
    handle,
    ids_of,
    sift,
)
from crm_kit.events.inbox import UNRESTORED, EventKey, Heard, Line, Unfinished
from crm_kit.events.ordering import NOTHING, Place, decide
from crm_kit.events.received import (
    PERMANENT,
    Message,
    describe,
    in_vain,
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
SUCCESSORS = 200
"""The most waiting events of one record that one transaction handles. Later transactions handle the rest."""
LATE_START = timedelta(seconds=45)
"""Longer than the broker needs to notice a dead consumer by its heartbeats and to redeliver its messages."""


class TransactionFailed(Exception):
    """The bookkeeping of a transaction failed. It is unknown which event caused it."""


class _NewEpochs(Exception):
    """Groups got events of a new epoch for the first time, because a publisher was restored. Epochs by group and source."""

    def __init__(self, epochs: dict[tuple[str, str], int]) -> None:
        self.epochs = epochs


@dataclass(slots=True)
class _Plan:
    """What one transaction will do for one group, and the outcome."""

    group: Group
    run: list[Message] = field(default_factory=list)
    wait: list[Message] = field(default_factory=list)
    stale: list[Message] = field(default_factory=list)
    reached: dict[Line, Place] = field(default_factory=dict)
    anew: set[UUID] = field(default_factory=set)
    """Records whose publisher was restored. Its events replace the copies, whatever their versions."""
    failed: list[tuple[Message, Failure]] = field(default_factory=list)
    """Events that failed and are stored, for another attempt or for an operator."""

    def done(self) -> list[EventKey]:
        """Return the keys of stored events that are done."""
        return [_key(message, self.group) for message in (*self.run, *self.stale) if message.attempts]

    def kept_failures(self) -> list[Failure]:
        """Return the failures of events that have a row in the inbox."""
        return [failure for message, failure in self.failed if message.attempts or not self.group.keyless]

    def new_failures(self) -> list[Failure]:
        """Return the failures of events that have no row in the inbox yet."""
        return [failure for message, failure in self.failed if self.group.keyless and not message.attempts]

    def positions(self) -> list[tuple[Line, Place, bool]]:
        """Return the new position of each record that has one, and whether the record is deleted there."""
        last: dict[Line, Message] = {}
        for message in self.run if self.reached else ():
            line = _line(message, self.group)
            if message.place > (last[line].place if line in last else self.reached[line]):
                last[line] = message
        return [(line, message.place, ".deleted.v" in message.envelope.type) for line, message in last.items()]


Work = Callable[[AsyncConnection, _Plan], Awaitable[None]]
"""Runs the handlers of a plan."""
Pair = tuple[Message, Group]


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
            _aside(message, group, place, "set aside behind others that failed")
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
            except _NewEpochs as news:
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
        lines = {_line(message, group): message for message in messages}
        if group.keyless:
            copies = await own_rows.lock_copies(conn, group, [line.entity for line in lines])
            positions = {line: copies.get(line.entity, NOTHING) for line in lines}
        else:
            positions = await inbox.lock_positions(conn, lines)
        told = {line: message for line, message in lines.items() if message.place >= positions[line]}
        plan = _Plan(group, run=list(told.values()), anew={line.entity for line in told})
        await self._run(conn, plan)
        if not group.keyless:
            await inbox.advance(conn, [(line, message.place, False) for line, message in told.items()])
        await inbox.supersede(conn, {line: message.place for line, message in told.items()})
        return len(told)

    async def run_again(self, conn: AsyncConnection, group: Group, messages: Sequence[Message]) -> None:
        """Hand events to a projection of each event once more. It keeps the rows that it has. Raises HandlerFailed."""
        await self._run(conn, _Plan(group, run=list(messages)))

    async def _transaction(self, concerned: Sequence[Pair], work: Work) -> None:
        async with self.runtime.db.begin() as conn:
            plans = await self._plan(conn, concerned)
            for plan in plans:
                if plan.run:
                    await self._timed(conn, plan, work)
            await inbox.put_aside(
                conn, [(_key(m, plan.group), m.body, m.place.epoch) for plan in plans for m in plan.wait]
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

    async def _plan(self, conn: AsyncConnection, concerned: Sequence[Pair]) -> list[_Plan]:
        """Decide which events run. Plans are in the order of registration, so that all processes lock rows in the same order."""
        keyless = {group.name for _, group in concerned if group.keyless}
        plans = await self._plan_keyless(conn, [pair for pair in concerned if pair[1].name in keyless])
        plans += await self._plan_keyed(conn, [pair for pair in concerned if pair[1].name not in keyless])
        places = {name: place for place, name in enumerate(self.consumers.groups)}
        return sorted(plans, key=lambda plan: places[plan.group.name])

    async def _plan_keyless(self, conn: AsyncConnection, concerned: Sequence[Pair]) -> list[_Plan]:
        """Plan keyless projections. They run all events, because their rows show which are new. Rows are looked up only if a
        publisher was restored or an event comes from the store."""
        plans: dict[str, _Plan] = {}
        for message, group in concerned:
            plans.setdefault(group.name, _Plan(group)).run.append(message)
        if not plans:
            return []
        heard = await inbox.heard_epochs(conn, plans)
        news: dict[tuple[str, str], int] = {}
        for message, group in concerned:
            pair = group.name, message.envelope.source
            if message.envelope.epoch > max(heard.get(pair, UNRESTORED).epoch, news.get(pair, 0)):
                news[pair] = message.envelope.epoch
        if news:
            raise _NewEpochs(news)
        claimed = [_key(message, group) for message, group in concerned if message.attempts]
        still = await inbox.bodies(conn, claimed)
        for plan in plans.values():
            plan.run = [m for m in plan.run if not m.attempts or _key(m, plan.group) in still]
            restored = any((plan.group.name, message.envelope.source) in heard for message in plan.run)
            if restored or (plan.group.copies and any(message.attempts for message in plan.run)):
                await self._look_up(conn, plan, heard)
            else:
                plan.run.sort(key=_version)
        return list(plans.values())

    async def _look_up(self, conn: AsyncConnection, plan: _Plan, heard: Mapping[tuple[str, str], Heard]) -> None:
        """Remove events that are older than the group's rows, or that the restored publisher no longer has.

        A row per event does not show whether the restored publisher still has the event. Positions are therefore kept of
        records whose publisher was restored.
        """
        lines: dict[Line, list[Message]] = {}
        for message in plan.run:
            lines.setdefault(_line(message, plan.group), []).append(message)
        plan.run = []
        if not lines:
            return
        if plan.group.each_event:
            for line, position in (await inbox.lock_positions(conn, lines)).items():
                self._decide(plan, line, position, lines[line], [], blocked=False)
            return
        copies = await own_rows.lock_copies(conn, plan.group, [line.entity for line in lines])
        for line, messages in lines.items():
            absent = Place(heard.get((line.consumer, line.source), UNRESTORED).taken_up, 0)
            decision = decide(plan.group, copies.get(line.entity, absent), messages, blocked=False)
            plan.run += decision.run
            plan.stale += decision.stale
            if line.entity in copies and decision.position.epoch > copies[line.entity].epoch:
                plan.anew.add(line.entity)

    async def _plan_keyed(self, conn: AsyncConnection, concerned: Sequence[Pair]) -> list[_Plan]:
        """Insert the events' keys, lock the records' positions, and decide for each record which events run."""
        if not concerned:
            return []
        fresh = await inbox.insert_done(conn, [_row(m, g) for m, g in concerned if not m.attempts])
        claimed = [(m, g) for m, g in concerned if m.attempts]
        still = await inbox.bodies(conn, [_key(m, g) for m, g in claimed])
        lines: dict[Line, tuple[Group, list[Message]]] = {}
        plans: dict[str, _Plan] = {}
        for message, group in concerned:
            key = _key(message, group)
            if key not in fresh and key not in still:
                continue
            if group.keeps_order:
                lines.setdefault(_line(message, group), (group, []))[1].append(message)
            else:
                plans.setdefault(group.name, _Plan(group)).run.append(message)
        if not lines:
            return list(plans.values())
        positions = await inbox.lock_positions(conn, lines)
        stored = await inbox.unfinished(conn, lines)
        claims = {_key(m, g) for m, g in claimed}
        wanted = [key for held in stored.values() for key in _first_waiting(held) if key not in claims]
        waiting = await inbox.bodies(conn, wanted)
        for line, (group, messages) in lines.items():
            plan = plans.setdefault(group.name, _Plan(group))
            held = stored.get(line, [])
            extra, spoilt = await self._successors(conn, [u.key for u in held if u.key in waiting], waiting)
            blocked = any(u.state in ("pending", "parked") and u.key not in claims for u in held)
            # For a step it is an ordinary gap, and the events before it may run.
            blocked |= spoilt and group.kind == "projection"
            self._decide(plan, line, positions[line], messages, extra, blocked)
        return list(plans.values())

    async def _successors(
        self, conn: AsyncConnection, keys: Sequence[EventKey], bodies: dict[EventKey, bytes]
    ) -> tuple[list[Message], bool]:
        """Return the waiting events, up to the first that this release cannot read, and whether there is such an event. It is
        parked."""
        found: list[Message] = []
        for key in keys:
            try:
                found.append(Message.read(bodies[key], attempts=1))
            except EnvelopeError as error:
                await deferred.park(conn, {key: describe(error)})
                return found, True
        return found, False

    def _decide(
        self, plan: _Plan, line: Line, position: Place, messages: list[Message], extra: list[Message], blocked: bool
    ) -> None:
        group = plan.group
        decision = decide(group, position, [*messages, *extra], blocked=blocked)
        plan.run.extend(decision.run)
        plan.wait.extend(m for m in decision.wait if m in messages)
        plan.stale.extend(decision.stale)
        plan.reached[line] = position
        if decision.position.epoch > position.epoch:
            plan.anew.add(line.entity)

    async def _timed(self, conn: AsyncConnection, plan: _Plan, work: Work) -> None:
        began, outcome = clock.monotonic(), "failed"
        try:
            await work(conn, plan)
            outcome = "failed" if plan.failed else "done"
        finally:
            PROCESS.labels(plan.group.name, outcome).observe(clock.monotonic() - began)

    async def _run(self, conn: AsyncConnection, plan: _Plan) -> None:
        await handle(conn, self.runtime, plan.group, plan.run, plan.anew)

    async def _sift(self, conn: AsyncConnection, plan: _Plan) -> None:
        """Run the events that do not fail, and store the others."""
        sifted = await sift(conn, self.runtime, plan.group, plan.run, plan.anew)
        plan.run = sifted.ran
        plan.wait += sifted.held
        plan.failed = [(message, failure_of(message, plan.group, error)) for message, error in sifted.failed]

    async def _or_set_aside(self, conn: AsyncConnection, plan: _Plan, behind: set[str]) -> None:
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
            plan.failed = [(message, _aside(message, plan.group, place, why)) for place, message in enumerate(fresh)]
            plan.run = []

    async def _store(self, message: Message, group: Group, error: BaseException | None) -> None:
        failure = failure_of(message, group, error)
        async with self.runtime.db.begin() as conn:
            await deferred.store(conn, [failure])
        _tell(_Plan(group, failed=[(message, failure)]))


def _tell(plan: _Plan) -> None:
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


def failure_of(message: Message, group: Group, error: BaseException | None) -> Failure:
    """Return the failure to store for an event and its error: parked after the last attempt, or if a retry is useless."""
    attempts = max(1, message.attempts)
    error = in_vain(message, error) or error
    parked = isinstance(error, PERMANENT) or attempts >= LAST_ATTEMPT
    wait = None if parked else timedelta(seconds=RETRY_SECONDS[attempts - 1] * uniform(0.9, 1.1))
    return _stored(
        message,
        group,
        state="parked" if parked else "pending",
        attempts=attempts,
        next_attempt_at=None if wait is None else clock.now() + wait,
        error=describe(error),
    )


def _aside(message: Message, group: Group, place: int, why: str) -> Failure:
    """Return the failure of an event that was not tried. It is due at once, after those before it."""
    due = clock.now() + timedelta(microseconds=place)
    return _stored(message, group, state="pending", attempts=0, next_attempt_at=due, error=why)


def _stored(
    message: Message, group: Group, *, state: str, attempts: int, next_attempt_at: datetime | None, error: str
) -> Failure:
    return Failure(
        key=_key(message, group),
        entity=message.envelope.subject,
        version=message.envelope.entityversion,
        type=message.envelope.type,
        body=message.body,
        state=state,
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        error=error,
        epoch=message.envelope.epoch,
    )


def _first_waiting(stored: list[Unfinished]) -> list[EventKey]:
    waiting = sorted((u for u in stored if u.state == "waiting"), key=lambda u: u.place)
    return [u.key for u in waiting[:SUCCESSORS]]


def _version(message: Message) -> int:
    return message.envelope.entityversion


def _key(message: Message, group: Group) -> EventKey:
    return EventKey(group.name, message.envelope.source, message.envelope.id)


def _line(message: Message, group: Group) -> Line:
    return Line(group.name, message.envelope.source, message.envelope.subject)


def _row(message: Message, group: Group) -> tuple[str, str, UUID, UUID, int, str]:
    envelope = message.envelope
    return group.name, envelope.source, envelope.id, envelope.subject, envelope.entityversion, envelope.type
