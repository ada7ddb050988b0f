"""Hands over the records of an owner that is removed. Each service does it for its own records, when identity asks by an event.

A service first counts the records and announces the number. If they are to be moved, a timer gives them to the recipient in
chunks. Each record is a change of its own with its ``.assigned`` event, and each chunk announces the progress. A locked record
is moved later. Everything is in the database, so another worker continues after a crash.

A request that began before the removal may still write a record of the old owner, and so may an event that arrives late. The
timer therefore looks again after the removal, and gives what it finds to the recipient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Select, SmallInteger, String, Text, func, literal, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.catalogue import change_of
from crm_contracts.handovers import Handovers
from crm_contracts.identity import PrincipalRemovalCompleted, PrincipalRemovalCreated, PrincipalRemovalRefused
from crm_contracts.removals import HandoverRecord, HandoverStatus, RemovalStatus
from crm_kit.events.timers import CHANNEL, DueQuery
from crm_kit.lifecycle import Lifecycle
from crm_kit.records.patching import give
from crm_kit.store.record import Mergeable, OwnedRecord, Record, Stateful, stored_columns
from crm_kit.store.references import records_of
from crm_kit.store.refers import refers
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

CHUNK = 200
"""The most records of one transaction. Each is in memory with its event, which may have a megabyte."""
GRACE = timedelta(minutes=1)
"""How long after its beginning a handover looks for more records. It is longer than a request can take."""
LOOKS = (GRACE, timedelta(hours=1), timedelta(days=1))
"""The pauses before the looks for late records, after the removal was completed."""
AGAIN = timedelta(seconds=1)
"""The pause before locked records are tried again, or a recipient that is not known here yet. After a minute without a recipient
it is ``GRACE``."""
LONGEST_CHAIN = 10
"""Recipients that were removed themselves, one after the other."""

PRINCIPAL = "select kind, business_unit_id, deleted from principal_ref where id = $1"

REMOVALS = (PrincipalRemovalCreated, PrincipalRemovalRefused, PrincipalRemovalCompleted)
"""The events that begin and end handovers."""

RemovalEvent = PrincipalRemovalCreated | PrincipalRemovalRefused | PrincipalRemovalCompleted


LIFECYCLE = Lifecycle(
    "counted/counted",
    {},
    by_time={"complete": ({"moving/moving"}, "completed/completed")},
    by_others={
        "move": ({"counted/counted"}, "moving/moving"),
        "end": ({"counted/counted", "moving/moving"}, "completed/completed"),
        "cancel": ({"counted/counted", "moving/moving", "completed/completed"}, "canceled/canceled"),
    },
)
"""Identity's removal begins and ends a handover."""


