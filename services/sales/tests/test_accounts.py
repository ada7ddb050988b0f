"""Accounts: hierarchies, numbers, deactivating, and what prevents deletion."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import People, principal
from crm_sales.account.domain import MAX_ANCESTORS

from .journey import API, Json, Sales, euros

MOVERS = {"name": "Movers Ltd", "industry": "removals", "employees": 40}


async def test_a_new_account_is_a_prospect_with_a_drawn_number(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS)
    assert account["number"].startswith("ACC-")
    assert (account["tier"], account["credit_hold"], account["status"]) == ("prospect", False, "active")
    assert account["allowed_actions"] == ["deactivate", "assign", "merge"]
    [event] = await sales.events()
    assert (event["type"], event["data"]["record"]["id"]) == ("crm.sales.account.created.v1", account["id"])


async def test_a_number_of_ones_own_is_unique_and_not_of_the_drawn_form(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS, number="K-4711")
    answer = await sales.try_make("accounts", name="Other", number="K-4711")
    assert (answer.status, answer.problem) == (409, "already-exists")
    answer = await sales.try_make("accounts", name="Other", number="ACC-00001")
    assert (answer.status, answer.problem) == (422, "reserved-number")
    assert (await sales.patch("accounts", account, number="K-4712"))["number"] == "K-4712"
    answer = await sales.try_patch("accounts", account, number="acc-7")
    assert (answer.status, answer.problem) == (422, "reserved-number")


async def test_a_patch_of_an_address_keeps_the_parts_that_were_not_sent(sales: Sales) -> None:
    address = {"line1": "Quay 1", "city": "Hull", "country": "GB"}
    account = await sales.make("accounts", **MOVERS, billing_address=address)
    changed = await sales.patch("accounts", account, billing_address={"city": "York", "line1": None})
    assert changed["billing_address"] == {**account["billing_address"], "city": "York", "line1": None}
    cleared = await sales.patch("accounts", account, billing_address=None)
    assert cleared["billing_address"] is None
    begun = await sales.patch("accounts", account, billing_address={"city": "Hull"})
    assert (begun["billing_address"]["city"], begun["billing_address"]["line1"]) == ("Hull", None)


async def test_a_drawn_number_may_be_sent_back(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS)
    assert (await sales.patch("accounts", account, number=account["number"]))["version"] == 1


async def test_amounts_of_an_account_share_one_currency(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS, credit_limit=euros("500.00"))
    assert (account["credit_limit_base"], account["exchange_rate"]) == (euros("500.00"), "1")
    yen = {"amount": "500", "currency": "JPY"}
    answer = await sales.try_patch("accounts", account, annual_revenue=yen)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/annual_revenue/currency")


async def test_accounts_form_trees_without_circles(sales: Sales) -> None:
    top = await sales.make("accounts", name="Top")
    middle = await sales.make("accounts", name="Middle", parent_account_id=top["id"])
    low = await sales.make("accounts", name="Low", parent_account_id=middle["id"])
    for parent in (top, middle, low):
        answer = await sales.try_patch("accounts", top, parent_account_id=parent["id"])
        assert (answer.status, answer.problem) == (422, "circular-parent")
    assert (await sales.patch("accounts", low, parent_account_id=top["id"]))["parent_account_id"] == top["id"]
    found = await sales.page("accounts", f"parent_account_id={top['id']}&sort=name")
    assert [account["name"] for account in found] == ["Low", "Middle"]


async def test_two_changes_of_parent_at_once_close_no_circle(sales: Sales) -> None:
    for n in range(5):
        left, right = await sales.make("accounts", name=f"L{n}"), await sales.make("accounts", name=f"R{n}")
        answers = await asyncio.gather(
            sales.try_patch("accounts", left, parent_account_id=right["id"]),
            sales.try_patch("accounts", right, parent_account_id=left["id"]),
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 422: 1}


async def test_a_tree_has_a_depth(sales: Sales) -> None:
    chain: list[Json] = [await sales.make("accounts", name="Root")]
    for n in range(MAX_ANCESTORS):
        chain.append(await sales.make("accounts", name=f"Level {n}", parent_account_id=chain[-1]["id"]))
    answer = await sales.try_make("accounts", name="Too deep", parent_account_id=chain[-1]["id"])
    assert (answer.status, answer.problem) == (422, "too-deep")
    above = await sales.make("accounts", name="Above")
    answer = await sales.try_patch("accounts", chain[0], parent_account_id=above["id"])
    assert (answer.status, answer.problem) == (422, "too-deep")


@pytest.mark.parametrize("field", ["parent_account_id", "primary_contact_id"])
async def test_references_are_known_and_active(sales: Sales, field: str) -> None:
    collection = "accounts" if field == "parent_account_id" else "contacts"
    target = await sales.make(collection, **({"name": "Parent"} if collection == "accounts" else {"last_name": "Ada"}))
    account = await sales.make("accounts", **MOVERS, **{field: target["id"]})
    await sales.act(collection, target, "deactivate")
    answer = await sales.try_make("accounts", **MOVERS, **{field: target["id"]})
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("inactive-reference", f"/{field}")
    assert (await sales.patch("accounts", account, tier="key", **{field: target["id"]}))["tier"] == "key"
    answer = await sales.try_patch("accounts", account, **{field: "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"})
    assert (answer.status, answer.problem) == (422, "unknown-reference")


async def test_an_inactive_account_is_read_only_until_activated(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS)
    off = await sales.act("accounts", account, "deactivate", reason="Moved abroad")
    assert (off["status"], off["status_reason"], off["allowed_actions"]) == (
        "inactive",
        "inactive",
        ["activate", "assign"],
    )
    assert (await sales.events())[-1]["data"]["reason"] == "Moved abroad"
    answer = await sales.try_patch("accounts", account, tier="key")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["activate"])
    assert (await sales.try_act("accounts", account, "deactivate")).status == 409
    assert (await sales.act("accounts", account, "activate"))["status"] == "active"
    assert await sales.facts() == ["account.created", "account.deactivated", "account.activated"]


async def test_what_refers_to_an_account_keeps_it(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS)
    child = await sales.make("accounts", name="Child", parent_account_id=account["id"])
    contact = await sales.make("contacts", last_name="Lovelace", account_id=account["id"])
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "account", "id": account["id"]})
    answer = await sales.delete("accounts", account)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert {(found["type"], found["id"], found["name"]) for found in answer.json["references"]} == {
        ("account", child["id"], "Child"),
        ("contact", contact["id"], contact["number"]),
        ("opportunity", deal["id"], "Fleet"),
    }
    assert "Lovelace" not in answer.body.decode()


async def test_references_the_caller_may_not_read_stay_hidden(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    account = await sales.make("accounts", **MOVERS)
    await sales.make("contacts", last_name="Lovelace", account_id=account["id"])
    clerk = sales_for(principal(contact=Depth.NONE))
    answer = await clerk.delete("accounts", account)
    assert (answer.problem, answer.json["references"]) == ("in-use", [{"hidden": True}])


async def test_an_account_nothing_refers_to_is_deleted(sales: Sales) -> None:
    account = await sales.make("accounts", **MOVERS)
    assert (await sales.delete("accounts", account)).status == 204
    assert (await sales.client.get(f"{API}/accounts/{account['id']}")).status == 404
    assert await sales.facts() == ["account.created", "account.deleted"]


async def test_an_account_is_assigned(sales: Sales, people: People) -> None:
    account = await sales.make("accounts", **MOVERS)
    team = await people.team("Key accounts")
    given = await sales.act("accounts", account, "assign", owner_type="team", owner_id=str(team))
    assert (given["owner_type"], given["owner_name"]) == ("team", "Key accounts")
    assert await sales.facts() == ["account.created", "account.assigned"]
    again = await sales.act("accounts", account, "assign", owner_type="team", owner_id=str(team))
    assert again["version"] == given["version"]


async def test_accounts_are_found_by_text_and_sorted_by_name(sales: Sales) -> None:
    await sales.make("accounts", name="Zebra Movers")
    await sales.make("accounts", name="Alpha Movers", tier="key")
    await sales.make("accounts", name="Bakers")
    names = [account["name"] for account in await sales.page("accounts", "q=movers&sort=name")]
    assert names == ["Alpha Movers", "Zebra Movers"]
    assert [account["name"] for account in await sales.page("accounts", "tier=key")] == ["Alpha Movers"]
