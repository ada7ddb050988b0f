"""Which stages there are. Whoever handles deals may know them, so nobody's privilege is asked."""

from uuid import UUID

from sqlalchemy import bindparam, select

from crm_kit.errors import DomainError, UnknownReference
from crm_kit.work.uow import UnitOfWork
from crm_sales.sales_stage.model import SalesStage

FIRST = select(*SalesStage.__table__.c).order_by(SalesStage.position, SalesStage.id).limit(1)
BY_ID = select(*SalesStage.__table__.c).where(SalesStage.id == bindparam("key"))
BY_NAME = select(*SalesStage.__table__.c).where(SalesStage.name == bindparam("key"))


async def first_stage(uow: UnitOfWork) -> SalesStage:
    """Where a deal starts; 422 ``no-sales-stage`` when the organisation has removed them all."""
    found = await uow.look_up(FIRST, {})
    if not found:
        raise DomainError("no-sales-stage", "Add a sales stage at /sales-stages first: there is none.")
    return SalesStage.from_row(dict(found[0]))


async def stage_with(uow: UnitOfWork, key: UUID | str, pointer: str) -> SalesStage:
    """The stage of this id or name; 422 ``unknown-reference`` with the pointer."""
    found = await uow.look_up(BY_ID if isinstance(key, UUID) else BY_NAME, {"key": key})
    if not found:
        raise UnknownReference(pointer, SalesStage.entity())
    return SalesStage.from_row(dict(found[0]))
