"""Goals: their targets, their trees and their life cycle."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import People, principal
from crm_sales.goal.domain import MAX_LEVELS

from .journey import API, Json, Sales, euros

YEAR = {"period_start": "2026-01-01", "period_end": "2026-12-31"}
SPRING = {"period_start": "2026-03-01", "period_end": "2026-05-31"}
REVENUE = {"name": "Revenue", "metric": "won_amount", "target": euros("1000.00"), **YEAR}
DEALS = {"name": "Deals", "metric": "won_count", "target_count": 10, **YEAR}


async def refused(sales: Sales, pointer: str, **fields: Any) -> str:
    """Return the slug of the problem that refuses a goal."""
    answer = await sales.try_make("goals", **fields)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer), answer.body
    return answer.problem


async def test_a_goal_is_managed_by_whoever_sets_it_and_reached_by_somebody_else(sales: Sales, people: People) -> None:
    ada = {"type": "user", "id": str(await people.user("Ada Lovelace"))}
    goal = await sales.make("goals", **REVENUE, goal_owner=ada, stretch_target=euros("1200.00"))
    assert goal["goal_owner"] == {**ada, "name": "Ada Lovelace", "deleted": False}
    assert goal["owner_id"] != ada["id"]
    assert (goal["status"], goal["allowed_actions"]) == ("open", ["close", "discard", "assign"])
    assert (goal["target"], goal["target_count"], goal["final_actual"]) == (euros("1000.00"), None, None)
    assert await sales.get("goals", goal["id"]) == goal
    [event] = await sales.events()
    assert (event["type"], event["data"]["record"]["goal_owner"]) == ("crm.sales.goal.created.v1", goal["goal_owner"])


async def test_who_shall_reach_a_goal_is_an_active_user_or_team(sales: Sales, people: People) -> None:
    gone = str(await people.user("Gone", active=False))
    team, program = str(await people.team("Sellers")), str(await people.client("Robot"))
    goal = await sales.make("goals", **DEALS, goal_owner={"type": "team", "id": team})
    assert goal["goal_owner"]["name"] == "Sellers"
    at = "/goal_owner/id"
    assert await refused(sales, at, **DEALS, goal_owner={"type": "user", "id": gone}) == "inactive-reference"
    assert await refused(sales, at, **DEALS, goal_owner={"type": "user", "id": team}) == "unknown-reference"
    assert await refused(sales, at, **DEALS, goal_owner={"type": "user", "id": str(uuid4())}) == "unknown-reference"
    assert (
        await refused(sales, "/goal_owner/type", **DEALS, goal_owner={"type": "client", "id": program}) == "validation"
    )
    assert (await sales.patch("goals", goal, goal_owner=None))["goal_owner"] is None


async def test_nobody_sets_goals_beyond_the_depth_of_their_right(
    sales: Sales, sales_for: Callable[[Principal], Sales], people: People
) -> None:
    team, other_unit = await people.team("Sellers"), await people.unit("South")
    me, colleague = await people.user("Ada Lovelace"), await people.user("Grace Hopper")
    stranger = await people.user("Mary Somerville", unit=other_unit)
    seller = sales_for(principal(Depth.USER, id=me, teams=(team,)))
    manager = sales_for(principal(Depth.DEEP, id=await people.user("Charles Babbage")))

    async def asked(by: Sales, kind: str, whom: UUID) -> str:
        answer = await by.try_make("goals", **DEALS, goal_owner={"type": kind, "id": str(whom)})
        return "" if answer.status == 201 else str(answer.json["errors"][0])

    assert await asked(seller, "user", me) == await asked(seller, "team", team) == ""
    assert "beyond-reach" in await asked(seller, "user", colleague)
    assert await asked(manager, "user", colleague) == await asked(manager, "team", team) == ""
    assert "beyond-reach" in await asked(manager, "user", stranger)
    assert await asked(sales, "user", stranger) == ""
    mine = await seller.make("goals", **DEALS)
    changed = await seller.try_patch("goals", mine, goal_owner={"type": "user", "id": str(colleague)})
    assert (changed.status, changed.problem) == (422, "beyond-reach")


async def test_what_a_goal_sends_back_of_its_owner_is_no_change(sales: Sales, people: People) -> None:
    ada = {"type": "user", "id": str(await people.user("Ada Lovelace"))}
    goal = await sales.make("goals", **DEALS, goal_owner=ada)
    assert (await sales.patch("goals", goal, goal_owner=goal["goal_owner"], target_count=10))["version"] == 1


async def test_a_goal_has_the_target_of_its_metric(sales: Sales) -> None:
    plain = {key: value for key, value in REVENUE.items() if key != "target"}
    assert await refused(sales, "/target", **plain) == "target-required"
    assert await refused(sales, "/target_count", **REVENUE, target_count=3) == "other-metric"
    assert await refused(sales, "/target", **DEALS, target=euros("1.00")) == "other-metric"
    dollars = {"amount": "1.00", "currency": "USD"}
    assert await refused(sales, "/target/currency", **(REVENUE | {"target": dollars})) == "currency-mismatch"
    assert await refused(sales, "/stretch_target", **REVENUE, stretch_target=euros("999.99")) == "stretch-below-target"
    goal = await sales.make("goals", **REVENUE)
    answer = await sales.try_patch("goals", goal, target=None)
    assert (answer.status, answer.problem) == (422, "target-required")


async def test_the_metric_is_for_good(sales: Sales) -> None:
    goal = await sales.make("goals", **DEALS)
    answer = await sales.try_patch("goals", goal, metric="cases_resolved")
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, "read-only-field", "/metric")


async def test_a_part_counts_the_same_on_days_of_the_whole(sales: Sales) -> None:
    whole = await sales.make("goals", **DEALS)
    await sales.make("goals", **(DEALS | SPRING), parent_goal_id=whole["id"])
    above = {"parent_goal_id": whole["id"]}
    assert await refused(sales, "/parent_goal_id", **REVENUE, **above) == "other-metric"
    late = {"period_end": "2027-01-01"}
    assert await refused(sales, "/period_end", **(DEALS | late), **above) == "outside-parent"
    assert await refused(sales, "/period_end", **(DEALS | {"period_end": "2025-12-31"})) == "end-before-start"
    assert await refused(sales, "/parent_goal_id", **(DEALS | {"parent_goal_id": str(uuid4())})) == "unknown-reference"


async def test_neither_the_whole_nor_a_part_leaves_the_other_when_it_is_changed(sales: Sales) -> None:
    whole = await sales.make("goals", **DEALS)
    part = await sales.make("goals", **(DEALS | SPRING), parent_goal_id=whole["id"])
    answer = await sales.try_patch("goals", whole, period_end="2026-05-30")
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("parts-outside", "/period_end")
    assert (await sales.try_patch("goals", part, period_start="2025-12-31")).problem == "outside-parent"
    assert (await sales.patch("goals", whole, period_end="2026-05-31"))["period_end"] == "2026-05-31"
    assert (await sales.patch("goals", part, parent_goal_id=None, **YEAR))["period_end"] == "2026-12-31"


async def test_a_whole_and_its_part_changed_at_once_still_fit(sales: Sales) -> None:
    whole = await sales.make("goals", **DEALS)
    for end in ("2026-06-30", "2026-07-31", "2026-08-31"):
        part = await sales.make("goals", **(DEALS | SPRING), parent_goal_id=whole["id"])
        await asyncio.gather(
            sales.try_patch("goals", whole, period_end="2026-05-31"), sales.try_patch("goals", part, period_end=end)
        )
        found = [await sales.get("goals", goal["id"]) for goal in (whole, part)]
        assert found[1]["period_end"] <= found[0]["period_end"]
        await sales.patch("goals", whole, period_end="2026-12-31")


async def test_goals_form_trees_without_circles(sales: Sales) -> None:
    top = await sales.make("goals", **DEALS)
    below = await sales.make("goals", **DEALS, parent_goal_id=top["id"])
    for parent in (top, below):
        answer = await sales.try_patch("goals", top, parent_goal_id=parent["id"])
        assert (answer.status, answer.problem) == (422, "circular-parent")
    one, two = await sales.make("goals", **DEALS), await sales.make("goals", **DEALS)
    answers = await asyncio.gather(
        sales.try_patch("goals", one, parent_goal_id=two["id"]), sales.try_patch("goals", two, parent_goal_id=one["id"])
    )
    assert Counter(answer.status for answer in answers) == {200: 1, 422: 1}


async def test_a_tree_of_goals_has_a_depth(sales: Sales) -> None:
    chain: list[Json] = [await sales.make("goals", **DEALS)]
    for _ in range(MAX_LEVELS):
        chain.append(await sales.make("goals", **DEALS, parent_goal_id=chain[-1]["id"]))
    assert await refused(sales, "/parent_goal_id", **DEALS, parent_goal_id=chain[-1]["id"]) == "too-deep"
    progress = await sales.client.get(f"{API}/goals/{chain[0]['id']}/progress")
    assert [goal["level"] for goal in progress.json["goals"]] == list(range(1, MAX_LEVELS + 1))


@pytest.mark.parametrize("command", ["close", "discard"])
async def test_a_goal_that_is_over_is_read_only_and_takes_no_parts(sales: Sales, command: str) -> None:
    goal = await sales.make("goals", **DEALS)
    part = await sales.make("goals", **DEALS, parent_goal_id=goal["id"])
    over = await sales.act("goals", goal, command)
    assert over["allowed_actions"] == ["reopen", "assign"]
    answer = await sales.try_patch("goals", goal, target_count=11)
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["reopen"])
    assert await refused(sales, "/parent_goal_id", **DEALS, parent_goal_id=goal["id"]) == "inactive-reference"
    assert (await sales.try_act("goals", goal, command)).status == 409
    assert (await sales.patch("goals", part, target_count=11))["parent_goal_id"] == goal["id"]
    assert (await sales.act("goals", goal, "reopen"))["status"] == "open"


async def test_a_goal_with_parts_is_not_deleted(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    goal = await sales.make("goals", **DEALS)
    part = await sales.make("goals", **DEALS, parent_goal_id=goal["id"])
    answer = await sales.delete("goals", goal)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "goal", "id": part["id"], "name": "Deals"}]
    assert (await sales.delete("goals", part)).status == 204
    assert (await sales.delete("goals", goal)).status == 204
    assert (await sales.client.get(f"{API}/goals/{goal['id']}")).status == 404
    assert (await sales.facts())[-2:] == ["goal.deleted", "goal.deleted"]


async def test_a_goal_is_found_by_text_owner_day_and_place(sales: Sales, people: People) -> None:
    ada = {"type": "user", "id": str(await people.user("Ada"))}
    year = await sales.make("goals", **(DEALS | {"name": "All the year"}))
    spring = await sales.make(
        "goals", **(DEALS | SPRING | {"name": "In spring"}), parent_goal_id=year["id"], goal_owner=ada
    )
    for query in (
        "q=SPRING",
        f"goal_owner.id={ada['id']}",
        f"parent_goal_id={year['id']}",
        "period_start[gt]=2026-01-01",
    ):
        assert [goal["id"] for goal in await sales.page("goals", query)] == [spring["id"]], query
    assert [goal["id"] for goal in await sales.page("goals", "parent_goal_id[is_null]=true")] == [year["id"]]
    assert [goal["name"] for goal in await sales.page("goals", "sort=-period_start")] == ["In spring", "All the year"]


async def test_a_goal_is_given_to_another_manager(sales: Sales, people: People) -> None:
    goal = await sales.make("goals", **DEALS)
    grace = str(await people.user("Grace Hopper"))
    given = await sales.act("goals", goal, "assign", owner_type="user", owner_id=grace)
    assert (given["owner_name"], given["goal_owner"]) == ("Grace Hopper", None)
    assert (await sales.facts())[-1] == "goal.assigned"


async def test_who_may_not_read_goals_sees_no_progress_either(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    goal = await sales.make("goals", **DEALS)
    path = f"{API}/goals/{goal['id']}/progress"
    assert (await sales_for(principal(goal=Depth.NONE)).client.get(path)).status == 403
    assert (await sales_for(principal(goal=Depth.USER)).client.get(path)).status == 404
