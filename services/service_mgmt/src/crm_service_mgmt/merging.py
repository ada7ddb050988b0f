"""Move the cases of a merged account or contact to the survivor."""

from crm_contracts.sales.account import AccountMerged
from crm_contracts.sales.contact import ContactMerged
from crm_kit.copies.survivors import merge_told, survivor_known
from crm_kit.records.moving import Mover, Moving
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base
from crm_service_mgmt.projections.customer_ref import CustomerRef


class MoveTask(Moving, Base):
    """A merge whose cases still have to move to the survivor."""

    __tablename__ = "move_task"


MOVER = Mover(MoveTask, CustomerRef)


async def move_cases(event: AccountMerged | ContactMerged, uow: UnitOfWork) -> None:
    """Begin to move cases of every status. If the survivor itself was merged later, they move to the final survivor."""
    if await merge_told(uow, CustomerRef, event.record.id, uow.epoch) == "lost":
        return
    target = await survivor_known(uow, CustomerRef, event.survivor_id) or event.survivor_id
    await MOVER.begin(uow, event.entity.name, event.record.id, target)
