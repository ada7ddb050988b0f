"""The progress of goals: sums over records and down the tree, and what each reader sees."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from crm_contracts.identity import UserCreated, UserDeleted, UserSnapshot, UserUpdated
from crm_contracts.service.case import (
    CaseAssigned,
    CaseCreated,
    CaseDeleted,
    CaseReactivated,
    CaseResolved,
    CaseSnapshot,
)
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People, counted, principal
from crm_sales.goal.progress import SUMS

from .conftest import Hear
from .hearing import Story
from .journey import ADA, API, Json, Sales, euros

YEAR = {"period_start": "2026-01-01", "period_end": "2026-12-31"}
MARCH = {"period_start": "2026-03-01", "period_end": "2026-03-31"}
Seller = Callable[[Principal], Sales]


@pytest.fixture
async def ada(people: People) -> Principal:
    return principal(id=await people.user("Ada Lovelace"))


@pytest.fixture
async def grace(people: People) -> Principal:
    return principal(id=await people.user("Grace Hopper"))


@pytest.fixture(autouse=True)
async def in_berlin(people: People) -> None:
    """The organisation's days start at 23:00Z in winter and at 22:00Z in summer."""
    await people.organization()


async def goal_of(sales: Sales, owner: Principal | None = None, **fields: Any) -> Json:
    """Create a goal of a year for the won amount, unless the fields differ."""
    target = {} if "target_count" in fields else {"target": euros("1000.00")}
    for_whom = {} if owner is None else {"goal_owner": {"type": "user", "id": str(owner.id)}}
    return await sales.make("goals", **({"name": "Goal", "metric": "won_amount"} | YEAR | target | for_whom | fields))


async def win(sales: Sales, value: str = "100.00", at: str = "2026-03-10T12:00:00Z") -> Json:
    """Create a deal that the caller won."""
    account = await sales.make("accounts", name="Movers")
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "account", "id": account["id"]})
    return await sales.act("opportunities", deal, "win", actual_value=euros(value), closed_at=at)


async def progress(sales: Sales, goal: Json) -> Json:
    answer = await sales.client.get(f"{API}/goals/{goal['id']}/progress")
    assert answer.status == 200, answer.body
    found: Json = answer.json
    assert found.pop("as_of").endswith("Z")
    return found


async def actual(sales: Sales, goal: Json) -> Any:
    """Return what was reached: the amount, or the number."""
    found = (await progress(sales, goal))["actual"]
    return found["amount"] if isinstance(found, dict) else found


async def test_a_won_deal_moves_the_goal_at_once_and_a_reopened_one_moves_it_back(
    sales: Sales, sales_for: Seller, ada: Principal
) -> None:
    goal = await goal_of(sales, ada, stretch_target=euros("1500.00"))
    count = await goal_of(sales, ada, metric="won_count", target_count=2)
    assert await progress(sales, goal) == {
        "metric": "won_amount",
        "actual": euros("0.00"),
        "target": euros("1000.00"),
        "stretch_target": euros("1500.00"),
        "gap": euros("1000.00"),
        "percent": 0,
        "children": {
            "count": 0,
            "target_sum": euros("0.00"),
            "difference": euros("1000.00"),
            "actual_sum": euros("0.00"),
        },
        "goals": [],
        "hidden": 0,
        "truncated": False,
    }
    deal = await win(sales_for(ada), "333.33")
    found = await progress(sales, goal)
    assert (found["actual"], found["gap"], found["percent"]) == (euros("333.33"), euros("666.67"), 33.33)
    assert (await progress(sales, count))["percent"] == 50
    await sales.act("opportunities", deal, "reopen")
    assert (await actual(sales, goal), await actual(sales, count)) == ("0.00", 0)
    await sales.act("opportunities", deal, "win", actual_value=euros("1250.00"), closed_at="2026-03-10T12:00:00Z")
    found = await progress(sales, goal)
    assert (found["actual"], found["gap"], found["percent"]) == (euros("1250.00"), euros("0.00"), 125)


async def test_deals_count_in_base_currency(sales: Sales, sales_for: Seller, ada: Principal) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    goal = await goal_of(sales, ada)
    account = await sales.make("accounts", name="Movers")
    customer = {"type": "account", "id": account["id"]}
    dollars = {"amount": "100.00", "currency": "USD"}
    deal = await sales_for(ada).make("opportunities", name="Fleet", customer=customer, estimated_value=dollars)
    await sales.act("opportunities", deal, "win", closed_at="2026-03-10T12:00:00Z")
    assert await actual(sales, goal) == "90.00"


