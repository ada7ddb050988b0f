"""Records that form trees by a reference to their own kind: no circles, and no deeper than said."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, literal, select, text

from crm_kit.db import Record
from crm_kit.errors import InvalidValue
from crm_kit.uow import LOADED, UnitOfWork

ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended(:tree, 0))")


class Tree:
    """The trees of one entity. Changes of parent are checked one at a time, so that no two close a circle together."""

    def __init__(self, entity: type[Record], parent: str, levels: int) -> None:
        """``parent`` is the column that refers to the record above; ``levels`` is how many there may be below a root."""
        self.entity = entity
        self.parent = parent
        self.levels = levels
        self._ancestors, self._height = _above(entity, parent, levels), _below(entity, parent, levels)

    async def require_place(self, uow: UnitOfWork, record: Record, parent_id: UUID) -> None:
        """422 ``circular-parent`` when the parent lies below the record, ``too-deep`` when a line gets too long.

        A record that exists must be locked: the tree is then held until the end of the transaction. A new one has nothing
        below it and closes no circle.
        """
        exists = LOADED in record.__dict__
        if exists:
            await uow.execute(ONE_AT_A_TIME, {"tree": f"tree of {self.entity.entity()}"})
        kind = self.entity.entity().replace("_", " ")
        above = (await uow.execute(self._ancestors, {"id": parent_id})).scalars().all()
        if record.id in above:
            raise InvalidValue(f"/{self.parent}", "circular-parent", f"The {kind} would be its own ancestor.")
        below = (await uow.execute(self._height, {"id": record.id})).scalar_one() if exists else 0
        if len(above) + below > self.levels:
            message = f"A tree has at most {self.levels} levels of {kind} below its root."
            raise InvalidValue(f"/{self.parent}", "too-deep", message)


def _above(entity: type[Record], parent: str, levels: int) -> Select[Any]:
    """The ids from a record up to its root; one more than may be, at most."""
    rows = entity.__table__
    up = select(rows.c.id, rows.c[parent], literal(1).label("depth")).where(rows.c.id == bindparam("id"))
    found = up.cte("up", recursive=True)
    following = select(rows.c.id, rows.c[parent], found.c.depth + 1).join(found, rows.c.id == found.c[parent])
    return select(found.union_all(following.where(found.c.depth <= levels)).c.id)


def _below(entity: type[Record], parent: str, levels: int) -> Select[Any]:
    """How many levels there are below a record."""
    rows = entity.__table__
    found = (
        select(rows.c.id, literal(0).label("depth")).where(rows.c.id == bindparam("id")).cte("below", recursive=True)
    )
    following = select(rows.c.id, found.c.depth + 1).join(found, rows.c[parent] == found.c.id)
    return select(func.max(found.union_all(following.where(found.c.depth <= levels)).c.depth))
