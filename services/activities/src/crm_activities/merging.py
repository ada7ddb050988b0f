"""Move the activities of a merged lead, account, contact or deal to the survivor, and what it took part in."""

from crm_activities.db import Base
from crm_activities.projections.record_ref import RecordRef
from crm_contracts.sales.account import AccountMerged
from crm_contracts.sales.contact import ContactMerged
from crm_contracts.sales.lead import LeadMerged
from crm_contracts.sales.opportunity import OpportunityMerged
from crm_kit.copies.survivors import merge_told, survivor_known
from crm_kit.records.moving import Mover, Moving
from crm_kit.work.uow import UnitOfWork


class MoveTask(Moving, Base):
    """A merge whose activities still have to move to the survivor."""

    __tablename__ = "move_task"


MOVER = Mover(MoveTask, RecordRef)


async def move_activities(
    event: LeadMerged | AccountMerged | ContactMerged | OpportunityMerged, uow: UnitOfWork
) -> None:
    """Begin to move activities of every status.

    If the survivor itself was merged later, they move to the final survivor.
    """
    if await merge_told(uow, RecordRef, event.record.id, uow.epoch) == "lost":
        return
    target = await survivor_known(uow, RecordRef, event.survivor_id) or event.survivor_id
    await MOVER.begin(uow, event.entity.name, event.record.id, target)
