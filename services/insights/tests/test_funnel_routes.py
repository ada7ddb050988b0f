"""The funnel over HTTP: access, selections and formats."""

import asyncio
import csv
import io
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_contracts.sales.opportunity import OpportunityAssigned
from crm_kit.access.privileges import (
    Depth,
    Principal,
)
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, People, naively_covers, principal

from .conftest import Hear
from .selling import Deal, Lead, euros, foreign, four_stages, recount
from .test_funnel import FUNNEL, funnel, stage_in

ME = UUID("01900000-0000-7000-8000-0000000000aa")
Clients = Callable[[Principal | None], Client]


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def test_figures_are_of_one_owner_unit_or_campaign_where_one_is_named(client: Client, hear: Hear) -> None:
    (stages, told), campaign = four_stages(), new_id()
    mine, others = Deal(owner=ME), Deal(unit=new_id())
    lead, stranger = Lead(owner=ME), Lead()
    told += [mine.made(stages[0], campaign_id=str(campaign)), others.made(stages[1]), lead.made(), stranger.made()]
    await hear(*told)
    assert await funnel(client) == recount(stages, [lead, stranger], [mine, others])
    assert await funnel(client, owner_id=ME) == recount(stages, [lead], [mine])
    assert await funnel(client, business_unit_id=others.unit) == recount(stages, [], [others])
    assert await funnel(client, campaign_id=campaign) == recount(stages, [], [mine])
    assert await funnel(client, owner_id=ME, campaign_id=uuid4()) == recount(stages, [], [])


