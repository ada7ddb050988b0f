"""References that are many: a list of ids that a record points at, which no foreign key can guard."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kit.errors import InactiveReference, MergedReference, UnknownReference
from crm_kit.store.record import (
    Record,
    Stateful,
    stored_columns,
    survivor_of,
)
from crm_kit.work.uow import UnitOfWork

R = TypeVar("R", bound=Record)


async def refer_all(uow: UnitOfWork, entity: type[R], pointers: Mapping[UUID, str]) -> dict[UUID, R]:
    """What ``uow.refer`` does, for many in one statement: each readable and active, or 422 with its pointer.

    The rows are locked against deletion until the commit, in the order of their ids: who deletes one of them waits and
    then sees the new reference (``refuse_in_use``), or is first, and the reference is unknown. Lock the record that
    refers before, never after.
    """
    if not pointers:
        return {}
    await uow.transaction()
    table = entity.__table__
    ids = bindparam("ids", sorted(pointers), type_=ARRAY(table.c.id.type))
    wanted = select(*(table.c[column] for column in stored_columns(entity))).where(table.c.id == ids.any_())
    rows = (await uow.execute(wanted.order_by(table.c.id).with_for_update(read=True))).mappings()
    found: dict[UUID, R] = {row["id"]: entity.from_row(dict(row)) for row in rows}
    reach = uow.reach(entity)
    for record_id, pointer in pointers.items():
        record: Any = found.get(record_id)
        if record is None or not reach.covers_record(record):
            raise UnknownReference(pointer, entity.entity())
        if survivor_of(record) is not None:
            raise MergedReference(pointer, entity.entity(), None)
        if isinstance(record, Stateful) and record.status == "inactive":
            raise InactiveReference(pointer, entity.entity())
    return found


def added(field: str, wanted: list[UUID], before: list[UUID] | None = None) -> dict[UUID, str]:
    """The ids of a list that were not in it before, with the pointer of each: what ``refer_all`` has to look at."""
    return {one: f"/{field}/{place}" for place, one in enumerate(wanted) if one not in (before or ())}
