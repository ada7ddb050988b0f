"""Brings a queue up to date with snapshots of the records that a service owns.

A snapshot reads a producer's tables page by page and sends every record, with its current version, to one queue only. A request
is a row in the producer's database. An operator inserts it, or another service's worker sends a control message to the
producer's inbox queue when its own queue is new.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import DATA_CONTENT_TYPE, SPECVERSION, URN, dataschema_of, source_of
from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.messages import Delivery, Outcome, Outgoing, outgoing
from crm_kit.broker.names import SNAPSHOT_REQUEST, direct_key, inbox_of, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events import epochs
from crm_kit.events.consumers import Consumers
from crm_kit.events.provenance import Refused, asker_of
from crm_kit.process.runtime import Runtime
from crm_kit.store.pace import Pace
from crm_kit.store.presenter import to_json
from crm_kit.store.record import new_id

log = structlog.get_logger(__name__)

CHANNEL = "crm_snapshot"
PAGE = 500
POLL_SECONDS = 2.0
LONGEST_PAUSE = 30.0
REQUEST_SECONDS = 300.0
"""Between two looks for records that have to be requested again."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record as its contract defines it."""

    id: UUID
    version: int
    owner_id: UUID | None
    business_unit: UUID | None
    record: Any
    """A dict, or an orjson.Fragment of the JSON."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further data of its snapshot."""


Source = Callable[[AsyncConnection, UUID | None, int], Awaitable[Sequence[Row]]]
"""Returns rows of one entity with ids greater than the given one, in the order of ids, and at most the given number."""
Sources = Mapping[str, Source]


_ANY = "select exists (select from snapshot_request where done_at is null)"
_NEXT = """
select id, entities, queue, requested_by from snapshot_request where done_at is null
order by requested_at limit 1 for update skip locked
"""
_DONE = "update snapshot_request set done_at = $2, sent = $3, error = $4 where id = $1"
_ASK = """
insert into snapshot_request (id, entities, queue, requested_at, requested_by) values ($1, $2, $3, $4, $5)
on conflict do nothing
"""
_UNASKED = "select consumer, source from inbox_bound where snapshot_requested_at is null"
_ASKED = "update inbox_bound set snapshot_requested_at = $3 where source = $1 and consumer = any($2)"


async def request_snapshot(
    conn: AsyncConnection, *, id_: UUID, entities: Sequence[str], queue: str, requested_by: str
) -> None:
    """Request that the producer that owns this database sends its current records to a queue. An id is accepted once."""
    await conn.exec_driver_sql(_ASK, (id_, list(entities), queue, clock.now(), requested_by))


def snapshot_of(
    service: str, entity: str, row: Row, epoch: int, correlation: str, schemas: str = URN
) -> tuple[str, str, bytes]:
    """Return id, type and body of the event that carries the current state of a record. ``schemas`` is the base of its
    `dataschema`."""
    event_id, type_ = str(new_id()), f"crm.{service}.{entity}.snapshot.v1"
    envelope = {
        "specversion": SPECVERSION,
        "id": event_id,
        "source": source_of(service),
        "type": type_,
        "subject": str(row.id),
        "time": clock.now(),
        "datacontenttype": DATA_CONTENT_TYPE,
        "dataschema": dataschema_of(type_, schemas),
        "entityversion": row.version,
        "actor": f"system:{service}",
        "correlationid": correlation,
        "ownerid": row.owner_id,
        "businessunit": row.business_unit,
        "epoch": epoch or None,
        "data": {"record": row.record, "changed": {}, **row.facts},
    }
    return event_id, type_, to_json({key: value for key, value in envelope.items() if value is not None})


