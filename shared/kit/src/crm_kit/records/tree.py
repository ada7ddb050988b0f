"""Records that form trees by a reference to their own kind. Trees have no circles and a limited number of levels.

A merged record counts as directly below its survivor and is not a level of its own, because records below it may not have moved
to the survivor yet.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, case, func, literal, or_, select, text

from crm_contracts.sentences import entity_word, said
from crm_kit.errors import InvalidValue
from crm_kit.store.record import Mergeable, Record
from crm_kit.work.uow import UnitOfWork

ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended(:tree, 0))")

Line = dict[UUID, int]
"""The ids from a record up to its root, each with its level in the line. The first has level 1."""


class Tree:
    """The trees of one entity. Changes of parents are checked one at a time, so that two cannot form a circle together."""

    def __init__(self, entity: type[Record], parent: str, levels: int) -> None:
        """``parent`` is the column that refers to the record above. ``levels`` is the most levels below a root."""
        self.entity = entity
        self.parent = parent
        self.levels = levels
        self._kind = entity_word(entity.entity())
        self._ancestors, self._height = _above(entity, parent, levels), _below(entity, parent, levels)

    async def lock(self, uow: UnitOfWork) -> None:
        """Prevent other changes of parents until the end of the transaction, which must have begun.

        Use it for a rule about a record and those above or below it. What is pending is written before, because the rules read
        stored rows: an import changes many records in one unit of work.
        """
        await uow.flush_pending()
        await uow.execute(ONE_AT_A_TIME, {"tree": f"tree of {self.entity.entity()}"})

    async def require_place(self, uow: UnitOfWork, record: Record, parent_id: UUID) -> None:
        """Check a new parent. Raises 422 ``circular-parent`` if it is the record itself or below it, and ``too-deep`` if a line
        gets too long.

        An existing record must be locked. The trees are then locked until the end of the transaction. A new record needs no
        lock, because it has no records below it and cannot form a circle.
        """
        exists = uow.before(record) is not None
        if exists:
            await self.lock(uow)
        above = await self._line(uow, parent_id)
        if record.id in above:
            raise self._circular(f"/{self.parent}")
        below = await self._levels_below(uow, record.id) if exists else 0
        if _length(above) + below > self.levels:
            raise self._too_deep(f"/{self.parent}")

    async def place_after_merge(
        self, uow: UnitOfWork, loser: Record, survivor: Record, *, named: bool, filled: bool
    ) -> UUID | None:
        """Return the survivor's parent after a merge, which moves the records below the loser to the survivor. Lock both before.

        A survivor that was below the loser gets the loser's parent. Otherwise it keeps its own parent, unless it takes over the
        loser's: because the request ``named`` the field, or because its own is empty and is ``filled`` if that is possible.
        Raises 422 ``circular-parent`` if the named parent is below the survivor, and ``too-deep`` if a line gets too long.
        """
        await self.lock(uow)
        kept, taken = (getattr(record, self.parent) for record in (survivor, loser))
        above_survivor, above_loser = await self._line(uow, survivor.id), await self._line(uow, loser.id)
        if loser.id in above_survivor:
            return taken  # type: ignore[no-any-return]  # the column is a UUID or null
        if survivor.id in above_loser:
            if named:
                raise self._circular("/fields")
            return kept  # type: ignore[no-any-return]  # likewise
        takes = named or filled
        above = _length(above_loser if takes else above_survivor) - 1
        below = max(await self._levels_below(uow, loser.id), await self._levels_below(uow, survivor.id))
        if above + below > self.levels:
            raise self._too_deep("/into")
        return taken if takes else kept  # type: ignore[no-any-return]  # likewise

    async def _line(self, uow: UnitOfWork, record_id: UUID) -> Line:
        return {row.id: row.depth for row in await uow.execute(self._ancestors, {"id": record_id})}

    async def _levels_below(self, uow: UnitOfWork, record_id: UUID) -> int:
        return int((await uow.execute(self._height, {"id": record_id})).scalar_one())

    def _circular(self, pointer: str) -> InvalidValue:
        return InvalidValue(
            pointer,
            "circular-parent",
            said("Choose a parent that is neither this {kind} nor below it.", kind=self._kind),
        )

    def _too_deep(self, pointer: str) -> InvalidValue:
        return InvalidValue(
            pointer,
            "too-deep",
            said("A tree has at most {levels} levels of {kind} below its root.", levels=self.levels, kind=self._kind),
        )


def _length(line: Line) -> int:
    return max(line.values(), default=0)


def _edges(entity: type[Record], parent: str) -> tuple[ColumnElement[Any], ColumnElement[int]]:
    """Return the id above a row, and the number of levels that the row counts: 0 for a merged record, otherwise 1."""
    rows = entity.__table__
    if not issubclass(entity, Mergeable):
        return rows.c[parent], literal(1)
    return func.coalesce(rows.c.survivor_id, rows.c[parent]), case((rows.c.survivor_id.is_(None), 1), else_=0)


def _above(entity: type[Record], parent: str, levels: int) -> Select[Any]:
    """Select the ids from a record up to its root, at most one level more than allowed."""
    rows, (above, level) = entity.__table__, _edges(entity, parent)
    up = select(rows.c.id, above.label("above"), level.label("depth")).where(rows.c.id == bindparam("id"))
    found = up.cte("up", recursive=True)
    following = select(rows.c.id, above, found.c.depth + level).join(found, rows.c.id == found.c.above)
    whole = found.union_all(following.where(found.c.depth <= levels))
    return select(whole.c.id, whole.c.depth)


def _below(entity: type[Record], parent: str, levels: int) -> Select[Any]:
    """Select the number of levels below a record."""
    rows, (_, level) = entity.__table__, _edges(entity, parent)
    found = (
        select(rows.c.id, literal(0).label("depth")).where(rows.c.id == bindparam("id")).cte("below", recursive=True)
    )
    is_below = rows.c[parent] == found.c.id
    if issubclass(entity, Mergeable):
        is_below = or_(is_below, rows.c.survivor_id == found.c.id)
    following = select(rows.c.id, found.c.depth + level).join(found, is_below)
    return select(func.max(found.union_all(following.where(found.c.depth <= levels)).c.depth))
