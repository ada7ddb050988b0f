"""One batch of events, one transaction: what was not seen before takes effect in every handler group, exactly once.

Inbox rows, positions, projections, each step's unit of work with its own outbox rows: all of it commits together.
When a handler raises, or the database refuses what is to be kept of an event, the transaction is rolled back and the
batch is split, by group and then by event, until the one that fails is alone; it is stored for a retry, or parked where
that is in vain, and everything else is done. Only a database that is away or busy is waited for.
"""

import asyncio
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import uniform
from typing import Any
from uuid import UUID

import orjson
import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Event, event_for
from crm_contracts.envelope import Envelope, EnvelopeError, check_size
from crm_kit import clock, failpoints, inbox
from crm_kit.consumers import Consumers, Group, Handler, Unprocessable, attach, require_record
from crm_kit.inbox import LAST_ATTEMPT, RETRY_SECONDS, Failure, Key, Line, Unfinished
from crm_kit.logs import working
from crm_kit.metrics import counter, histogram
from crm_kit.ordering import Place, decide
from crm_kit.outages import database_away, database_busy, unfit
from crm_kit.outbox import WAKE_CHANNEL
from crm_kit.runtime import Runtime
from crm_kit.telemetry import SpanKind, event_spans, trace_id_of
from crm_kit.uow import UnitOfWork

log = structlog.get_logger(__name__)

HANDLED = counter("crm.inbox.handled", "Events that took effect in a handler group.", "group")
FAILED = counter("crm.inbox.failed", "Failed attempts to handle an event.", "group")
PROCESS = histogram(
    "messaging.process.duration",
    "What a handler group does with the events of one transaction, without its commit.",
    "group",
    "outcome",
)
LAG = histogram(
    "crm.inbox.lag",
    "From the change at its source to its effect here.",
    "group",
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)

BUSY_ATTEMPTS = 5
SUCCESSORS = 200
"""Waiting events of one record that one transaction runs at most; the next look takes the next."""
LATE_START = timedelta(seconds=45)
"""Longer than it takes the broker to miss a dead consumer's heartbeats and deliver again what that one held."""
PERMANENT = (Unprocessable, ValidationError, EnvelopeError)


@dataclass(slots=True, eq=False)
class Message:
    """One received event. ``attempts`` is above 0 when it comes from the store and not from the broker."""

    envelope: Envelope
    body: bytes
    attempts: int = 0
    _event: Event | None = field(default=None, repr=False)

    @classmethod
    def read(cls, body: bytes, attempts: int = 0) -> "Message":
        """Parse a body. Raises EnvelopeError."""
        check_size(body)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise EnvelopeError(f"the body is not JSON: {error}") from None
        return cls(Envelope.of(document, body), body, attempts)

    @property
    def place(self) -> Place:
        """Where in the record's story this event stands."""
        return Place(self.envelope.epoch, self.envelope.entityversion)

    def event(self) -> Event:
        """The event as consumers see it, parsed once for all groups. Raises ValidationError."""
        if self._event is None:
            declared = event_for(self.envelope.type)
            if declared is None:
                raise Unprocessable(f"unknown event type {self.envelope.type}")
            self._event = declared.consume(self.envelope.data)
            attach(self._event, self.envelope)
        return self._event


class HandlerFailed(Exception):
    """A handler raised; ``message`` is the event it had, when it had only one."""

    def __init__(self, group: Group, message: Message | None) -> None:
        super().__init__(group.name)
        self.group, self.message = group, message


@dataclass(slots=True)
class _Plan:
    """What one transaction will do for one group."""

    group: Group
    run: list[Message] = field(default_factory=list)
    wait: list[tuple[Key, bytes, int]] = field(default_factory=list)
    done: list[Key] = field(default_factory=list)
    positions: list[tuple[Line, Place, bool]] = field(default_factory=list)
    anew: set[UUID] = field(default_factory=set)
    """Records whose publisher was restored: what it says of them replaces what is here, whatever the version."""