class Snapshots:
    """Sends the snapshots that others request, and requests those that new groups of this service need."""

    def __init__(self, service: str, runtime: Runtime, consumers: Consumers, sources: Sources, url: str) -> None:
        self._service, self._runtime, self._consumers, self._sources = service, runtime, consumers, sources
        self._publisher = Publisher(url, name=f"{service} snapshots")
        self._pace, self._stopping = Pace(runtime.notifier, CHANNEL, POLL_SECONDS), asyncio.Event()

    def stop(self) -> None:
        """Return from the loops after the current request."""
        self._stopping.set()
        self._pace.wake()

    async def accept(self, delivery: Delivery) -> None:
        """Store a request from a control message. Raises Refused unless it is for the inbox of the service that sent it."""
        asker = asker_of(delivery)
        try:
            wanted = orjson.loads(delivery.body)
            entities, queue = [str(name) for name in wanted["entities"]], str(wanted["queue"])
            request_id = UUID(delivery.message_id)
        except (ValueError, KeyError, TypeError):
            log.error("snapshot.unreadable_request", message_id=delivery.message_id)
            return
        if queue != inbox_of(asker):
            raise Refused(f"{asker} asked for a snapshot to a queue that is not its inbox")
        async with self._runtime.db.begin() as conn:
            await request_snapshot(conn, id_=request_id, entities=entities, queue=queue, requested_by=asker)
        self._pace.wake()

    async def run(self) -> None:
        """Serve requests until stopped. It waits while the broker or the database is unavailable."""
        backoff = Backoff(POLL_SECONDS, LONGEST_PAUSE)
        while not self._stopping.is_set():
            try:
                served = await self._any_asked() and await self.serve_one()
            except (BrokerDown, OSError, SQLAlchemyError) as error:
                # A new request does not shorten this pause, because each attempt may send a whole table.
                log.warning("snapshot.waiting", error=type(error).__name__)
                await backoff.wait(self._stopping)
                continue
            backoff.reset()
            if not served:
                await self._pace.rest()
        await self._publisher.close()

    async def _any_asked(self) -> bool:
        """A look that needs no transaction, because there is nearly always nothing."""
        async with self._runtime.db.autocommit() as conn:
            return bool((await conn.exec_driver_sql(_ANY)).scalar_one())

    async def serve_one(self) -> bool:
        """Send one requested snapshot. Returns False if there is no request. After a crash the request is tried again."""
        async with self._runtime.db.connect(autocommit=False) as conn:
            # One view of all tables, taken after the binding of the queue. Later changes arrive as events.
            await conn.execution_options(isolation_level="REPEATABLE READ")
            async with conn.begin():
                request: Any = (await conn.exec_driver_sql(_NEXT)).one_or_none()
                if request is None:
                    return False
                sent, error, epoch = 0, None, (await epochs.current(conn)).number
                if unknown := [entity for entity in request.entities if entity not in self._sources]:
                    error = f"{self._service} has no {', '.join(unknown)}"
                # A service of the next release may request entities that do not exist here yet. It gets the others. An
                # operator gets the error before anything is sent.
                lenient = not unknown or request.queue == inbox_of(request.requested_by)
                for entity in request.entities if lenient else ():
                    if entity in unknown:
                        continue
                    count, failed = await self._send(
                        conn, entity, self._sources[entity], request.queue, str(request.id), epoch
                    )
                    sent += count
                    if failed:
                        error = failed
                        break
                await conn.exec_driver_sql(_DONE, (request.id, clock.now(), sent, error))
        log.info("snapshot.sent", queue=request.queue, entities=request.entities, records=sent, error=error)
        return True

    async def _send(
        self, conn: AsyncConnection, entity: str, source: Source, queue: str, correlation: str, epoch: int
    ) -> tuple[int, str | None]:
        sent, after = 0, None
        while rows := await source(conn, after, PAGE):
            messages = [self._message(entity, row, queue, correlation, epoch) for row in rows]
            outcomes = await self._publisher.publish(replay_of(self._service), messages, seconds=10)
            if Outcome.RETURNED in outcomes:
                return sent, f"queue {queue} is not there, or does not hear {entity}"
            if any(outcome is not Outcome.CONFIRMED for outcome in outcomes):
                raise BrokerDown("a page of the snapshot was not confirmed")
            sent, after = sent + len(rows), rows[-1].id
        return sent, None

    def _message(self, entity: str, row: Row, queue: str, correlation: str, epoch: int) -> Outgoing:
        event_id, type_, body = snapshot_of(
            self._service, entity, row, epoch, correlation, self._runtime.settings.schemas
        )
        headers = {
            "id": event_id,
            "type": type_,
            "source": source_of(self._service),
            "subject": str(row.id),
            "crm-version": row.version,
        }
        return outgoing(body, direct_key(queue, type_), message_id=event_id, headers=headers)

    async def keep_requesting(self) -> None:
        """Request missing records until stopped. An operator may let a running service repeat its requests after a restore."""
        while not self._stopping.is_set():
            await self.request_missing()
            with suppress(TimeoutError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._stopping.wait()

    async def request_missing(self) -> None:
        """Request the records of every source that a new projection group follows, until each request is confirmed."""
        backoff = Backoff(POLL_SECONDS, LONGEST_PAUSE)
        while not self._stopping.is_set():
            try:
                if not await self._request_unasked():
                    return
            except (BrokerDown, OSError, SQLAlchemyError) as error:
                log.warning("snapshot.not_requested", error=type(error).__name__)
                await backoff.wait(self._stopping)
                continue
            backoff.reset()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._stopping.wait()

    async def _request_unasked(self) -> int:
        """Send the missing requests. Returns the number that were not delivered because the producer has no queue yet."""
        async with self._runtime.db.autocommit() as conn:
            found: Sequence[Any] = (await conn.exec_driver_sql(_UNASKED)).all()
        unasked = [(row[0], row[1]) for row in found]
        left = 0
        for source in sorted({source for _, source in unasked}):
            names = [consumer for consumer, s in unasked if s == source]
            groups = [group for name in names if (group := self._consumers.groups.get(name))]
            producer = source.rpartition("/")[2]
            entities = sorted({e.name for g in groups if not g.each_event for e in g.snapshot_entities(producer)})
            if entities and not await self._ask(producer, entities):
                left += 1
                continue
            async with self._runtime.db.begin() as conn:
                await conn.exec_driver_sql(_ASKED, (source, names, clock.now()))
        return left

    async def _ask(self, producer: str, entities: list[str]) -> bool:
        body = orjson.dumps({"entities": entities, "queue": self._consumers.queue})
        request_id = str(new_id())
        message = outgoing(
            body,
            direct_key(inbox_of(producer), SNAPSHOT_REQUEST),
            message_id=request_id,
            headers={"id": request_id, "type": SNAPSHOT_REQUEST},
            content_type="application/json",
        )
        [outcome] = await self._publisher.publish(replay_of(self._service), [message])
        return outcome is Outcome.CONFIRMED
