"""The unit of work of one request or one message. It writes changes, audit, events and the answer together.

It loads and locks records, checks access, stamps versions, and sends one statement at the end. Each of its jobs has a module:
``link`` (the connection and the transaction), ``reads`` (time limits of reads), ``loading`` (statements), ``locked`` (records and
their stored values), ``condition`` (If-Match), ``names`` (names of other records) and ``writing`` (events, rows and the one
statement, see ``crm_kit.work.flush``). Commands never commit. The route wrapper or the consumer commits.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final, TypeVar
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
from crm_kit.work.loading import by_id, by_ids, in_order, refuse_merged
from crm_kit.work.locked import Locked
from crm_kit.work.names import Names
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.reads import Reads
from crm_kit.work.writing import Writing

R = TypeVar("R", bound=Record)
PLACEHOLDER: Final = "~"
"""Begins what stands in place of the digits of a number that is not drawn."""


class UnitOfWork:
    """Loads records, takes their changes and events, and writes all of them at the end or none."""

    def __init__(
        self,
        runtime: Runtime,
        principal: Principal,
        cause: Cause,
        *,
        conn: AsyncConnection | None = None,
        key: IdempotencyKey | None = None,
        condition: Condition | None = None,
        rehearses: bool = False,
    ) -> None:
        """``rehearses`` says that the caller takes back what is written. Numbers are then placeholders."""
        self.runtime = runtime
        self.principal = principal
        self.cause = cause
        self.now = clock.now()
        self.anew: set[UUID] = set()
        """Used by projections: the records that a restored publisher or a rebuild sends again. They replace the copy, even if
        it has a higher version. The handlers of a group share this set (see ``crm_kit.copies.projections.project``)."""
        self.epoch = 0
        self.link = Link(runtime, principal, self.now, conn, key)
        self.reads = Reads(self.link)
        self.names = Names(self.link)
        self._condition = condition
        self._rehearses = rehearses
        self._locked = Locked()
        self._seen: dict[tuple[type[Record], UUID], Record] = {}
        self._looked_up: dict[Any, Sequence[Mapping[str, Any]]] = {}
        self._writing = Writing(self.link, self._locked, self.names, self.now)
        self._wakes: set[str] = set()

    @classmethod
    def for_message(cls, conn: AsyncConnection, runtime: Runtime, envelope: Envelope) -> "UnitOfWork":
        """Return the unit of work of a consumed event. It acts as the service and keeps the actor of the event."""
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
        """Return the unit of work of a due row of a timer. It acts as the service and has no cause but the time."""
        cause = Cause(correlation_id=str(new_id()), traceparent=traceparent)
        return cls(runtime, system_principal(runtime.service), cause, conn=conn)

    # -- asking --------------------------------------------------------------------------------------------------

    async def connection(self) -> AsyncConnection:
        """Return the connection. It is in autocommit until something is locked, and then in the transaction."""
        return await self.link.connection()

    async def transaction(self) -> AsyncConnection:
        """Return the connection in the transaction, which begins now if necessary. Use it for writes other than records."""
        return await self.link.transaction()

    async def execute(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Run a read, or a set-based write of a projection."""
        result: CursorResult[Any] = await (await self.connection()).execute(statement, parameters)
        return result

    async def look_up(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a read, which is executed once for each set of parameters and then remembered.

        Use it for reads that one unit of work repeats, such as an import that looks up the stage of each row. ``statement`` is a
        constant, and this unit of work must not write what it reads.
        """
        key = (statement, *sorted(parameters.items()))
        found = self._looked_up.get(key)
        if found is None:
            found = self._looked_up[key] = [dict(row) for row in (await self.execute(statement, parameters)).mappings()]
        return found

    def remember(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a read without parameters for ``look_up``, if another statement brought them along."""
        self._looked_up[(statement,)] = list(rows)

    # -- loading -------------------------------------------------------------------------------------------------

    async def get(self, entity: type[R], record_id: UUID, privilege: Privilege) -> R:
        """Lock a record and check that the caller holds ``privilege`` on it.

        Raises 403 if the caller does not hold the privilege at any depth, 404 if the caller may not read the record, 403 if
        the record is readable but out of the privilege's reach, 410 if it was merged into another, and 412 if it is the
        record in the path and ``If-Match`` does not name its version.
        """
        self.principal.require(entity.entity(), privilege)
        record = await self._lock(entity, record_id)
        self._check(record, privilege)
        await refuse_merged(self.link, record)
        if self._condition is not None:
            self._condition.compare(record)
        return record

    async def load(self, entity: type[R], record_id: UUID) -> R:
        """Lock a record without a check of access. Use it in consumers, timers and the inner steps of a checked command.

        For a merged record it locks and returns the last survivor, because some references may not have moved yet. Raises 404
        if there is no such record.
        """
        record = await self._lock(entity, record_id)
        while (survivor_id := survivor_of(record)) is not None:
            record = await self._lock(entity, survivor_id)
        return record

    async def hold(self, entity: type[R], record_id: UUID) -> R:
        """Lock a record whose rights another record decides: the caller checks that one.

        Raises 404 if there is no such record, and 412 as ``get`` does.
        """
        record = await self._lock(entity, record_id)
        if self._condition is not None:
            self._condition.compare(record)
        return record

    async def lock_all(self, entity: type[Record], record_ids: Iterable[UUID]) -> None:
        """Lock several records in the order of their ids, so that commands that need the same records cannot deadlock.

        It ignores missing records and does not check access. Call ``get`` for that.
        """
        conn = await self.link.transaction()
        for row in (await conn.execute(in_order(entity, record_ids))).mappings():
            if not self.has_locked(entity, row["id"]):
                self.adopt(entity.from_row(dict(row)))

    def has_locked(self, entity: type[Record], record_id: UUID) -> bool:
        """Whether this unit of work has locked or created the record."""
        return self._locked.get(entity, record_id) is not None

    async def read(self, entity: type[R], record_id: UUID) -> R:
        """Return a record that the caller may read, without a lock. Do not change it. Later calls return the same instance.

        Raises 403 if the caller may not read any such record, 404 if there is none or the caller may not read it, and 410 if it
        was merged into another.
        """
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

    async def foresee(self, entity: type[Record], record_ids: Iterable[UUID]) -> None:
        """Read the records to which an import is about to refer with one statement, instead of one for each.

        Records that the caller may not read, that were merged or that do not exist are left to ``refer``.
        """
        wanted = [one for one in record_ids if (entity, one) not in self._seen and not self.has_locked(entity, one)]
        reach = self.reach(entity)
        if not wanted or reach.nothing:
            return
        for row in (await self.execute(by_ids(entity), {"ids": wanted})).mappings():
            record = entity.from_row(dict(row))
            if survivor_of(record) is None and reach.covers_record(record):
                self._seen[entity, record.id] = record

    async def refer(self, entity: type[R], record_id: UUID, pointer: str) -> R:
        """Return the record of a new reference. Raises 422 with ``pointer`` unless it is readable, active and not merged."""
        try:
            record = await self.read(entity, record_id)
        except (NotFound, Forbidden):
            raise UnknownReference(pointer, entity.entity()) from None
        except Merged as merged:
            raise await self.merged_reference(entity, merged, pointer) from None
        await self.require_referable(record, pointer)
        return record

    async def require_referable(self, record: Record, pointer: str) -> None:
        """Raise 422 with ``pointer`` if the record of a new reference is inactive or was merged into another."""
        try:
            await refuse_merged(self.link, record)
        except Merged as merged:
            raise await self.merged_reference(type(record), merged, pointer) from None
        if isinstance(record, Stateful) and record.status == "inactive":
            raise InactiveReference(pointer, record.entity())

    async def merged_reference(self, entity: type[Record], merged: Merged, pointer: str) -> MergedReference:
        """Return the error for a reference to a merged record. It names the survivor if the caller may read it."""
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
        """Take a record that the caller has loaded and locked with a statement of its own."""
        return self._locked.adopt(record)

    def reach(self, entity: str | type[Record], privilege: Privilege = Privilege.READ) -> Reach:
        """Return the rows of an entity that the caller's privilege covers."""
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
        """Begin a create: check the privilege, then claim the Idempotency-Key. Call it before any other check.

        Raises 403 if the caller may not create such records. Records without an owner belong to the organisation, so they need
        the privilege at the depth of the organisation. Raises ``Replayed`` if the key was used before.
        """
        depth = self.principal.require(entity.entity(), Privilege.CREATE)
        if depth is not Depth.ORGANIZATION and not issubclass(entity, OwnedRecord):
            raise Forbidden(Privilege.CREATE.value, entity.entity(), everywhere=True)
        if self.link.key is not None:
            await self.link.transaction()

    async def number(self, prefix: str) -> str:
        """Return the next number for people, such as LEA-00042."""
        if self._rehearses:
            return f"{prefix}-{PLACEHOLDER}{secrets.token_hex(6)}"
        return await self.runtime.numbers.next(prefix, await self.connection())

    def is_placeholder(self, number: str | None) -> bool:
        """Whether a number was made in place of one that is drawn."""
        return self._rehearses and number is not None and f"-{PLACEHOLDER}" in number

    def add(self, record: R, event: type[Event], **facts: Any) -> R:
        """Stamp a new record and announce it. The caller becomes its owner, unless it already has one.

        Raises 403 if the caller may not create such records.
        """
        self.principal.require(record.entity(), Privilege.CREATE)
        # Bypasses SQLAlchemy's setters for speed, because an import runs this for every row.
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
        """Announce the change of a locked record and increment its version.

        The event must contain the whole change. A second event for the record raises RuntimeError, and so does, at the flush, a
        later change of the record.
        """
        self._stamp(record)
        self._writing.change(record, event, facts)
        return record

    def emit_if_changed(self, record: R, event: type[Event], **facts: Any) -> R:
        """Announce the change of a locked record if it differs from the stored one."""
        return self.emit(record, event, **facts) if self.changed(record) else record

    def remove(self, record: Record, event: type[Event], **facts: Any) -> None:
        """Delete a locked record. Its event carries the last state, with the version incremented by one."""
        self._stamp(record)
        self._writing.remove(record, event, facts)

    def changed(self, record: Record) -> bool:
        """Whether the record differs from the stored one."""
        return self._writing.differs(record)

    def before(self, record: Record) -> Mapping[str, Any] | None:
        """Return the stored values of the record's columns; None for a record that is not stored yet."""
        return self._locked.before(record)

    def _stamp(self, record: Record) -> None:
        record.version += 1
        record.modified_at, record.modified_by = self.now, self.principal.author

    # -- writing -------------------------------------------------------------------------------------------------

    async def render(self, record: Record) -> tuple[dict[str, Any], bytes]:
        """Return the record as it is shown to clients, and the same as JSON. The answer, the event and the audit share it."""
        return await self._writing.render(record)

    @property
    def written(self) -> list[tuple[str, UUID, int]]:
        """(entity, id, version) of every record this unit of work has changed or will change."""
        return self._writing.written

    @property
    def removed(self) -> list[Record]:
        """The records that this unit of work has deleted or will delete."""
        return self._writing.removed

    @property
    def keyed(self) -> bool:
        """Whether the answer will be stored for an Idempotency-Key."""
        return self.link.key is not None

    @property
    def pending_types(self) -> list[str]:
        """The types of the events that the next flush writes, in order."""
        return self._writing.pending_types

    def wakes(self, channel: str) -> None:
        """Notify this channel after the commit."""
        self._wakes.add(channel)

    @property
    def pending(self) -> frozenset[UUID]:
        """The records whose changes the next flush writes."""
        return self._writing.pending

    def drop_all_but(self, kept: Set[UUID]) -> None:
        """Drop the changes that are pending, except those of ``kept`` records: what a part of the work did that was refused."""
        self._writing.drop_all_but(kept)

    async def flush_pending(self) -> None:
        """Write what is pending before a read that must see it. Other records may have changes whose event is still to come."""
        await self._writing.flush_pending(self.cause)

    async def flush(self, answer: StoredAnswer | None = None) -> None:
        """Write everything in one statement, which is its own transaction if none has begun."""
        await self._writing.flush(self.cause, answer)

    async def commit(self, answer: StoredAnswer | None = None) -> None:
        """Flush and commit, then wake the relay."""
        await self.flush(answer)
        hit("uow.before_commit")
        await self.link.commit()
        hit("uow.after_commit")
        self.announce()

    def announce(self) -> None:
        """Wake the relay and notify the channels given to ``wakes``. Call it after the commit."""
        if self.written:
            self._wakes.add(WAKE_CHANNEL)
        for channel in self._wakes:
            self.runtime.notifier.notify(channel)

    async def close(self) -> None:
        """Return the connection to the pool. Uncommitted changes are rolled back."""
        await self.link.close()


def system_principal(service: str) -> Principal:
    """Return the principal as which consumers and timers act, ``system:<service>``."""
    return Principal(id=system_id(service), kind=SYSTEM, unit=system_id(service), name=service)