async def test_a_deal_counts_for_whoever_owns_it_now(
    sales: Sales, sales_for: Seller, ada: Principal, grace: Principal
) -> None:
    hers, other = await goal_of(sales, ada), await goal_of(sales, grace)
    deal = await win(sales_for(ada))
    await sales.act("opportunities", deal, "assign", owner_type="user", owner_id=str(grace.id))
    assert (await actual(sales, hers), await actual(sales, other)) == ("0.00", "100.00")


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        ("2026-02-28T22:59:59.999999Z", False),
        ("2026-02-28T23:00:00Z", True),
        # Summer time began on the 29th.
        ("2026-03-31T21:59:59.999999Z", True),
        ("2026-03-31T22:00:00Z", False),
    ],
)
async def test_days_are_those_of_the_organisation(
    sales: Sales, sales_for: Seller, ada: Principal, at: str, counts: bool
) -> None:
    goal = await goal_of(sales, ada, **MARCH)
    await win(sales_for(ada), at=at)
    assert await actual(sales, goal) == ("100.00" if counts else "0.00")


async def test_a_period_may_be_as_long_as_dates_go(sales: Sales, sales_for: Seller, ada: Principal) -> None:
    goal = await goal_of(sales, ada, period_start="0001-01-01", period_end="9999-12-31")
    await win(sales_for(ada))
    assert await actual(sales, goal) == "100.00"


async def test_leads_count_while_they_are_qualified(sales: Sales, sales_for: Seller, ada: Principal) -> None:
    goal = await goal_of(sales, ada, metric="leads_qualified", target_count=4, period_end="9999-12-31")
    lead = await sales_for(ada).make("leads", **ADA)
    await sales_for(ada).make("leads", topic="Another", last_name="Babbage")
    assert await actual(sales, goal) == 0
    await sales.act("leads", lead, "qualify")
    found = await progress(sales, goal)
    assert (found["actual"], found["target"], found["gap"], found["percent"]) == (1, 4, 3, 25)
    await sales.act("leads", lead, "reopen")
    assert await actual(sales, goal) == 0


async def test_cases_count_as_service_management_tells(
    sales: Sales, hear: Hear, ada: Principal, grace: Principal
) -> None:
    goal = await goal_of(sales, ada, metric="cases_resolved", target_count=2)
    case, known = Story(), Story(version=7)
    resolved = {"status": "resolved", "resolved_at": "2026-03-10T12:00:00Z"}
    await hear(case.tell(CaseCreated, owner_id=ada.id, status="active", resolved_at=None))
    assert await actual(sales, goal) == 0
    await hear(case.tell(CaseResolved, **resolved), known.tell_again(CaseSnapshot, owner_id=ada.id, **resolved))
    assert await actual(sales, goal) == 2
    await hear(
        case.tell(CaseReactivated, status="active", resolved_at=None), known.tell(CaseAssigned, owner_id=grace.id)
    )
    assert await actual(sales, goal) == 0
    await hear(known.tell(CaseAssigned, owner_id=ada.id))
    assert await actual(sales, goal) == 1
    await hear(known.tell(CaseDeleted))
    assert await actual(sales, goal) == 0


async def test_events_of_cases_that_come_late_or_twice_change_nothing(sales: Sales, hear: Hear, ada: Principal) -> None:
    goal = await goal_of(sales, ada, metric="cases_resolved", target_count=2)
    case = Story()
    made = case.tell(CaseCreated, owner_id=ada.id, status="active", resolved_at=None)
    done = case.tell(CaseResolved, status="resolved", resolved_at="2026-03-10T12:00:00Z")
    await hear(done)
    await hear(made, done)
    assert await actual(sales, goal) == 1


async def test_a_team_counts_what_it_owns_and_what_its_members_own(
    sales: Sales, sales_for: Seller, people: People, hear: Hear, ada: Principal, grace: Principal
) -> None:
    team, other = await people.team("Sellers"), await people.team("Others")
    member, stranger = Story(id=ada.id), Story(id=grace.id, version=3)
    await hear(
        member.tell(UserCreated, team_ids=[str(other), str(team)]), stranger.tell_again(UserSnapshot, team_ids=[])
    )
    goal = await goal_of(sales, goal_owner={"type": "team", "id": str(team)})
    await win(sales_for(ada), "1.00")
    await win(sales_for(grace), "20.00")
    of_the_team = await win(sales, "300.00")
    await sales.act("opportunities", of_the_team, "assign", owner_type="team", owner_id=str(team))
    assert await actual(sales, goal) == "301.00"
    await hear(member.tell(UserUpdated, team_ids=[str(other)]), stranger.tell(UserUpdated, team_ids=[str(team)]))
    assert await actual(sales, goal) == "320.00"
    await hear(stranger.tell(UserDeleted))
    assert await actual(sales, goal) == "300.00"


