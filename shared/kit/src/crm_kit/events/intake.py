"""The loops that feed the dispatcher from the broker's queue, from the stored events, and from the broker's parking queue.

A message is acknowledged when every group has handled or stored it. Until then it is held, however long the database is
unavailable. A message that the database refuses to store, while it stores others, goes to the broker's dead letters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from random import uniform
from typing import TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog

from crm_contracts.envelope import EnvelopeError, parse_type, source_of
from crm_kit.backoff import pause_after
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.consuming import Session, TopologyMissing
from crm_kit.broker.messages import Delivery
from crm_kit.broker.names import DEAD_LETTERS
from crm_kit.events import deferred, inbox, provenance
from crm_kit.events.consumers import Group
from crm_kit.events.deferred import (
    ENDED,
    LAST_ATTEMPT,
    Claimed,
    Failure,
)
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.inbox import EventKey
from crm_kit.events.provenance import Refused
from crm_kit.events.received import Message, describe
from crm_kit.events.unread import Unread
from crm_kit.signals.metrics import counter
from crm_kit.store.outages import database_away, database_busy
from crm_kit.store.pace import Pace

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH = 100
WINDOW = 2 * BATCH
"""Deliveries that the broker may send before they are acknowledged. The next batch arrives during a transaction."""
LINGER, LINGER_BUSY, BUSY_SECONDS = 0.005, 0.04, 0.1
"""Seconds that a batch waits for more events; the second applies for ``BUSY_SECONDS`` after a batch. A transaction costs about
the same for one event as for ten, so a short wait saves most of the work under load. A single event waits only briefly."""
DEATHS = 5
"""Attempts of a group that did not end, after which the event is parked. Its handler probably kills the process."""
POLL_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
DOUBTS = 5
"""Outages during one piece of work, while the database answered others, after which the work itself is considered the cause."""

UNKNOWN = counter("crm.inbox.unknown", "Delivered events of a type that no handler group follows.")
REJECTED = counter("crm.inbox.rejected", "Messages sent to the dead letters because they could not be stored.")
REFUSED = counter(
    "crm.inbox.refused",
    "Messages refused because their sender is not the one that they name. This is a security event.",
)

Control = Callable[[Delivery], Awaitable[None]]


class Stored(Enum):
    """What a look at the stored events found."""

    NOTHING = "nothing"
    NOT_DUE = "events that wait for their time or their turn"
    DUE = "events that were due; there may be more"


class Intake:
    """Consumes the inbox queue of a service until it is stopped, or with ``access`` the queue of the groups that keep access
    rights. The inbox queue gets their events, too, and hands them on if the other queue did not have them."""

    def __init__(
        self, dispatcher: Dispatcher, url: str, *, control: dict[str, Control] | None = None, access: bool = False
    ) -> None:
        self.dispatcher, self._url = dispatcher, url
        self._control = control or {}
        self._consumers, self._runtime = dispatcher.consumers, dispatcher.runtime
        self._users = provenance.users_of(url, self._runtime.service)
        groups = self._consumers.groups.values()
        keeping, others = [g for g in groups if g.access], [g for g in groups if not g.access]
        self._queue = self._consumers.access_queue if access else self._consumers.queue
        self._own = keeping if access else others
        """Groups whose stored events this instance tries again."""
        # In separate transactions, so that access rights do not wait for the handlers of other groups.
        self._parties = [party for party in (keeping, () if access else others) if party]
        self._behind: set[str] = set()
        """Groups that failed. Their events are stored for the retries until the retries have caught up."""
        self._unread = Unread(self._runtime.settings.unread_messages, self._queue)
        self._stopping = False
        self._given_back = 0
        self._idle: set[asyncio.Future[list[Delivery]]] = set()
        self._pace = Pace(self._runtime.notifier, inbox.CHANNEL, POLL_SECONDS)

    def stop(self) -> None:
        """Return from the loops after the current batch."""
        self._stopping = True
        self._pace.wake()
        for waiting in self._idle:
            waiting.cancel()

    async def run(self) -> None:
        """Consume the queue until stopped. Reconnects after every failure."""
        await self._consume(self._queue, self._take, WINDOW)

    async def run_parking(self) -> None:
        """Move dead letters into the inbox as parked events, so that operators find them in one place."""
        await self._consume(self._consumers.parking, self._park, 1)

    async def _consume(self, queue: str, take: Callable[[list[Delivery]], Awaitable[None]], window: int) -> None:
        # A new process begins with one message at a time, because a message may have killed its predecessor. A process that
        # survives the loss of its connection keeps its window.
        failures, prefetch = 0, 1
        while not self._stopping:
            served = 0
            try:
                async with Session(self._url, queue, name=queue, prefetch=prefetch) as session:
                    try:
                        async for _ in self._serve(session, take, window):
                            served += 1
                    finally:
                        prefetch = session.prefetch
            except (BrokerDown, TopologyMissing) as error:
                log.warning("intake.waiting", queue=queue, error=str(error))
                # A message that breaks each connection it arrives on must not make this spin.
                failures = 0 if served else failures + 1
                await asyncio.sleep(_backoff(failures))

    async def _serve(
        self, session: Session, take: Callable[[list[Delivery]], Awaitable[None]], window: int
    ) -> AsyncIterator[None]:
        """Take batch after batch, and yield after each."""
        loop, ended = asyncio.get_running_loop(), 0.0
        while not self._stopping:
            busy = loop.time() - ended < BUSY_SECONDS
            batch = await self._next(session, LINGER_BUSY if busy else LINGER)
            if not batch:
                return
            await self._settle(session, take, batch)
            ended = loop.time()
            if session.prefetch < window and not any(delivery.redelivered for delivery in batch):
                await session.set_prefetch(window)
            yield

    async def _settle(
        self, session: Session, take: Callable[[list[Delivery]], Awaitable[None]], batch: list[Delivery]
    ) -> None:
        """Take a batch and acknowledge it. A batch that fails is repeated message by message."""
        try:
            await self._persist(partial(take, batch))
        except Exception as error:  # noqa: BLE001  # no error may keep other messages waiting
            if len(batch) == 1:
                await self._give_back(session, batch[0], error)
                return
            log.warning("intake.split", messages=len(batch), error=describe(error))
        else:
            self._given_back = 0
            await session.ack(batch[-1].tag)
            return
        for delivery in batch:
            await self._settle(session, take, [delivery])

    async def _give_back(self, session: Session, delivery: Delivery, error: Exception) -> None:
        """Park a message that could not be handled or stored as an event. If that fails, reject it to the broker's dead letters.

        If the database refuses every message, each one waits longer than the one before, so that the whole queue does not go to
        the dead letters. A message that is a dead letter already is held.
        """
        while not self._stopping:
            try:
                await self._persist(partial(self._park_undecoded, delivery, describe(error)))
            except Exception as worse:  # noqa: BLE001  # no error may keep other messages waiting
                log.error("inbox.unstorable", event_id=str(_event_id(delivery)), error=describe(worse))
                await asyncio.sleep(_backoff(self._given_back))
                self._given_back += 1
                if delivery.exchange != DEAD_LETTERS:
                    REJECTED.inc()
                    await session.reject(delivery.tag)
                    return
            else:
                await session.ack(delivery.tag)
                return

    async def _next(self, session: Session, linger: float) -> list[Delivery]:
        """Return the next batch, or an empty one if ``stop`` is called during the wait."""
        waiting = asyncio.ensure_future(session.batch(min(session.prefetch, BATCH), linger=linger))
        self._idle.add(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._stopping:
                return []
            waiting.cancel()
            raise
        finally:
            self._idle.discard(waiting)

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run the work, and repeat it while the database is unavailable or busy. Raises any other error of the work.

        It also raises the error of the database after ``DOUBTS`` outages during which the database answered other queries,
        because the work itself may end the connection.
        """
        failures = doubts = 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not (database_away(error) or database_busy(error)):
                    raise
                log.warning("intake.holding", error=type(error).__name__)
                await asyncio.sleep(_backoff(failures))
                failures += 1
                doubts += await self._answers()
                if doubts >= DOUBTS:
                    raise

    async def _answers(self) -> bool:
        try:
            async with self._runtime.db.autocommit() as conn:
                await conn.exec_driver_sql("select 1")
        except Exception:  # noqa: BLE001  # any error means that the database did not answer
            return False
        return True

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        messages: list[Message] = []
        replayed: list[Message] = []
        unread: list[Failure] = []
        for delivery in deliveries:
            try:
                message = await self._read(delivery)
            except Refused as error:
                unread.append(self._refused(delivery, str(error)))
                continue
            except EnvelopeError as error:
                unread += self._undecoded(delivery, describe(error))
                continue
            if message is None:
                continue
            if not self._consumers.interested(message.envelope.type):
                UNKNOWN.inc()
            (replayed if provenance.is_replay(delivery) else messages).append(message)
        # These come first, because a parked event holds up the later events of its record.
        await self._keep(unread)
        if len(deliveries) == 1 and deliveries[0].redelivered and messages:
            await self._suspect(messages[0])
            return
        for groups in self._parties:
            await self._hand_on(messages, groups)
            if replayed:
                # A replay is for projections only. Steps must not act again, and must not act now on old events.
                await self._hand_on(replayed, [group for group in groups if group.kind == "projection"])
        if any(delivery.redelivered for delivery in deliveries):
            await self._take_over(messages)

    async def _hand_on(self, messages: Sequence[Message], groups: Sequence[Group]) -> None:
        """Hand the events to the groups. Events of a failing group go to the retries, so that other groups do not wait for it."""
        behind = [group for group in groups if group.name in self._behind]
        await self.dispatcher.set_aside(messages, behind)
        late = await self.dispatcher.take(messages, [group for group in groups if group not in behind])
        # Only for groups whose retries run here is it known when they have caught up.
        self._behind |= late & {group.name for group in self._own}
        if behind or late:
            self._pace.wake()
            self._runtime.notifier.notify(inbox.CHANNEL)

    async def _read(self, delivery: Delivery) -> Message | None:
        """Return the event of a delivery. A control message is handled here; then the result is None.

        Raises Refused for a message that its sender may not send, and EnvelopeError for one that cannot be read.
        """
        if delivery.type in self._control:
            await self._control[delivery.type](delivery)
            return None
        try:
            message = Message.read(delivery.body)
        except EnvelopeError:
            # A parked message holds up the record that its headers name, so the sender must be allowed to name it.
            if delivery.headers:
                provenance.check(delivery, type_=_type(delivery), source=_source(delivery))
            raise
        provenance.check(delivery, type_=message.envelope.type, source=message.envelope.source)
        return message

    async def _keep(self, unread: Sequence[Failure]) -> None:
        """Store messages that are not events of this system, as far as there is room, and log them."""
        if not unread:
            return
        async with self._runtime.db.begin() as conn:
            dropped = await self._unread.keep(conn, unread)
        self._unread.tell(unread, dropped)

    def _refused(self, delivery: Delivery, error: str) -> Failure:
        """Return a failure for a message that its sender may not send. It is kept for operators, without a group or a retry."""
        REFUSED.inc()
        # Its id may be false, too. Skipping this message must not skip the real event with that id.
        event_id = uuid5(NAMESPACE_OID, delivery.body.hex())
        way = {"exchange": delivery.exchange, "routing_key": delivery.routing_key}
        log.error("inbox.refused", event_id=str(event_id), **way, error=error)
        return Failure(
            key=EventKey(self._queue, "", event_id),
            entity=None,
            version=None,
            type=_type(delivery)[:255],
            body=delivery.body,
            state="parked",
            attempts=0,
            next_attempt_at=None,
            error=f"refused: {error}",
        )

    async def _suspect(self, message: Message) -> None:
        """Handle a redelivered message group by group. Each attempt is stored first, because the message may kill the process.

        Groups with fewer attempts go first, so that a handler that kills the process does not keep the event from others.
        """
        groups = self._following(message.envelope.type)
        async with self._runtime.db.begin() as conn:
            noted = await deferred.states_of(
                conn, [g.name for g in groups], message.envelope.source, message.envelope.id
            )
        for group in sorted(groups, key=lambda g: noted.get(g.name, (0, ""))[0]):
            attempts, state = noted.get(group.name, (0, ""))
            if state not in ("", "noted"):
                continue
            suspect = Message(message.envelope, message.body, attempts + 1)
            async with self._runtime.db.begin() as conn:
                await deferred.store(conn, [_note(suspect, group, parked=attempts >= DEATHS)])
            if attempts < DEATHS:
                await self.dispatcher.settle([suspect], [group])

    async def _take_over(self, messages: Sequence[Message]) -> None:
        """Make events due, as suspects, whose attempt another process stored before it handled them. To a batch they are known
        already.

        That process may still run and have lost only its connection. Then the second of the two waits for the record's
        position and finds the event handled.
        """
        keys = [
            EventKey(group.name, message.envelope.source, message.envelope.id)
            for message in messages
            for group in self._following(message.envelope.type)
        ]
        async with self._runtime.db.begin() as conn:
            taken = await deferred.take_over(conn, keys)
        if taken:
            self._pace.wake()
            self._runtime.notifier.notify(inbox.CHANNEL)

    def _following(self, type_: str) -> list[Group]:
        """Return those groups of this queue that follow the type."""
        heard = [group for party in self._parties for group in party]
        return [group for group in self._consumers.interested(type_) if group in heard]

    async def _park(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            try:
                queue = provenance.check_dead(
                    delivery,
                    (self._consumers.queue, self._consumers.access_queue),
                    self._users,
                    type_=_type(delivery),
                    source=_source(delivery),
                )
            except Refused as error:
                await self._keep([self._refused(delivery, str(error))])
                continue
            # Each queue had its own delivery of the event, and its own groups gave up.
            access = queue == self._consumers.access_queue
            groups = [group for group in self._consumers.interested(_type(delivery)) if group.access == access]
            why = "delivered too often: its handler probably ends the process"
            await self._park_undecoded(delivery, why, [group.name for group in groups])

    async def _park_undecoded(self, delivery: Delivery, error: str, groups: Sequence[str] | None = None) -> None:
        """Store a message by its headers alone. A message that can be read is an event, and all events are kept."""
        parked = self._undecoded(delivery, error, groups)
        try:
            Message.read(delivery.body)
        except EnvelopeError:
            await self._keep(parked)
            return
        events = [replace(failure, attempts=1) for failure in parked]
        async with self._runtime.db.begin() as conn:
            await deferred.store(conn, events)
        self._unread.tell(events, [])

    def _undecoded(self, delivery: Delivery, error: str, groups: Sequence[str] | None = None) -> list[Failure]:
        """Return a failure for each group, made from the headers alone. Without a group, it has the name of the queue."""
        headers = delivery.headers
        type_, version, epoch = _type(delivery), headers.get("crm-version"), headers.get("crm-epoch")
        if groups is None:
            groups = [group.name for group in self._following(type_)]
        return [
            Failure(
                key=EventKey(group, _source(delivery), _event_id(delivery)),
                entity=_uuid(headers.get("subject")),
                version=version if isinstance(version, int) else None,
                type=type_,
                body=delivery.body,
                state="parked",
                attempts=0,
                next_attempt_at=None,
                error=error,
                epoch=epoch if isinstance(epoch, int) else 0,
            )
            for group in groups or [self._queue]
        ]

    async def run_retries(self) -> None:
        """Handle stored events when they are due, and release events whose predecessors are done, until stopped."""
        failures = 0
        while not self._stopping:
            try:
                found = await self._persist(self._look)
            except Exception:
                log.exception("intake.retries_failed")
                await asyncio.sleep(_backoff(failures))
                failures += 1
                continue
            failures = 0
            if found is not Stored.DUE:
                await self._pace.rest(found=found is Stored.NOT_DUE)

    async def _look(self) -> "Stored":
        """Handle what is due. Returns what was found."""
        if not await self._any_stored():
            self._behind.clear()
            return Stored.NOTHING
        if await self.retry_due():
            return Stored.DUE
        await self.dispatcher.start_late(self._own)
        return Stored.DUE if await self.dispatcher.release(self._own) else Stored.NOT_DUE

    async def _any_stored(self) -> bool:
        async with self._runtime.db.autocommit() as conn:
            return await deferred.any_stored(conn, [group.name for group in self._own])

    async def retry_due(self) -> int:
        """Try one batch of due events of each group; returns the number of events."""
        async with self._runtime.db.autocommit() as conn:
            due = await deferred.due_groups(conn, [group.name for group in self._own])
        self._behind.intersection_update(due)
        return sum([await self._retry(group) for group in self._own if group.name in due])

    async def _retry(self, group: Group) -> int:
        """Try a batch together, then one suspect alone, so that it cannot spoil the attempts of others."""
        claimed = await self._claim(group, BATCH, suspects=False)
        await self._again(group, claimed)
        suspect = await self._claim(group, 1, suspects=True)
        await self._again(group, suspect)
        return len(claimed) + len(suspect)

    async def _claim(self, group: Group, limit: int, *, suspects: bool) -> list[Claimed]:
        async with self._runtime.db.begin() as conn:
            return await deferred.claim_due(conn, group.name, limit, uniform(0.9, 1.1), suspects=suspects)

    async def _again(self, group: Group, claimed: Sequence[Claimed]) -> None:
        """Try stored events again. An event that cannot be updated stays stored as it was, with its attempt counted."""
        messages: list[Message] = []
        given_up: dict[EventKey, str] = {}
        for one in claimed:
            message = _readable(one)
            if isinstance(message, str):
                given_up[one.key] = message
            else:
                messages.append(message)
        if given_up:
            await self._persist(partial(self._give_up, given_up))
        try:
            await self._persist(partial(self.dispatcher.settle, messages, [group]))
        except Exception as error:  # noqa: BLE001  # other groups have due events, too
            log.error("inbox.unstorable", group=group.name, messages=len(messages), error=describe(error))

    async def _give_up(self, errors: dict[EventKey, str]) -> None:
        async with self._runtime.db.begin() as conn:
            await deferred.park(conn, errors)


def _readable(claimed: Claimed) -> Message | str:
    """Return the stored event, or the reason why another attempt is useless."""
    if claimed.attempts > LAST_ATTEMPT:
        return ENDED
    try:
        message = Message.read(claimed.body, claimed.attempts)
    except EnvelopeError as error:
        return describe(error)
    # For an event that was parked undecoded, only the headers were checked.
    if claimed.key.source == message.envelope.source == source_of(parse_type(message.envelope.type).service):
        return message
    return "refused: its body says that it is another service's than its headers say"


def _note(message: Message, group: Group, *, parked: bool) -> Failure:
    """Return the failure that is stored before an attempt. It has no due time, because the broker still holds the message."""
    envelope = message.envelope
    return Failure(
        key=EventKey(group.name, envelope.source, envelope.id),
        entity=envelope.subject,
        version=envelope.entityversion,
        type=envelope.type,
        body=message.body,
        state="parked" if parked else "pending",
        attempts=message.attempts,
        next_attempt_at=None,
        error=f"the process ended {message.attempts - 1} times while this was handled",
        epoch=envelope.epoch,
    )


def _backoff(failures: int) -> float:
    return pause_after(failures, FIRST_PAUSE, LONGEST_PAUSE)


def _type(delivery: Delivery) -> str:
    return str(delivery.headers.get("type") or delivery.type or delivery.routing_key)


def _source(delivery: Delivery) -> str:
    return str(delivery.headers.get("source", ""))


def _event_id(delivery: Delivery) -> UUID:
    return _uuid(delivery.headers.get("id") or delivery.message_id) or uuid5(NAMESPACE_OID, delivery.body.hex())


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
