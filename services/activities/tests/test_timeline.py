"""Timelines: content, access, order and paging."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.marketing import (
    CampaignCompleted,
    CampaignCreated,
    CampaignLaunched,
    CampaignReadied,
)
from crm_contracts.sales.account import AccountCreated, AccountDeleted, AccountMerged
from crm_contracts.sales.contact import ContactCreated
from crm_contracts.sales.lead import LeadContacted, LeadCreated, LeadDeleted, LeadMerged, LeadQualified, LeadUpdated
from crm_contracts.sales.opportunity import OpportunityCreated, OpportunityMerged, OpportunityUpdated
from crm_contracts.service.case import CaseCreated, CaseReactivated, CaseResolved, CaseWaiting
from crm_kit.access.privileges import Depth, Principal
from crm_kit.store.record import new_id
from crm_kit.testing import Client, principal

API = "/api/v1"
CALLER = UUID("01900000-0000-7000-8000-0000000000aa")

RESOLUTION = {"kind": "problem_solved", "minutes": 25, "billable_minutes": 5, "resolved_at": "2026-05-04T09:30:00Z"}


@pytest.fixture
def caller() -> Principal:
    return principal(id=CALLER)


def lines(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [item["title"] for item in answer.json["items"]]


@pytest.fixture
def qualified(story: Callable[..., Any], hear: Any) -> Callable[..., Any]:
    """A lead that became account, contact and opportunity. Activities has received all of their events."""

    async def make(owner: UUID = CALLER) -> dict[str, Any]:
        cast = {name: story(owner=owner) for name in ("lead", "account", "contact", "opportunity")}
        lead = cast["lead"]
        links = {f"{name}_id": str(cast[name].id) for name in ("account", "contact", "opportunity")}
        nothing = dict.fromkeys(links)
        start = lead.at
        messages = [lead.tell(LeadCreated, nothing), lead.tell(LeadContacted)]
        for position, (name, event) in enumerate(
            [("account", AccountCreated), ("contact", ContactCreated), ("opportunity", OpportunityCreated)]
        ):
            cast[name].at = start + timedelta(minutes=2 + position)
            messages.append(cast[name].tell(event))
        lead.at = start + timedelta(minutes=9)
        messages.append(lead.tell(LeadQualified, links, **links))
        await hear(*messages)
        return cast

    return make


async def test_a_leads_story_goes_on_with_what_it_became(client: Client, qualified: Any) -> None:
    cast = await qualified()
    answer = await client.get(f"{API}/timeline?regarding={cast['lead'].id}")
    assert lines(answer) == [
        "Lead qualified",
        "Deal created",
        "Contact created",
        "Account created",
        "Lead contacted",
        "Lead created",
    ]
    assert [item["record"]["type"] for item in answer.json["items"]] == [
        *("lead", "opportunity", "contact", "account", "lead", "lead")
    ]
    assert answer.json["items"][0]["actor"] == f"user:{CALLER}"
    assert set(answer.json["items"][0]) == {"id", "kind", "type", "at", "title", "actor", "record", "data"}


async def test_a_campaigns_story_says_when_it_ran(client: Client, story: Any, hear: Any) -> None:
    campaign = story(owner=CALLER)
    await hear(
        campaign.tell(CampaignCreated),
        campaign.tell(CampaignReadied),
        campaign.tell(CampaignLaunched, actual_start="2026-05-04"),
        campaign.tell(CampaignCompleted, actual_end="2026-06-04"),
    )
    answer = await client.get(f"{API}/timeline?regarding={campaign.id}")
    assert lines(answer) == ["Campaign completed", "Campaign launched", "Campaign is ready", "Campaign created"]
    assert [item["data"] for item in answer.json["items"][:2]] == [
        {"actual_end": "2026-06-04"},
        {"actual_start": "2026-05-04"},
    ]


async def test_a_cases_story_says_how_it_was_resolved(client: Client, story: Any, hear: Any) -> None:
    case = story(owner=CALLER)
    question = {"type": "question"}
    await hear(
        case.tell(CaseCreated, question),
        case.tell(CaseWaiting),
        case.tell(CaseResolved, **RESOLUTION, resolution="Ada was told"),
        case.tell(CaseReactivated, reversed_resolution={**RESOLUTION, "resolution": "Ada was told"}),
    )
    answer = await client.get(f"{API}/timeline?regarding={case.id}")
    assert lines(answer) == [
        *("Case reactivated", "Case resolved: problem solved", "Case waits for details", "Case created")
    ]
    assert answer.json["items"][1]["data"] == RESOLUTION
    assert b"Ada was told" not in answer.body


async def test_a_customers_story_begins_with_its_lead_and_goes_on_with_its_deals(
    client: Client, qualified: Any, story: Any, hear: Any
) -> None:
    cast = await qualified()
    deal, account = story(owner=CALLER), cast["account"]
    customer = {"customer": {"type": "account", "id": str(account.id), "name": "Engines Ltd", "deleted": False}}
    await hear(created := deal.tell(OpportunityCreated, customer))
    task = {"subject": "Send the contract", "regarding": {"type": "opportunity", "id": str(deal.id)}}
    assert (await client.post(f"{API}/tasks", task)).status == 201
    path = f"{API}/timeline?regarding={account.id}"
    both = ["Send the contract", "Deal created"]
    its_own = ["Account created", "Lead contacted", "Lead created"]
    found = lines(await client.get(path))
    assert sorted(found) == sorted([*both, "Lead qualified", *its_own])
    assert "Contact created" not in found
    await hear(deal.tell(OpportunityUpdated, {"customer": None}))
    assert not set(both) & set(lines(await client.get(path)))
    await hear(created)
    assert not set(both) & set(lines(await client.get(path))), "an event that arrives again is not news"


async def test_a_call_is_part_of_the_story_of_everybody_who_takes_part(client: Client, qualified: Any) -> None:
    cast = await qualified()
    parties = [{"role": "to", "party": {"type": "contact", "id": str(cast["contact"].id)}}]
    regarding = {"type": "account", "id": str(cast["account"].id)}
    for body in ({"subject": "About nothing"}, {"subject": "About the account", "regarding": regarding}):
        call = {**body, "direction": "outgoing", "parties": parties}
        answer = await client.post(f"{API}/phone-calls", call)
        assert answer.status == 201, answer.body
    found = lines(await client.get(f"{API}/timeline?regarding={cast['contact'].id}"))
    assert {"About nothing", "About the account"} <= set(found)
    both = lines(await client.get(f"{API}/timeline?regarding%5Bin%5D={cast['account'].id},{cast['contact'].id}"))
    assert (both.count("About nothing"), both.count("About the account")) == (1, 1)


async def test_an_opportunitys_story_is_its_own(client: Client, qualified: Any) -> None:
    cast = await qualified()
    assert lines(await client.get(f"{API}/timeline?regarding={cast['opportunity'].id}")) == ["Deal created"]


async def test_activities_about_a_record_are_part_of_its_story(client: Client, qualified: Any) -> None:
    cast = await qualified()
    regarding = {"type": "opportunity", "id": str(cast["opportunity"].id)}
    made = (await client.post(f"{API}/tasks", {"subject": "Send the contract", "regarding": regarding})).json
    assert made["regarding"]["name"]
    for record in ("opportunity", "lead"):
        first = (await client.get(f"{API}/timeline?regarding={cast[record].id}")).json["items"][0]
        assert (first["kind"], first["type"], first["id"], first["title"]) == (
            *("activity", "task", made["id"], "Send the contract"),
        )
        assert first["record"] == made["regarding"]
        assert first["actor"] == f"user:{CALLER}"
        assert first["data"]["status"] == "open"


async def test_a_completed_activity_stands_where_it_was_completed(client: Client, story: Any, hear: Any) -> None:
    lead = story(owner=CALLER)
    await hear(lead.tell(LeadCreated))
    regarding = {"type": "lead", "id": str(lead.id)}
    tasks = [(await client.post(f"{API}/tasks", {"subject": s, "regarding": regarding})).json for s in ("A", "B")]
    await client.post(f"{API}/tasks/{tasks[0]['id']}/complete")
    assert lines(await client.get(f"{API}/timeline?regarding={lead.id}"))[:2] == ["A", "B"]


async def test_a_survivors_story_includes_who_was_merged_into_it(client: Client, story: Any, hear: Any) -> None:
    loser, survivor = story(owner=CALLER), story(owner=CALLER)
    await hear(loser.tell(LeadCreated), survivor.tell(LeadCreated), loser.tell(LeadMerged, survivor_id=survivor.id))
    assert lines(await client.get(f"{API}/timeline?regarding={survivor.id}")).count("Lead merged") == 1
    answer = await client.get(f"{API}/timeline?regarding={loser.id}")
    assert (answer.status, answer.problem) == (410, "merged")
    href = f"{API}/leads/{survivor.id}"
    assert answer.json["survivor"] == {"type": "lead", "id": str(survivor.id), "href": href}
    assert answer.headers["link"] == f'<{href}>; rel="successor-version"'


async def test_a_deal_keeps_its_story_and_its_activities_move_when_it_is_merged(
    client: Client, story: Any, hear: Any
) -> None:
    loser, survivor, buyer = (story(owner=CALLER) for _ in range(3))
    customer = {"customer": {"type": "account", "id": str(buyer.id), "name": "Movers", "deleted": False}}
    await hear(buyer.tell(AccountCreated))
    await hear(*(deal.tell(OpportunityCreated, customer) for deal in (loser, survivor)))
    regarding = {"type": "opportunity", "id": str(loser.id)}
    task = (await client.post(f"{API}/tasks", {"subject": "Call", "regarding": regarding})).json
    merged = loser.tell(OpportunityMerged, {"customer": None}, survivor_id=survivor.id)
    await hear(merged)
    await hear(merged)
    assert lines(await client.get(f"{API}/timeline?regarding={survivor.id}")).count("Deal merged") == 1
    assert lines(await client.get(f"{API}/timeline?regarding={buyer.id}")).count("Deal merged") == 1
    moved = (await client.get(f"{API}/tasks/{task['id']}")).json
    assert moved["regarding"]["id"] == str(survivor.id)
    # The survivor is told about once more, and keeps what was merged into it.
    await hear(survivor.tell(OpportunityUpdated, customer))
    assert lines(await client.get(f"{API}/timeline?regarding={survivor.id}")).count("Deal merged") == 1
    answer = await client.get(f"{API}/timeline?regarding={loser.id}")
    assert (answer.status, answer.problem) == (410, "merged")


async def test_a_story_goes_back_through_every_merge_and_stays_hidden_from_who_could_not_read_it(
    client: Client, client_for: Any, story: Any, hear: Any
) -> None:
    first, second, last = (story(owner=new_id() if n == 0 else CALLER) for n in range(3))
    await hear(
        *(account.tell(AccountCreated) for account in (first, second, last)),
        first.tell(AccountMerged, survivor_id=second.id),
        second.tell(AccountMerged, survivor_id=last.id),
    )
    assert lines(await client.get(f"{API}/timeline?regarding={last.id}")).count("Account merged") == 2
    seller = client_for(principal(Depth.USER, id=CALLER))
    assert lines(await seller.get(f"{API}/timeline?regarding={last.id}")).count("Account merged") == 1
    answer = await client.get(f"{API}/timeline?regarding={first.id}")
    assert answer.json["survivor"]["id"] == str(last.id)


async def test_unknown_and_hidden_records_answer_alike(client: Client, client_for: Any, qualified: Any) -> None:
    cast = await qualified(owner=new_id())
    stranger = client_for(principal(Depth.USER))
    hidden = await stranger.get(f"{API}/timeline?regarding={cast['lead'].id}")
    missing = await stranger.get(f"{API}/timeline?regarding={new_id()}")
    assert (hidden.status, missing.status) == (404, 404)
    assert {**hidden.json, "trace_id": ""} == {**missing.json, "trace_id": ""}
    without = client_for(principal(lead=Depth.NONE))
    assert (await without.get(f"{API}/timeline?regarding={cast['lead'].id}")).status == 404


async def test_an_activity_of_ones_own_does_not_name_the_hidden_record_it_is_about(
    client: Client, client_for: Any, qualified: Any
) -> None:
    cast = await qualified()
    regarding = {"type": "account", "id": str(cast["account"].id)}
    assert (await client.post(f"{API}/tasks", {"subject": "Call them", "regarding": regarding})).status == 201
    blind = client_for(principal(id=CALLER, account=Depth.NONE))
    story = (await blind.get(f"{API}/timeline?regarding={cast['lead'].id}")).json["items"]
    [task] = [item for item in story if item["record"]["type"] == "account"]
    assert (task["title"], task["record"]) == (
        "Call them",
        {**regarding, "name": None, "deleted": False, "hidden": True},
    )


async def test_several_records_tell_one_story_without_those_that_are_hidden(
    client: Client, client_for: Any, qualified: Any
) -> None:
    cast = await qualified()
    both = f"{API}/timeline?regarding%5Bin%5D={cast['account'].id},{cast['contact'].id}"
    first = await client.get(f"{both}&limit=1")
    second = await client.get(f"{both}&limit=1&after={first.json['next']}")
    assert (lines(first), lines(second)) == (["Lead qualified"], ["Contact created"])
    blind = client_for(principal(contact=Depth.NONE, lead=Depth.NONE))
    assert lines(await blind.get(both)) == ["Account created"]
    whole = ["Lead qualified", "Contact created", "Account created", "Lead contacted", "Lead created"]
    assert lines(await client.get(f"{both},{new_id()}")) == whole
    assert (await client_for(principal(contact=Depth.NONE, account=Depth.NONE)).get(both)).problem == "not-found"
    assert (await client.get(f"{both}&regarding={cast['account'].id}")).problem == "invalid-parameter"
    one = f"{API}/timeline?regarding={cast['account'].id}&after={first.json['next']}"
    assert (await client.get(one)).problem == "invalid-cursor"


async def test_each_event_needs_read_on_its_own_record(client_for: Any, qualified: Any) -> None:
    cast = await qualified()
    reader = client_for(principal(contact=Depth.NONE, account=Depth.USER))
    shown = lines(await reader.get(f"{API}/timeline?regarding={cast['lead'].id}"))
    assert shown == ["Lead qualified", "Deal created", "Lead contacted", "Lead created"]


async def test_each_activity_needs_read_on_that_activity(
    client: Client, client_for: Any, story: Any, hear: Any
) -> None:
    lead = story(owner=CALLER)
    await hear(lead.tell(LeadCreated))
    regarding = {"type": "lead", "id": str(lead.id)}
    await client.post(f"{API}/tasks", {"subject": "Mine", "regarding": regarding})
    colleague = client_for(principal(task=Depth.USER))
    await colleague.post(f"{API}/tasks", {"subject": "Hers", "regarding": regarding})
    path = f"{API}/timeline?regarding={lead.id}"
    assert lines(await client.get(path)) == ["Hers", "Mine", "Lead created"]
    assert lines(await colleague.get(path)) == ["Hers", "Lead created"]
    assert lines(await client_for(principal(task=Depth.NONE)).get(path)) == ["Lead created"]


async def test_a_story_follows_its_record_to_a_new_owner(client_for: Any, story: Any, hear: Any) -> None:
    lead, heir = story(), principal(Depth.USER)
    await hear(lead.tell(LeadCreated))
    path = f"{API}/timeline?regarding={lead.id}"
    assert (await client_for(heir).get(path)).status == 404
    lead.owner = heir.id
    await hear(lead.tell(LeadUpdated, changed={}))
    assert lines(await client_for(heir).get(path)) == ["Lead updated", "Lead created"]


async def test_the_story_of_a_deleted_record_is_for_readers_of_everything(
    client_for: Any, story: Any, hear: Any
) -> None:
    lead = story(owner=CALLER)
    await hear(lead.tell(LeadCreated), lead.tell(LeadDeleted))
    path = f"{API}/timeline?regarding={lead.id}"
    assert (await client_for(principal(Depth.DEEP, id=CALLER)).get(path)).status == 404
    answer = await client_for(principal()).get(path)
    assert lines(answer) == ["Lead deleted", "Lead created"]
    assert answer.json["items"][0]["record"]["deleted"] is True


async def test_events_of_a_deleted_link_are_for_readers_of_everything(
    client_for: Any, qualified: Any, hear: Any
) -> None:
    cast = await qualified()
    await hear(cast["account"].tell(AccountDeleted))
    path = f"{API}/timeline?regarding={cast['lead'].id}"
    assert "Account created" in lines(await client_for(principal()).get(path))
    assert "Account created" not in lines(await client_for(principal(Depth.USER, id=CALLER)).get(path))


async def test_pages_of_any_size_add_up_to_the_whole_story(client: Client, story: Any, hear: Any) -> None:
    lead = story(owner=CALLER)
    messages = [lead.tell(LeadCreated)]
    for _ in range(11):
        # Three events share each instant, so that pages break between equal times.
        if lead.version % 3:
            lead.at -= timedelta(minutes=1)
        messages.append(lead.tell(LeadUpdated, changed={}))
    await hear(*messages)
    for number in range(4):
        await client.post(f"{API}/tasks", {"subject": f"T{number}", "regarding": {"type": "lead", "id": str(lead.id)}})
    path = f"{API}/timeline?regarding={lead.id}"
    whole = (await client.get(f"{path}&limit=200")).json
    assert whole["next"] is None
    keys = [(item["at"], item["id"]) for item in whole["items"]]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == 16
    for size in (1, 2, 3, 5, 16):
        found, after = [], ""
        while after is not None:
            answer = (await client.get(f"{path}&limit={size}" + (f"&after={after}" if after else ""))).json
            assert len(answer["items"]) <= size
            found += answer["items"]
            after = answer["next"]
        assert found == whole["items"]


async def test_a_cursor_is_for_one_record_and_one_caller(
    client: Client, client_for: Any, story: Any, hear: Any
) -> None:
    leads = [story(owner=CALLER), story(owner=CALLER)]
    await hear(*(lead.tell(event) for lead in leads for event in (LeadCreated, LeadUpdated)))
    path = f"{API}/timeline?limit=1&regarding="
    cursor = (await client.get(f"{path}{leads[0].id}")).json["next"]
    assert (await client.get(f"{path}{leads[0].id}&after={cursor}")).status == 200
    tampered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for answer in (
        await client.get(f"{path}{leads[1].id}&after={cursor}"),
        await client_for(principal()).get(f"{path}{leads[0].id}&after={cursor}"),
        await client.get(f"{path}{leads[0].id}&after={tampered}"),
    ):
        assert (answer.status, answer.problem) == (400, "invalid-cursor")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?regarding=x",
        f"?regarding[in]={CALLER},x",
        "?regarding[in]=" + ",".join([str(CALLER)] * 101),
        f"?regarding={CALLER}&limit=0",
        f"?regarding={CALLER}&limit=201",
    ],
)
async def test_parameters_are_checked(client: Client, query: str) -> None:
    answer = await client.get(f"{API}/timeline{query}")
    assert (answer.status, answer.problem) == (400, "invalid-parameter")


async def test_crm_after_waits_for_what_was_written(client: Client, story: Any, hear: Any) -> None:
    lead = story(owner=CALLER)
    await hear(lead.tell(LeadCreated))
    path = f"{API}/timeline?regarding={lead.id}"
    assert (await client.get(path, headers={"crm-after": f"lead/{lead.id}@1"})).status == 200
    late = await client.get(path, headers={"crm-after": f"lead/{lead.id}@2"})
    assert (late.status, late.problem) == (503, "not-yet-projected")
