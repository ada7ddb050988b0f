"""The handler group by which the release before followed deals and cases up.

That release may run beside this one, and again after a roll-back. It handles the events of a record in their order, so this
release keeps the group's positions, and its keys show which events were followed up. The next release drops the group, this
module and the table ``follow_up_rule``.
"""

from crm_activities.rule.planning import plan_activities
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_kit.events.consumers import envelope_of
from crm_kit.work.uow import UnitOfWork


async def follow_up(event: OpportunityWon | CaseResolved, uow: UnitOfWork) -> None:
    """Apply the rules to an event that the release before stored and did not handle. Others have their runs already."""
    await plan_activities([envelope_of(event)], uow)
