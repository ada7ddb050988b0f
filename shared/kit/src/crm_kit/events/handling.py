"""Runs the handlers of one group on the events of one transaction, and finds the events that make them fail.

It uses savepoints. A failing event undoes only what its own handlers did. If the group keeps an order, later events of the
record do not run. One transaction is therefore enough, however many events of a batch fail.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Event
from crm_contracts.envelope import Envelope
from crm_kit.events.consumers import (
    Group,
    Handler,
    Unprocessable,
    require_record,
)
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.signals.logs import working
from crm_kit.signals.telemetry import SpanKind, event_spans, trace_id_of
from crm_kit.store.outages import database_away, database_busy
from crm_kit.work.uow import UnitOfWork

Record = tuple[str, UUID]
"""The source and the id of an event's record."""


class HandlerFailed(Exception):
    """A handler raised, and the database is not the reason. It is unknown which of its events caused it."""


class Sifted(NamedTuple):
    """The events that took effect, the failed ones with their errors, and those that wait for a failed event of their record."""

    ran: list[Message]
    failed: list[tuple[Message, Exception]]
    held: list[Message]


async def handle(
    conn: AsyncConnection, runtime: Runtime, group: Group, messages: Sequence[Message], anew: set[UUID]
) -> None:
    """Run the group's handlers. A projection takes the events of the records ``anew`` whatever their versions.

    Raises HandlerFailed, or the database's error if it is unavailable or busy.
    """
    if group.kind == "step":
        for message in messages:
            _require_known(group, message)
            for handler in group.handlers_of(message.envelope.type):
                await _call(conn, runtime, group, handler, [message])
        return
    batches: dict[Handler, list[Message]] = {}
    for message in messages:
        _require_known(group, message)
        for handler in group.handlers_of(message.envelope.type):
            batches.setdefault(handler, []).append(message)
    for handler, batch in batches.items():
        await _call(conn, runtime, group, handler, batch, anew)


async def sift(
    conn: AsyncConnection, runtime: Runtime, group: Group, messages: Sequence[Message], anew: set[UUID]
) -> Sifted:
    """Run those of these events that do not fail. The events of a record must be in the order of their versions.

    Raises only if the database is unavailable.
    """
    # Events that no handler could read are found without calling a handler.
    readable: list[Message] = []
    unreadable: list[tuple[Message, Exception]] = []
    blocked: set[Record] = set()
    behind: list[Message] = []
    for message in messages:
        if _record(message) in blocked:
            behind.append(message)
        elif (error := _refusal(group, message)) is not None:
            unreadable.append((message, error))
            if group.keeps_order:
                blocked.add(_record(message))
        else:
            readable.append(message)
    sifting = _Sifting(conn, runtime, group, anew)
    await sifting.run(readable)
    for message, error in unreadable:
        sifting.end(message, error)
    return Sifted(sifting.ran, sifting.failed, sifting.held + behind)


class _Sifting:
    def __init__(self, conn: AsyncConnection, runtime: Runtime, group: Group, anew: set[UUID]) -> None:
        self._conn, self._runtime, self._group, self._anew = conn, runtime, group, anew
        self._broken: set[Record] = set()
        self.ran: list[Message] = []
        self.failed: list[tuple[Message, Exception]] = []
        self.held: list[Message] = []

    async def run(self, messages: Sequence[Message]) -> None:
        """Halve a failing list until the event that fails is alone."""
        self.held += [message for message in messages if _record(message) in self._broken]
        messages = [message for message in messages if _record(message) not in self._broken]
        if not messages:
            return
        try:
            async with self._conn.begin_nested():
                await handle(self._conn, self._runtime, self._group, messages, self._anew)
        except Exception as error:
            if database_away(error):
                raise
            if len(messages) == 1:
                self.end(messages[0], cause_of(error))
                return
        else:
            self.ran += messages
            return
        middle = len(messages) // 2
        await self.run(messages[:middle])
        await self.run(messages[middle:])

    def end(self, message: Message, error: Exception) -> None:
        """Note that an event fails. It waits instead if an earlier one of its record has failed and the group keeps an order."""
        if _record(message) in self._broken:
            self.held.append(message)
            return
        self.failed.append((message, error))
        if self._group.keeps_order:
            self._broken.add(_record(message))


def cause_of(error: Exception) -> Exception:
    """Return the exception that a handler raised."""
    cause = error.__cause__ if isinstance(error, HandlerFailed) else None
    return cause if isinstance(cause, Exception) else error


def _record(message: Message) -> Record:
    return message.envelope.source, message.envelope.subject


def _refusal(group: Group, message: Message) -> Exception | None:
    """Return the error that prevents the group's handlers from getting this event, or None."""
    try:
        _require_known(group, message)
        if group.handlers_of(message.envelope.type):
            _taken(group, [message])
    except Exception as error:  # noqa: BLE001  # whatever reading it raises, its handlers would have raised it
        return cause_of(error)
    return None


def _require_known(group: Group, message: Message) -> None:
    if group.unknown_major(message.envelope.type):
        raise HandlerFailed from Unprocessable(f"unknown major version: {message.envelope.type}")


async def _call(
    conn: AsyncConnection,
    runtime: Runtime,
    group: Group,
    handler: Handler,
    messages: list[Message],
    anew: set[UUID] | None = None,
) -> None:
    """Call a handler in its unit of work. Raises HandlerFailed, or the database's error if it is unavailable or busy."""
    envelope = messages[-1].envelope
    told = ((m.envelope.traceparent, str(m.envelope.id), m.envelope.type) for m in messages)
    try:
        with (
            event_spans(f"handle {group.name}", SpanKind.CONSUMER, told, envelope.traceparent) as traced,
            working(partial(ids_of, group, messages)),
        ):
            uow = UnitOfWork.for_message(conn, runtime, replace(envelope, traceparent=traced.traceparent))
            if anew is not None:
                uow.anew = anew
            await handler(_taken(group, messages), uow)
            await uow.flush()
    except Exception as error:
        if database_away(error) or database_busy(error):
            raise  # not the handler's fault: the caller holds or repeats the whole batch
        raise HandlerFailed from error


def ids_of(group: Group, messages: Sequence[Message]) -> dict[str, object]:
    """Return the fields of a handler's log lines. A field is a list if the events have several values."""
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
    """Return the argument of the group's handlers: envelopes, events, or the single event of a step."""
    for message in messages:
        require_record(message.envelope)
    if group.raw:
        return [message.envelope for message in messages]
    events = [message.event() for message in messages]
    return events if group.kind == "projection" else events[0]
