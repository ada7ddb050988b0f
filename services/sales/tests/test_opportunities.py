"""Opportunities: stages, probability, hold, loss, and what a closed deal refuses."""

from collections.abc import Callable
from importlib import import_module

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import principal

from .journey import API, Sales, euros

FLEET = {"name": "Fleet of 40 cars", "estimated_value": euros("900000.00")}


async def test_a_new_deal_starts_in_the_first_stage_with_its_probability(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    assert deal["number"].startswith("OPP-")
    assert (deal["stage"], deal["probability"]) == ("qualify", 10)
    assert (deal["status"], deal["status_reason"]) == ("open", "in_progress")
    assert (deal["customer"], deal["closes"], deal["actual_value"]) == (None, [], None)
    assert deal["allowed_actions"] == ["advance", "hold", "win", "lose", "assign", "merge"]
    assert await sales.facts() == ["opportunity.created"]


async def test_a_deal_may_start_in_another_stage(sales: Sales) -> None:
    propose = (await sales.page("sales-stages", "name=propose"))[0]
    deal = await sales.make("opportunities", **FLEET, stage_id=propose["id"])
    assert (deal["stage"], deal["probability"]) == ("propose", 60)
    answer = await sales.try_make("opportunities", **FLEET, stage_id=deal["id"])
    assert (answer.status, answer.problem) == (422, "unknown-reference")


async def test_a_customer_is_named_and_must_be_active(sales: Sales) -> None:
    ada = await sales.make("contacts", first_name="Ada", last_name="Lovelace")
    deal = await sales.make("opportunities", **FLEET, customer={"type": "contact", "id": ada["id"]})
    assert deal["customer"] == {"type": "contact", "id": ada["id"], "name": "Ada Lovelace", "deleted": False}
    assert [found["id"] for found in await sales.page("opportunities", f"customer.id={ada['id']}")] == [deal["id"]]
    await sales.act("contacts", ada, "deactivate")
    answer = await sales.try_make("opportunities", **FLEET, customer={"type": "contact", "id": ada["id"]})
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert answer.json["errors"][0]["pointer"] == "/customer/id"
    kept = await sales.patch("opportunities", deal, rating="hot", customer=deal["customer"])
    assert kept["version"] == 2


async def test_a_reference_nobody_has_is_refused_with_its_place(sales: Sales) -> None:
    nobody = "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"
    answer = await sales.try_make("opportunities", **FLEET, customer={"type": "account", "id": nobody})
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("unknown-reference", "/customer/id")
    answer = await sales.try_make("opportunities", **FLEET, originating_lead_id=nobody)
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("unknown-reference", "/originating_lead_id")


@pytest.mark.parametrize("by", ["stage", "stage_id"])
async def test_a_deal_advances_either_way_and_says_from_and_to(sales: Sales, by: str) -> None:
    stages = {stage["name"]: stage for stage in await sales.page("sales-stages")}
    deal = await sales.make("opportunities", **FLEET)
    for name, probability in (("close", 90), ("develop", 30)):
        wanted = name if by == "stage" else stages[name]["id"]
        deal = await sales.act("opportunities", deal, "advance", **{by: wanted})
        assert (deal["stage"], deal["stage_id"], deal["probability"]) == (name, stages[name]["id"], probability)
    moved = (await sales.events())[-1]
    assert moved["type"] == "crm.sales.opportunity.stage_changed.v1"
    assert (moved["data"]["from_stage"]["name"], moved["data"]["to_stage"]["name"]) == ("close", "develop")


async def test_a_deal_remembers_every_stay_in_a_stage(sales: Sales) -> None:
    """A visit lasts from entering the stage until the deal moved on or was closed.

    No stage has the time until reopening.
    """
    deal = await sales.make("opportunities", **FLEET)
    assert [(stay["stage"], stay["entered_at"], stay["left_at"]) for stay in deal["stages"]] == [
        ("qualify", deal["created_at"], None)
    ]
    moved = await sales.act("opportunities", deal, "advance", stage="close")
    back = await sales.act("opportunities", moved, "advance", stage="qualify")
    held = await sales.act("opportunities", back, "hold")
    assert held["stages"] == back["stages"]
    lost = await sales.act("opportunities", held, "lose")
    reopened = await sales.act("opportunities", lost, "reopen")
    first, second, third, fourth = reopened["stages"]
    assert [stay["stage"] for stay in reopened["stages"]] == ["qualify", "close", "qualify", "qualify"]
    assert (first["left_at"], second["left_at"]) == (second["entered_at"], third["entered_at"])
    assert (third["left_at"], fourth["entered_at"]) == (lost["closed_at"], reopened["modified_at"])
    assert fourth == {
        "stage_id": deal["stage_id"],
        "stage": "qualify",
        "entered_at": reopened["modified_at"],
        "left_at": None,
    }
    assert (await sales.events())[-1]["data"]["changed"]["stages"] == {"changed": True}


async def test_a_deal_closed_before_it_was_moved_here_stayed_no_time(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    lost = await sales.act("opportunities", deal, "lose", closed_at="2026-01-05T09:00:00Z")
    [stay] = lost["stages"]
    assert stay["left_at"] == stay["entered_at"] == deal["created_at"]


async def test_advancing_to_the_present_stage_changes_nothing(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    assert (await sales.act("opportunities", deal, "advance", stage="qualify"))["version"] == 1
    assert await sales.facts() == ["opportunity.created"]


async def test_the_stage_to_advance_to_is_named_once_and_exists(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    answer = await sales.try_act("opportunities", deal, "advance", stage="nowhere")
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    answer = await sales.client.post(f"{API}/opportunities/{deal['id']}/advance", {})
    assert (answer.status, answer.problem) == (422, "stage-required")


async def test_an_overridden_probability_is_kept_until_given_back(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    await sales.patch("opportunities", deal, probability=42)
    advanced = await sales.act("opportunities", deal, "advance", stage="propose")
    assert (advanced["stage"], advanced["probability"]) == ("propose", 42)
    assert (await sales.patch("opportunities", deal, probability=None))["probability"] == 60
    assert (await sales.act("opportunities", deal, "advance", stage="close"))["probability"] == 90


async def test_a_probability_given_at_the_start_is_kept(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET, probability=5)
    assert (await sales.act("opportunities", deal, "advance", stage="close"))["probability"] == 5


async def test_sending_back_the_probability_one_read_overrides_nothing(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    assert (await sales.patch("opportunities", deal, probability=deal["probability"]))["version"] == 1
    assert (await sales.act("opportunities", deal, "advance", stage="close"))["probability"] == 90


@pytest.mark.parametrize(
    "field", ["stage_id", "stage", "stages", "status", "actual_value", "closed_at", "closes", "exchange_rate"]
)
async def test_stage_and_close_are_not_patched(sales: Sales, field: str) -> None:
    deal = await sales.make("opportunities", **FLEET)
    answer = await sales.try_patch("opportunities", deal, **{field: deal[field]})
    assert (answer.status, answer.problem) == (422, "read-only-field")
    assert answer.json["errors"][0]["pointer"] == f"/{field}"


async def test_a_deal_on_hold_waits_until_it_is_resumed(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    held = await sales.act("opportunities", deal, "hold")
    assert (held["status_reason"], held["allowed_actions"]) == ("on_hold", ["resume", "win", "lose", "assign", "merge"])
    answer = await sales.try_act("opportunities", deal, "advance", stage="close")
    assert (answer.status, answer.json["allowed"]) == (409, ["resume", "win", "lose"])
    assert (await sales.act("opportunities", deal, "resume"))["status_reason"] == "in_progress"
    assert await sales.facts() == ["opportunity.created", "opportunity.held", "opportunity.resumed"]


async def test_a_lost_deal_keeps_why_and_by_whom(sales: Sales, caller: Principal) -> None:
    deal = await sales.make("opportunities", **FLEET)
    lost = await sales.act("opportunities", deal, "lose", reason="out_sold", note="Too dear")
    assert (lost["status"], lost["status_reason"]) == ("lost", "out_sold")
    assert lost["closes"] == [
        {
            "outcome": "lost",
            "reason": "out_sold",
            "actual_value": None,
            "closed_at": lost["closed_at"],
            "competitor_id": None,
            "note": "Too dear",
            "by": str(caller.id),
            "closed_quotes": [],
        }
    ]
    told = (await sales.events())[-1]["data"]
    assert (told["reason"], told["note"], told["lost_at"]) == ("out_sold", "Too dear", lost["closed_at"])


async def test_a_deal_is_canceled_unless_said(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    assert (await sales.act("opportunities", deal, "lose"))["status_reason"] == "canceled"
    answer = await sales.try_act("opportunities", deal, "lose", reason="bored")
    assert answer.status == 422


async def test_a_closed_deal_is_neither_edited_nor_deleted_nor_moved(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    await sales.act("opportunities", deal, "lose")
    answer = await sales.try_patch("opportunities", deal, rating="hot")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["reopen"])
    assert (await sales.delete("opportunities", deal)).problem == "not-deletable"
    for command in ("hold", "resume", "win", "lose"):
        assert (await sales.try_act("opportunities", deal, command)).problem == "illegal-transition"


async def test_a_reopened_deal_keeps_its_close_records(sales: Sales) -> None:
    deal = await sales.make("opportunities", **FLEET)
    await sales.act("opportunities", deal, "lose")
    reopened = await sales.act("opportunities", deal, "reopen")
    assert (reopened["status_reason"], reopened["closed_at"], len(reopened["closes"])) == ("in_progress", None, 1)
    again = await sales.act("opportunities", deal, "lose", reason="out_sold")
    assert [close["reason"] for close in again["closes"]] == ["canceled", "out_sold"]


async def test_a_deal_its_lead_is_linked_to_stays(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Fleet", company_name="Movers")
    qualified = await sales.act("leads", lead, "qualify")
    answer = await sales.delete("opportunities", {"id": qualified["opportunity_id"]})
    assert (answer.problem, answer.json["references"][0]["id"]) == ("in-use", lead["id"])


async def test_amounts_keep_the_rate_of_the_day_they_were_set(sales: Sales) -> None:
    dollars = {"amount": "1000.00", "currency": "USD"}
    answer = await sales.try_make("opportunities", name="Export", estimated_value=dollars)
    assert (answer.status, answer.problem) == (422, "no-exchange-rate")
    rate = await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    deal = await sales.make("opportunities", name="Export", estimated_value=dollars)
    assert (deal["estimated_value_base"], deal["exchange_rate"]) == (euros("900.00"), "0.9")
    await sales.patch("exchange-rates", rate, rate="0.5")
    patched = await sales.patch("opportunities", deal, estimated_value={"amount": "2000.00", "currency": "USD"})
    assert (patched["estimated_value_base"], patched["exchange_rate"]) == (euros("1800.00"), "0.9")
    answer = await sales.try_patch("opportunities", deal, estimated_value=euros("1.00"))
    assert (answer.status, answer.problem) == (422, "currency-mismatch")


async def test_an_amount_too_large_in_base_currency_is_refused(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="100", valid_from="2020-01-01")
    vast = {"amount": "999999999999999.00", "currency": "USD"}
    answer = await sales.try_make("opportunities", name="Export", estimated_value=vast)
    assert (answer.status, answer.problem) == (422, "too-large")


async def test_deals_sort_by_value_and_filter_by_stage(sales: Sales) -> None:
    small = await sales.make("opportunities", name="Small", estimated_value=euros("10.00"))
    none = await sales.make("opportunities", name="None")
    large = await sales.make("opportunities", name="Large", estimated_value=euros("90.00"))
    for key in ("estimated_value.amount", "estimated_value_base.amount"):
        found = await sales.page("opportunities", f"sort=-{key}")
        assert [deal["id"] for deal in found] == [large["id"], small["id"], none["id"]]
    await sales.act("opportunities", small, "advance", stage="close")
    assert [deal["id"] for deal in await sales.page("opportunities", "stage=close")] == [small["id"]]
    body = {"filter": {"any": [{"field": "name", "op": "eq", "value": "None"}]}}
    answer = await sales.client.post(f"{API}/opportunities/query", body)
    assert [deal["id"] for deal in answer.json["items"]] == [none["id"]]


async def test_own_deals_only_at_user_depth(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    deal = await sales.make("opportunities", **FLEET)
    seller = sales_for(principal(Depth.USER))
    own = await seller.make("opportunities", **FLEET)
    assert [found["id"] for found in await seller.page("opportunities")] == [own["id"]]
    assert (await seller.try_act("opportunities", deal, "win")).status == 404
    assert (await seller.try_patch("opportunities", deal, rating="hot")).status == 404


async def test_a_deal_says_when_it_was_opened_and_is_found_by_it(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet")
    assert deal["opened_at"] == deal["created_at"]
    lost = await sales.act("opportunities", deal, "lose")
    assert lost["opened_at"] == deal["opened_at"]
    reopened = await sales.act("opportunities", deal, "reopen")
    assert reopened["opened_at"] == reopened["modified_at"]
    found = await sales.page("opportunities", f"opened_at[gte]={reopened['opened_at']}")
    assert [one["id"] for one in found] == [deal["id"]]
    assert await sales.page("opportunities", f"opened_at[gt]={reopened['opened_at']}") == []
    answer = await sales.try_patch("opportunities", deal, opened_at="2026-01-01T00:00:00Z")
    assert answer.status == 422


async def test_deals_are_found_by_the_time_of_their_opening_by_an_index(runtime: Runtime) -> None:
    sql = "explain select id from opportunity where opened_at >= '2026-01-01' and opened_at < '2026-02-01'"
    async with runtime.db.begin() as conn:
        # Without it, PostgreSQL reads a small table as a whole.
        await conn.exec_driver_sql("set local enable_seqscan = off")
        plan = "".join(row[0] for row in await conn.exec_driver_sql(sql))
    assert "ix_opportunity_opened_at_id" in plan, plan


async def test_the_migration_finds_when_deals_were_opened(sales: Sales, runtime: Runtime) -> None:
    moved, reopened = [await sales.make("opportunities", name="Fleet") for _ in range(2)]
    moved = await sales.act("opportunities", moved, "advance", stage="develop")
    await sales.act("opportunities", reopened, "lose")
    reopened = await sales.act("opportunities", reopened, "reopen")
    reopened = await sales.act("opportunities", reopened, "advance", stage="develop")
    migration = import_module("crm_sales.migrations.versions.0025_opened_at")
    async with runtime.db.autocommit() as conn:
        await conn.exec_driver_sql("update opportunity set opened_at = '2000-01-01'")
        await migration.ahead(conn)
    for deal in (moved, reopened):
        assert (await sales.get("opportunities", deal["id"]))["opened_at"] == deal["opened_at"]
