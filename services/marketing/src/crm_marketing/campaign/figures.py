"""The figures of a campaign: sums over the copies of leads and deals, computed on each request."""

from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, true

from crm_contracts.money import sum_of_money
from crm_kit.work.uow import UnitOfWork
from crm_marketing.campaign.domain import return_on_investment
from crm_marketing.campaign.model import Campaign
from crm_marketing.projections.deal import Deal
from crm_marketing.projections.lead_ref import LeadRef


async def figures_of(uow: UnitOfWork, campaign: Campaign) -> dict[str, Any]:
    """Return the figures of a campaign in one statement. Amounts are in base currency."""
    leads = (
        select(
            func.count().label("leads"),
            func.count().filter(LeadRef.status == "qualified").label("qualified"),
        )
        .where(LeadRef.campaign_id == campaign.id, ~LeadRef.deleted, ~LeadRef.merged)
        .subquery()
    )
    deals = (
        select(
            func.count().label("opportunities"),
            func.count().filter(Deal.status == "won").label("won_count"),
            func.coalesce(func.sum(Deal.won_base), 0).label("won_revenue"),
        )
        .where(Deal.campaign_id == campaign.id, ~Deal.deleted)
        .subquery()
    )
    async with uow.reads.slowly("Try again when the service is less busy."):
        found = (await uow.execute(select(leads, deals).select_from(leads.join(deals, true())))).one()
    base = uow.runtime.directory.organization.base_currency
    cost = campaign.other_cost.amount if campaign.other_cost else Decimal(0)
    roi = return_on_investment(found.won_revenue, cost)
    return {
        "leads": found.leads,
        "qualified": found.qualified,
        "opportunities": found.opportunities,
        "won_count": found.won_count,
        "won_revenue": sum_of_money(found.won_revenue, base),
        "responses": 0,
        "cost": sum_of_money(cost, base),
        "roi": None if roi is None else float(roi),
    }
