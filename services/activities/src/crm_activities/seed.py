"""What every organisation starts with: the rule that a won deal is followed up after a week."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from crm_activities.follow_up.model import FollowUpRule
from crm_contracts.activities import Priority
from crm_contracts.sales import OpportunityWon
from crm_kit.uow import UnitOfWork

AFTER_WIN = UUID("0190a000-0000-7000-8000-000000000101")


async def seed(uow: UnitOfWork) -> None:
    """The rule is made once; an organisation that switched it off or changed it keeps its own."""
    rule = {
        "id": AFTER_WIN,
        "event_type": OpportunityWon.type,
        "active": True,
        "subject": "Follow up: {name}",
        "days": 7,
        "priority": Priority.NORMAL,
        "category": "Follow-up",
    }
    await uow.execute(insert(FollowUpRule).values(rule).on_conflict_do_nothing())
