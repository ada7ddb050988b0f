"""The funnel counted in sales' own database, and how to wait until insights has all of its events.

The stage visits of deals are not read from the records, which carry them, but computed from the published events.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

STAYS = """
with mark as (
  select entity_id as deal, entity_version as version, split_part(type, '.', 4) as fact, (r ->> 'stage_id')::uuid as stage,
    (r ->> case when type ~ '[.](won|lost)[.]' then 'closed_at' else 'modified_at' end)::timestamptz as at
  from (select *, convert_from(body, 'utf8')::jsonb #> '{data,record}' as r from outbox) o
  where type ~ '^crm.sales.opportunity.(created|stage_changed|reopened|won|lost).v1$'
), stay as (
  select m.deal, m.version, m.stage, m.at as entered_at, case when m.next is not null then greatest(m.next, m.at) end as left_at
  from (select *, lead(at) over (partition by deal order by version) as next from mark) m
  join opportunity o on o.id = m.deal where m.fact in ('created', 'stage_changed', 'reopened')
)
"""
STAGE = (
    STAYS
    + """
select s.name as stage,
  (select count(distinct deal) from stay where stage = s.id) as entered,
  (select count(distinct a.deal) from stay a join opportunity o on o.id = a.deal where a.stage = s.id and (
    o.status = 'won' or exists (select from stay b join sales_stage f on f.id = b.stage
      where b.deal = a.deal and b.version > a.version and (f.position, f.id) > (s.position, s.id)))) as advanced,
  (select count(*) from opportunity where stage_id = s.id and status = 'open') as open,
  (select count(*) from opportunity where stage_id = s.id and status = 'won') as won,
  (select count(*) from opportunity where stage_id = s.id and status = 'lost') as lost,
  (select coalesce(sum(estimated_value_base_amount), 0) from opportunity
    where stage_id = s.id and status = 'open')::numeric(20, 2)::text as estimated_value,
  (select coalesce(sum(estimated_value_base_amount * probability / 100), 0) from opportunity
    where stage_id = s.id and status = 'open')::numeric(20, 2)::text as weighted_value,
  (select avg(seconds)::float from time where stage = s.id) as average_seconds,
  (select percentile_cont(0.5) within group (order by seconds) from time where stage = s.id) as median_seconds
from sales_stage s order by s.position, s.id
""".replace(
        "select s.name",
        ", time as (select deal, stage, sum(extract(epoch from left_at - entered_at)) as seconds from stay"
        " group by deal, stage having bool_and(left_at is not null))\nselect s.name",
        1,
    )
)
LEADS = """
select count(*), count(*) filter (where status = 'open') as open,
  count(*) filter (where status = 'disqualified') as disqualified,
  count(*) filter (where status = 'qualified') as qualified,
  count(*) filter (where status = 'qualified' and exists (
    select from opportunity o where o.originating_lead_id = l.id)) as opportunities,
  count(*) filter (where status = 'qualified' and exists (
    select from opportunity o where o.originating_lead_id = l.id and o.status = 'won')) as won
from lead l
"""
DEALS = """
select count(*), count(*) filter (where status = 'open') as open, count(*) filter (where status = 'won') as won,
  count(*) filter (where status = 'lost') as lost, count(*) filter (where status_reason = 'on_hold') as on_hold,
  (coalesce(sum(actual_value_base_amount) filter (where status = 'won'), 0))::numeric(20, 2)::text as won_value
from opportunity
"""


async def recount(sales: Connection) -> dict[str, Any]:
    """Count leads, deals and stages in sales' database."""
    return {
        "leads": dict(await _one(sales, LEADS)),
        "opportunities": dict(await _one(sales, DEALS)),
        "stages": [dict(row) for row in await sales.fetch(STAGE)],
    }


async def _one(sales: Connection, sql: str) -> asyncpg.Record:
    row = await sales.fetchrow(sql)
    assert row is not None
    return row


def differences(funnel: dict[str, Any], counted: dict[str, Any]) -> list[str]:
    """Return the differences between the funnel and the recount. Times may differ by rounding."""
    found = []
    pairs = [("leads", funnel["leads"], counted["leads"])]
    pairs += [("opportunities", funnel["opportunities"], counted["opportunities"])]
    pairs += [(row["stage"], shown, row) for shown, row in zip(funnel["stages"], counted["stages"], strict=True)]
    for name, shown, row in pairs:
        for field, expected in row.items():
            value = shown[field]["amount"] if isinstance(shown[field], dict) else shown[field]
            wanted = pytest.approx(expected, abs=0.002) if isinstance(expected, float) else expected
            if value != wanted:
                found.append(f"{name}.{field}: {value}, recounted {expected}")
    return found


async def versions(sales: Connection) -> list[tuple[str, UUID, int]]:
    """Return every lead, deal and stage with its version."""
    rows = await sales.fetch(
        "select 'lead' as entity, id, version from lead union all select 'opportunity', id, version from opportunity"
        " union all select 'sales_stage', id, version from sales_stage"
    )
    return [(row["entity"], UUID(str(row["id"])), row["version"]) for row in rows]


BEHIND = """
select count(*) from unnest($1::text[], $2::uuid[], $3::int[]) as wanted (entity, id, version)
left join (select 'lead' as entity, id, version from lead_ref union all select 'opportunity', id, version from deal
  union all select 'sales_stage', id, version from stage_ref) copy using (entity, id)
where coalesce(copy.version, 0) < wanted.version
"""


async def behind(insights: Connection, wanted: Sequence[tuple[str, UUID, int]]) -> int:
    """Return the number of these records whose version insights does not know yet."""
    entities, ids, versions = zip(*wanted, strict=True) if wanted else ((), (), ())
    return int(await insights.fetchval(BEHIND, list(entities), list(ids), list(versions)))


async def heard(get: Callable[[str], Awaitable[int]], wanted: Sequence[tuple[str, UUID, int]]) -> None:
    """Request with ``Crm-After`` until each of these versions is known, ten at a time.

    ``get`` sends one request with that header and returns its status. The service itself waits up to two seconds.
    """
    names = [f"{entity}/{id_}@{version}" for entity, id_, version in wanted]
    for at in range(0, len(names), 10):
        header = ", ".join(names[at : at + 10])
        while (status := await get(header)) != 200:
            assert status == 503, f"asked after {header}: {status}"
