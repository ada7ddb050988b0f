"""The initial rules of an organisation: follow up won deals, and call back after complaints."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from crm_activities.rule.model import ActivityRule
from crm_activities.tables import METADATA
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.activity_rule import ActivityRuleCreated, DueUnit, MadeType
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_contracts.service.choices import CaseType
from crm_kit.work.uow import UnitOfWork

AFTER_WIN = UUID("0190a000-0000-7000-8000-000000000101")
AFTER_COMPLAINT = UUID("0190a000-0000-7000-8000-000000000102")

_SHARED: Final = {
    "active": True,
    "activity_type": MadeType.TASK,
    "description": None,
    "due_unit": DueUnit.DAYS,
    "assigned_to_type": None,
    "assigned_to_id": None,
}
RULES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": AFTER_WIN,
        "name": "Follow up a won deal",
        "event_type": OpportunityWon.type,
        "filter": None,
        "subject": "Follow up: {name}",
        "due_after": 7,
        "priority": Priority.NORMAL,
        "category": "Follow-up",
    },
    {
        "id": AFTER_COMPLAINT,
        "name": "Call back after a complaint",
        "event_type": CaseResolved.type,
        "filter": {"field": "type", "op": "eq", "value": CaseType.COMPLAINT.value},
        "subject": "Call back: {name}",
        "due_after": 3,
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
            uow.add(ActivityRule(**_SHARED, **rule, since=uow.now), ActivityRuleCreated)
