"""The figures of the funnel: sums over the copies of leads, deals and stages, computed on each request."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from crm_contracts.access import Privilege
from crm_contracts.money import sum_of_money
from crm_contracts.sales.lead import LEAD
from crm_contracts.sales.opportunity import OPPORTUNITY
from crm_insights.funnel.selection import Selection, condition, may_read
from crm_kit.store.parameters import Parameters
from crm_kit.work.uow import UnitOfWork

# One statement, so that all parts show the same instant. The current order of the stages decides which is further.
FUNNEL_SQL = """
with picked_lead as not materialized (
  select id, status from lead_ref where {leads}
), picked_deal as materialized (
  select id, stage_id, status, status_reason, probability, estimated_base, actual_base from deal where {deals}
), converted as (
  select l.id, bool_or(d.status = 'won') as won
  from picked_lead l join (
    select originating_lead_id, status from deal where {deals_of_leads}
  ) d on d.originating_lead_id = l.id
  where l.status = 'qualified' group by l.id
), lead_figures as (
  select count(*) as leads, count(*) filter (where status = 'open') as leads_open,
    count(*) filter (where status = 'qualified') as leads_qualified,
    count(*) filter (where status = 'disqualified') as leads_disqualified,
    (select count(*) from converted) as leads_with_deal, (select count(*) from converted where won) as leads_won
  from picked_lead
), deal_figures as (
  select count(*) as deals, count(*) filter (where status = 'open') as deals_open,
    count(*) filter (where status = 'open' and status_reason = 'on_hold') as deals_on_hold,
    count(*) filter (where status = 'won') as deals_won, count(*) filter (where status = 'lost') as deals_lost,
    sum(estimated_base) filter (where status = 'open') as deals_estimated,
    sum(estimated_base * probability) filter (where status = 'open') / 100 as deals_weighted,
    sum(actual_base) as deals_actual,
    (select json_object_agg(status_reason, n) from (
      select status_reason, count(*) as n from picked_deal where status = 'lost' group by status_reason
    ) r) as lost_reasons
  from picked_deal
), stage as (
  select id, name, position, deleted, row_number() over (order by position, id) as rank from stage_ref
), stay as (
  select v.deal_id, v.stage_id, d.status, s.rank, v.left_at is null as there, v.left_at - v.entered_at as time,
    max(s.rank) over (
      partition by v.deal_id order by v.number rows between 1 following and unbounded following
    ) as furthest_later
  from picked_deal d join stage_visit v on v.deal_id = d.id left join stage s on s.id = v.stage_id
), passed as (
  select stage_id, bool_or(there) as there, extract(epoch from sum(time)) as seconds,
    coalesce(bool_or(furthest_later > rank), false) or min(status) = 'won' as advanced
  from stay group by deal_id, stage_id
), through as (
  select stage_id, count(*) as entered, count(*) filter (where advanced) as advanced,
    round(avg(seconds) filter (where not there), 3) as average_seconds,
    round((percentile_disc(0.5) within group (order by seconds) filter (where not there)
      + percentile_disc(0.5) within group (order by seconds desc) filter (where not there)) / 2, 3) as median_seconds
  from passed group by stage_id
), present as (
  select stage_id, count(*) filter (where status = 'open') as open, count(*) filter (where status = 'won') as won,
    count(*) filter (where status = 'lost') as lost, sum(estimated_base) filter (where status = 'open') as estimated,
    sum(estimated_base * probability) filter (where status = 'open') / 100 as weighted
  from picked_deal group by stage_id
), stage_figures as (
  select coalesce(s.id, t.stage_id) as stage_id, s.position, s.rank, coalesce(s.deleted, false) as deleted,
    coalesce(s.name, (select stage from stage_visit v where v.stage_id = t.stage_id limit 1)) as stage,
    coalesce(t.entered, 0) as entered, coalesce(t.advanced, 0) as advanced, t.average_seconds, t.median_seconds,
    coalesce(p.open, 0) as open, coalesce(p.won, 0) as won, coalesce(p.lost, 0) as lost, p.estimated, p.weighted
  from stage s full join through t on t.stage_id = s.id left join present p on p.stage_id = coalesce(s.id, t.stage_id)
  where not coalesce(s.deleted, false) or t.entered > 0
)
select * from lead_figures cross join deal_figures left join stage_figures on true order by rank, stage_id
"""


async def figures_of(uow: UnitOfWork, selection: Selection) -> dict[str, Any]:
    """Return the funnel of the selected records in one statement.

    Amounts are in base currency. 403 without read access to deals.
    """
    selection.require_order()
    uow.principal.require(OPPORTUNITY.name, Privilege.READ)
    parameters = Parameters()
    sql = FUNNEL_SQL.format(
        leads=condition(uow, LEAD.name, selection, parameters),
        deals=condition(uow, OPPORTUNITY.name, selection, parameters),
        # Here the period applies to the lead. The deal made of it may be newer.
        deals_of_leads=condition(uow, OPPORTUNITY.name, Selection(), parameters),
    )
    async with uow.reads.slowly("Choose a shorter period, or one owner or unit."):
        conn = await uow.connection()
        rows = [dict(row) for row in (await conn.exec_driver_sql(sql, tuple(parameters.values))).mappings()]
    base = uow.runtime.directory.organization.base_currency
    return {
        "leads": _leads(rows[0]) if may_read(uow, LEAD.name) else None,
        "opportunities": _opportunities(rows[0], base),
        "stages": _stages(rows, base),
    }


def _leads(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "count": row["leads"],
        "open": row["leads_open"],
        "disqualified": row["leads_disqualified"],
        "qualified": row["leads_qualified"],
        "opportunities": row["leads_with_deal"],
        "won": row["leads_won"],
        "qualified_percent": percent(row["leads_qualified"], row["leads"]),
        "opportunities_percent": percent(row["leads_with_deal"], row["leads_qualified"]),
        "won_percent": percent(row["leads_won"], row["leads_with_deal"]),
    }


def _opportunities(row: Mapping[str, Any], base: str) -> dict[str, Any]:
    return {
        "count": row["deals"],
        "open": row["deals_open"],
        "on_hold": row["deals_on_hold"],
        "won": row["deals_won"],
        "lost": row["deals_lost"],
        "lost_reasons": row["lost_reasons"] or {},
        "estimated_value": sum_of_money(row["deals_estimated"], base),
        "weighted_value": sum_of_money(row["deals_weighted"], base),
        "won_value": sum_of_money(row["deals_actual"], base),
        "win_percent": percent(row["deals_won"], row["deals_won"] + row["deals_lost"]),
    }


def _stages(rows: Sequence[Mapping[str, Any]], base: str) -> list[dict[str, Any]]:
    return [
        {
            "stage_id": row["stage_id"],
            "stage": row["stage"],
            "position": row["position"],
            "deleted": row["deleted"],
            "entered": row["entered"],
            "advanced": row["advanced"],
            "conversion": percent(row["advanced"], row["entered"]),
            "open": row["open"],
            "won": row["won"],
            "lost": row["lost"],
            "estimated_value": sum_of_money(row["estimated"], base),
            "weighted_value": sum_of_money(row["weighted"], base),
            "average_seconds": _number(row["average_seconds"]),
            "median_seconds": _number(row["median_seconds"]),
        }
        for row in rows
        if row["stage_id"] is not None
    ]


def percent(part: int, whole: int) -> float | None:
    """Return the part in percent of the whole with two decimals, rounded half up. None if the whole is zero."""
    return None if whole == 0 else (part * 20_000 + whole) // (2 * whole) / 100


def _number(seconds: Decimal | None) -> float | None:
    return None if seconds is None else float(seconds)
