"""Which stages there are. Whoever handles deals may know them, so nobody's privilege is asked."""

from uuid import UUID

from sqlalchemy import ColumnElement, select

from crm_kit.errors import DomainError, UnknownReference
from crm_kit.uow import UnitOfWork
from crm_sales.sales_stage.model import SalesStage


async def first_stage(uow: UnitOfWork) -> SalesStage:
    """Where a deal starts; 422 ``no-sales-stage`` when the organisation has removed them all."""
    stages = select(*SalesStage.__table__.c).order_by(SalesStage.position, SalesStage.id)
    row = (await uow.execute(stages.limit(1))).mappings().one_or_none()
    if row is None:
        raise DomainError("no-sales-stage", "There is no sales stage to start in; add one at /sales-stages.")
    return SalesStage.from_row(dict(row))


async def stage_with(uow: UnitOfWork, key: UUID | str, pointer: str) -> SalesStage:
    """The stage of this id or name; 422 ``unknown-reference`` with the pointer."""
    match: ColumnElement[bool] = SalesStage.id == key if isinstance(key, UUID) else SalesStage.name == key
    row = (await uow.execute(select(*SalesStage.__table__.c).where(match))).mappings().one_or_none()
    if row is None:
        raise UnknownReference(pointer, SalesStage.entity())
    return SalesStage.from_row(dict(row))
