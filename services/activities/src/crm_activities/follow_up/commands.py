"""Commands on follow-up rules, and the consumer that applies the rules to events."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from crm_activities.follow_up.domain import due_at, holds, require_filter, subject_of
from crm_activities.follow_up.model import FollowUpRule
from crm_activities.follow_up.schemas import FollowUpRuleCreate, FollowUpRuleUpdate
from crm_activities.task.model import Task
from crm_contracts.access import Privilege
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.follow_up_rule import FollowUpRuleCreated, FollowUpRuleDeleted, FollowUpRuleUpdated
from crm_contracts.activities.task import TaskCreated
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_kit.events.consumers import envelope_of
from crm_kit.records.patching import apply
from crm_kit.store.presenter import ReferenceName
from crm_kit.work.uow import UnitOfWork


async def create_rule(uow: UnitOfWork, body: FollowUpRuleCreate) -> FollowUpRule:
    """Create a rule of the organisation. It applies to later events."""
    await uow.start(FollowUpRule)
    require_filter(body.event_type, body.filter)
    return uow.add(FollowUpRule(**dict(body)), FollowUpRuleCreated)


async def update_rule(uow: UnitOfWork, rule_id: UUID, body: FollowUpRuleUpdate) -> FollowUpRule:
    """Change a rule. The tasks that it made stay as they are."""
    rule = await uow.get(FollowUpRule, rule_id, Privilege.WRITE)
    apply(rule, body.onto(rule))
    require_filter(rule.event_type, rule.filter)
    return uow.emit_if_changed(rule, FollowUpRuleUpdated)


async def delete_rule(uow: UnitOfWork, rule_id: UUID) -> None:
    """Delete a rule. The tasks that it made stay."""
    uow.remove(await uow.get(FollowUpRule, rule_id, Privilege.DELETE), FollowUpRuleDeleted)


async def follow_up(event: OpportunityWon | CaseResolved, uow: UnitOfWork) -> None:
    """Create a task for the owner of the event's record by each rule that applies.

    The handler group ensures that each event is handled once.
    """
    envelope, about = envelope_of(event), event.record
    said = envelope.data["record"]
    name = event.entity.name_of(said)
    rules = select(FollowUpRule.__table__).where(FollowUpRule.event_type == envelope.type, FollowUpRule.active)
    for rule in (await uow.execute(rules.order_by(FollowUpRule.id))).all():
        condition = require_filter(rule.event_type, rule.filter)
        if condition is not None and not holds(condition, said):
            continue
        # The event has all that is needed of the record. Our copy of the record may arrive later.
        uow.names[about.id] = ReferenceName(name)
        task = Task(
            subject=subject_of(rule.subject, name),
            regarding_type=event.entity.name,
            regarding_id=about.id,
            due_at=due_at(envelope.time, rule.days),
            priority=Priority(rule.priority),
            category=rule.category,
            percent_complete=Decimal(0),
            owner_type=about.owner_type,
            owner_id=about.owner_id,
            business_unit_id=about.business_unit_id,
        )
        uow.add(task, TaskCreated)
