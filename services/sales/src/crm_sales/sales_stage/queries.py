"""Lookups of sales stages. They check no privilege, because everybody who handles deals may know the stages."""

from uuid import UUID

from sqlalchemy import bindparam, select

from crm_kit.errors import DomainError, UnknownReference
from crm_kit.work.uow import UnitOfWork
from crm_sales.sales_stage.model import SalesStage

FIRST = select(*SalesStage.__table__.c).order_by(SalesStage.position, SalesStage.id).limit(1)
BY_ID = select(*SalesStage.__table__.c).where(SalesStage.id == bindparam("key"))
BY_NAME = select(*SalesStage.__table__.c).where(SalesStage.name == bindparam("key"))


async def first_stage(uow: UnitOfWork) -> SalesStage:
    """Return the first stage. 422 ``no-sales-stage`` if the organisation has none."""
    found = await uow.look_up(FIRST, {})
    if not found:
        raise DomainError("no-sales-stage", "Add a sales stage at /sales-stages first: there is none.")
    return SalesStage.from_row(dict(found[0]))


async def stage_with(uow: UnitOfWork, key: UUID | str, pointer: str) -> SalesStage:
    """Return the stage with this id or name. 422 ``unknown-reference`` with the pointer."""
    found = await uow.look_up(BY_ID if isinstance(key, UUID) else BY_NAME, {"key": key})
    if not found:
        raise UnknownReference(pointer, SalesStage.entity())
    return SalesStage.from_row(dict(found[0]))
