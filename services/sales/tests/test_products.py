"""Products and families: life cycle, hierarchy, prices and access."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.testing import counted, principal
from crm_sales.product.domain import MAX_LEVELS, why_not_sold
from crm_sales.validity import require_period

from .journey import API, Json, Sales, euros

CARD = {"name": "Gold card", "type": "subscription", "unit": "month", "list_price": euros("12.50"), "tax_percent": 19}
DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


async def family(sales: Sales, name: str = "Cards", **fields: object) -> Json:
    return await sales.make("products", name=name, structure="family", **fields)


async def test_a_new_product_is_a_draft_with_a_drawn_number(sales: Sales) -> None:
    card = await sales.make("products", **CARD)
    assert card["number"].startswith("PRO-")
    assert (card["status"], card["structure"], card["decimals"], card["exchange_rate"]) == ("draft", "product", 0, "1")
    assert (card["list_price_base"], card["tax_percent"]) == (euros("12.50"), 19)
    assert card["allowed_actions"] == ["activate"]
    [event] = await sales.events()
    assert event["type"] == "crm.sales.product.created.v1"
    assert event["data"]["record"] == {name: card[name] for name in card if name != "allowed_actions"}


async def test_a_product_is_sold_retired_and_revised(sales: Sales) -> None:
    card = await sales.make("products", **CARD)
    for command, status, allowed in (
        ("activate", "active", ["retire", "revise"]),
        ("revise", "draft", ["activate"]),
        ("activate", "active", ["retire", "revise"]),
        ("retire", "retired", ["revise"]),
        ("revise", "draft", ["activate"]),
    ):
        card = await sales.act("products", card, command)
        assert (card["status"], card["status_reason"], card["allowed_actions"]) == (status, status, allowed)
    assert await sales.facts() == [
        f"product.{fact}" for fact in ("created", "activated", "revised", "activated", "retired", "revised")
    ]


@pytest.mark.parametrize(
    ("steps", "allowed"), [(["activate"], ["retire", "revise"]), (["activate", "retire"], ["revise"])]
)
async def test_only_a_draft_is_changed_or_deleted(sales: Sales, steps: list[str], allowed: list[str]) -> None:
    card = await sales.make("products", **CARD)
    for step in steps:
        await sales.act("products", card, step)
    answer = await sales.try_patch("products", card, name="Platinum card")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", allowed)
    answer = await sales.delete("products", card)
    assert (answer.status, answer.problem) == (409, "not-deletable")
    await sales.act("products", card, "revise")
    assert (await sales.patch("products", card, name="Platinum card"))["name"] == "Platinum card"
    assert (await sales.delete("products", card)).status == 204
    assert (await sales.client.get(f"{API}/products/{card['id']}")).status == 404


async def test_a_draft_is_changed_field_by_field(sales: Sales) -> None:
    card = await sales.make("products", **CARD, number="K-1")
    fields = {"number": "K-2", "decimals": 3, "standard_cost": euros("3.10"), "unit": None, "valid_from": "2026-01-01"}
    changed = await sales.patch("products", card, **fields)
    assert {name: changed[name] for name in fields} == fields
    assert (changed["version"], changed["standard_cost_base"]) == (2, euros("3.10"))
    assert (await sales.patch("products", card, **fields))["version"] == 2


async def test_a_number_is_unique_and_ones_own_or_drawn(sales: Sales) -> None:
    card = await sales.make("products", **CARD, number="K-4711")
    answer = await sales.try_make("products", **CARD, number="K-4711")
    assert (answer.status, answer.problem) == (409, "already-exists")
    answer = await sales.try_make("products", **CARD, number="pro-00001")
    assert (answer.status, answer.problem) == (422, "reserved-number")
    answer = await sales.try_patch("products", card, number="PRO-1")
    assert (answer.status, answer.problem) == (422, "reserved-number")
    drawn = await sales.make("products", **CARD)
    assert (await sales.patch("products", drawn, number=drawn["number"]))["version"] == 1


@pytest.mark.parametrize(
    ("fields", "problem", "pointer"),
    [
        ({"structure": "family", "list_price": euros("1.00")}, "family-has-no-price", "/list_price"),
        ({"structure": "family", "standard_cost": euros("1.00")}, "family-has-no-price", "/standard_cost"),
        ({"valid_from": "2026-05-02", "valid_to": "2026-05-01"}, "end-before-start", "/valid_to"),
        (
            {"list_price": euros("1.00"), "standard_cost": {"amount": "1", "currency": "JPY"}},
            "currency-mismatch",
            "/standard_cost/currency",
        ),
        ({"list_price": {"amount": "1.00", "currency": "NOK"}}, "no-exchange-rate", "/list_price/currency"),
        ({"decimals": 6}, "validation", "/decimals"),
        ({"list_price": euros("-1.00")}, "validation", "/list_price"),
        ({"tax_percent": 100.5}, "validation", "/tax_percent"),
    ],
)
async def test_what_makes_no_sense_is_refused(sales: Sales, fields: Json, problem: str, pointer: str) -> None:
    answer = await sales.try_make("products", name="Gold card", **fields)
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, problem, pointer)
    assert await sales.facts() == []


async def test_the_structure_stays_what_it_is(sales: Sales) -> None:
    answer = await sales.try_patch("products", await family(sales), structure="product")
    assert (answer.status, answer.problem) == (422, "read-only-field")


async def test_products_belong_to_families_that_are_not_retired(sales: Sales) -> None:
    cards = await family(sales)
    card = await sales.make("products", **CARD, parent_id=cards["id"])
    answer = await sales.try_make("products", name="Sub", parent_id=card["id"])
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, "not-a-family", "/parent_id")
    await sales.act("products", cards, "activate")
    await sales.act("products", cards, "retire")
    answer = await sales.try_make("products", name="Silver card", parent_id=cards["id"])
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    # Products that are in the family already stay, and can still be edited.
    assert (await sales.patch("products", card, unit="year", parent_id=cards["id"]))["unit"] == "year"
    answer = await sales.try_make("products", name="Lost", parent_id="01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f")
    assert (answer.status, answer.problem) == (422, "unknown-reference")


async def test_families_form_trees_without_circles(sales: Sales) -> None:
    top = await family(sales, "Top")
    middle = await family(sales, "Middle", parent_id=top["id"])
    low = await family(sales, "Low", parent_id=middle["id"])
    for parent in (top, middle, low):
        answer = await sales.try_patch("products", top, parent_id=parent["id"])
        assert (answer.status, answer.problem) == (422, "circular-parent")
    assert (await sales.patch("products", low, parent_id=None))["parent_id"] is None


async def test_a_tree_of_families_has_a_depth(sales: Sales) -> None:
    chain = [await family(sales, "Root")]
    for n in range(MAX_LEVELS):
        chain.append(await family(sales, f"Level {n}", parent_id=chain[-1]["id"]))
    answer = await sales.try_make("products", name="Too deep", parent_id=chain[-1]["id"])
    assert (answer.status, answer.problem) == (422, "too-deep")


async def test_a_family_with_something_in_it_stays(sales: Sales) -> None:
    cards = await family(sales)
    card = await sales.make("products", **CARD, parent_id=cards["id"])
    answer = await sales.delete("products", cards)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "product", "id": card["id"], "name": "Gold card"}]


async def test_products_are_found_by_family_at_any_depth(sales: Sales, runtime: Runtime) -> None:
    cards, loans = await family(sales, "Cards"), await family(sales, "Loans")
    gold = await family(sales, "Gold", parent_id=cards["id"])
    await sales.make("products", name="Gold yearly", parent_id=gold["id"])
    await sales.make("products", name="Silver", parent_id=cards["id"])
    await sales.make("products", name="Car loan", parent_id=loans["id"])
    await sales.make("products", name="Alone")

    async def names(query: str) -> list[str]:
        return [found["name"] for found in await sales.page("products", f"sort=name&{query}")]

    with counted(runtime.db) as statements:
        assert await names(f"family_id={cards['id']}") == ["Gold", "Gold yearly", "Silver"]
    assert len(statements) == 1, statements
    assert await names(f"family_id={cards['id']}&structure=product") == ["Gold yearly", "Silver"]
    assert await names(f"family_id[in]={gold['id']},{loans['id']}") == ["Car loan", "Gold yearly"]
    assert await names(f"family_id[ne]={cards['id']}") == ["Alone", "Car loan", "Cards", "Loans"]
    assert await names(f"family_id[nin]={cards['id']},{loans['id']}") == ["Alone", "Cards", "Loans"]
    assert await names("family_id[is_null]=true") == ["Alone", "Cards", "Loans"]
    assert await names("family_id[is_null]=false&structure=family") == ["Gold"]
    assert await names(f"parent_id={cards['id']}") == ["Gold", "Silver"]


async def test_products_are_found_by_name_and_number(sales: Sales) -> None:
    await sales.make("products", **CARD, number="K-4711")
    await sales.make("products", name="Silver card")
    assert [found["name"] for found in await sales.page("products", "q=k-47")] == ["Gold card"]
    assert [found["name"] for found in await sales.page("products", "q=CARD&sort=-name")] == [
        "Silver card",
        "Gold card",
    ]
    assert [found["number"] for found in await sales.page("products", "list_price.amount[gte]=12&sort=number")] == [
        "K-4711"
    ]


async def test_products_belong_to_the_whole_organisation(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    card = await sales.make("products", **CARD)
    branch = sales_for(principal(Depth.DEEP))
    assert (await branch.try_make("products", **CARD)).status == 403
    reader = sales_for(principal(Depth.NONE, product="04000"))
    seen = await reader.get("products", card["id"])
    assert (seen["name"], seen["allowed_actions"]) == ("Gold card", [])
    assert (await reader.try_patch("products", card, name="Mine")).status == 403
    assert (await reader.try_act("products", card, "activate")).status == 403
    assert (await reader.delete("products", card)).status == 403


async def test_a_new_product_costs_one_statement_and_a_look_at_its_family(sales: Sales, runtime: Runtime) -> None:
    cards = await family(sales)
    with counted(runtime.db) as statements:
        await sales.make("products", **CARD)
    assert len(statements) == 1, statements
    with counted(runtime.db) as statements:
        await sales.make("products", **CARD, parent_id=cards["id"])
    assert len(statements) == 3, statements


@given(DAYS, st.none() | DAYS, st.none() | DAYS)
def test_an_active_product_is_sold_from_its_first_to_its_last_day(
    day: date, first: date | None, last: date | None
) -> None:
    sold = why_not_sold("product", "active", first, last, day) is None
    assert sold == ((first or date.min) <= day <= (last or date.max))
    for status in ("draft", "retired"):
        assert why_not_sold("product", status, first, last, day) is not None
    assert why_not_sold("family", "active", first, last, day) is not None


@given(DAYS, st.integers(-400, 400))
def test_a_period_ends_on_its_first_day_at_the_earliest(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    require_period(first, None)
    require_period(None, last)
    if days >= 0:
        require_period(first, last)
    else:
        with pytest.raises(InvalidValue, match="end-before-start"):
            require_period(first, last)