async def test_goals_above_count_every_record_once(
    sales: Sales, sales_for: Seller, ada: Principal, grace: Principal
) -> None:
    top = await goal_of(sales, name="Top")
    both = [
        await goal_of(sales, ada, name="Ada, the year", parent_goal_id=top["id"], target=euros("400.00")),
        await goal_of(sales, grace, name="Grace, March", parent_goal_id=top["id"], target=euros("500.00"), **MARCH),
    ]
    inner = await goal_of(sales, ada, name="Ada, March", parent_goal_id=both[0]["id"], target=euros("50.00"), **MARCH)
    await win(sales_for(ada), "1.00")
    await win(sales_for(ada), "20.00", at="2026-06-10T12:00:00Z")
    await win(sales_for(grace), "300.00")
    await win(sales_for(grace), "4000.00", at="2026-06-10T12:00:00Z")
    found = await progress(sales, top)
    assert found["actual"] == euros("321.00")
    assert found["children"] == {
        "count": 2,
        "target_sum": euros("900.00"),
        "difference": euros("100.00"),
        "actual_sum": euros("321.00"),
    }
    assert [(goal["name"], goal["level"], goal["actual"]["amount"]) for goal in found["goals"]] == [
        ("Ada, the year", 1, "21.00"),
        ("Grace, March", 1, "300.00"),
        ("Ada, March", 2, "1.00"),
    ]
    assert found["goals"][2]["parent_goal_id"] == both[0]["id"]
    assert found["goals"][2]["goal_owner"] == {
        "type": "user",
        "id": str(ada.id),
        "name": "Ada Lovelace",
        "deleted": False,
    }
    assert (await progress(sales, inner))["actual"] == euros("1.00")


async def test_more_handed_down_than_asked_for_is_a_difference_below_zero(sales: Sales) -> None:
    top = await goal_of(sales, metric="won_count", target_count=3)
    for _ in range(2):
        await goal_of(sales, metric="won_count", target_count=2, parent_goal_id=top["id"])
    assert (await progress(sales, top))["children"] == {
        "count": 2,
        "target_sum": 4,
        "difference": -1,
        "actual_sum": 0,
    }


async def test_a_discarded_goal_and_what_is_below_it_count_for_nothing_above(
    sales: Sales, sales_for: Seller, ada: Principal
) -> None:
    top = await goal_of(sales)
    middle = await goal_of(sales, parent_goal_id=top["id"])
    await goal_of(sales, ada, parent_goal_id=middle["id"])
    await win(sales_for(ada))
    assert await actual(sales, top) == "100.00"
    await sales.act("goals", middle, "discard")
    found = await progress(sales, top)
    assert (found["actual"], found["children"]["count"], found["goals"]) == (euros("0.00"), 0, [])
    assert await actual(sales, middle) == "100.00"
    await sales.act("goals", middle, "reopen")
    assert await actual(sales, top) == "100.00"


async def test_what_a_closed_goal_has_reached_moves_no_more(sales: Sales, sales_for: Seller, ada: Principal) -> None:
    top = await goal_of(sales)
    goal = await goal_of(sales, ada, parent_goal_id=top["id"])
    deal = await win(sales_for(ada))
    closed = await sales.act("goals", goal, "close")
    assert (closed["final_actual"], closed["final_actual_count"]) == (euros("100.00"), None)
    event = (await sales.events())[-1]
    assert (event["type"], event["data"]["final_actual"]) == ("crm.sales.goal.closed.v1", euros("100.00"))
    assert event["data"]["closed_at"] == closed["closed_at"]
    await win(sales_for(ada), "7.00")
    await sales.act("opportunities", deal, "reopen")
    assert (await actual(sales, goal), await actual(sales, top)) == ("100.00", "7.00")
    [shown] = (await progress(sales, top))["goals"]
    assert (shown["status"], shown["actual"]) == ("closed", euros("100.00"))
    opened = await sales.act("goals", goal, "reopen")
    assert (opened["final_actual"], opened["closed_at"]) == (None, None)
    assert await actual(sales, goal) == "7.00"


