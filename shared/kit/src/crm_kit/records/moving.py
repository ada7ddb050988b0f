"""Moves references from a merged record to its survivor. It works in chunks, and each row is a change of its own.

The first chunk belongs to the command or step that merges the records, so a small move is atomic. A task in the database
describes the rest, and a timer completes it. A locked row is moved later. The move never waits for a lock, so it cannot cause a
deadlock.

A command that read the old record before the merge may write its reference after the move. The task therefore stays for at
least one minute, which is longer than a request can take, and then looks for references again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Select, String, Text, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column, registry

from crm_contracts.catalogue import change_of
from crm_kit.copies.survivors import MergeableCopy, merge_told
from crm_kit.errors import DomainError
from crm_kit.events.timers import CHANNEL, DueQuery
from crm_kit.store.presenter import UNKNOWN, presenter_of
from crm_kit.store.record import Record, stored_columns
from crm_kit.store.references import records_of, referring_to
from crm_kit.store.refers import parts_of
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

AT_ONCE = 100
"""The most rows that move in the transaction that begins a move. Its response names all changed records in one header."""
CHUNK = 200
"""The most rows of one transaction of the timer. Each is in memory with its event, which may have a megabyte."""
GRACE = timedelta(minutes=1)
"""How long after the merge the task looks for more rows."""
AGAIN = timedelta(seconds=1)
"""The pause before locked rows are tried again."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """An entity whose records may refer to a merged record, and the columns that do. Each column is indexed.

    ``parts`` are lists of parts that do, each under the column with the ids in it.
    """

    entity: type[Record]
    columns: tuple[str, ...]
    parts: Mapping[str, str]


class Moving:
    """Mixin of a service's table of unfinished moves. It has a row for each merged record."""

    __table__: ClassVar[Any]
    registry: ClassVar[registry]

    id: Mapped[UUID] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(String(50))
    target_id: Mapped[UUID] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
    epoch: Mapped[int] = mapped_column(
        server_default="0", comment="of its publisher's database, when it told of the merge"
    )


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves the references of one service, and keeps the table of its tasks. References are the columns that are declared so."""

    tasks: type[Moving]
    copies: type[MergeableCopy] | None = None
    """The copies, if the merged records belong to other services. They show whether a merge has arrived or was lost. None for the
    service's own records."""

    def referrers(self, entity: str) -> list[Referrer]:
        """Return what may refer to a record of this entity. Raises TypeError for a column with a list of ids."""
        columns: dict[type[Record], list[str]] = {}
        for found in referring_to(self.tasks.registry, entity):
            if found.many:
                raise TypeError(f"{found.entity.entity()}.{found.column} is a list, and nothing moves the ids of lists")
            columns.setdefault(found.entity, []).append(found.column)
        parts = {
            one: {str(column.key): field for column in one.__table__.c if (field := parts_of(column)) is not None}
            for one in records_of(self.tasks.registry)
        }
        entities = [*columns, *(one for one, lists in parts.items() if lists and one not in columns)]
        return [Referrer(one, tuple(columns.get(one, ())), parts[one]) for one in entities]

    async def begin(self, uow: UnitOfWork, entity: str, source_id: UUID, target_id: UUID) -> None:
        """Move the first rows and store a task for the rest. Unfinished moves to the source continue to the target."""
        table = self.tasks.__table__
        await uow.transaction()
        await uow.execute(update(table).where(table.c.target_id == source_id).values(target_id=target_id))
        await self._move(uow, entity, source_id, target_id, AT_ONCE)
        task = {
            "id": source_id,
            "entity": entity,
            "target_id": target_id,
            "actor": uow.cause.actor or uow.principal.actor,
            "correlation_id": uow.cause.correlation_id,
            "opened_at": uow.now,
            "due_at": uow.now,
            "epoch": uow.epoch,
        }
        begun = insert(table).values(task)
        # A merge of a later epoch replaces one that the publisher lost.
        later = {name: begun.excluded[name] for name in task if name != "id"}
        # Notified with the commit, against the custom of ``crm_kit.store.notify``: moves are rare, and a step may begin one.
        await uow.execute(
            begun.on_conflict_do_update(
                index_elements=[table.c.id], set_=later, where=begun.excluded.epoch > table.c.epoch
            ).returning(func.pg_notify(CHANNEL, ""))
        )

    @property
    def due(self) -> DueQuery:
        """The query for due tasks, the longest overdue first."""
        table = self.tasks.__table__

        def query(now: datetime) -> Select[UUID]:
            return select(table.c.id).where(table.c.due_at <= now).order_by(table.c.due_at)

        return query

    async def go_on(self, source_id: UUID, uow: UnitOfWork) -> None:
        """Move the next rows of a task on behalf of the actor who began it, or end the task.

        A task also ends if its publisher lost the merge.
        """
        table = self.tasks.__table__
        task = (await uow.execute(select(table).where(table.c.id == source_id))).one()
        told = None if self.copies is None else await merge_told(uow, self.copies, source_id, task.epoch)
        if told == "lost":
            await self._end(uow, source_id)
            return
        uow.cause = Cause(task.correlation_id, actor=task.actor, traceparent=uow.cause.traceparent)
        if await self._move(uow, task.entity, source_id, task.target_id, CHUNK):
            due_at = uow.now
        elif await self._referred_to(uow, task.entity, source_id, task.target_id):
            due_at = uow.now + AGAIN
        elif uow.now < task.opened_at + GRACE:
            due_at = task.opened_at + GRACE
        elif told == "unheard":
            # New references to the record are refused only when the copy shows the merge.
            due_at = uow.now + GRACE
        else:
            await self._end(uow, source_id)
            return
        await uow.execute(update(table).where(table.c.id == source_id).values(due_at=due_at))

    async def _end(self, uow: UnitOfWork, source_id: UUID) -> None:
        table = self.tasks.__table__
        await uow.execute(delete(table).where(table.c.id == source_id))

    async def refuse_target(self, uow: UnitOfWork, record: Record) -> None:
        """Raise 409 ``in-use`` if references are still being moved to the record. Call it before a deletion."""
        table = self.tasks.__table__
        if (await uow.execute(select(literal(1)).where(table.c.target_id == record.id).limit(1))).first():
            message = (
                "A record was just merged into this one, and references to it are still being moved. Try again later."
            )
            raise DomainError("in-use", message, members={"references": []})

    async def _move(self, uow: UnitOfWork, entity: str, source_id: UUID, target_id: UUID, limit: int) -> int:
        """Change up to ``limit`` rows that are not locked, so that they refer to the target; returns the number."""
        moved = 0
        for referrer in self.referrers(entity):
            if moved >= limit:
                break
            found = _referring(referrer, source_id, target_id).limit(limit - moved)
            rows = (await uow.execute(found.with_for_update(key_share=True, skip_locked=True))).mappings().all()
            records = [
                uow.adopt(referrer.entity.from_row(dict(row)))
                for row in rows
                if not uow.has_locked(referrer.entity, row["id"])
            ]
            # Looks up the names of source, target and owners for all events at once.
            await uow.names.learn(referrer.entity, [dict(row) for row in rows])
            if referrer.parts and records:
                await uow.names.learn_of([(entity, target_id)])
            name = uow.names.get(target_id, UNKNOWN).name
            members = presenter_of(referrer.entity).parts
            for record in records:
                for column in referrer.columns:
                    if getattr(record, column) == source_id:
                        setattr(record, column, target_id)
                for field in referrer.parts.values():
                    parts = getattr(record, field)
                    setattr(record, field, [_moved(one, members[field], source_id, target_id, name) for one in parts])
            await uow.names.learn(referrer.entity, [record.__dict__ for record in records])
            for record in records:
                uow.emit(record, change_of(uow.runtime.service, referrer.entity.entity()))
            moved += len(records)
        return moved

    async def _referred_to(self, uow: UnitOfWork, entity: str, source_id: UUID, target_id: UUID) -> bool:
        parts = [exists(_referring(referrer, source_id, target_id)) for referrer in self.referrers(entity)]
        return bool((await uow.execute(select(or_(*parts)))).scalar_one())


def _moved(part: dict[str, Any], member: str, source_id: UUID, target_id: UUID, name: str | None) -> dict[str, Any]:
    """Return a part that refers to the target instead of the source. A name of its own stays unless it was the source's."""
    ref = part[member]
    if ref is None or ref["id"] != str(source_id):
        return part
    moved = {**part, member: {**ref, "id": str(target_id), "name": name, "deleted": False}}
    return {**moved, "name": name} if part.get("name") is not None and part["name"] == ref["name"] else moved


def _referring(referrer: Referrer, source_id: UUID, target_id: UUID) -> Select[Any]:
    """Select the rows that refer to the source, except the target. The merge itself changes the target."""
    table = referrer.entity.__table__
    columns = [table.c[name] for name in stored_columns(referrer.entity)]
    refers = or_(
        *(table.c[column] == source_id for column in referrer.columns),
        *(table.c[ids].contains([source_id]) for ids in referrer.parts),
    )
    return select(*columns).where(refers, table.c.id != target_id)
