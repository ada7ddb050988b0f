"""Commands on sales stages."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.reference import SalesStageCreated, SalesStageDeleted, SalesStageUpdated
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.sales_stage.model import SalesStage
from crm_sales.sales_stage.schemas import SalesStageCreate, SalesStageUpdate


async def create_stage(uow: UnitOfWork, body: SalesStageCreate) -> SalesStage:
    """Create a stage of the organisation."""
    await uow.start(SalesStage)
    return uow.add(SalesStage(**dict(body)), SalesStageCreated)


async def update_stage(uow: UnitOfWork, stage_id: UUID, body: SalesStageUpdate) -> SalesStage:
    """Change a stage. Deals keep the name and probability that they got when they entered it."""
    stage = await uow.get(SalesStage, stage_id, Privilege.WRITE)
    apply(stage, body.onto(stage))
    return uow.emit_if_changed(stage, SalesStageUpdated)


async def delete_stage(uow: UnitOfWork, stage_id: UUID) -> None:
    """Delete a stage that no deal is in."""
    stage = await uow.get(SalesStage, stage_id, Privilege.DELETE)
    await refuse_in_use(uow, stage)
    uow.remove(stage, SalesStageDeleted)
