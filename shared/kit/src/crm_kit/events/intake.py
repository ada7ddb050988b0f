"""The loops that feed the dispatcher from the broker's queue, from the stored events, and from the broker's parking queue.

A message is acknowledged when every group has handled or stored it. Until then it is held, however long the database is
unavailable. A message that the database refuses to store, while it stores others, goes to the broker's dead letters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from crm_contracts.envelope import EnvelopeError
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.consuming import Session, TopologyMissing
from crm_kit.broker.messages import Delivery
from crm_kit.broker.names import DEAD_LETTERS
from crm_kit.events import deferred, provenance
from crm_kit.events.consumers import Group
from crm_kit.events.deferred import (
    Failure,
)
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.failures import event_id_of, key_of, noted, refused, source_in, type_of, undecoded
from crm_kit.events.persisting import backoff, persist
from crm_kit.events.provenance import Refused
from crm_kit.events.received import Message, describe
from crm_kit.events.retries import BATCH, Retries
from crm_kit.events.unread import Unread
from crm_kit.signals.metrics import counter

log = structlog.get_logger(__name__)

WINDOW = 2 * BATCH
"""Deliveries that the broker may send before they are acknowledged. The next batch arrives during a transaction."""
LINGER, LINGER_BUSY, BUSY_SECONDS = 0.005, 0.04, 0.1
"""Seconds that a batch waits for more events; the second applies for ``BUSY_SECONDS`` after a batch. A transaction costs about
the same for one event as for ten, so a short wait saves most of the work under load. A single event waits only briefly."""
DEATHS = 5
"""Attempts of a group that did not end, after which the event is parked. Its handler probably kills the process."""

UNKNOWN = counter("crm.inbox.unknown", "Delivered events of a type that no handler group follows.")
REJECTED = counter("crm.inbox.rejected", "Messages sent to the dead letters because they could not be stored.")
REFUSED = counter(
    "crm.inbox.refused",
    "Messages refused because their sender is not the one that they name. This is a security event.",
)

Control = Callable[[Delivery], Awaitable[None]]


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
        self.retries = Retries(dispatcher, keeping if access else others)
        # In separate transactions, so that access rights do not wait for the handlers of other groups.
        self._parties = [party for party in (keeping, () if access else others) if party]
        self._unread = Unread(self._runtime.settings.unread_messages, self._queue)
        self._stopping = False
        self._given_back = 0
        self._idle: set[asyncio.Future[list[Delivery]]] = set()

    def stop(self) -> None:
        """Return from the loops after the current batch."""
        self._stopping = True
        self.retries.stop()
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
                await asyncio.sleep(backoff(failures))

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
            await persist(self._runtime, partial(take, batch))
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
                await persist(self._runtime, partial(self._park_undecoded, delivery, describe(error)))
            except Exception as worse:  # noqa: BLE001  # no error may keep other messages waiting
                log.error("inbox.unstorable", event_id=str(event_id_of(delivery)), error=describe(worse))
                await asyncio.sleep(backoff(self._given_back))
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
        behind = [group for group in groups if group.name in self.retries.behind]
        await self.dispatcher.set_aside(messages, behind)
        late = await self.dispatcher.take(messages, [group for group in groups if group not in behind])
        # Only for groups whose retries run here is it known when they have caught up.
        self.retries.behind |= late & {group.name for group in self.retries.own}
        if behind or late:
            self.retries.wake()

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
                provenance.check(delivery, type_=type_of(delivery), source=source_in(delivery))
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
        REFUSED.inc()
        failure = refused(delivery, self._queue, error)
        way = {"exchange": delivery.exchange, "routing_key": delivery.routing_key}
        log.error("inbox.refused", event_id=str(failure.key.event_id), **way, error=error)
        return failure

    def _undecoded(self, delivery: Delivery, error: str, groups: Sequence[str] | None = None) -> list[Failure]:
        """Return a failure for each group. Without a group, it has the name of the queue."""
        if groups is None:
            groups = [group.name for group in self._following(type_of(delivery))]
        return undecoded(delivery, error, groups or [self._queue])

    async def _suspect(self, message: Message) -> None:
        """Handle a redelivered message group by group. Each attempt is stored first, because the message may kill the process.

        Groups with fewer attempts go first, so that a handler that kills the process does not keep the event from others.
        """
        groups = self._following(message.envelope.type)
        async with self._runtime.db.begin() as conn:
            before = await deferred.states_of(
                conn, [g.name for g in groups], message.envelope.source, message.envelope.id
            )
        for group in sorted(groups, key=lambda g: before.get(g.name, (0, ""))[0]):
            attempts, state = before.get(group.name, (0, ""))
            if state not in ("", "noted"):
                continue
            suspect = Message(message.envelope, message.body, attempts + 1)
            async with self._runtime.db.begin() as conn:
                await deferred.store(conn, [noted(suspect, group, parked=attempts >= DEATHS)])
            if attempts < DEATHS:
                await self.dispatcher.settle([suspect], [group])

    async def _take_over(self, messages: Sequence[Message]) -> None:
        """Make events due, as suspects, whose attempt another process stored before it handled them. To a batch they are known
        already.

        That process may still run and have lost only its connection. Then the second of the two waits for the record's
        position and finds the event handled.
        """
        keys = [key_of(message, group) for message in messages for group in self._following(message.envelope.type)]
        async with self._runtime.db.begin() as conn:
            taken = await deferred.take_over(conn, keys)
        if taken:
            self.retries.wake()

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
                    type_=type_of(delivery),
                    source=source_in(delivery),
                )
            except Refused as error:
                await self._keep([self._refused(delivery, str(error))])
                continue
            # Each queue had its own delivery of the event, and its own groups gave up.
            access = queue == self._consumers.access_queue
            groups = [group for group in self._consumers.interested(type_of(delivery)) if group.access == access]
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