class Dispatcher:
    """Hands events to the groups of one service. ``bound`` tells since when each group listens to each source."""

    def __init__(
        self, consumers: Consumers, runtime: Runtime, bound: dict[tuple[str, str], datetime] | None = None
    ) -> None:
        self.consumers, self.runtime = consumers, runtime
        self.bound = {} if bound is None else bound

    async def settle(self, messages: Sequence[Message], groups: Iterable[Group] | None = None) -> None:
        """Handle or store every message in every group that follows its record; afterwards they may be acknowledged.

        Raises only when the database is away or busy; then nothing happened and the whole call may be made again.
        """
        chosen = self._chosen(groups)
        unique = list({(m.envelope.source, m.envelope.id): m for m in messages}.values())
        concerned = [(m, g) for m in unique for g in self.consumers.interested(m.envelope.type) if g in chosen]
        if not concerned:
            return
        try:
            await self._patiently(concerned, successors=True)
        except HandlerFailed as failure:
            await self._isolate(unique, chosen, failure)

    async def _patiently(self, concerned: Sequence[tuple[Message, Group]], *, successors: bool) -> None:
        """Try again while other transactions are in the way; the last time, that counts as a failure."""
        for attempt in range(1, BUSY_ATTEMPTS + 1):
            try:
                await self._transaction(concerned, successors=successors)
                return
            except HandlerFailed:
                raise
            except Exception as error:
                if database_away(error):
                    raise
                if attempt == BUSY_ATTEMPTS or not database_busy(error):
                    raise _failed(concerned[0][1], [m for m, _ in concerned], error) from error
                await asyncio.sleep(uniform(0.05, 0.1) * attempt)

    async def _isolate(self, messages: Sequence[Message], groups: Sequence[Group], failure: HandlerFailed) -> None:
        """Find who fails: first the group, then one half of its events after the other; the rest is done on the way."""
        if len(groups) > 1:
            await self.settle(messages, [group for group in groups if group is not failure.group])
            await self.settle(messages, [failure.group])
        elif len(messages) > 1:
            ordered = sorted(messages, key=lambda m: m.place)
            half = len(ordered) // 2
            await self.settle(ordered[:half], groups)
            await self.settle(ordered[half:], groups)
        elif failure.message is messages[0]:
            await self.store_failure(messages[0], groups[0], failure.__cause__)
        else:
            await self._without_successors(messages[0], groups[0])

    async def _without_successors(self, message: Message, group: Group) -> None:
        """What failed was a later event that this one released: it gets a transaction and retries of its own."""
        try:
            await self._patiently([(message, group)], successors=False)
        except HandlerFailed as failure:
            await self.store_failure(message, group, failure.__cause__)
            return
        await self.release([group])

    async def release(self, groups: Iterable[Group] | None = None) -> int:
        """Make stored events due where nothing precedes them any more, and say so; returns how many."""
        chosen = self._chosen(groups)
        projections = [group.name for group in chosen if group.kind == "projection"]
        async with self.runtime.db.begin() as conn:
            released = await inbox.release(conn, [group.name for group in chosen], projections)
        if released:
            self.runtime.notifier.notify(inbox.CHANNEL)
        return released

    def _chosen(self, groups: Iterable[Group] | None) -> tuple[Group, ...]:
        return tuple(self.consumers.groups.values() if groups is None else groups)

    async def start_late(self, groups: Iterable[Group] | None = None) -> int:
        """Begin in the middle with records that are older than our binding, whose first events never came here, and with
        those that a restored publisher goes on with.

        A record made after the binding must be seen from version 1 on. Of an older one nobody knows which version comes
        first, and another replica may hold an earlier one; so its first event waits until that would have come again.
        """
        names = [group.name for group in self._chosen(groups)]
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
        """Project records as their publisher has them now, one snapshot each, whatever is here that is not newer; what is
        stored of them and was to come before is skipped. Returns how many. Raises HandlerFailed."""
        lines = {_line(message, group): message for message in messages}
        positions = await inbox.lock_positions(conn, lines)
        told = {line: message for line, message in lines.items() if message.place >= positions[line]}
        plan = _Plan(group, run=list(told.values()), anew={line.entity for line in told})
        plan.positions = [(line, message.place, False) for line, message in told.items()]
        await self._run(conn, plan)
        await inbox.advance(conn, plan.positions)
        await inbox.supersede(conn, {line: message.place for line, message in told.items()})
        return len(told)

    async def run_again(self, conn: AsyncConnection, group: Group, messages: Sequence[Message]) -> None:
        """Give a projection of each event these events once more; it keeps what it has. Raises HandlerFailed."""
        await self._run(conn, _Plan(group, run=list(messages)))

    async def _transaction(self, concerned: Sequence[tuple[Message, Group]], *, successors: bool) -> None:
        handled: list[tuple[Group, Message]] = []
        async with self.runtime.db.begin() as conn:
            plans = await self._plan(conn, concerned, successors)
            for plan in plans:
                if plan.run:
                    await self._timed(conn, plan)
                handled.extend((plan.group, message) for message in plan.run)
            await inbox.put_aside(conn, [waiting for plan in plans for waiting in plan.wait])
            await inbox.finish(conn, [key for plan in plans for key in plan.done])
            await inbox.advance(conn, [position for plan in plans for position in plan.positions])
            failpoints.hit("inbox.before_commit")
        failpoints.hit("inbox.after_commit")
        now = clock.now()
        for group, message in handled:
            HANDLED.labels(group.name).inc()
            LAG.labels(group.name).observe((now - message.envelope.time).total_seconds())
        if any(group.kind == "step" for group, _ in handled):
            self.runtime.notifier.notify(WAKE_CHANNEL)

    async def _plan(
        self, conn: AsyncConnection, concerned: Sequence[tuple[Message, Group]], successors: bool
    ) -> list[_Plan]:
        """Take the events' keys and the records' positions, then decide per record what runs."""
        fresh = await inbox.insert_done(conn, [_row(m, g) for m, g in concerned if not m.attempts])
        claimed = [(m, g) for m, g in concerned if m.attempts]
        still = await inbox.bodies(conn, [_key(m, g) for m, g in claimed])
        lines: dict[Line, tuple[Group, list[Message]]] = {}
        for message, group in concerned:
            key = _key(message, group)
            if key in fresh or key in still:
                lines.setdefault(_line(message, group), (group, []))[1].append(message)
        if not lines:
            return []
        positions = await inbox.lock_positions(conn, lines)
        stored = await inbox.unfinished(conn, lines)
        claims = {_key(m, g) for m, g in claimed}
        wanted = [key for held in stored.values() for key in _first_waiting(held) if key not in claims]
        waiting = await inbox.bodies(conn, wanted) if successors else {}
        plans: dict[str, _Plan] = {}
        for line, (group, messages) in lines.items():
            plan = plans.setdefault(group.name, _Plan(group))
            held = stored.get(line, [])
            extra, spoilt = await self._successors(conn, [u.key for u in held if u.key in waiting], waiting)
            blocked = any(u.state in ("pending", "parked") and u.key not in claims for u in held)
            # To a step it is a gap like any other, and what precedes it may go on.
            blocked |= spoilt and group.kind == "projection"
            self._decide(plan, line, positions[line], messages, extra, blocked)
        return list(plans.values())

    async def _successors(
        self, conn: AsyncConnection, keys: Sequence[Key], bodies: dict[Key, bytes]
    ) -> tuple[list[Message], bool]:
        """What waited for its turn, up to one that this release cannot read; that one is parked. Whether there was one."""
        found: list[Message] = []
        for key in keys:
            try:
                found.append(Message.read(bodies[key], attempts=1))
            except EnvelopeError as error:
                await inbox.park(conn, key, describe(error))
                return found, True
        return found, False

    def _decide(
        self, plan: _Plan, line: Line, position: Place, messages: list[Message], extra: list[Message], blocked: bool
    ) -> None:
        group = plan.group
        decision = decide(group, position, [*messages, *extra], blocked=blocked)
        plan.run.extend(decision.run)
        plan.wait.extend((_key(m, group), m.body, m.place.epoch) for m in decision.wait if m in messages)
        plan.done.extend(_key(m, group) for m in (*decision.run, *decision.stale) if m.attempts)
        if decision.position > position:
            last = max(decision.run, key=lambda m: m.place)
            plan.positions.append((line, decision.position, ".deleted.v" in last.envelope.type))
            if decision.position.epoch > position.epoch:
                plan.anew.add(line.entity)

    async def _timed(self, conn: AsyncConnection, plan: _Plan) -> None:
        began, outcome = clock.monotonic(), "failed"
        try:
            await self._run(conn, plan)
            outcome = "done"
        finally:
            PROCESS.labels(plan.group.name, outcome).observe(clock.monotonic() - began)

    async def _run(self, conn: AsyncConnection, plan: _Plan) -> None:
        if plan.group.kind == "step":
            for message in plan.run:
                await self._step(conn, plan.group, message)
            return
        batches: dict[Handler, list[Message]] = {}
        for message in plan.run:
            if plan.group.unknown_major(message.envelope.type):
                raise _failed(plan.group, [message], Unprocessable(f"unknown major version: {message.envelope.type}"))
            for handler in plan.group.handlers_of(message.envelope.type):
                batches.setdefault(handler, []).append(message)
        for handler, messages in batches.items():
            await self._call(conn, plan.group, handler, messages, plan.anew)

    async def _step(self, conn: AsyncConnection, group: Group, message: Message) -> None:
        if group.unknown_major(message.envelope.type):
            raise _failed(group, [message], Unprocessable(f"unknown major version: {message.envelope.type}"))
        for handler in group.handlers_of(message.envelope.type):
            await self._call(conn, group, handler, [message])

    async def _call(
        self,
        conn: AsyncConnection,
        group: Group,
        handler: Handler,
        messages: list[Message],
        anew: Set[UUID] = frozenset(),
    ) -> None:
        """One handler call in its unit of work. What it raises is its own failure, unless the database is to blame."""
        envelope = messages[-1].envelope
        told = ((m.envelope.traceparent, str(m.envelope.id), m.envelope.type) for m in messages)
        try:
            with (
                event_spans(f"handle {group.name}", SpanKind.CONSUMER, told, envelope.traceparent) as traced,
                working(partial(_ids, group, messages)),
            ):
                uow = UnitOfWork.for_message(conn, self.runtime, replace(envelope, traceparent=traced.traceparent))
                uow.anew = anew
                await handler(_taken(group, messages), uow)
                await uow.flush()
        except Exception as error:
            if database_away(error) or database_busy(error):
                raise  # not the handler's fault: the whole batch is held or tried again
            raise _failed(group, messages, error) from error

    async def store_failure(self, message: Message, group: Group, error: BaseException | None) -> None:
        """Keep a failed event for its next attempt, or park it when there is no point in one or none is left."""
        attempts = max(1, message.attempts)
        error = in_vain(message, error) or error
        parked = isinstance(error, PERMANENT) or attempts >= LAST_ATTEMPT
        wait = None if parked else timedelta(seconds=RETRY_SECONDS[attempts - 1] * uniform(0.9, 1.1))
        envelope = message.envelope
        failure = Failure(
            key=_key(message, group),
            entity=envelope.subject,
            version=envelope.entityversion,
            type=envelope.type,
            body=message.body,
            state="parked" if parked else "pending",
            attempts=attempts,
            next_attempt_at=None if wait is None else clock.now() + wait,
            error=describe(error),
            epoch=envelope.epoch,
        )
        async with self.runtime.db.begin() as conn:
            await inbox.store(conn, failure)
        FAILED.labels(group.name).inc()
        with working(partial(_ids, group, [message])):
            log.warning(
                "inbox.failed",
                entity=str(envelope.subject),
                state=failure.state,
                attempts=attempts,
                error=failure.error,
            )


