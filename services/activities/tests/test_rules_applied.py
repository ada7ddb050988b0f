"""An event causes one activity by each rule that applies, once, for the owner."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_activities.consumers import CONSUMERS
from crm_activities.seed import AFTER_COMPLAINT, AFTER_WIN, seed
from crm_activities.worker import TIMERS
from crm_contracts.activities.email import EmailReceived
from crm_contracts.sales.lead import LeadCreated, LeadUpdated
from crm_contracts.sales.opportunity import OpportunityCreated, OpportunityReopened, OpportunityWon
from crm_contracts.service.case import CaseCreated, CaseReactivated, CaseResolved
from crm_kit import clock
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, People, announced
from crm_kit.work.uow import UnitOfWork

WON = {"name": "Gold card", "status": "won", "status_reason": "won"}
TASKS = "select subject, regarding_id, owner_id, business_unit_id, due_at, status, created_by from task"


RULES = "/api/v1/activity-rules"
COMPLAINT = {"type": "complaint", "title": "Bill for May is wrong"}
RESOLVED = {"status": "resolved", "status_reason": "problem_solved"}


@pytest.fixture
async def team(people: People) -> UUID:
    return await people.team("North")


@pytest.fixture
def hear(hear: Any, runtime: Runtime) -> Any:
    """Handle events, and then what became due, as the worker does. The rules were made two days ago."""

    async def settle(*messages: Any) -> None:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("update activity_rule set since = least(since, now() - interval '2 days')")
        await hear(*messages)
        await TimerLoop(TIMERS, runtime).fire_due()

    return settle


async def events_of(runtime: Runtime) -> list[dict[str, Any]]:
    async with runtime.db.autocommit() as conn:
        return await announced(conn)


async def test_a_won_deal_gives_its_owner_a_task(runtime: Runtime, story: Any, hear: Any, rows: Any) -> None:
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    assert await rows(TASKS) == [
        ("Follow up: Gold card", deal.id, deal.owner, deal.unit, deal.at + timedelta(days=7), "open", None)
    ]


async def test_the_task_is_announced_with_its_cause(runtime: Runtime, story: Any, hear: Any) -> None:
    deal = story()
    created = deal.tell(OpportunityCreated)
    won = deal.tell(OpportunityWon, WON)
    await hear(created, won)
    [event] = await events_of(runtime)
    assert event["type"] == "crm.activities.task.created.v1"
    assert (event["causationid"], event["correlationid"]) == (str(won.envelope.id), won.envelope.correlationid)
    assert event["actor"] == won.envelope.actor
    assert event["data"]["record"]["regarding"] == {
        "type": "opportunity",
        "id": str(deal.id),
        "name": "Gold card",
        "deleted": False,
    }


async def test_it_happens_once_however_often_and_in_what_order_events_come(story: Any, hear: Any, rows: Any) -> None:
    deal = story()
    created, won = deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON)
    await hear(won)
    assert await rows("select count(*) from task") == [(1,)]
    await hear(created, won, created)
    await hear(won)
    assert await rows("select count(*) from task") == [(1,)]


async def test_a_deal_won_again_is_followed_up_again(story: Any, hear: Any, rows: Any) -> None:
    deal = story()
    first = deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON)
    await hear(*first, deal.tell(OpportunityReopened, {"status": "open"}), deal.tell(OpportunityWon, WON))
    assert await rows("select count(*) from task") == [(2,)]


async def test_rules_are_data(client: Client, story: Any, hear: Any, rows: Any) -> None:
    off = await client.patch(f"{RULES}/{AFTER_WIN}", {"active": False})
    assert off.status == 200
    for name, days, rating in (("Thank them", 1, "hot"), ("Ask why", 2, "cold")):
        rule = {"name": name, "event_type": OpportunityWon.type, "subject": name, "due_after": days, "priority": "high"}
        made = await client.post(RULES, {**rule, "filter": {"field": "rating", "op": "eq", "value": rating}})
        assert made.status == 201, made.body
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, {**WON, "rating": "hot"}))
    assert await rows("select subject, priority, due_at from task") == [
        ("Thank them", "high", deal.at + timedelta(days=1))
    ]


async def test_the_follow_up_is_part_of_the_deals_story(client: Client, story: Any, hear: Any) -> None:
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    items = (await client.get(f"/api/v1/timeline?regarding={deal.id}")).json["items"]
    first = items[0]
    assert (first["kind"], first["title"]) == ("activity", "Follow up: Gold card")
    assert first["actor"] == "system:activities"


async def test_who_complained_is_called_back(story: Any, hear: Any, rows: Any) -> None:
    case = story()
    await hear(case.tell(CaseCreated, COMPLAINT), case.tell(CaseResolved, RESOLVED))
    assert await rows(TASKS) == [
        ("Call back: Bill for May is wrong", case.id, case.owner, case.unit, case.at + timedelta(days=3), "open", None)
    ]
    assert await rows("select regarding_type, priority, category from task") == [("case", "high", "Call-back")]


@pytest.mark.parametrize("kind", [None, "question", "problem", "request", "a word of tomorrow"])
async def test_only_complaints_are_called_back(story: Any, hear: Any, rows: Any, kind: str | None) -> None:
    case = story()
    await hear(case.tell(CaseCreated, {"type": kind}), case.tell(CaseResolved, RESOLVED))
    assert await rows("select count(*) from task") == [(0,)]


async def test_a_resolution_is_followed_up_once_however_its_event_comes(story: Any, hear: Any, rows: Any) -> None:
    case = story()
    created, resolved = case.tell(CaseCreated, COMPLAINT), case.tell(CaseResolved, RESOLVED)
    await hear(resolved)
    await hear(created, resolved, created)
    await hear(resolved, resolved)
    assert await rows("select count(*) from task") == [(1,)]


async def test_a_case_resolved_again_is_called_back_again(story: Any, hear: Any, rows: Any) -> None:
    case = story()
    first = [case.tell(CaseCreated, COMPLAINT), case.tell(CaseResolved, RESOLVED)]
    again = [
        case.tell(CaseReactivated, {"status": "active", "status_reason": "in_progress"}),
        case.tell(CaseResolved, RESOLVED),
    ]
    await hear(*first)
    await hear(*again, *first)
    await hear(*again)
    due = await rows("select due_at from task order by due_at")
    assert due == [(case.at - timedelta(minutes=2) + timedelta(days=3),), (case.at + timedelta(days=3),)]


async def test_the_call_back_goes_to_whom_the_case_belongs_when_it_is_resolved(
    story: Any, hear: Any, rows: Any
) -> None:
    case, heir = story(), new_id()
    created = case.tell(CaseCreated, COMPLAINT)
    case.owner = heir
    await hear(created, case.tell(CaseResolved, RESOLVED))
    assert await rows("select owner_id from task") == [(heir,)]


async def test_the_call_back_is_part_of_the_cases_story(client: Client, story: Any, hear: Any) -> None:
    case = story()
    await hear(case.tell(CaseCreated, COMPLAINT), case.tell(CaseResolved, RESOLVED, kind="problem_solved"))
    items = (await client.get(f"/api/v1/timeline?regarding={case.id}")).json["items"]
    assert [item["title"] for item in items] == [
        "Call back: Bill for May is wrong",
        "Case resolved: problem solved",
        "Case created",
    ]


async def test_a_deleted_rule_stays_deleted(runtime: Runtime, client: Client, story: Any, hear: Any, rows: Any) -> None:
    assert (await client.delete(f"{RULES}/{AFTER_COMPLAINT}")).status == 204
    async with runtime.db.begin() as conn:
        uow = UnitOfWork.for_timer(conn, runtime)
        await seed(uow)
        assert uow.pending_types == []
    case = story()
    await hear(case.tell(CaseCreated, COMPLAINT), case.tell(CaseResolved, RESOLVED))
    assert await rows("select count(*) from task") == [(0,)]


LEAD_RULE = {
    "name": "Call hot leads",
    "event_type": LeadUpdated.type,
    "filter": {
        "all": [
            {"field": "changed", "op": "contains", "value": "rating"},
            {"field": "topic", "op": "contains", "value": "MULLER"},
        ]
    },
    "activity_type": "phone_call",
    "subject": "Call {name} ({rating})",
    "description": "Number {number}, {no such}",
    "due_after": 1,
    "due_unit": "business_days",
}


async def test_a_rule_makes_a_call_for_a_team_after_any_event(
    client: Client, runtime: Runtime, story: Any, hear: Any, rows: Any, team: UUID
) -> None:
    made = await client.post(RULES, {**LEAD_RULE, "assigned_to": {"type": "team", "id": str(team)}})
    assert made.status == 201, made.body
    assert made.json["assigned_to"] == {"type": "team", "id": str(team), "name": "North", "deleted": False}
    lead = story()
    record = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "topic": "Herr Müller",
        "number": "LEA-00007",
        "rating": "hot",
    }
    other = {"topic": {"old": "a", "new": "b"}}
    changed = {"rating": {"old": "cold", "new": "hot"}}
    await hear(
        lead.tell(LeadCreated, record), lead.tell(LeadUpdated, changed=other), lead.tell(LeadUpdated, changed=changed)
    )
    assert await rows("select subject, description, owner_type, owner_id, direction, regarding_id from phone_call") == [
        ("Call Ada Lovelace (hot)", "Number LEA-00007, {no such}", "team", team, "outgoing", lead.id)
    ]
    [run] = (await client.get(f"{made.headers['location']}/runs")).json["items"]
    assert (run["state"], run["error"], run["activity"]["type"]) == ("done", None, "phone_call")


async def test_mail_that_a_program_wrote_starts_nothing(client: Client, story: Any, hear: Any, rows: Any) -> None:
    rule = {"name": "Answer", "event_type": EmailReceived.type, "subject": "Answer", "due_after": 1}
    made = await client.post(RULES, rule)
    assert made.status == 201, made.body
    received = {"status": "completed", "status_reason": "received", "direction": "incoming"}
    for automatic in ("auto_replied", "auto_generated", "no"):
        await hear(story().tell(EmailReceived, {**received, "automatic": automatic}))
    assert len(await rows(TASKS)) == 1


async def test_a_rule_that_fails_parks_its_event_and_delays_no_other(
    client: Client, people: People, story: Any, hear: Any, rows: Any, team: UUID
) -> None:
    body = {**LEAD_RULE, "filter": None, "assigned_to": {"type": "team", "id": str(team)}}
    path = (await client.post(RULES, body)).headers["location"]
    await client.post(RULES, {**body, "assigned_to": None, "subject": "By the owner"})
    await people.activate(team, active=False)
    lead = story()
    await hear(lead.tell(LeadCreated), lead.tell(LeadUpdated))
    assert await rows("select subject from phone_call") == [("By the owner",)]
    [run] = (await client.get(f"{path}/runs")).json["items"]
    assert (run["state"], run["activity"]) == ("failed", None)
    assert run["error"] == "Choose another team: this one is not active."
    retry = f"{path}/runs/{run['id']}/retry"
    await people.activate(team)
    assert (await client.post(retry)).status == 204
    await hear()
    assert await rows("select count(*) from phone_call") == [(2,)]
    again = await client.post(retry)
    assert (again.status, again.problem) == (409, "illegal-transition")


async def test_a_rule_that_is_switched_off_does_nothing_with_what_it_has_planned(
    client: Client, story: Any, hear: Any, rows: Any
) -> None:
    await hear()
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    await rows("update activity_rule_run set state = 'pending', due_at = now() returning id")
    await client.patch(f"{RULES}/{AFTER_WIN}", {"active": False})
    await hear()
    assert await rows("select count(*) from task") == [(1,)]
    [run] = (await client.get(f"{RULES}/{AFTER_WIN}/runs")).json["items"]
    assert run["state"] == "skipped"


async def test_events_from_before_a_rule_are_not_for_it(story: Any, hear: Any, rows: Any) -> None:
    deal = story(at=clock.now() - timedelta(days=3))
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    assert await rows("select count(*) from activity_rule_run") == [(0,)]


async def test_what_the_release_before_followed_up_is_not_repeated(
    story: Any, hear: Any, rows: Any, runtime: Runtime
) -> None:
    deal = story()
    created, won = deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into inbox (consumer, source, event_id, type, state, received_at)"
            " values ('activities.follow_up', '/crm/sales', $1, $2, 'done', now())",
            (won.envelope.id, won.envelope.type),
        )
    await hear(created, won)
    assert await rows("select count(*) from task") == [(0,)]


async def test_what_the_release_before_left_is_taken_over(
    story: Any, hear: Any, rows: Any, dispatcher: Dispatcher
) -> None:
    """It has stored the event in its group, and the timeline has it."""
    deal = story()
    await hear()
    told = [deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON)]
    await dispatcher.settle(told, [CONSUMERS.groups["activities.follow_up"]])
    assert await rows("select count(*) from task") == [(1,)]
    await hear(*told)
    assert await rows("select count(*) from task") == [(1,)]


async def test_the_position_of_the_release_before_moves_along(story: Any, hear: Any, rows: Any) -> None:
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    position = "select version from inbox_position where consumer = 'activities.follow_up' and entity = $1"
    assert await rows(position, deal.id) == [(2,)]


async def test_a_rule_of_the_release_before_can_be_switched_off(client: Client, rows: Any) -> None:
    await rows("update activity_rule set subject = 'Ask {nobody}' where id = $1 returning id", AFTER_WIN)
    off = await client.patch(f"{RULES}/{AFTER_WIN}", {"active": False})
    assert (off.status, off.json["active"]) == (200, False)
    refused = await client.patch(f"{RULES}/{AFTER_WIN}", {"active": True})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/subject")
