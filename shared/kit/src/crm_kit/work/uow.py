"""One request or one message is one unit of work: what it changes, audits, announces and answers is written together.

It loads and locks, checks who may, stamps versions, and at the end sends one statement (see ``crm_kit.work.flush``).
Commands never commit: the route wrapper or the consumer does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import Depth, Privilege
from crm_contracts.catalogue import Event
from crm_contracts.envelope import (
    MAX_BYTES,
    Envelope,
)
from crm_kit import clock
from crm_kit.access.privileges import Principal, Reach
from crm_kit.errors import (
    DomainError,
    Forbidden,
    InactiveReference,
    Merged,
    MergedReference,
    NotFound,
    OutOfReach,
    UnknownReference,
)
from crm_kit.failpoints import hit
from crm_kit.process.runtime import PRINCIPALS, Runtime, system_id
from crm_kit.store.database import fetch
from crm_kit.store.outages import ran_out_of_time
from crm_kit.store.presenter import (
    UNKNOWN,
    Named,
    Target,
    presenter_of,
    to_json,
)
from crm_kit.store.record import (
    OwnedRecord,
    Record,
    Stateful,
    new_id,
    stored_columns,
    survivor_of,
)
from crm_kit.store.seats import Seat
from crm_kit.store.shares import WAIT_SECONDS, Shares, TooManyAtOnce
from crm_kit.work.announcing import (
    Cause,
    Origin,
    announce,
    too_large,
    validate,
)
from crm_kit.work.condition import Condition
from crm_kit.work.flush import Changes
from crm_kit.work.idempotency import KEEP_ANSWER, Answer, Key
from crm_kit.work.locked import Locked, values_of
from crm_kit.work.outbox import WAKE_CHANNEL

R = TypeVar("R", bound=Record)
T = TypeVar("T")

STAMPS = frozenset({"version", "modified_at", "modified_by"})
SYSTEM = "system"
"""The kind of principal that a service is to itself."""
READING_PART: Final = 0.8
"""The part of a hop after which reads end, so that the answer which says so is there before the caller gives up."""
SHORTEST_WAIT: Final = 0.05
WAITING_PART: Final = 0.2
"""What of a hop one may wait for one's turn and still be told that the work itself takes too long."""
QUICK_PART: Final = 0.05
"""The part of a hop after which a read counts as slow, whatever was expected of it."""
BUSY: Final = "The service is busy. Try again."


@dataclass(slots=True)
class Pending:
    """An event that waits for the flush."""

    record: Record
    event: type[Event]
    facts: dict[str, Any]
    values: tuple[Any, ...]
    """The record's columns when the event was made: it tells all of the change, so nothing may change after it."""