async def test_a_deal_that_was_given_away_counts_for_its_new_owner(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    deal = Deal(owner=ME)
    await hear(*told, deal.made(stages[0]))
    before, deal.owner = deal.owner, new_id()
    await hear(deal.tell(OpportunityAssigned))
    assert (await funnel(client, owner_id=before))["opportunities"]["count"] == 0
    assert (await funnel(client, owner_id=deal.owner))["opportunities"]["count"] == 1


async def test_the_period_is_of_days_in_the_organisations_time_zone(
    client: Client, hear: Hear, people: People, runtime: Runtime
) -> None:
    await people.organization(time_zone="Pacific/Auckland")
    stages, told = four_stages()
    # Auckland is 13 hours ahead in summer: its 1 January begins at 11:00 UTC on 31 December.
    last_year, first, last, later = (
        Deal(at=datetime.fromisoformat(at))
        for at in ("2025-12-31T10:58Z", "2025-12-31T10:59Z", "2026-01-31T10:58Z", "2026-01-31T10:59Z")
    )
    lead = Lead(at=first.at)
    told += [deal.made(stages[0]) for deal in (last_year, first, last, later)]
    await hear(*told, lead.made())
    january = await funnel(client, period_from="2026-01-01", period_to="2026-01-31")
    assert january == recount(stages, [lead], [first, last])
    assert (await funnel(client, period_to="2025-12-31"))["opportunities"]["count"] == 1
    assert (await funnel(client, period_from="2026-02-01"))["opportunities"]["count"] == 1
    whole = await funnel(client, period_from="0001-01-01", period_to="9999-12-31")
    assert whole["opportunities"]["count"] == 4


async def test_an_imported_deal_counts_in_the_period_it_was_opened_in_elsewhere(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    deal = Deal(at=datetime.fromisoformat("2016-10-20T09:00Z"))
    told += [deal.made(stages[0], created_at="2026-01-05T09:00:00Z")]
    await hear(*told)
    assert (await funnel(client, period_to="2016-10-31"))["opportunities"]["count"] == 1
    assert (await funnel(client, period_from="2016-11-01"))["opportunities"]["count"] == 0


async def test_a_lead_of_the_period_is_followed_to_a_deal_that_came_after_it(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    lead = Lead(at=datetime.fromisoformat("2026-01-05T09:00Z"))
    deal = Deal(at=datetime.fromisoformat("2026-03-05T09:00Z"))
    told += [lead.made(status="qualified"), deal.made(stages[0], originating_lead_id=str(lead.id)), deal.won("1.00")]
    await hear(*told)
    found = await funnel(client, period_to="2026-01-31")
    assert (found["leads"]["won"], found["opportunities"]["count"]) == (1, 0)


@pytest.mark.parametrize(
    "query",
    [
        "period_from=2026-02-01&period_to=2026-01-31",
        "period_from=yesterday",
        "owner_id=me",
        "owner=01900000-0000-7000-8000-0000000000aa",
        "format=xml",
    ],
)
async def test_a_selection_that_means_nothing_is_refused(client: Client, query: str) -> None:
    answer = await client.get(f"{FUNNEL}?{query}")
    assert (answer.status, answer.problem) == (400, "invalid-parameter"), answer.body


async def test_an_unknown_parameter_is_called_one(client: Client) -> None:
    answer = await client.get(f"{FUNNEL}?from=2026-01-01")
    [place] = answer.json["errors"]
    assert (place["pointer"], place["message"]) == ("from", "Leave this out: there is no such parameter.")


async def test_reading_deals_is_required_and_reading_leads_shows_them(client_for: Clients, hear: Hear) -> None:
    stages, told = four_stages()
    await hear(*told, Lead().made(), Deal().made(stages[0]))
    assert (await client_for(None).get(FUNNEL)).status == 401
    blind = await client_for(principal(opportunity=Depth.NONE)).get(FUNNEL)
    assert (blind.status, blind.problem) == (403, "forbidden")
    found = await funnel(client_for(principal(lead=Depth.NONE)))
    assert (found["leads"], found["opportunities"]["count"]) == (None, 1)
    assert (await funnel(client_for(principal(Depth.NONE, opportunity="01000"))))["opportunities"]["count"] == 0


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_figures_are_of_what_the_caller_may_read_and_nothing_else(
    client_for: Clients, hear: Hear, people: People, runtime: Runtime, data: st.DataObject
) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("truncate deal, lead_ref, stage_ref, stage_visit, inbox, inbox_position")
    top, unit, child, elsewhere = (new_id() for _ in range(4))
    parents = {top: None, unit: top, child: unit, elsewhere: top}
    for made, parent in parents.items():
        await people.unit(parent=parent, id=made)
    me, team = new_id(), new_id()
    stages, told = four_stages()
    rows = data.draw(st.lists(st.tuples(st.sampled_from([me, team, None]), st.sampled_from(list(parents))), max_size=8))
    deals = [Deal(owner=owner or new_id(), unit=at) for owner, at in rows]
    leads = [Lead(owner=owner or new_id(), unit=at) for owner, at in rows[:4]]
    told += [deal.made(stages[0], **foreign("10.00")) for deal in deals] + [lead.made() for lead in leads]
    await hear(*told)
    depths = st.sampled_from([depth for depth in Depth if depth is not Depth.NONE])
    who = principal(id=me, unit=unit, teams=(team,), opportunity=data.draw(depths), lead=data.draw(depths))
    near = [deal for deal in deals if naively_covers(who, "opportunity", deal.owner, deal.unit, parents)]
    seen = [lead for lead in leads if naively_covers(who, "lead", lead.owner, lead.unit, parents)]
    assert await funnel(client_for(who)) == recount(stages, seen, near)


async def test_a_lead_is_not_said_to_have_a_deal_that_the_caller_may_not_read(client_for: Clients, hear: Hear) -> None:
    stages, told = four_stages()
    lead, deal = Lead(owner=ME), Deal()
    told += [lead.made(status="qualified"), deal.made(stages[0], originating_lead_id=str(lead.id)), deal.won("1.00")]
    await hear(*told)
    mine = client_for(principal(id=ME, opportunity=Depth.USER))
    found = (await funnel(mine))["leads"]
    assert (found["qualified"], found["opportunities"], found["won"]) == (1, 0, 0)


async def test_the_weak_etag_changes_with_the_figures_only(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    await hear(*told)
    first = await client.get(FUNNEL)
    assert first.etag.startswith('W/"')
    again = await client.get(FUNNEL, headers={"if-none-match": first.etag})
    assert (again.status, again.body, again.etag) == (304, b"", first.etag)
    await hear(Deal().made(stages[0]))
    changed = await client.get(FUNNEL, headers={"if-none-match": first.etag})
    assert (changed.status, changed.json["opportunities"]["count"]) == (200, 1)
    table = await client.get(f"{FUNNEL}?format=csv")
    same = await client.get(f"{FUNNEL}?format=csv", headers={"if-none-match": table.etag})
    assert (same.status, same.body, table.etag == changed.etag) == (304, b"", False)


async def test_the_funnel_waits_for_what_the_caller_has_just_written_in_sales(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    await hear(*told)
    deal = Deal()
    created = deal.made(stages[0])
    asked = asyncio.create_task(client.get(FUNNEL, headers={"crm-after": f"opportunity/{deal.id}@1"}))
    await hear(created)
    answer = await asked
    assert (answer.status, answer.json["opportunities"]["count"]) == (200, 1)
    late = await client.get(FUNNEL, headers={"crm-after": f"lead/{uuid4()}@1"})
    assert (late.status, late.problem) == (503, "not-yet-projected")


@pytest.mark.parametrize(
    ("query", "accept", "is_table"),
    [
        ("", "text/csv", True),
        ("", "text/csv, text/plain;q=0.5", True),
        ("", "application/json, text/csv;q=0.5", False),
        ("", "*/*", False),
        ("?format=csv", "application/json", True),
        ("?format=json", "text/csv", False),
    ],
)
async def test_csv_comes_to_those_who_ask_for_it(client: Client, query: str, accept: str, is_table: bool) -> None:
    answer = await client.get(FUNNEL + query, headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/csv" if is_table else "application/json")
    assert "Accept" in answer.headers["vary"]


async def test_csv_has_the_stages_line_by_line_and_no_formulas(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    deal = Deal()
    told += [deal.made(stages[0], **foreign("1000.00")), deal.advance(stages[1])]
    await hear(*told, stages[1].edit_name('=2+3, "cleverly"'))
    answer = await client.get(f"{FUNNEL}?format=csv")
    lines = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    shown = await funnel(client)
    assert [line["stage"] for line in lines] == ["qualify", '\'=2+3, "cleverly"', "propose", "close"]
    assert (lines[1]["estimated_value"], lines[1]["currency"], lines[1]["open"]) == ("1000.00", "EUR", "1")
    assert (lines[0]["conversion"], lines[2]["conversion"]) == ("100.0", "")
    assert stage_in(shown, stages[1])["estimated_value"] == euros("1000.00")
    assert answer.headers["content-disposition"] == 'attachment; filename="funnel.csv"'
