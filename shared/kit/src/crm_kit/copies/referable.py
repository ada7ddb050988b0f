"""Copies to which records of this service refer by id. They show whether the record exists and whether the caller may read it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Mapped

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import STUB_VERSION, Projected
from crm_kit.errors import UnknownReference
from crm_kit.work.uow import UnitOfWork


class ReferableCopy(Projected):
    """A copy with the owner and the unit of its record, which a reference needs. A record of the organisation has no owner."""

    owner_id: Mapped[UUID | None]
    business_unit_id: Mapped[UUID | None]


def reach_told(envelope: Envelope) -> dict[str, Any]:
    """Return the owner and the unit of an event's record, as the columns of a copy."""
    return {"owner_id": envelope.ownerid, "business_unit_id": envelope.businessunit}


async def refer_to_copy(
    uow: UnitOfWork, model: type[ReferableCopy], kind: str, record_id: UUID | None, pointer: str
) -> None:
    """Check a new reference, if ``record_id`` is not None. A copy is looked up once per unit of work, for the sake of imports.

    Raises 422 with ``pointer`` unless the copy exists, is not deleted, and the caller may read it.
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