class HandingOver(Record, Stateful):
    """Mixin of a service's table of handovers. It has a row for each removal of a user, team or API client."""

    record_model: ClassVar[type[BaseModel]] = HandoverRecord
    called: ClassVar[str | None] = None
    lifecycle = LIFECYCLE

    removal_id: Mapped[UUID] = mapped_column(unique=True, info=refers("principal_removal"))
    principal_type: Mapped[str] = mapped_column(String(8))
    principal_id: Mapped[UUID] = mapped_column(index=True)
    recipient_type: Mapped[str] = mapped_column(String(8))
    recipient_id: Mapped[UUID]
    owned: Mapped[int]
    moved: Mapped[int]
    actor: Mapped[str] = mapped_column(Text, comment="who asked for the removal")
    correlation: Mapped[str] = mapped_column(Text)
    looks: Mapped[int] = mapped_column(SmallInteger, comment="looks for late records that are done")
    due_at: Mapped[datetime | None]

    @classmethod
    def indexes(cls) -> tuple[Index, ...]:
        """The index of the timer. Most handovers are not due any more."""
        return (Index(None, "due_at", postgresql_where=text("due_at is not null")),)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the records."""

    type: str
    id: UUID
    unit: UUID


@dataclass(frozen=True, slots=True)
class Handover:
    """Counts and moves the records of one service. ``handovers`` is its table, and ``announced`` has the events of its rows."""

    handovers: type[HandingOver]
    announced: Handovers

    @property
    def owned(self) -> Sequence[type[OwnedRecord]]:
        """The kinds of records of the service that have an owner."""
        return [one for one in records_of(self.handovers.registry) if issubclass(one, OwnedRecord)]

    async def hear(self, event: RemovalEvent, uow: UnitOfWork) -> None:
        """Begin or end the handover of a removal. It is a step, in the order of the removal's events."""
        table = self.handovers.__table__
        found = select(table.c.id).where(table.c.removal_id == event.record.id)
        known: UUID | None = (await uow.execute(found)).scalar_one_or_none()
        if isinstance(event, PrincipalRemovalCreated):
            # After a restore, the publisher may send an event again.
            if known is None:
                await self._begin(event, uow)
        elif known is not None:
            await self._end(event, await uow.load(self.handovers, known), uow)

    async def _begin(self, event: PrincipalRemovalCreated, uow: UnitOfWork) -> None:
        removal, moves = event.record, event.record.status == RemovalStatus.MOVING
        values = {
            "removal_id": removal.id,
            "principal_type": removal.principal_type,
            "principal_id": removal.principal_id,
            "recipient_type": removal.recipient_type,
            "recipient_id": removal.recipient_id,
            "owned": await self._count(uow, removal.principal_id),
            "moved": 0,
            "actor": uow.cause.actor or uow.principal.actor,
            "correlation": uow.cause.correlation_id,
            "looks": 0,
            "due_at": uow.now if moves else None,
        }
        handover = self.handovers(**values)
        handover.enter_lifecycle()
        if moves:
            handover.follow("move")
            await _wake(uow)
        uow.add(handover, self.announced.created)

    async def _end(self, event: RemovalEvent, handover: HandingOver, uow: UnitOfWork) -> None:
        refused = isinstance(event, PrincipalRemovalRefused)
        ending = "cancel" if refused else "end"
        if ending not in self.handovers.lifecycle.follows(handover.state):
            if not refused and handover.status == HandoverStatus.COMPLETED:
                # A handover that moved records has completed before its removal.
                await self._later(uow, handover, uow.now + LOOKS[0], looks=0)
                await _wake(uow)
            return
        handover.follow(ending)
        handover.due_at = None if refused else uow.now + LOOKS[0]
        uow.emit(handover, self.announced.updated)

    @property
    def due(self) -> DueQuery:
        """The query for due handovers, the longest overdue first."""
        table = self.handovers.__table__

        def query(now: datetime) -> Select[UUID]:
            return select(table.c.id).where(table.c.due_at <= now).order_by(table.c.due_at)

        return query

    async def go_on(self, handover_id: UUID, uow: UnitOfWork) -> None:
        """Move the next records on behalf of whoever asked for the removal, or end the handover."""
        handover = await uow.load(self.handovers, handover_id)
        uow.cause = Cause(handover.correlation, actor=handover.actor, traceparent=uow.cause.traceparent)
        to = await self._recipient(uow, handover.recipient_id)
        moved = 0 if to is None else await self._move(uow, handover.principal_id, to)
        is_new = uow.now < handover.created_at + GRACE
        if moved:
            handover.moved += moved
            # Also counts the records that turned up after the count.
            handover.owned = max(handover.owned, handover.moved)
            handover.due_at = uow.now
            uow.emit(handover, self.announced.updated)
        elif await self._count(uow, handover.principal_id):
            await self._later(uow, handover, uow.now + (AGAIN if is_new or to else GRACE))
        elif handover.status == HandoverStatus.MOVING:
            if is_new:
                await self._later(uow, handover, handover.created_at + GRACE)
            else:
                handover.follow("complete")
                # The looks for late records begin with the removal, which may wait for other services.
                handover.due_at = None
                uow.emit(handover, self.announced.updated)
        else:
            looks = handover.looks + 1
            await self._later(uow, handover, uow.now + LOOKS[looks] if looks < len(LOOKS) else None, looks=looks)

    async def _later(self, uow: UnitOfWork, handover: HandingOver, due_at: datetime | None, **values: int) -> None:
        """Set when the handover is due. Nothing happened that others should know of, so its version stays."""
        table = self.handovers.__table__
        await uow.execute(update(table).where(table.c.id == handover.id).values(due_at=due_at, **values))

    async def _recipient(self, uow: UnitOfWork, wanted: UUID) -> Recipient | None:
        """Return who gets the records: the recipient, or who got its records if it was removed itself.

        None if this service has not heard of the recipient yet, or if each of them was removed in favour of another.
        """
        table, conn = self.handovers.__table__, await uow.connection()
        for _ in range(LONGEST_CHAIN):
            found = (await conn.exec_driver_sql(PRINCIPAL, (wanted,))).one_or_none()
            if found is None:
                return None
            kind, unit, deleted = tuple(found)
            heir = select(table.c.recipient_id).where(
                table.c.principal_id == wanted, table.c.status != HandoverStatus.CANCELED
            )
            next_one = (await uow.execute(heir.order_by(table.c.id.desc()).limit(1))).scalar_one_or_none()
            if not deleted or next_one is None:
                return Recipient(kind, wanted, unit)
            wanted = next_one
        return None

    async def _move(self, uow: UnitOfWork, owner_id: UUID, to: Recipient) -> int:
        """Give up to ``CHUNK`` records that are not locked to the recipient; returns the number."""
        moved = 0
        for entity in self.owned:
            if moved >= CHUNK:
                break
            found = _owned_by(entity, owner_id).limit(CHUNK - moved)
            rows = (await uow.execute(found.with_for_update(key_share=True, skip_locked=True))).mappings().all()
            records = [uow.adopt(entity.from_row(dict(row))) for row in rows]
            event = change_of(uow.runtime.service, entity.entity(), "assigned")
            await give(uow, records, to.type, to.id, to.unit, event)
            moved += len(records)
        return moved

    async def _count(self, uow: UnitOfWork, owner_id: UUID) -> int:
        counts = [select(func.count()).select_from(_owned_by(entity, owner_id).subquery()) for entity in self.owned]
        total: Any = literal(0)
        for count in counts:
            total = total + count.scalar_subquery()
        number: int = (await uow.execute(select(total))).scalar_one()
        return number


def _owned_by(entity: type[OwnedRecord], owner_id: UUID) -> Select[Any]:
    """Select the records of an owner. A record that was merged into another has no further events, so it stays."""
    table = entity.__table__
    columns = [table.c[name] for name in stored_columns(entity)]
    owned = select(*columns).where(table.c.owner_id == owner_id)
    return owned.where(table.c.survivor_id.is_(None)) if issubclass(entity, Mergeable) else owned


async def _wake(uow: UnitOfWork) -> None:
    """Wake the timer with the commit, against the custom of ``crm_kit.store.notify``: handovers are rare."""
    await uow.execute(select(func.pg_notify(CHANNEL, "")))
