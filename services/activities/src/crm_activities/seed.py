"""The initial rules of an organisation: follow up won deals, and call back after complaints."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from crm_activities.follow_up.model import FollowUpRule
from crm_activities.tables import METADATA
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.follow_up_rule import FollowUpRuleCreated
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_contracts.service.choices import CaseType
from crm_kit.work.uow import UnitOfWork

AFTER_WIN = UUID("0190a000-0000-7000-8000-000000000101")
AFTER_COMPLAINT = UUID("0190a000-0000-7000-8000-000000000102")

RULES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": AFTER_WIN,
        "event_type": OpportunityWon.type,
        "filter": None,
        "active": True,
        "subject": "Follow up: {name}",
        "days": 7,
        "priority": Priority.NORMAL,
        "category": "Follow-up",
    },
    {
        "id": AFTER_COMPLAINT,
        "event_type": CaseResolved.type,
        "filter": {"field": "type", "op": "eq", "value": CaseType.COMPLAINT.value},
        "active": True,
        "subject": "Call back: {name}",
        "days": 3,
        "priority": Priority.HIGH,
        "category": "Call-back",
    },
)


async def seed(uow: UnitOfWork) -> None:
    """Insert each rule once. A rule that was changed or deleted, which the audit trail shows, is not inserted again."""
    audit = METADATA.tables["audit"]
    ids = [rule["id"] for rule in RULES]
    made = set((await uow.execute(select(audit.c.entity_id).where(audit.c.entity_id.in_(ids)))).scalars())
    for rule in RULES:
        if rule["id"] not in made:
            uow.add(FollowUpRule(**rule), FollowUpRuleCreated)
