"""What is done by itself after an event."""

from decimal import Decimal

from sqlalchemy import select

from crm_activities.follow_up.domain import due_at, subject_of
from crm_activities.follow_up.model import FollowUpRule
from crm_activities.task.model import Task
from crm_contracts.activities import Priority, TaskCreated
from crm_contracts.sales import OpportunityWon
from crm_kit.consumers import envelope_of
from crm_kit.records.presenter import Named
from crm_kit.uow import UnitOfWork


async def follow_up(event: OpportunityWon, uow: UnitOfWork) -> None:
    """A task for the deal's owner by each active rule. Each win is followed up once: the handler group sees to that."""
    envelope, deal = envelope_of(event), event.record
    rules = select(FollowUpRule.__table__).where(FollowUpRule.event_type == envelope.type, FollowUpRule.active)
    for rule in (await uow.execute(rules.order_by(FollowUpRule.id))).all():
        # What the event says of the deal is enough; our copy of it may arrive later.
        uow.names[deal.id] = Named(deal.name)
        task = Task(
            subject=subject_of(rule.subject, deal.name),
            regarding_type=event.entity.name,
            regarding_id=deal.id,
            due_at=due_at(envelope.time, rule.days),
            priority=Priority(rule.priority),
            category=rule.category,
            percent_complete=Decimal(0),
            owner_type=deal.owner_type,
            owner_id=deal.owner_id,
            business_unit_id=deal.business_unit_id,
        )
        uow.add(task, TaskCreated)
