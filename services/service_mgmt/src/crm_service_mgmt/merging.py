"""When an account or contact is merged, its cases go on with the survivor."""

from crm_contracts.sales.account import AccountMerged
from crm_contracts.sales.contact import ContactMerged
from crm_kit.copies.survivors import merge_told, survivor_known
from crm_kit.records.moving import Mover, Moving
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base
from crm_service_mgmt.projections.customer_ref import CustomerRef


class MoveTask(Moving, Base):
    """What referred to a merged customer moves to its survivor."""

    __tablename__ = "move_task"


MOVER = Mover(MoveTask, CustomerRef)


async def move_cases(event: AccountMerged | ContactMerged, uow: UnitOfWork) -> None:
    """Cases of every status move; where the survivor was merged later itself, straight to who goes on in the end."""
    if await merge_told(uow, CustomerRef, event.record.id, uow.epoch) == "lost":
        return
    target = await survivor_known(uow, CustomerRef, event.survivor_id) or event.survivor_id
    await MOVER.begin(uow, event.entity.name, event.record.id, target)