def in_vain(message: Message, error: BaseException | None) -> Exception | None:
    """Why there is no point in another attempt, if there is none: the event breaks its contract, or it cannot be kept.

    A raw projection does not read through the contract, so what it stumbles over is looked at here.
    """
    if isinstance(error, PERMANENT):
        return error
    try:
        message.event()
    except Exception as broken:  # noqa: BLE001  # whatever reading it raises, it cannot be read
        return broken if isinstance(broken, PERMANENT) else Unprocessable(describe(broken))
    return Unprocessable(describe(error)) if error is not None and unfit(error) else None


def _ids(group: Group, messages: Sequence[Message]) -> dict[str, object]:
    """What the log lines of a handler carry: one value, or a list where it has events with several."""
    envelopes = [message.envelope for message in messages]
    return {
        "group": group.name,
        "event_id": _one_or_many(str(envelope.id) for envelope in envelopes),
        "event_type": _one_or_many(envelope.type for envelope in envelopes),
        "correlation_id": _one_or_many(envelope.correlationid or str(envelope.id) for envelope in envelopes),
        "trace_id": _one_or_many(trace_id_of(envelope.traceparent) for envelope in envelopes),
    }


def _one_or_many(values: Iterable[str]) -> str | list[str]:
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else distinct


def _taken(group: Group, messages: list[Message]) -> list[Envelope] | list[Event] | Event:
    """What the group's handlers are given: envelopes, events, or for a step its one event."""
    for message in messages:
        require_record(message.envelope)
    if group.raw:
        return [message.envelope for message in messages]
    events = [message.event() for message in messages]
    return events if group.kind == "projection" else events[0]


