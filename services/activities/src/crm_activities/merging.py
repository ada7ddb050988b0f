"""When a lead, account or contact is merged, the activities about it are about the survivor from then on.

Who took part in an activity stays as it was written.
"""

from uuid import UUID

from crm_activities.db import Base
from crm_activities.projections.record_ref import RecordRef
from crm_contracts.sales.account import AccountMerged
from crm_contracts.sales.contact import ContactMerged
from crm_contracts.sales.lead import LeadMerged
from crm_kit.copies.survivors import merge_is_lost, survivor_known
from crm_kit.records.moving import Mover, Moving
from crm_kit.work.uow import UnitOfWork


class MoveTask(Moving, Base):
    """What was about a merged record moves to its survivor."""

    __tablename__ = "move_task"


async def _refused(uow: UnitOfWork, record_id: UUID) -> bool:
    """New activities are refused from the moment that the copy says so."""
    return await survivor_known(uow, RecordRef, record_id) is not None


MOVER = Mover(MoveTask, _refused)


async def move_activities(event: LeadMerged | AccountMerged | ContactMerged, uow: UnitOfWork) -> None:
    """Whatever their status; where the survivor was merged later itself, straight to who goes on in the end."""
    if await merge_is_lost(uow, RecordRef, event.record.id):
        return
    target = await survivor_known(uow, RecordRef, event.survivor_id) or event.survivor_id
    await MOVER.begin(uow, event.entity.name, event.record.id, target)
