"""Competitors of a deal, and losing it to one of them (Dataverse: LoseOpportunity)."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import LossReason
from crm_contracts.sales.opportunity import OpportunityLost
from crm_kit.errors import InvalidValue
from crm_kit.records.references import added, refer_all
from crm_kit.work.uow import UnitOfWork
from crm_sales.competitor.model import Competitor
from crm_sales.opportunity.documents import close_quotes
from crm_sales.opportunity.domain import require_past
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.schemas import OpportunityLoss


async def set_competitors(uow: UnitOfWork, deal: Opportunity, wanted: list[UUID]) -> None:
    """Set the competitors of the deal. New ones must be active and readable to the caller."""
    await refer_all(uow, Competitor, added("competitor_ids", wanted, deal.competitor_ids))
    deal.compete_with(wanted)


async def lose_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: OpportunityLoss) -> Opportunity:
    """Close the deal as lost, and its open quotes with it. A competitor who won it is added to the deal's competitors."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.require("lose")
    at, rival = require_past(body.closed_at or uow.now, uow.now), body.competitor_id
    reason = body.reason or (LossReason.CANCELED if rival is None else LossReason.OUT_SOLD)
    if rival is not None:
        if reason != LossReason.OUT_SOLD:
            raise InvalidValue("/competitor_id", "not-out-sold", "Leave this out, or send the reason out_sold.")
        if rival not in deal.competitor_ids:
            await refer_all(uow, Competitor, {rival: "/competitor_id"})
    closed = await close_quotes(uow, deal)
    deal.lose(reason, at, body.note, uow.principal.author, rival, closed)
    return uow.emit(deal, OpportunityLost, reason=reason, competitor_id=rival, note=body.note, lost_at=at)
