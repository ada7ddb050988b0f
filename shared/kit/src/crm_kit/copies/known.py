"""Copies of others' records that ours refer to by id: is there such a record, and may the caller read it?"""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Mapped

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import STUB_VERSION, Projected
from crm_kit.errors import UnknownReference
from crm_kit.work.uow import UnitOfWork


class ReferableCopy(Projected):
    """A copy that knows whose its record is, which is all that a reference needs. What belongs to the organisation has
    no owner."""

    owner_id: Mapped[UUID | None]
    business_unit_id: Mapped[UUID | None]


def reach_told(envelope: Envelope) -> dict[str, Any]:
    """Whose record an event says it is, as the columns of a copy."""
    return {"owner_id": envelope.ownerid, "business_unit_id": envelope.businessunit}


async def refer_to_copy(
    uow: UnitOfWork, model: type[ReferableCopy], kind: str, record_id: UUID | None, pointer: str
) -> None:
    """Check a new reference, if there is one: known here, not deleted and readable to the caller, or 422 with its pointer.

    What was copied a moment ago is asked once for many rows of an import.
    """
    if record_id is None:
        return
    rows = await uow.look_up(_by_id(model), {"id": record_id})
    reach = uow.reach(kind)
    if not any(reach.covers(row["owner_id"], row["business_unit_id"]) for row in rows):
        raise UnknownReference(pointer, kind)


_SELECTS: dict[type[ReferableCopy], Select[Any]] = {}


def _by_id(model: type[ReferableCopy]) -> Select[Any]:
    statement = _SELECTS.get(model)
    if statement is None:
        table = model.__table__
        found = select(table.c.owner_id, table.c.business_unit_id)
        statement = found.where(table.c.id == bindparam("id"), table.c.version > STUB_VERSION, ~table.c.deleted)
        _SELECTS[model] = statement
    return statement
