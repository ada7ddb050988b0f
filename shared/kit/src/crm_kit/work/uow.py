"""One request or one message is one unit of work: what it changes, audits, announces and answers is written together.

It loads and locks, checks who may, stamps versions, and at the end sends one statement. Each of its jobs has a module: ``link``
(the connection and the transaction), ``reads`` (how long reads may take), ``loading`` (statements), ``locked`` (records and what
they were), ``condition`` (If-Match), ``names`` (names of other records) and ``writing`` (events, rows and the one statement, see
``crm_kit.work.flush``). Commands never commit: the route wrapper or the consumer does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import Depth, Privilege
from crm_contracts.catalogue import Event
from crm_contracts.envelope import Envelope
from crm_kit import clock
from crm_kit.access.privileges import Principal, Reach
from crm_kit.errors import Forbidden, InactiveReference, Merged, MergedReference, NotFound, OutOfReach, UnknownReference
from crm_kit.failpoints import hit
from crm_kit.process.runtime import Runtime, system_id
from crm_kit.store.record import OwnedRecord, Record, Stateful, new_id, stored_columns, survivor_of
from crm_kit.work.announcing import Cause
from crm_kit.work.condition import Condition
from crm_kit.work.idempotency import IdempotencyKey, StoredAnswer
from crm_kit.work.link import SYSTEM, Link
from crm_kit.work.loading import by_id, in_order, refuse_merged
from crm_kit.work.locked import Locked
from crm_kit.work.names import Names
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.reads import Reads
from crm_kit.work.writing import Writing

R = TypeVar("R", bound=Record)


class UnitOfWork:
    """Load, act, emit; everything is written at the end or not at all."""

    def __init__(
        self,
        runtime: Runtime,
        principal: Principal,
        cause: Cause,
        *,
        conn: AsyncConnection | None = None,
        key: IdempotencyKey | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.runtime = runtime
        self.principal = principal
        self.cause = cause
        self.now = clock.now()
        self.anew: set[UUID] = set()
        """Of a projection: the records that are told anew, by a restored publisher or a rebuild. What is said of them replaces
        what is here, also a higher version. The handlers of one group share it: see ``crm_kit.copies.projections.project``."""
        self.epoch = 0
        self.link = Link(runtime, principal, self.now, conn, key)
        self.reads = Reads(self.link)
        self.names = Names(self.link)
        self._condition = condition
        self._locked = Locked()
        self._seen: dict[tuple[type[Record], UUID], Record] = {}
        self._looked_up: dict[Any, Sequence[Mapping[str, Any]]] = {}
        self._writing = Writing(self.link, self._locked, self.names, self.now)
        self._wakes: set[str] = set()

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
        uow = cls(runtime, system_principal(runtime.service), cause, conn=conn)
        uow.epoch = envelope.epoch
        return uow

    @classmethod
    def for_timer(cls, conn: AsyncConnection, runtime: Runtime, traceparent: str | None = None) -> "UnitOfWork":
        """The unit of work of one due row: time itself is the cause."""
        cause = Cause(correlation_id=str(new_id()), traceparent=traceparent)
        return cls(runtime, system_principal(runtime.service), cause, conn=conn)

    # -- asking --------------------------------------------------------------------------------------------------

    async def connection(self) -> AsyncConnection:
        """The connection in use: the transaction's once something is locked, until then one in autocommit."""
        return await self.link.connection()

    async def transaction(self) -> AsyncConnection:
        """The connection inside the transaction, begun now if it was not: for what is written beside the records."""
        return await self.link.transaction()

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
        await refuse_merged(self.link, record)
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

    async def lock_all(self, entity: type[Record], record_ids: Iterable[UUID]) -> None:
        """Lock several records at once, in the order of their ids, so that two commands that need the same ones never
        wait for each other in a circle. What is not there, or not visible, is for ``get`` to say."""
        conn = await self.link.transaction()
        for row in (await conn.execute(in_order(entity, record_ids))).mappings():
            if not self.has_locked(entity, row["id"]):
                self.adopt(entity.from_row(dict(row)))

    def has_locked(self, entity: type[Record], record_id: UUID) -> bool:
        """Whether this unit of work has locked or made the record."""
        return self._locked.get(entity, record_id) is not None

    async def read(self, entity: type[R], record_id: UUID) -> R:
        """A record as it is when first asked for, if the caller may read it; not locked, not to be changed."""
        self.principal.require(entity.entity(), Privilege.READ)
        known = self._locked.get(entity, record_id) or self._seen.get((entity, record_id))
        if known is not None:
            return known  # type: ignore[return-value]  # the key names the type
        row = (await self.execute(by_id(entity, lock=False), {"id": record_id})).one_or_none()
        if row is None:
            raise NotFound(entity.entity())
        record = entity.from_row(dict(row._mapping))
        self._check(record, Privilege.READ)
        await refuse_merged(self.link, record)
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
        await self.require_referable(record, pointer)
        return record

    async def require_referable(self, record: Record, pointer: str) -> None:
        """422 with the pointer of a new reference when its record, which the caller reads, takes none: it is inactive, or was
        merged into another."""
        try:
            await refuse_merged(self.link, record)
        except Merged as merged:
            raise await self.merged_reference(type(record), merged, pointer) from None
        if isinstance(record, Stateful) and record.status == "inactive":
            raise InactiveReference(pointer, record.entity())

    async def merged_reference(self, entity: type[Record], merged: Merged, pointer: str) -> MergedReference:
        """What a reference to a merged record is refused with: it names the survivor to who may read that one."""
        try:
            await self.read(entity, merged.survivor_id)
        except (NotFound, Forbidden):
            return MergedReference(pointer, entity.entity(), None)
        return MergedReference(pointer, entity.entity(), merged.members["survivor"])

    async def _lock(self, entity: type[R], record_id: UUID) -> R:
        known = self._locked.get(entity, record_id)
        if known is not None:
            return known
        conn = await self.link.transaction()
        row = (await conn.execute(by_id(entity, lock=True), {"id": record_id})).one_or_none()
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
        if self.link.key is not None:
            await self.link.transaction()

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
        self._writing.add(record, event, facts)
        return record

    def emit(self, record: R, event: type[Event], **facts: Any) -> R:
        """Announce the change of a locked record: bumps its version, once. A second emit for one record raises, and so does
        a change of it after this: the event tells the whole change."""
        self._stamp(record)
        self._writing.change(record, event, facts)
        return record

    def emit_if_changed(self, record: R, event: type[Event], **facts: Any) -> R:
        """Announce the change of a locked record, if anything about it differs from what is stored."""
        return self.emit(record, event, **facts) if self.changed(record) else record

    def remove(self, record: Record, event: type[Event], **facts: Any) -> None:
        """Delete a locked record; the event carries it as it last was, at version + 1."""
        self._stamp(record)
        self._writing.remove(record, event, facts)

    def changed(self, record: Record) -> bool:
        """Whether the record differs from what is stored."""
        return self._writing.differs(record)

    def before(self, record: Record) -> Mapping[str, Any] | None:
        """The columns of the record as they are stored; None for one that is not stored yet."""
        return self._locked.before(record)

    def _stamp(self, record: Record) -> None:
        record.version += 1
        record.modified_at, record.modified_by = self.now, self.principal.author

    # -- writing -------------------------------------------------------------------------------------------------

    async def render(self, record: Record) -> tuple[dict[str, Any], bytes]:
        """The record as shown, and as JSON: made once for the answer, the event and the audit, when it is final."""
        return await self._writing.render(record)

    @property
    def written(self) -> list[tuple[str, UUID, int]]:
        """(entity, id, version) of every record this unit of work has changed or will change."""
        return self._writing.written

    @property
    def keyed(self) -> bool:
        """Whether the answer is to be kept under an Idempotency-Key."""
        return self.link.key is not None

    @property
    def pending_types(self) -> list[str]:
        """The types of the events that wait for the flush, in order."""
        return self._writing.pending_types

    def wakes(self, channel: str) -> None:
        """Notify this channel after the commit."""
        self._wakes.add(channel)

    async def flush(self, answer: StoredAnswer | None = None) -> None:
        """Write everything in one statement; inside the transaction if there is one, else as its own."""
        await self._writing.flush(self.cause, answer)

    async def commit(self, answer: StoredAnswer | None = None) -> None:
        """Flush and commit, then wake the relay."""
        await self.flush(answer)
        hit("uow.before_commit")
        await self.link.commit()
        hit("uow.after_commit")
        self.announce()

    def announce(self) -> None:
        """After the commit: wake the relay, and whoever else was named."""
        if self.written:
            self._wakes.add(WAKE_CHANNEL)
        for channel in self._wakes:
            self.runtime.notifier.notify(channel)

    async def close(self) -> None:
        """Give the connection back; what is not committed is rolled back."""
        await self.link.close()


def system_principal(service: str) -> Principal:
    """Consumers and timers act as ``system:<service>``."""
    return Principal(id=system_id(service), kind=SYSTEM, unit=system_id(service), name=service)