class UnitOfWork:
    """Load, act, emit; everything is written at the end or not at all."""

    def __init__(
        self,
        runtime: Runtime,
        principal: Principal,
        cause: Cause,
        *,
        conn: AsyncConnection | None = None,
        key: Key | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.runtime = runtime
        self.principal = principal
        self.cause = cause
        self.now = clock.now()
        self.anew: Set[UUID] = frozenset()
        """Of a projection: the records of a restored publisher, told here for the first time since. What it says replaces what
        is here, also a higher version."""
        self._began, self._waited = clock.monotonic(), 0.0
        self._connecting = self._in_line = False
        self.has_asked = False
        """Whether it ever wanted a connection: else what took the time was not the database."""
        self.names: dict[UUID, Named] = {}
        self._key = key
        self._condition = condition
        self._held = conn
        self._borrowed = conn is not None
        self._in_transaction = conn is not None
        self._stack = AsyncExitStack()
        self._locked = Locked()
        self._seen: dict[tuple[type[Record], UUID], Record] = {}
        self._looked_up: dict[Any, Sequence[Mapping[str, Any]]] = {}
        self._new: set[UUID] = set()
        self._removed: set[UUID] = set()
        self._pending: dict[UUID, Pending] = {}
        self._rendered: dict[UUID, tuple[dict[str, Any], bytes]] = {}
        self._wakes: set[str] = set()
        self._written: list[tuple[str, UUID, int]] = []

    @classmethod
    def for_message(cls, conn: AsyncConnection, runtime: Runtime, envelope: Envelope) -> "UnitOfWork":
        """The unit of work of one consumed event: acts as the service, remembers who caused it."""
        cause = Cause(
            correlation_id=envelope.correlationid or str(envelope.id),
            causation_id=str(envelope.id),
            actor=envelope.actor,
            traceparent=envelope.traceparent,
            tracestate=envelope.tracestate,
        )
        return cls(runtime, system_principal(runtime.service), cause, conn=conn)

    @classmethod
    def for_timer(cls, conn: AsyncConnection, runtime: Runtime, traceparent: str | None = None) -> "UnitOfWork":
        """The unit of work of one due row: time itself is the cause."""
        cause = Cause(correlation_id=str(new_id()), traceparent=traceparent)
        return cls(runtime, system_principal(runtime.service), cause, conn=conn)

    # -- connections ---------------------------------------------------------------------------------------------

    async def connection(self) -> AsyncConnection:
        """The connection in use: the transaction's once something is locked, until then one in autocommit."""
        if self._held is None:
            self._held = await self._connect(autocommit=True)
        return self._held

    async def let_go(self) -> None:
        """Give the connection back while something else is waited for. What is locked stays so: then it is kept."""
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = None

    @asynccontextmanager
    async def bounded(self, advice: str) -> AsyncIterator[None]:
        """Reads whose time depends on what is asked for: when they take too long, 422 ``too-expensive`` with ``advice``, or
        429 when it was the caller's other requests that took the time. Of a consumer or a timer nothing is asked."""
        if self._unbounded:
            yield
            return
        try:
            async with asyncio.timeout(self._left()) as limit:
                yield
        except (TimeoutError, DBAPIError) as error:
            if not (limit.expired() or ran_out_of_time(error)):
                raise
            raise self.too_late(advice) from error

    @property
    def stands_in_line(self) -> bool:
        """Whether it waits for a connection, and so has done nothing since."""
        return self._in_line or self._connecting

    def too_late(self, advice: str) -> DomainError:
        """What to tell of a read that is out of time: that it waited for the caller's other requests (429) or for everybody's
        (503), else that it takes too long (422)."""
        if self._connecting:
            return DomainError("unavailable", BUSY)
        if self._in_line or self._waited > self.runtime.settings.hop_seconds * WAITING_PART:
            return TooManyAtOnce()
        return DomainError("too-expensive", f"The request would take longer than its deadline. {advice}")

    async def quickly(self, work: Callable[[], Awaitable[T]], advice: str) -> T:
        """The same of reads that mostly are quick. One that is not becomes slow work while it runs. Where all slow work that
        may be done at a time is being done, and connections are scarce, it is given up and done again in its turn."""
        if self._unbounded:
            return await work()
        seat = Seat(self.runtime.db, self.principal.id, self.runtime.settings.hop_seconds * QUICK_PART)
        try:
            async with asyncio.timeout(self._left()) as limit:
                await self.connection()
                seat.watch(limit)
                return await work()
        except (TimeoutError, DBAPIError) as error:
            if not seat.given_up:
                if not (limit.expired() or ran_out_of_time(error)):
                    raise
                raise self.too_late(advice) from error
        finally:
            seat.leave()
        async with self.slowly(advice):
            return await work()

    def _left(self) -> float:
        """Seconds until a read has to end."""
        hop = self.runtime.settings.hop_seconds
        return max(hop * READING_PART - (clock.monotonic() - self._began), hop / 20)

    @asynccontextmanager
    async def slowly(self, advice: str) -> AsyncIterator[None]:
        """The same of reads that no index bounds: a caller does one of them at a time, and all together leave half of the
        connections to the rest."""
        if self._unbounded:
            yield
            return
        await self.let_go()
        slow, holder = self.runtime.db.slow, self.principal.id
        await self._take(slow)
        try:
            async with self.bounded(advice):
                yield
        finally:
            slow.give(holder)

    async def transaction(self) -> AsyncConnection:
        """The connection inside the transaction, begun now if it was not: for what is written beside the records."""
        return await self._begin()

    def wakes(self, channel: str) -> None:
        """Notify this channel after the commit."""
        self._wakes.add(channel)

    async def _begin(self) -> AsyncConnection:
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = await self._connect(autocommit=False)
            self._in_transaction = True
            if self._key is not None:
                await self._key.claim(self._held, self.now)
        assert self._held is not None
        return self._held

    async def _connect(self, *, autocommit: bool) -> AsyncConnection:
        """A connection out of the caller's share; the service itself, whose work is everybody's, has no bounds."""
        db, principal = self.runtime.db, self.principal
        if principal.kind != SYSTEM:
            await self._take(db.shares)
            self._stack.callback(db.shares.give, principal.id)
        self._connecting = self.has_asked = True
        conn = await self._stack.enter_async_context(db.connect(autocommit=autocommit))
        self._connecting = False
        return conn

    async def _take(self, shares: Shares) -> None:
        """Take one in the caller's turn: all turns of a request together are to leave time for its work."""
        now = clock.monotonic()
        self._in_line = self.has_asked = True
        await shares.take(self.principal.id, max(WAIT_SECONDS - (now - self._began), SHORTEST_WAIT))
        self._in_line = False
        self._waited += clock.monotonic() - now

    @property
    def _unbounded(self) -> bool:
        """Whether nobody waits for an answer: of a consumer or a timer nothing is asked."""
        return self._borrowed or self.principal.kind == SYSTEM

    async def execute(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Run a read, or a set-based write of a projection."""
        result: CursorResult[Any] = await (await self.connection()).execute(statement, parameters)
        return result

    async def look_up(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The rows of a read that one unit of work may ask many times, such as an import for the stage of each row: asked
        once, then remembered. ``statement`` is a constant; what it reads is not written in this unit of work."""
        key = (statement, *sorted(parameters.items()))
        found = self._looked_up.get(key)
        if found is None:
            found = self._looked_up[key] = [dict(row) for row in (await self.execute(statement, parameters)).mappings()]
        return found

    # -- loading -------------------------------------------------------------------------------------------------

    async def get(self, entity: type[R], record_id: UUID, privilege: Privilege) -> R:
        """Lock a record and check that the caller holds ``privilege`` on it.

        403 when the caller does not hold the privilege anywhere, 404 when the row is not visible, 403 when it is
        visible but out of the privilege's reach, 410 when another record took its place, 412 when it is the record of the
        path and ``If-Match`` names another version.
        """
        self.principal.require(entity.entity(), privilege)
        record = await self._lock(entity, record_id)
        self._check(record, privilege)
        await self._refuse_merged(record)
        if self._condition is not None:
            self._condition.compare(record)
        return record

    async def load(self, entity: type[R], record_id: UUID) -> R:
        """Lock a record without a check of access: for consumers, timers and the inner steps of a checked command.

        What refers to a record that was merged goes on with its survivor, also while that reference has yet to move.
        """
        record = await self._lock(entity, record_id)
        while (survivor_id := survivor_of(record)) is not None:
            record = await self._lock(entity, survivor_id)
        return record

    async def hold(self, entity: type[Record], record_ids: Iterable[UUID]) -> None:
        """Lock several records at once, in the order of their ids, so that two commands that need the same ones never
        wait for each other in a circle. What is not there, or not visible, is for ``get`` to say."""
        conn = await self._begin()
        table = entity.__table__
        columns = (table.c[column] for column in stored_columns(entity))
        found = select(*columns).where(table.c.id.in_(list(record_ids))).order_by(table.c.id)
        for row in (await conn.execute(found.with_for_update(key_share=True))).mappings():
            if not self.holds(entity, row["id"]):
                self.adopt(entity.from_row(dict(row)))

    def holds(self, entity: type[Record], record_id: UUID) -> bool:
        """Whether this unit of work has locked or made the record."""
        return self._locked.get(entity, record_id) is not None

    async def read(self, entity: type[R], record_id: UUID) -> R:
        """A record as it is when first asked for, if the caller may read it; not locked, not to be changed."""
        self.principal.require(entity.entity(), Privilege.READ)
        known = self._locked.get(entity, record_id) or self._seen.get((entity, record_id))
        if known is not None:
            return known  # type: ignore[return-value]  # the key names the type
        row = (await self.execute(_by_id(entity, lock=False), {"id": record_id})).one_or_none()
        if row is None:
            raise NotFound(entity.entity())
        record = entity.from_row(dict(row._mapping))
        self._check(record, Privilege.READ)
        await self._refuse_merged(record)
        # The rows of an import refer to the same few records again and again.
        self._seen[entity, record_id] = record
        return record

    async def refer(self, entity: type[R], record_id: UUID, pointer: str) -> R:
        """The record a new reference points at: readable, active and not merged, or 422 with its pointer."""
        try:
            record = await self.read(entity, record_id)
        except (NotFound, Forbidden):
            raise UnknownReference(pointer, entity.entity()) from None
        except Merged as merged:
            raise await self.merged_reference(entity, merged, pointer) from None
        if isinstance(record, Stateful) and record.status == "inactive":
            raise InactiveReference(pointer, entity.entity())
        return record

    async def merged_reference(self, entity: type[Record], merged: Merged, pointer: str) -> MergedReference:
        """What a reference to a merged record is refused with: it names the survivor to who may read that one."""
        try:
            await self.read(entity, merged.survivor_id)
        except (NotFound, Forbidden):
            return MergedReference(pointer, entity.entity(), None)
        return MergedReference(pointer, entity.entity(), merged.members["survivor"])

    async def _refuse_merged(self, record: Record) -> None:
        if survivor_of(record) is None:
            return
        name = record.entity()
        last = (await (await self.connection()).exec_driver_sql(_SURVIVOR.format(name), (record.id,))).scalar_one()
        raise Merged(name, last)

    async def _lock(self, entity: type[R], record_id: UUID) -> R:
        known = self._locked.get(entity, record_id)
        if known is not None:
            return known
        conn = await self._begin()
        row = (await conn.execute(_by_id(entity, lock=True), {"id": record_id})).one_or_none()
        if row is None:
            raise NotFound(entity.entity())
        return self.adopt(entity.from_row(dict(row._mapping)))

    def adopt(self, record: R) -> R:
        """Take a record loaded and locked by the caller's own statement into this unit of work."""
        return self._locked.adopt(record)

    def reach(self, entity: str | type[Record], privilege: Privilege = Privilege.READ) -> Reach:
        """The rows of an entity that the caller reads, or that another privilege reaches."""
        return self.principal.reach(entity, privilege, self.runtime.directory.tree)

    def _check(self, record: Record, privilege: Privilege) -> None:
        if privilege is not Privilege.READ and self.reach(type(record), privilege).covers_record(record):
            return
        if not self.reach(type(record)).covers_record(record):
            raise NotFound(record.entity())
        if privilege is not Privilege.READ:
            raise OutOfReach(privilege.value, record.entity())

    # -- changing ------------------------------------------------------------------------------------------------

    async def start(self, entity: type[Record]) -> None:
        """First step of a create: the privilege, and then the Idempotency-Key, before anything else is looked at.

        What has no owner belongs to the organisation, so only the depth of the organisation reaches it.
        """
        depth = self.principal.require(entity.entity(), Privilege.CREATE)
        if depth is not Depth.ORGANIZATION and not issubclass(entity, OwnedRecord):
            raise Forbidden(Privilege.CREATE.value, entity.entity(), everywhere=True)
        if self._key is not None:
            await self._begin()

    async def number(self, prefix: str) -> str:
        """The next number people say aloud, such as LEA-00042."""
        return await self.runtime.numbers.next(prefix, await self.connection())

    def add(self, record: R, event: type[Event], **facts: Any) -> R:
        """Stamp a new record, owned by the caller unless it has an owner already, and announce it."""
        self.principal.require(record.entity(), Privilege.CREATE)
        # Past SQLAlchemy's setters, as in the making of a record: an import passes here for every row.
        values, author = record.__dict__, self.principal.author
        if values.get("id") is None:
            values["id"] = new_id()
        stamps = {"created_at": self.now, "created_by": author, "modified_at": self.now, "modified_by": author}
        values.update(stamps, version=1)
        if isinstance(record, OwnedRecord) and values.get("owner_id") is None:
            values["owner_type"], values["owner_id"] = self.principal.kind, self.principal.id
            values["business_unit_id"] = self.principal.unit
        if isinstance(record, Stateful) and values.get("status") is None:
            record.enter_lifecycle()
        for column in stored_columns(type(record)):
            values.setdefault(column, None)
        self._locked.add(record)
        self._new.add(record.id)
        self._announce(record, event, facts)
        return record

    def emit(self, record: Record, event: type[Event], **facts: Any) -> None:
        """Announce the change of a locked record: bumps its version, once. A second emit for one record raises, and so does
        a change of it after this: the event tells the whole change."""
        record.version += 1
        record.modified_at, record.modified_by = self.now, self.principal.author
        self._announce(record, event, facts)

    def remove(self, record: Record, event: type[Event], **facts: Any) -> None:
        """Delete a locked record; the event carries it as it last was, at version + 1."""
        self._removed.add(record.id)
        self.emit(record, event, **facts)

    def changed(self, record: Record) -> bool:
        """Whether the record differs from what is stored."""
        return record.id in self._new or bool(self._locked.differences(record))

    def before(self, record: Record) -> Mapping[str, Any] | None:
        """The columns of the record as they are stored; None for one that is not stored yet."""
        return self._locked.before(record)

    def _announce(self, record: Record, event: type[Event], facts: dict[str, Any]) -> None:
        if record.id in self._pending:
            raise RuntimeError(f"a second event for {record.entity()} {record.id} in one unit of work")
        self._pending[record.id] = Pending(record, event, facts, values_of(record))

    # -- names ---------------------------------------------------------------------------------------------------

    async def learn(self, entity: type[Record], values: Iterable[Mapping[str, Any]], *, parts: bool = False) -> None:
        """Look up the names that the presentation of these rows needs: at most one statement, mostly none. For an answer
        also whose those records are that ``parts`` refer to, as far as the caller might not read one."""
        rows = list(values)
        directory = self.runtime.directory
        if issubclass(entity, OwnedRecord):
            owners = {row["owner_id"] for row in rows} - self.names.keys()
            unknown = {owner for owner in owners if directory.named(owner) is None}
            if unknown:
                await directory.learn(await self.connection(), unknown)
            for owner in owners:
                found = directory.named(owner)
                self.names[owner] = Named(found.name if found else None)
        presenter = presenter_of(entity)
        wanted: set[Target] = set()
        if presenter.references:
            wanted = {target for row in rows for target in presenter.points_at(row)}
        if parts and presenter.parts:
            pointed = (target for row in rows for target in presenter.parts_point_at(row))
            wanted |= {target for target in pointed if not self._reads_all(target[0])}
        await self.learn_of(wanted)

    async def learn_of(self, wanted: Iterable[Target]) -> None:
        """Look up what these records are called and whose they are, where that is not known yet."""
        unknown = {target for target in wanted if target[1] not in self.names}
        if unknown:
            self.names.update(await self.runtime.name_lookup(await self.connection(), unknown))

    def hidden(self, targets: Iterable[Target]) -> Set[str]:
        """The ids of those that the caller may not read now, of records that ``learn`` asked about. What is not known
        here is hidden, too, and who users, teams and API clients are is hidden from nobody."""
        found = set()
        for kind, record_id in targets:
            if self._reads_all(kind):
                continue
            named = self.names.get(record_id, UNKNOWN)
            if not self.reach(kind).covers(named.owner, named.unit):
                found.add(str(record_id))
        return found

    def _reads_all(self, kind: str) -> bool:
        return kind in PRINCIPALS or self.principal.depth(kind, Privilege.READ) is Depth.ORGANIZATION

    async def present(self, record: Record) -> dict[str, Any]:
        """The record as the API and the events show it."""
        return (await self.render(record))[0]

    async def render(self, record: Record) -> tuple[dict[str, Any], bytes]:
        """The record as shown, and as JSON: made once for the answer, the event and the audit, when it is final."""
        known = self._rendered.get(record.id)
        if known is None:
            await self.learn(type(record), [record.__dict__])
            shown = presenter_of(type(record)).record(record.__dict__, self.names)
            known = shown, to_json(shown)
            if record.id in self._pending:
                self._rendered[record.id] = known
        return known

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def written(self) -> list[tuple[str, UUID, int]]:
        """(entity, id, version) of every record this unit of work has changed or will change."""
        pending = [(p.record.entity(), p.record.id, p.record.version) for p in self._pending.values()]
        return [*self._written, *pending]

    @property
    def keyed(self) -> bool:
        """Whether the answer is to be kept under an Idempotency-Key."""
        return self._key is not None

    @property
    def pending_types(self) -> list[str]:
        """The types of the events that wait for the flush, in order."""
        return [pending.event.type for pending in self._pending.values()]

    async def flush(self, answer: Answer | None = None) -> None:
        """Write everything in one statement; inside the transaction if there is one, else as its own."""
        self._refuse_silent_changes()
        keeps = answer is not None and self._key is not None
        if not self._pending:
            if keeps:
                assert answer is not None
                await self._keep_without_effect(answer)
            return
        changes = Changes()
        for pending in self._pending.values():
            await self._collect(pending, changes)
        stored = self._key.stored(answer) if self._key is not None and answer is not None else None
        sql, parameters = changes.statement(stored)
        conn = await self.connection()
        count = (await fetch(conn, sql, parameters))[0][0]
        if count != changes.expected:
            raise RuntimeError(f"{changes.expected - count} records changed under their lock")
        self._written.extend((p.record.entity(), p.record.id, p.record.version) for p in self._pending.values())
        for pending in self._pending.values():
            self._settle(pending.record)
        self._pending.clear()
        self._rendered.clear()

    async def commit(self, answer: Answer | None = None) -> None:
        """Flush and commit, then wake the relay."""
        await self.flush(answer)
        hit("uow.before_commit")
        if self._in_transaction and not self._borrowed and self._held is not None:
            await self._held.commit()
        hit("uow.after_commit")
        self.announce()

    def announce(self) -> None:
        """After the commit: wake the relay, and whoever else was named."""
        if self._written:
            self._wakes.add(WAKE_CHANNEL)
        for channel in self._wakes:
            self.runtime.notifier.notify(channel)

    async def close(self) -> None:
        """Give the connection back; what is not committed is rolled back."""
        if not self._borrowed:
            await self._stack.aclose()
            self._held = None

    async def _keep_without_effect(self, answer: Answer) -> None:
        assert self._key is not None
        await (await self._begin()).exec_driver_sql(KEEP_ANSWER.format(*range(1, 8)), self._key.stored(answer))

    async def _collect(self, pending: Pending, changes: Changes) -> None:
        record, table = pending.record, pending.record.__tablename__
        shown, as_json = await self.render(record)
        difference: dict[str, Any] = {}
        whole = True
        if record.id in self._new:
            columns = stored_columns(type(record))
            changes.add("insert", table, columns, {column: record.__dict__[column] for column in columns})
        elif record.id in self._removed:
            changes.add("delete", table, ("id",), {"id": record.id, "version": record.version - 1})
        else:
            columns, whole = tuple(self._locked.differences(record)), False
            changes.add("update", table, columns, {"id": record.id, **{c: record.__dict__[c] for c in columns}})
            difference = await self._compare(record, shown)
        if self.runtime.validate_events:
            validate(pending.event, as_json, difference, pending.facts)
        origin = Origin(self.runtime.service, self.now, self.cause.actor or self.principal.actor, self.cause)
        row, body = announce(origin, record, pending.event, pending.facts, as_json, difference, whole=whole)
        if len(body) > MAX_BYTES:
            raise too_large(shown)
        changes.events.append(row)
        changes.bodies.append(body)

    async def _compare(self, record: Record, shown: dict[str, Any]) -> dict[str, Any]:
        before = self._locked.before(record)
        assert before is not None  # what is compared was loaded
        await self.learn(type(record), [before])
        earlier = presenter_of(type(record)).record(before, self.names)
        return {
            field: {"old": earlier[field], "new": value}
            for field, value in shown.items()
            if field not in STAMPS and earlier[field] != value
        }

    def _settle(self, record: Record) -> None:
        if record.id in self._removed:
            self._locked.drop(record)
            return
        self._new.discard(record.id)
        self.adopt(record)

    def _refuse_silent_changes(self) -> None:
        for record in self._locked:
            pending = self._pending.get(record.id)
            if pending is None and (changed := self._locked.differences(record)):
                raise RuntimeError(f"{record.entity()} {record.id} changed without an event: {changed}")
            if pending is not None and pending.values != (values := values_of(record)):
                columns = stored_columns(type(record))
                changed = [c for c, told, now in zip(columns, pending.values, values, strict=True) if told != now]
                raise RuntimeError(f"{record.entity()} {record.id} changed after its event: {changed}")


def system_principal(service: str) -> Principal:
    """Consumers and timers act as ``system:<service>``."""
    return Principal(id=system_id(service), kind=SYSTEM, unit=system_id(service), name=service)


_SURVIVOR = """
with recursive step as (
  select survivor_id, 1 as n from public."{0}" where id = $1
  union all
  select t.survivor_id, n + 1 from public."{0}" t join step s on t.id = s.survivor_id where t.survivor_id is not null
) select survivor_id from step order by n desc limit 1
"""
"""Who is left in the end, where a survivor was merged later itself."""

_SELECTS: dict[tuple[type[Record], bool], Select[Any]] = {}


def _by_id(entity: type[Record], *, lock: bool) -> Select[Any]:
    statement = _SELECTS.get((entity, lock))
    if statement is None:
        table = entity.__table__
        statement = select(*(table.c[column] for column in stored_columns(entity))).where(table.c.id == bindparam("id"))
        # Not FOR UPDATE: others may go on to make records that refer to this one.
        statement = _SELECTS[entity, lock] = statement.with_for_update(key_share=True) if lock else statement
    return statement
