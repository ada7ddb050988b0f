"""The figures of a campaign always equal a recount of sales, whatever the order of the events."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_contracts.catalogue import Event
from crm_contracts.sales.lead import (
    LeadAssigned,
    LeadContacted,
    LeadCreated,
    LeadDeleted,
    LeadDisqualified,
    LeadMerged,
    LeadQualified,
    LeadReopened,
    LeadSnapshot,
    LeadUpdated,
)
from crm_contracts.sales.opportunity import (
    OpportunityCreated,
    OpportunityDeleted,
    OpportunityLost,
    OpportunityMerged,
    OpportunityReopened,
    OpportunitySnapshot,
    OpportunityStageChanged,
    OpportunityUpdated,
    OpportunityWon,
)
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted, principal
from crm_marketing.consumers import CONSUMERS

from .conftest import Hear, Story

CAMPAIGNS = "/api/v1/campaigns"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
NOTHING = {"leads": 0, "qualified": 0, "opportunities": 0, "won_count": 0, "responses": 0}


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


def euros(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


def won(amount: str) -> dict[str, Any]:
    """A won deal in another currency. Only the amount in base currency may count."""
    other = {"amount": "99999.00", "currency": "USD"}
    return {"status": "won", "status_reason": "won", "actual_value": other, "actual_value_base": euros(amount)}


OPEN = {"status": "open", "status_reason": "in_progress", "actual_value": None, "actual_value_base": None}
LOST = OPEN | {"status": "lost", "status_reason": "canceled"}
NEW = {"status": "open", "status_reason": "new"}
QUALIFIED = {"status": "qualified", "status_reason": "qualified"}


async def made(client: Client, **fields: Any) -> str:
    answer = await client.post(CAMPAIGNS, {"name": "Gold card, spring", **fields})
    assert answer.status == 201, answer.body
    campaign_id: str = answer.json["id"]
    return campaign_id


async def figures(client: Client, campaign_id: str) -> dict[str, Any]:
    answer = await client.get(f"{CAMPAIGNS}/{campaign_id}/figures")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    assert found.pop("as_of").endswith("Z")
    return found


async def test_a_new_campaign_brought_nothing_yet(client: Client) -> None:
    assert await figures(client, await made(client)) == {
        **NOTHING,
        "won_revenue": euros("0.00"),
        "cost": euros("0.00"),
        "roi": None,
    }


async def test_leads_and_deals_are_counted_and_revenue_is_held_against_the_cost(client: Client, hear: Hear) -> None:
    campaign = await made(client, other_cost=euros("1000.00"), budget=euros("9000.00"))
    interested, silent, strangers = Story(), Story(), Story()
    first, second, third = Story(), Story(), Story()
    await hear(
        interested.tell(LeadCreated, **NEW, campaign_id=campaign),
        interested.tell(LeadContacted),
        interested.tell(LeadQualified, **QUALIFIED),
        silent.tell(LeadCreated, **NEW, campaign_id=campaign),
        strangers.tell(LeadCreated, **NEW, campaign_id=str(uuid4())),
        first.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
        first.tell(OpportunityWon, **won("1500.00")),
        second.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
        second.tell(OpportunityWon, **won("1000.50")),
        third.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
        third.tell(OpportunityLost, **LOST),
    )
    assert await figures(client, campaign) == {
        "leads": 2,
        "qualified": 1,
        "opportunities": 3,
        "won_count": 2,
        "won_revenue": euros("2500.50"),
        "responses": 0,
        "cost": euros("1000.00"),
        "roi": 1.5005,
    }


async def test_a_reopened_deal_is_won_no_more_and_its_second_win_counts_alone(client: Client, hear: Hear) -> None:
    campaign, deal = await made(client), Story()
    await hear(deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign), deal.tell(OpportunityWon, **won("100.00")))
    await hear(deal.tell(OpportunityReopened, **OPEN))
    reopened = await figures(client, campaign)
    assert (reopened["opportunities"], reopened["won_count"], reopened["won_revenue"]) == (1, 0, euros("0.00"))
    await hear(deal.tell(OpportunityWon, **won("80.00")))
    again = await figures(client, campaign)
    assert (again["won_count"], again["won_revenue"]) == (1, euros("80.00"))


async def test_a_corrected_deal_counts_with_what_it_is_now(client: Client, hear: Hear) -> None:
    campaign, deal = await made(client), Story()
    await hear(deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign), deal.tell(OpportunityWon, **won("100.00")))
    await hear(deal.tell(OpportunityUpdated, **won("120.00")))
    assert (await figures(client, campaign))["won_revenue"] == euros("120.00")


async def test_what_moves_to_another_campaign_counts_there(client: Client, hear: Hear) -> None:
    before, after = await made(client), await made(client)
    lead, deal = Story(), Story()
    await hear(
        lead.tell(LeadCreated, **QUALIFIED, campaign_id=before),
        deal.tell(OpportunityCreated, **OPEN, campaign_id=before),
        deal.tell(OpportunityWon, **won("100.00")),
    )
    await hear(lead.tell(LeadUpdated, campaign_id=after), deal.tell(OpportunityUpdated, campaign_id=after))
    empty, full = await figures(client, before), await figures(client, after)
    assert {name: empty[name] for name in NOTHING} == NOTHING
    assert (full["leads"], full["qualified"], full["won_revenue"]) == (1, 1, euros("100.00"))
    await hear(lead.tell(LeadUpdated, campaign_id=None))
    assert (await figures(client, after))["leads"] == 0


async def test_what_is_deleted_or_merged_away_counts_no_more_and_nothing_revives_it(client: Client, hear: Hear) -> None:
    campaign = await made(client)
    lead, twin, deal, double = Story(), Story(), Story(), Story()
    late = [
        double.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
        lead.tell(LeadCreated, **NEW, campaign_id=campaign),
        twin.tell(LeadCreated, **NEW, campaign_id=campaign),
        deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
    ]
    gone = [
        lead.tell(LeadDeleted),
        twin.tell(LeadMerged),
        deal.tell(OpportunityDeleted),
        double.tell(OpportunityMerged),
    ]
    await hear(*gone)
    await hear(*late)
    found = await figures(client, campaign)
    assert {name: found[name] for name in NOTHING} == NOTHING


async def test_a_snapshot_of_a_merged_lead_counts_for_nothing(client: Client, hear: Hear) -> None:
    campaign = await made(client)
    merged, living, deal = Story(version=4), Story(version=4), Story(version=4)
    await hear(
        deal.tell_again(OpportunitySnapshot, {"survivor_id": str(living.id)}, **OPEN, campaign_id=campaign),
        merged.tell_again(LeadSnapshot, {"survivor_id": str(living.id)}, **NEW, campaign_id=campaign),
        living.tell_again(LeadSnapshot, None, **NEW, campaign_id=campaign),
    )
    found = await figures(client, campaign)
    assert (found["leads"], found["opportunities"]) == (1, 0)


async def test_an_event_that_comes_three_times_counts_once(client: Client, hear: Hear) -> None:
    campaign, deal = await made(client), Story()
    created = deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign)
    closed = deal.tell(OpportunityWon, **won("100.00"))
    await hear(closed, created, closed)
    await hear(created)
    await hear(closed)
    found = await figures(client, campaign)
    assert (found["opportunities"], found["won_count"], found["won_revenue"]) == (1, 1, euros("100.00"))


LEAD_STEPS = st.lists(
    st.sampled_from(["here", "there", "nowhere", "qualify", "reopen", "disqualify", "assign"]), max_size=5
)
DEAL_STEPS = st.lists(
    st.sampled_from(["here", "there", "nowhere", "win", "win less", "reopen", "lose", "advance"]), max_size=5
)
ENDS = st.sampled_from(["lives", "lives", "deleted", "merged"])


def lead_history(steps: list[str], end: str, here: str, there: str) -> tuple[Story, list[Message]]:
    lead = Story()
    told = [lead.tell(LeadCreated, **NEW, campaign_id=here)]
    for step in steps:
        match step:
            case "here" | "there" | "nowhere":
                where = {"here": here, "there": there, "nowhere": None}[step]
                told.append(lead.tell(LeadUpdated, campaign_id=where))
            case "qualify":
                told.append(lead.tell(LeadQualified, **QUALIFIED))
            case "reopen":
                told.append(lead.tell(LeadReopened, **NEW))
            case "disqualify":
                told.append(lead.tell(LeadDisqualified, status="disqualified", status_reason="lost"))
            case "assign":
                told.append(lead.tell(LeadAssigned))
    if end != "lives":
        told.append(lead.tell(LeadDeleted if end == "deleted" else LeadMerged))
        lead.record["campaign_id"] = None
    return lead, told


def deal_history(steps: list[str], end: str, here: str, there: str) -> tuple[Story, list[Message]]:
    deal = Story()
    told = [deal.tell(OpportunityCreated, **OPEN, campaign_id=here)]
    for step in steps:
        match step:
            case "here" | "there" | "nowhere":
                where = {"here": here, "there": there, "nowhere": None}[step]
                told.append(deal.tell(OpportunityUpdated, campaign_id=where))
            case "win":
                told.append(deal.tell(OpportunityWon, **won("100.10")))
            case "win less":
                told.append(deal.tell(OpportunityWon, **won("0.01")))
            case "reopen":
                told.append(deal.tell(OpportunityReopened, **OPEN))
            case "lose":
                told.append(deal.tell(OpportunityLost, **LOST))
            case "advance":
                told.append(deal.tell(OpportunityStageChanged))
    if end == "deleted":
        told.append(deal.tell(OpportunityDeleted))
        deal.record["campaign_id"] = None
    return deal, told


def recount(leads: list[Story], deals: list[Story], campaign: str) -> dict[str, Any]:
    """Return the figures of the records in their last version."""
    mine = [lead for lead in leads if lead.record["campaign_id"] == campaign]
    ours = [deal for deal in deals if deal.record["campaign_id"] == campaign]
    closed = [deal for deal in ours if deal.record["status"] == "won"]
    cents = sum(int(deal.record["actual_value_base"]["amount"].replace(".", "")) for deal in closed)
    return {
        "leads": len(mine),
        "qualified": sum(lead.record["status"] == "qualified" for lead in mine),
        "opportunities": len(ours),
        "won_count": len(closed),
        "won_revenue": euros(f"{cents // 100}.{cents % 100:02d}"),
    }


@given(
    lead_lives=st.lists(st.tuples(LEAD_STEPS, ENDS), max_size=4),
    deal_lives=st.lists(st.tuples(DEAL_STEPS, ENDS), max_size=4),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_figures_equal_a_recount_however_events_are_shuffled_repeated_and_batched(
    client: Client, hear: Hear, lead_lives: list[Any], deal_lives: list[Any], random: Random
) -> None:
    here, there = await made(client), await made(client)
    leads = [lead_history(steps, end, here, there) for steps, end in lead_lives]
    deals = [deal_history(steps, end, here, there) for steps, end in deal_lives]
    messages = [message for _, told in [*leads, *deals] for message in told] * 2
    random.shuffle(messages)
    while messages:
        size = random.randint(1, 7)
        await hear(*messages[:size])
        del messages[:size]
    for campaign in (here, there):
        found = await figures(client, campaign)
        expected = recount([lead for lead, _ in leads], [deal for deal, _ in deals], campaign)
        assert {name: found[name] for name in expected} == expected


async def test_a_rebuild_from_snapshots_and_what_follows_gives_the_same_figures(
    client: Client, runtime: Runtime, hear: Hear
) -> None:
    campaign = await made(client, other_cost=euros("50.00"))
    lead, deal, dropped = Story(), Story(), Story()
    await hear(
        lead.tell(LeadCreated, **NEW, campaign_id=campaign),
        lead.tell(LeadQualified, **QUALIFIED),
        dropped.tell(LeadCreated, **NEW, campaign_id=campaign),
        dropped.tell(LeadDeleted),
        deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign),
        deal.tell(OpportunityWon, **won("100.00")),
    )
    before = await figures(client, campaign)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("truncate lead_ref, deal, inbox, inbox_position")
    assert (await figures(client, campaign))["leads"] == 0
    await hear(lead.tell_again(LeadSnapshot), deal.tell_again(OpportunitySnapshot))
    assert await figures(client, campaign) == before
    await hear(deal.tell(OpportunityReopened, **OPEN))
    assert (await figures(client, campaign))["won_count"] == 0


@pytest.mark.parametrize(
    ("event", "group", "broken"),
    [
        (OpportunityCreated, "marketing.deals", {"campaign_id": "no id"}),
        (LeadCreated, "marketing.leads", {"campaign_id": "no id"}),
        (LeadCreated, "marketing.leads", {"campaign_id": 7}),
    ],
)
async def test_an_event_that_breaks_its_contract_is_parked_at_once_and_others_go_on(
    client: Client, runtime: Runtime, dispatcher: Dispatcher, event: type[Event], group: str, broken: dict[str, Any]
) -> None:
    campaign, poison, deal, lead = await made(client), Story(), Story(), Story()
    wrong = poison.tell(event, **(OPEN if event is OpportunityCreated else NEW), **broken)
    good = [deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign), lead.tell(LeadCreated, campaign_id=campaign)]
    await dispatcher.settle([wrong, *good])
    found = await figures(client, campaign)
    assert (found["opportunities"], found["leads"]) == (1, 1)
    async with runtime.db.autocommit() as conn:
        left = await conn.exec_driver_sql("select consumer, event_id, state from inbox where state <> 'done'")
        assert [tuple(row) for row in left] == [(group, wrong.envelope.id, "parked")]


async def test_the_weak_etag_changes_with_the_figures_only(client: Client, hear: Hear) -> None:
    campaign = await made(client)
    path = f"{CAMPAIGNS}/{campaign}/figures"
    first = await client.get(path)
    assert first.etag.startswith('W/"')
    again = await client.get(path, headers={"if-none-match": first.etag})
    assert (again.status, again.body, again.etag) == (304, b"", first.etag)
    await hear(Story().tell(LeadCreated, **NEW, campaign_id=campaign))
    changed = await client.get(path, headers={"if-none-match": first.etag})
    assert (changed.status, changed.json["leads"]) == (200, 1)
    assert changed.etag != first.etag
    await client.patch(f"{CAMPAIGNS}/{campaign}", {"other_cost": euros("5.00")})
    costly = await client.get(path, headers={"if-none-match": changed.etag})
    assert (costly.status, costly.json["roi"]) == (200, -1.0)


async def test_figures_are_for_those_who_may_read_the_campaign(
    client: Client, client_for: Callable[[Principal | None], Client], hear: Hear
) -> None:
    campaign = await made(client)
    await hear(Story().tell(LeadCreated, **NEW, campaign_id=campaign))
    path = f"{CAMPAIGNS}/{campaign}/figures"
    mine = client_for(principal(Depth.NONE, id=ME, campaign="01000"))
    assert (await mine.get(path)).json["leads"] == 1
    assert (await client_for(principal(Depth.USER)).get(path)).status == 404
    assert (await client_for(principal(campaign=Depth.NONE)).get(path)).status == 403
    assert (await client_for(None).get(path)).status == 401
    assert (await client.get(f"{CAMPAIGNS}/{uuid4()}/figures")).status == 404


async def test_figures_wait_for_what_the_caller_has_just_written_in_sales(client: Client, hear: Hear) -> None:
    campaign, lead, deal = await made(client), Story(), Story()
    created = lead.tell(LeadCreated, **NEW, campaign_id=campaign)
    after = {"crm-after": f"lead/{lead.id}@1, opportunity/{deal.id}@1, campaign/{campaign}@1, account/{uuid4()}@9"}
    asked = asyncio.create_task(client.get(f"{CAMPAIGNS}/{campaign}/figures", headers=after))
    await hear(created)
    await hear(deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign))
    answer = await asked
    assert (answer.status, answer.json["leads"], answer.json["opportunities"]) == (200, 1, 1)


async def test_figures_say_when_they_are_not_there_yet(client: Client) -> None:
    campaign = await made(client)
    late = await client.get(f"{CAMPAIGNS}/{campaign}/figures", headers={"crm-after": f"lead/{uuid4()}@1"})
    assert (late.status, late.problem) == (503, "not-yet-projected")
    assert late.headers["retry-after"]


async def test_figures_cost_one_statement_beside_the_campaign(client: Client, runtime: Runtime) -> None:
    campaign = await made(client)
    with counted(runtime.db) as statements:
        await client.get(f"{CAMPAIGNS}/{campaign}/figures")
    assert len(statements) == 2, statements


async def test_figures_are_read_from_indexes(client: Client, runtime: Runtime) -> None:
    """With very many leads, the figures of a campaign with many of them must not read the table of leads."""
    campaign = UUID(await made(client))
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into lead_ref (id, version, deleted, campaign_id, status, merged) select gen_random_uuid(), 1,"
            " false, case when n % 100 = 0 then $1::uuid end, 'open', false from generate_series(1, 20000) n",
            (campaign,),
        )
        await conn.exec_driver_sql("analyze lead_ref")
        plan = await conn.exec_driver_sql(
            "explain select count(*), count(*) filter (where status = 'qualified') from lead_ref"
            " where campaign_id = $1 and not deleted and not merged",
            (campaign,),
        )
        text = "\n".join(row[0] for row in plan)
    assert "ix_lead_ref_campaign_id" in text, text
    assert (await figures(client, str(campaign)))["leads"] == 200


def test_every_event_of_leads_and_deals_is_heard() -> None:
    assert {(group.name, source) for group, source in CONSUMERS.sources()} == {
        ("marketing.access", "/crm/identity"),
        ("marketing.handovers", "/crm/identity"),
        ("marketing.leads", "/crm/sales"),
        ("marketing.deals", "/crm/sales"),
    }
    assert {"crm.sales.lead.#", "crm.sales.opportunity.#"} <= set(CONSUMERS.routing_keys())
    snapshots = {e.name for group in CONSUMERS.groups.values() for e in group.snapshot_entities("sales")}
    assert snapshots == {"lead", "opportunity"}


async def test_sums_beyond_what_one_amount_can_be_are_still_told(client: Client, runtime: Runtime, hear: Hear) -> None:
    campaign = await made(client)
    for _ in range(2):
        deal = Story()
        most = won("999999999999999.99")
        await hear(deal.tell(OpportunityCreated, **OPEN, campaign_id=campaign), deal.tell(OpportunityWon, **most))
    assert (await figures(client, campaign))["won_revenue"] == euros("1999999999999999.98")
