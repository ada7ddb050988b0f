"""The funnel always equals a recount of sales, whatever the order of the events."""

from collections.abc import Collection
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Event
from crm_contracts.sales.lead import (
    LeadCreated,
    LeadDeleted,
    LeadDisqualified,
    LeadMerged,
    LeadQualified,
    LeadReopened,
    LeadSnapshot,
)
from crm_contracts.sales.opportunity import (
    OpportunityDeleted,
    OpportunityHeld,
    OpportunityMerged,
    OpportunityResumed,
    OpportunitySnapshot,
)
from crm_contracts.sales.reference import SalesStageDeleted, SalesStageSnapshot, SalesStageUpdated
from crm_insights.consumers import CONSUMERS
from crm_kit.events import own_rows
from crm_kit.events.consumers import Group
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.ordering import Place
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted

from .conftest import Hear
from .selling import Deal, Lead, Stage, euros, foreign, four_stages, recount

FUNNEL = "/api/v1/funnel"


async def funnel(client: Client, **query: Any) -> dict[str, Any]:
    answer = await client.get(FUNNEL + "".join(f"{'&' if n else '?'}{k}={v}" for n, (k, v) in enumerate(query.items())))
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    assert found.pop("as_of").endswith("Z")
    return found


def stage_in(found: dict[str, Any], stage: Stage) -> dict[str, Any]:
    [figures] = [figures for figures in found["stages"] if figures["stage_id"] == str(stage.id)]
    return dict(figures)


async def test_without_any_deal_every_stage_is_there_and_empty(client: Client, hear: Hear) -> None:
    stages, told = four_stages()
    await hear(*told)
    found = await funnel(client)
    assert found == recount(stages, [], [])
    assert [stage["stage"] for stage in found["stages"]] == ["qualify", "develop", "propose", "close"]
    assert (found["stages"][0]["conversion"], found["stages"][0]["average_seconds"]) == (None, None)
    assert found["opportunities"]["estimated_value"] == euros("0.00")


async def test_before_sales_was_heard_there_is_nothing(client: Client) -> None:
    found = await funnel(client)
    assert (found["stages"], found["leads"]["count"], found["opportunities"]["count"]) == ([], 0, 0)


async def test_deals_are_counted_where_they_were_and_where_they_are(client: Client, hear: Hear) -> None:
    (qualify, develop, _, close), told = four_stages()
    early, late, gone = Deal(), Deal(), Deal()
    told += [early.made(qualify, **foreign("1000.00"), probability=10.0)]
    told += [late.made(qualify, **foreign("500.50"))]
    late.rest(9)
    told += [late.advance(develop)]
    late.rest(59)
    told += [late.advance(close, probability=90.0)]
    told += [gone.made(develop, **foreign("70.00")), gone.lost("out_sold")]
    await hear(*told)
    found = await funnel(client)
    at = {stage["stage"]: stage for stage in found["stages"]}
    assert [at[name]["entered"] for name in at] == [2, 2, 0, 1]
    assert [at[name]["open"] for name in at] == [1, 0, 0, 1]
    assert (at["qualify"]["advanced"], at["qualify"]["conversion"]) == (1, 50.0)
    assert (at["develop"]["advanced"], at["develop"]["lost"]) == (1, 1)
    assert (at["qualify"]["average_seconds"], at["develop"]["median_seconds"]) == (600.0, (3600.0 + 60.0) / 2)
    assert (at["close"]["estimated_value"], at["close"]["weighted_value"]) == (euros("500.50"), euros("450.45"))
    assert found["opportunities"]["lost_reasons"] == {"out_sold": 1}
    assert found["opportunities"]["weighted_value"] == euros("550.45")


async def test_going_back_and_forth_adds_up_the_stays_and_counts_a_deal_once(client: Client, hear: Hear) -> None:
    (qualify, develop, *_), told = four_stages()
    deal = Deal()
    told += [deal.made(qualify), deal.advance(develop), deal.advance(qualify)]
    await hear(*told)
    there = stage_in(await funnel(client), qualify)
    assert (there["entered"], there["advanced"], there["open"], there["average_seconds"]) == (1, 1, 1, None)
    deal.rest(1)
    await hear(deal.advance(develop))
    left = stage_in(await funnel(client), qualify)
    assert (left["entered"], left["average_seconds"]) == (1, 180.0)