async def test_a_goal_that_counts_keeps_its_number_at_its_close(
    sales: Sales, sales_for: Seller, ada: Principal
) -> None:
    goal = await goal_of(sales, ada, metric="won_count", target_count=1)
    await win(sales_for(ada))
    closed = await sales.act("goals", goal, "close")
    assert (closed["final_actual"], closed["final_actual_count"]) == (None, 1)


async def test_sums_tell_of_records_and_goals_that_the_reader_does_not_see(
    sales: Sales, sales_for: Seller, ada: Principal, people: People
) -> None:
    manager = principal(Depth.USER, id=await people.user("Manager"))
    top = await goal_of(sales_for(manager), name="Top")
    await goal_of(sales, ada, name="Secret", parent_goal_id=top["id"])
    below = await goal_of(sales_for(manager), name="Seen", parent_goal_id=top["id"])
    await win(sales_for(ada))
    found = await progress(sales_for(manager), top)
    assert (found["actual"], found["children"]["count"], found["hidden"]) == (euros("100.00"), 2, 1)
    assert [goal["id"] for goal in found["goals"]] == [below["id"]]


async def test_progress_has_a_weak_etag_of_its_own(sales: Sales, sales_for: Seller, ada: Principal) -> None:
    goal = await goal_of(sales, ada)
    path = f"{API}/goals/{goal['id']}/progress"
    first = await sales.client.get(path)
    assert first.headers["etag"].startswith('W/"')
    again = await sales.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status == 304
    await win(sales_for(ada))
    answer = await sales.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (answer.status, answer.json["percent"]) == (200, 10)
    assert (await sales.client.get(f"{API}/goals/{uuid4()}/progress")).status == 404


async def test_a_case_can_be_waited_for(sales: Sales, hear: Hear, ada: Principal) -> None:
    goal = await goal_of(sales, ada, metric="cases_resolved", target_count=2)
    case = Story()
    path, after = f"{API}/goals/{goal['id']}/progress", {"crm-after": f"case/{case.id}@1"}
    early = await sales.client.get(path, headers=after)
    assert (early.status, early.problem) == (503, "not-yet-projected")
    await hear(case.tell(CaseResolved, owner_id=ada.id, status="resolved", resolved_at="2026-03-10T12:00:00Z"))
    assert (await sales.client.get(path, headers=after)).json["actual"] == 1


async def test_progress_is_three_statements_however_large_the_tree(
    sales: Sales, sales_for: Seller, runtime: Runtime, ada: Principal, people: People, hear: Hear
) -> None:
    team = await people.team("Sellers")
    await hear(Story(id=ada.id).tell(UserCreated, team_ids=[str(team)]))
    top = await goal_of(sales, goal_owner={"type": "team", "id": str(team)})
    await win(sales_for(ada))
    for expected in (0, 12):
        for n in range(expected):
            await goal_of(sales, ada if n % 2 else None, name=f"Goal {n}", parent_goal_id=top["id"], **MARCH)
        with counted(runtime.db) as statements:
            assert len((await progress(sales, top))["goals"]) == expected
        assert len(statements) == 3, statements


@pytest.mark.parametrize(
    ("metric", "index"),
    [
        ("won_amount", "ix_opportunity_won"),
        ("won_count", "ix_opportunity_won"),
        ("leads_qualified", "ix_lead_qualified"),
        ("cases_resolved", "ix_case_ref_resolved"),
    ],
)
async def test_sums_read_an_index_and_no_table(runtime: Runtime, metric: str, index: str) -> None:
    async with runtime.db.begin() as conn:
        # The planner is not allowed to scan here. With large tables it would not, but a small table is cheapest to
        # scan.
        await conn.exec_driver_sql("set local enable_seqscan = off")
        await conn.exec_driver_sql("set local enable_bitmapscan = off")
        rows = await conn.exec_driver_sql(
            f"explain (costs off) {SUMS[metric]}", ([uuid4(), uuid4()], [739_000, 739_100, 739_200], "Europe/Berlin")
        )
        plan = "\n".join(row[0] for row in rows)
    assert f"Index Only Scan using {index}" in plan, plan
    assert "Index Cond: ((owner_id = o.id) AND (" in plan
    assert "Seq Scan" not in plan
