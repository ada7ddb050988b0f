"""The loops that feed the dispatcher: the broker's queue, the stored retries, and the broker's parking queue.

A message is acknowledged when every group is done with it or has stored it, and until then it is held, however long the
database is away. What the database refuses to store while it takes everything else goes to the broker's dead letters.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from random import uniform
from typing import TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog

from crm_contracts.envelope import EnvelopeError, parse_type, source_of
from crm_kit import inbox, provenance
from crm_kit.backoff import pause_after
from crm_kit.bus import DEAD_LETTERS, BrokerDown, Delivery, Session, TopologyMissing
from crm_kit.consumers import Group
from crm_kit.dispatch import Dispatcher, Message, describe
from crm_kit.inbox import LAST_ATTEMPT, Failure, Key
from crm_kit.metrics import counter
from crm_kit.outages import database_away, database_busy
from crm_kit.provenance import Refused

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH = 100
WINDOW = 2 * BATCH
"""Deliveries the broker may have under way: the next batch arrives while this one is in its transaction."""
LINGER, LINGER_BUSY, BUSY_SECONDS = 0.005, 0.04, 0.1
"""How long a batch waits for company. A transaction costs much the same for one event as for ten, so where events keep
coming a little waiting saves most of the work; a lone event is not kept."""
DEATHS = 5
"""Redeliveries during which a group did not finish before it gives up: its handler probably kills the process."""
POLL_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
DOUBTS = 5
"""Outages that one piece of work met while the database answered others, before they are its own fault."""

REFUSED_BYTES = 64 * 1024
"""So much of a refused message is kept for an operator to look at."""

UNKNOWN = counter("crm.inbox.unknown", "Delivered events of a type that no handler group follows.")
REJECTED = counter("crm.inbox.rejected", "Messages sent to the dead letters because they could not be stored.")
REFUSED = counter("crm.inbox.refused", "Messages refused because another sent them than they say: a security event.")

Control = Callable[[Delivery], Awaitable[None]]


class Intake:
    """Consumes one service's inbox queue until it is stopped; or else, with ``access``, the queue of the groups that keep
    who may do what. The inbox has those groups' events, too, and hands on what the other queue did not have."""

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
        """Groups whose stored events are tried again here."""
        # Apart, so that who may do what waits for no other group's handler inside one transaction.
        self._parties = [party for party in (keeping, () if access else others) if party]
        self._stopping = False
        self._given_back = 0
        self._idle: set[asyncio.Future[list[Delivery]]] = set()
        self._due = asyncio.Event()
        self._runtime.notifier.listen(inbox.CHANNEL, lambda _: self._due.set())

    def stop(self) -> None:
        """Finish what is in hand and return from the loops."""
        self._stopping = True
        self._due.set()
        for waiting in self._idle:
            waiting.cancel()

    async def run(self) -> None:
        """Consume the queue; reconnects for as long as it takes."""
        await self._consume(self._queue, self._take, WINDOW)

    async def run_parking(self) -> None:
        """Move what the broker gave up on into the inbox, as parked, so that operators look in one place."""
        await self._consume(self._consumers.parking, self._park, 1)

    async def _consume(self, queue: str, take: Callable[[list[Delivery]], Awaitable[None]], window: int) -> None:
        # One at a time is for a process that may have been killed by what it gets; one that lived through the loss of
        # its connection goes on with the window it had.
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
        """Take batch after batch, and say so after each."""
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
        """Have a batch taken, and acknowledge it. What fails as a whole is tried message by message."""
        try:
            await self._persist(partial(take, batch))
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not keep others waiting
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
        """Park a message that could not be stored as what it is; the last resort is the broker's dead letters.

        Those are for the one message that the database will not have. If it will have none, each waits a little longer, so
        that the queue does not run dry into the dead letters; and a dead letter itself is held.
        """
        while not self._stopping:
            try:
                await self._persist(partial(self._park_undecoded, delivery, describe(error)))
            except Exception as worse:  # noqa: BLE001  # the same
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
        """The next batch; empty when told to stop while waiting."""
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
        """Try again for as long as the database is away or busy; any other error is the work's own and is raised.

        So is an outage that this work meets again and again while the database answers: the work may be what ends the
        connection.
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
        except Exception:  # noqa: BLE001  # whatever it is, this was no answer
            return False
        return True

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        messages: list[Message] = []
        replayed: list[Message] = []
        for delivery in deliveries:
            try:
                message = await self._read(delivery)
            except Refused as error:
                await self._refuse(delivery, str(error))
                continue
            if message is None:
                continue
            if not self._consumers.interested(message.envelope.type):
                UNKNOWN.inc()
            (replayed if provenance.is_replay(delivery) else messages).append(message)
        if len(deliveries) == 1 and deliveries[0].redelivered and messages:
            await self._suspect(messages[0])
            return
        for groups in self._parties:
            await self.dispatcher.settle(messages, groups)
            if replayed:
                # Acts must not happen again, nor happen now for what is long past: a replay feeds projections only.
                await self.dispatcher.settle(replayed, [group for group in groups if group.kind == "projection"])

    async def _read(self, delivery: Delivery) -> Message | None:
        """The event that a delivery holds, unless it is another thing, which is dealt with here. Raises Refused."""
        if delivery.type in self._control:
            await self._control[delivery.type](delivery)
            return None
        try:
            message = Message.read(delivery.body)
        except EnvelopeError as error:
            # Parked it holds up its record, so its headers must be its sender's to write.
            if delivery.headers:
                provenance.check(delivery, type_=_type(delivery), source=_source(delivery))
            await self._park_undecoded(delivery, describe(error))
            return None
        provenance.check(delivery, type_=message.envelope.type, source=message.envelope.source)
        return message

    async def _refuse(self, delivery: Delivery, error: str) -> None:
        """Keep a message that is not its sender's to send where operators look, for no group and no other attempt."""
        REFUSED.inc()
        # Its own id is a claim, too: skipping it must not skip the event that truly has that id.
        event_id = uuid5(NAMESPACE_OID, delivery.body.hex())
        failure = Failure(
            key=Key(self._queue, "", event_id),
            entity=None,
            version=None,
            type=_type(delivery)[:255],
            body=delivery.body[:REFUSED_BYTES],
            state="parked",
            attempts=0,
            next_attempt_at=None,
            error=f"refused: {error}",
        )
        async with self._runtime.db.begin() as conn:
            await inbox.store(conn, failure)
        log.error(
            "inbox.refused",
            event_id=str(event_id),
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            error=error,
        )

    async def _suspect(self, message: Message) -> None:
        """Handle a redelivered message group by group, noting each attempt first: it may have killed the process.

        Groups with fewer attempts go first, so that a deadly handler keeps no other group from its event.
        """
        groups = self._following(message.envelope.type)
        async with self._runtime.db.begin() as conn:
            noted = await inbox.states_of(conn, [g.name for g in groups], message.envelope.source, message.envelope.id)
        for group in sorted(groups, key=lambda g: noted.get(g.name, (0, ""))[0]):
            attempts, state = noted.get(group.name, (0, ""))
            if state not in ("", "noted"):
                continue
            suspect = Message(message.envelope, message.body, attempts + 1)
            async with self._runtime.db.begin() as conn:
                await inbox.store(conn, _note(suspect, group, parked=attempts >= DEATHS))
            if attempts < DEATHS:
                await self.dispatcher.settle([suspect], [group])

    def _following(self, type_: str) -> list[Group]:
        """Which of the groups that hear by this queue follow the type."""
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
                await self._refuse(delivery, str(error))
                continue
            # Each queue had its own delivery of the event, and its own groups gave up.
            access = queue == self._consumers.access_queue
            groups = [group for group in self._consumers.interested(_type(delivery)) if group.access == access]
            why = "delivered too often: its handler probably ends the process"
            await self._park_undecoded(delivery, why, [group.name for group in groups])

    async def _park_undecoded(self, delivery: Delivery, error: str, groups: Sequence[str] | None = None) -> None:
        """Store a message by its headers alone; without a group that follows it, under the name of the queue."""
        headers = delivery.headers
        type_ = _type(delivery)
        if groups is None:
            groups = [group.name for group in self._following(type_)]
        groups = groups or [self._queue]
        version, epoch = headers.get("crm-version"), headers.get("crm-epoch")
        async with self._runtime.db.begin() as conn:
            for group in groups:
                failure = Failure(
                    key=Key(group, _source(delivery), _event_id(delivery)),
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
                await inbox.store(conn, failure)
        log.error("inbox.parked", event_id=str(_event_id(delivery)), event_type=type_, groups=groups, error=error)

    async def run_retries(self) -> None:
        """Handle stored events when they are due, and look for gaps that have closed."""
        failures = 0
        while not self._stopping:
            try:
                went_on = await self._persist(self._look)
            except Exception:
                log.exception("intake.retries_failed")
                await asyncio.sleep(_backoff(failures))
                failures += 1
                continue
            failures = 0
            if not went_on:
                await self._wait_due()

    async def _look(self) -> bool:
        """Do what is due; whether there may be more at once."""
        if not await self._any_stored():
            return False
        if await self.retry_due():
            return True
        await self.dispatcher.start_late(self._own)
        return bool(await self.dispatcher.release(self._own))

    async def _any_stored(self) -> bool:
        async with self._runtime.db.autocommit() as conn:
            return await inbox.any_stored(conn, [group.name for group in self._own])

    async def _wait_due(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._due.wait()
        except TimeoutError:
            return
        finally:
            self._due.clear()

    async def retry_due(self) -> int:
        """Claim what is due; what failed before is tried alone, what only waited for its turn together. Returns how many."""
        groups = {group.name: group for group in self._own}
        async with self._runtime.db.begin() as conn:
            claimed = await inbox.claim_due(conn, list(groups), BATCH, uniform(0.9, 1.1))
        waited: dict[str, list[Message]] = {}
        for key, body, attempts in claimed:
            message = await self._readable(key, body, attempts)
            if message is None:
                continue
            if attempts == 1:
                waited.setdefault(key.consumer, []).append(message)
            else:
                await self._again(groups[key.consumer], [message])
        for consumer, messages in waited.items():
            await self._again(groups[consumer], messages)
        return len(claimed)

    async def _again(self, group: Group, messages: list[Message]) -> None:
        """Try stored events again. What cannot even be stored again is still stored as it was, its attempt counted."""
        try:
            await self._persist(partial(self.dispatcher.settle, messages, [group]))
        except Exception as error:  # noqa: BLE001  # others are due, too
            log.error("inbox.unstorable", group=group.name, messages=len(messages), error=describe(error))

    async def _readable(self, key: Key, body: bytes, attempts: int) -> Message | None:
        """The stored event; None when there is no point in another attempt, and it is parked."""
        why = "the process ended during the last attempt"
        if attempts <= LAST_ATTEMPT:
            try:
                message = Message.read(body, attempts)
            except EnvelopeError as error:
                why = describe(error)
            else:
                # What was parked undecoded is known by its headers alone, which were checked; the body was not.
                if key.source == message.envelope.source == source_of(parse_type(message.envelope.type).service):
                    return message
                why = "refused: its body says that it is another service's than its headers say"
        await self._persist(partial(self._give_up, key, why))
        return None

    async def _give_up(self, key: Key, why: str) -> None:
        async with self._runtime.db.begin() as conn:
            await inbox.park(conn, key, why)


def _note(message: Message, group: Group, *, parked: bool) -> Failure:
    """That an attempt begins. Without a due time: the broker still holds the message and delivers it again."""
    envelope = message.envelope
    return Failure(
        key=Key(group.name, envelope.source, envelope.id),
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
