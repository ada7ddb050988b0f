"""Checks new references, also those of lists of ids, for which PostgreSQL has no foreign keys."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kit.errors import UnknownReference
from crm_kit.store.record import Record, stored_columns
from crm_kit.store.references import checked_references_of
from crm_kit.work.uow import UnitOfWork

R = TypeVar("R", bound=Record)


async def refer_all(uow: UnitOfWork, entity: type[R], pointers: Mapping[UUID, str]) -> dict[UUID, R]:
    """Return the records of many references with one statement. Raises 422 with its pointer for one that ``uow.refer`` refuses.

    The rows are locked against deletion until the commit, in the order of their ids. A deletion that comes later waits and then
    finds the new reference (``refuse_in_use``). After a deletion that came first, the reference is unknown. Lock the referring
    record before these rows, never after them.
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
        record = found.get(record_id)
        if record is None or not reach.covers_record(record):
            raise UnknownReference(pointer, entity.entity())
        await uow.require_referable(record, pointer)
    return found


def added(field: str, wanted: list[UUID], before: list[UUID] | None = None) -> dict[UUID, str]:
    """Return the ids that were added to a list, each with its pointer, for ``refer_all``."""
    return {one: f"/{field}/{place}" for place, one in enumerate(wanted) if one not in (before or ())}


async def check_references(
    uow: UnitOfWork, entity: type[Record], values: Mapping[str, Any], before: Record | None = None
) -> None:
    """Check the new references among these values of a record to records of its own service, as its columns declare them.

    Raises 422 with the pointer of one that is not readable, active and unmerged. Kinds of record are checked in the order of
    their names, so that all transactions lock them in the same order.
    """
    for found, target in checked_references_of(entity):
        if found.column not in values:
            continue
        wanted, had = values[found.column], getattr(before, found.column, None)
        if found.many:
            await refer_all(uow, target, added(found.column, wanted, had))
        elif wanted not in (None, had):
            await uow.refer(target, wanted, f"/{found.column}")
