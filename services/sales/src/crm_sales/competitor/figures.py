"""The figures of a competitor: sums over deals, computed on each request."""

from typing import Any

from sqlalchemy import and_, func, select

from crm_contracts.access import Privilege
from crm_contracts.money import sum_of_money
from crm_kit.work.uow import UnitOfWork
from crm_sales.competitor.domain import win_rate
from crm_sales.competitor.model import Competitor
from crm_sales.opportunity.model import Opportunity


async def figures_of(uow: UnitOfWork, competitor: Competitor) -> dict[str, Any]:
    """Return the figures over the deals that the caller may read, in one statement.

    403 without read access to deals.
    """
    uow.principal.require(Opportunity.entity(), Privilege.READ)
    deal = Opportunity.__table__.c
    won = deal.status == "won"
    # A deal can name several competitors. It is lost to one of them or to none.
    lost_to_it = and_(deal.status == "lost", deal.closes[-1]["competitor_id"].astext == str(competitor.id))
    counted = (
        select(
            func.count().label("deals"),
            func.count().filter(deal.status == "open").label("open_count"),
            func.count().filter(won).label("won_count"),
            func.coalesce(func.sum(deal.actual_value_base_amount).filter(won), 0).label("won_value"),
            func.count().filter(lost_to_it).label("lost_count"),
            func.coalesce(func.sum(deal.estimated_value_base_amount).filter(lost_to_it), 0).label("lost_value"),
        )
        .where(deal.competitor_ids.contains([competitor.id]))
        .where(uow.reach(Opportunity).predicate(Opportunity))
    )
    async with uow.reads.slowly("Try again when the service is less busy."):
        found = (await uow.execute(counted)).one()
    base = uow.runtime.directory.organization.base_currency
    rate = win_rate(found.won_count, found.lost_count)
    return {
        "deals": found.deals,
        "open_count": found.open_count,
        "won_count": found.won_count,
        "won_value": sum_of_money(found.won_value, base),
        "lost_count": found.lost_count,
        "lost_value": sum_of_money(found.lost_value, base),
        "win_rate": None if rate is None else float(rate),
    }