def describe(error: BaseException | None) -> str:
    """What went wrong, without any value of the event: values may be personal."""
    if isinstance(error, ValidationError):
        places = ", ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['type']}" for e in error.errors()[:5])
        return f"ValidationError: {places}"
    if isinstance(error, EnvelopeError | Unprocessable):
        return f"{type(error).__name__}: {error}"
    frame: Any = error.__traceback__ if error is not None else None
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame is not None else ""
    return f"{type(error).__name__}{place}"


def _first_waiting(stored: list[Unfinished]) -> list[Key]:
    waiting = sorted((u for u in stored if u.state == "waiting"), key=lambda u: u.place)
    return [u.key for u in waiting[:SUCCESSORS]]


def _failed(group: Group, messages: list[Message], error: Exception) -> HandlerFailed:
    failure = HandlerFailed(group, messages[0] if len(messages) == 1 else None)
    failure.__cause__ = error
    return failure


def _key(message: Message, group: Group) -> Key:
    return Key(group.name, message.envelope.source, message.envelope.id)


def _line(message: Message, group: Group) -> Line:
    return Line(group.name, message.envelope.source, message.envelope.subject)


def _row(message: Message, group: Group) -> tuple[str, str, UUID, UUID, int, str]:
    envelope = message.envelope
    return group.name, envelope.source, envelope.id, envelope.subject, envelope.entityversion, envelope.type
