"""When a lead, account or contact is merged, the activities about it are about the survivor from then on.

Who took part in an activity stays as it was written.
"""

from crm_activities.db import Base
from crm_activities.projections.record_ref import RecordRef
from crm_contracts.sales.account import AccountMerged
from crm_contracts.sales.contact import ContactMerged
from crm_contracts.sales.lead import LeadMerged
from crm_kit.copies.survivors import merge_told, survivor_known
from crm_kit.records.moving import Mover, Moving
from crm_kit.work.uow import UnitOfWork


class MoveTask(Moving, Base):
    """What was about a merged record moves to its survivor."""

    __tablename__ = "move_task"


MOVER = Mover(MoveTask, RecordRef)


async def move_activities(event: LeadMerged | AccountMerged | ContactMerged, uow: UnitOfWork) -> None:
    """Whatever their status; where the survivor was merged later itself, straight to who goes on in the end."""
    if await merge_told(uow, RecordRef, event.record.id, uow.epoch) == "lost":
        return
    target = await survivor_known(uow, RecordRef, event.survivor_id) or event.survivor_id
    await MOVER.begin(uow, event.entity.name, event.record.id, target)