async def test_going_back_only_is_not_advancing(client: Client, hear: Hear) -> None:
    (qualify, develop, *_), told = four_stages()
    deal = Deal()
    await hear(*told, deal.made(develop), deal.advance(qualify))
    found = await funnel(client)
    assert [stage_in(found, stage)["advanced"] for stage in (qualify, develop)] == [0, 0]


async def test_a_rebuild_leaves_the_stays_of_a_newer_event(
    runtime: Runtime, dispatcher: Dispatcher, hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event arrives after the rebuild found no copy of the deal and before it stores the deal's snapshot."""
    stages, told = four_stages()
    await hear(*told)
    deal = Deal()
    deal.made(stages[0])
    snapshot, moved = deal.tell_again(OpportunitySnapshot), deal.advance(stages[1])
    look = own_rows.lock_copies

    async def beside(conn: AsyncConnection, group: Group, ids: Collection[UUID]) -> dict[UUID, Place]:
        found = await look(conn, group, ids)
        monkeypatch.undo()
        await hear(moved)
        return found

    monkeypatch.setattr(own_rows, "lock_copies", beside)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select 1")
        await dispatcher.tell_again(conn, CONSUMERS.groups["insights.deals"], [snapshot])
    async with runtime.db.autocommit() as conn:
        stays = (await conn.exec_driver_sql("select number, version, stage_id from stage_visit order by number")).all()
    assert [tuple(stay) for stay in stays] == [(1, 2, stages[0].id), (2, 2, stages[1].id)]


async def test_reopening_ends_neither_the_time_nor_begins_it_anew(client: Client, hear: Hear) -> None:
    (qualify, *_), told = four_stages()
    deal = Deal()
    told += [deal.made(qualify), deal.won("10.00")]
    await hear(*told)
    won = stage_in(await funnel(client), qualify)
    assert (won["won"], won["advanced"], won["average_seconds"]) == (1, 1, 60.0)
    deal.rest(10_000)
    await hear(deal.reopened())
    again = stage_in(await funnel(client), qualify)
    assert (again["won"], again["open"], again["advanced"], again["average_seconds"]) == (0, 1, 0, None)
    await hear(deal.lost())
    lost = await funnel(client)
    assert (stage_in(lost, qualify)["lost"], stage_in(lost, qualify)["average_seconds"]) == (1, 120.0)
    assert lost["opportunities"]["won_value"] == euros("0.00")


async def test_leads_are_followed_to_their_won_deals(client: Client, hear: Hear) -> None:
    (qualify, *_), told = four_stages()
    sold, lost, idle, merged = Lead(), Lead(), Lead(), Lead()
    deal, double = Deal(), Deal()
    qualified = {"status": "qualified", "status_reason": "qualified"}
    told += [lead.made() for lead in (sold, lost, idle, merged)]
    told += [sold.tell(LeadQualified, **qualified), deal.made(qualify, originating_lead_id=str(sold.id))]
    told += [deal.won("99.00"), lost.tell(LeadDisqualified, status="disqualified"), merged.tell(LeadMerged)]
    told += [double.made(qualify, originating_lead_id=str(idle.id)), double.tell(OpportunityMerged)]
    await hear(*told)
    assert (await funnel(client))["opportunities"]["count"] == 1
    assert (await funnel(client))["leads"] == {
        "count": 3,
        "open": 1,
        "disqualified": 1,
        "qualified": 1,
        "opportunities": 1,
        "won": 1,
        "qualified_percent": 33.33,
        "opportunities_percent": 100.0,
        "won_percent": 100.0,
    }


async def test_a_deleted_stage_is_shown_while_deals_went_through_it(client: Client, hear: Hear) -> None:
    (qualify, develop, propose, _), told = four_stages()
    deal = Deal()
    told += [deal.made(qualify), deal.advance(develop), deal.advance(propose)]
    await hear(*told, develop.tell(SalesStageDeleted), _.tell(SalesStageDeleted))
    found = await funnel(client)
    assert [(stage["stage"], stage["deleted"]) for stage in found["stages"]] == [
        ("qualify", False),
        ("develop", True),
        ("propose", False),
    ]


async def test_stages_are_named_and_ordered_as_they_are_today(client: Client, hear: Hear) -> None:
    (qualify, develop, *_), told = four_stages()
    deal = Deal()
    await hear(*told, deal.made(qualify), deal.advance(develop))
    await hear(qualify.tell(SalesStageUpdated, name="survey", position=9))
    found = await funnel(client)
    assert [stage["stage"] for stage in found["stages"]] == ["develop", "propose", "close", "survey"]
    assert stage_in(found, qualify)["advanced"] == 0


async def test_deals_that_come_before_their_stages_are_shown_by_the_name_they_know(client: Client, hear: Hear) -> None:
    (qualify, *_), told = four_stages()
    deal = Deal()
    await hear(deal.made(qualify, **foreign("10.00")))
    [unknown] = (await funnel(client))["stages"]
    assert (unknown["stage"], unknown["position"], unknown["open"]) == ("as it was", None, 1)
    assert unknown["estimated_value"] == euros("10.00")
    await hear(*told)
    assert stage_in(await funnel(client), qualify)["stage"] == "qualify"


STEPS = st.lists(
    st.sampled_from(["0", "1", "2", "3", "win", "lose", "reopen", "hold", "resume", "edit", "assign"]), max_size=8
)
LEAD_STEPS = st.lists(st.sampled_from(["qualify", "reopen", "disqualify"]), max_size=4)


def deal_history(deal: Deal, steps: list[str], stages: list[Stage], lead: Lead | None, random: Random) -> list[Message]:
    """A sequence of steps that sales allows. Steps that are not possible in the current state are left out."""
    made = {"originating_lead_id": str(lead.id) if lead else None, "probability": random.choice([5.0, 10.55, 33.33])}
    told = [deal.made(random.choice(stages), **made, **foreign(f"{random.randint(0, 99999)}.{random.randint(10, 99)}"))]
    for step in steps:
        deal.rest(random.randint(0, 10**9) / 10**6)
        state = deal.record["status"], deal.record["status_reason"]
        match step, state:
            case (("0" | "1" | "2" | "3"), ("open", "in_progress")):
                if str(stages[int(step)].id) != deal.record["stage_id"]:
                    told.append(deal.advance(stages[int(step)], probability=random.choice([30.0, 66.6])))
            case "win", ("open", _):
                told.append(deal.won(f"{random.randint(0, 99999)}.05"))
            case "lose", ("open", _):
                told.append(deal.lost(random.choice(["canceled", "out_sold"])))
            case "reopen", ("won" | "lost", _):
                told.append(deal.reopened())
            case "hold", ("open", "in_progress"):
                told.append(deal.tell(OpportunityHeld, status_reason="on_hold"))
            case "resume", ("open", "on_hold"):
                told.append(deal.tell(OpportunityResumed, status_reason="in_progress"))
            case "edit", ("open", _):
                told.append(deal.edit(**foreign(f"{random.randint(0, 999)}.00")))
            case "assign", _:
                deal.owner = uuid4()
                told.append(deal.edit())
    return told


def lead_history(lead: Lead, steps: list[str]) -> list[Message]:
    told = [lead.made()]
    for step in steps:
        match step:
            case "qualify":
                told.append(lead.tell(LeadQualified, status="qualified", status_reason="qualified"))
            case "disqualify":
                told.append(lead.tell(LeadDisqualified, status="disqualified", status_reason="lost"))
            case "reopen":
                told.append(lead.tell(LeadReopened, status="open", status_reason="new"))
    return told


@given(
    lead_lives=st.lists(st.tuples(LEAD_STEPS, st.booleans()), max_size=4),
    deal_lives=st.lists(st.tuples(STEPS, st.booleans()), max_size=6),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_funnel_equals_a_recount_however_events_are_shuffled_repeated_and_batched(
    client: Client, runtime: Runtime, hear: Hear, lead_lives: list[Any], deal_lives: list[Any], random: Random
) -> None:
    await forget(runtime)
    stages, messages = four_stages()
    leads, deals = [Lead() for _ in lead_lives], [Deal() for _ in deal_lives]
    for lead, (steps, dies) in zip(leads, lead_lives, strict=True):
        messages += lead_history(lead, steps) + ([lead.tell(LeadDeleted)] if dies else [])
    for deal, (steps, dies) in zip(deals, deal_lives, strict=True):
        messages += deal_history(deal, steps, stages, random.choice([*leads, None]), random)
        messages += [deal.tell(OpportunityDeleted)] if dies else []
    living_leads = [lead for lead, (_, dies) in zip(leads, lead_lives, strict=True) if not dies]
    living = [deal for deal, (_, dies) in zip(deals, deal_lives, strict=True) if not dies]
    messages *= 2
    random.shuffle(messages)
    while messages:
        size = random.randint(1, 9)
        await hear(*messages[:size])
        del messages[:size]
    expected = recount(stages, living_leads, living)
    assert await funnel(client) == expected
    await forget(runtime)
    again = [stage.tell_again(SalesStageSnapshot) for stage in stages]
    again += [lead.tell_again(LeadSnapshot) for lead in living_leads]
    again += [deal.tell_again(OpportunitySnapshot) for deal in living]
    random.shuffle(again)
    await hear(*again)
    assert await funnel(client) == expected, "a rebuild from snapshots knows the whole history"


async def test_who_joins_late_counts_a_merged_lead_once(client: Client, hear: Hear) -> None:
    merged, survivor = Lead(version=4), Lead(version=4)
    known: dict[str, Any] = {"status": "open", "status_reason": "new", "campaign_id": None}
    await hear(
        merged.tell_again(LeadSnapshot, {"survivor_id": str(survivor.id)}, **known),
        survivor.tell_again(LeadSnapshot, **known),
    )
    assert (await funnel(client))["leads"]["count"] == 1


async def forget(runtime: Runtime) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("truncate deal, lead_ref, stage_ref, stage_visit, inbox, inbox_position")


@pytest.mark.parametrize(
    "broken", [{"campaign_id": "no id"}, {"campaign_id": 7}, {"status": None}, {"created_at": "soon"}]
)
async def test_a_lead_event_that_breaks_its_contract_is_parked_at_once_and_others_go_on(
    client: Client, runtime: Runtime, dispatcher: Dispatcher, broken: dict[str, Any]
) -> None:
    poison, good = Lead(), Lead()
    await dispatcher.settle([poison.made(**broken), good.made()])
    assert (await funnel(client))["leads"]["count"] == 1
    async with runtime.db.autocommit() as conn:
        left = await conn.exec_driver_sql("select consumer, state from inbox where state <> 'done'")
        assert [tuple(row) for row in left] == [("insights.leads", "parked")]


async def test_the_funnel_costs_one_statement(client: Client, runtime: Runtime) -> None:
    await client.get(FUNNEL)
    with counted(runtime.db) as statements:
        await client.get(FUNNEL)
    assert len(statements) == 1, statements


async def test_sums_beyond_what_one_amount_can_be_are_still_told(client: Client, hear: Hear) -> None:
    (qualify, *_), told = four_stages()
    most = foreign("999999999999999.99")
    await hear(*told, Deal().made(qualify, **most), Deal().made(qualify, **most))
    assert (await funnel(client))["opportunities"]["estimated_value"] == euros("1999999999999999.98")


def test_everything_that_the_funnel_is_made_of_is_heard_and_asked_for_as_snapshot() -> None:
    heard = {"lead", "opportunity", "sales_stage"}
    assert {f"crm.sales.{name}.#" for name in heard} <= set(CONSUMERS.routing_keys())
    assert {e.name for group in CONSUMERS.groups.values() for e in group.snapshot_entities("sales")} == heard
    events: list[type[Event]] = [LeadCreated, OpportunityDeleted, SalesStageDeleted]
    for event in events:
        assert CONSUMERS.interested(event.type)
