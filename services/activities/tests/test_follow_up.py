"""After a won deal: one follow-up task for its owner by each active rule, once."""

from datetime import timedelta
from typing import Any

from crm_contracts.sales import OpportunityCreated, OpportunityReopened, OpportunityWon
from crm_kit.runtime import Runtime
from crm_kit.testing import announced

WON = {"name": "Gold card", "status": "won", "status_reason": "won"}
TASKS = "select subject, regarding_id, owner_id, business_unit_id, due_at, status, created_by from task"


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
    assert await rows("select count(*) from task") == [(0,)]
    await hear(created, won, created)
    await hear(won)
    assert await rows("select count(*) from task") == [(1,)]


async def test_a_deal_won_again_is_followed_up_again(story: Any, hear: Any, rows: Any) -> None:
    deal = story()
    first = deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON)
    await hear(*first, deal.tell(OpportunityReopened, {"status": "open"}), deal.tell(OpportunityWon, WON))
    assert await rows("select count(*) from task") == [(2,)]


async def test_rules_are_data(runtime: Runtime, story: Any, hear: Any, rows: Any) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update follow_up_rule set active = false")
        await conn.exec_driver_sql(
            "insert into follow_up_rule (id, event_type, active, subject, days, priority) values"
            " (gen_random_uuid(), 'crm.sales.opportunity.won.v1', true, 'Thank them', 1, 'high'),"
            " (gen_random_uuid(), 'crm.sales.opportunity.lost.v1', true, 'Ask why', 1, 'high')"
        )
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    assert await rows("select subject, priority, due_at from task") == [
        ("Thank them", "high", deal.at + timedelta(days=1))
    ]


async def test_the_follow_up_is_part_of_the_deals_story(client: Any, story: Any, hear: Any) -> None:
    deal = story()
    await hear(deal.tell(OpportunityCreated), deal.tell(OpportunityWon, WON))
    items = (await client.get(f"/api/v1/timeline?regarding={deal.id}")).json["items"]
    first = items[0]
    assert (first["kind"], first["title"]) == ("activity", "Follow up: Gold card")
    assert first["actor"] == "system:activities"
