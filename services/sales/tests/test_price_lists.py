"""Price lists and their prices: valid values, locks, and the prices that lines get."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import Money, exponent
from crm_contracts.sales.price_list_item import MAX_BREAKS, VolumeBreak
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.testing import counted, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.price_list.domain import why_not_in_force
from crm_sales.price_list.prices import prices_of, require_price_list
from crm_sales.price_list_item.domain import percent_price, require_breaks, require_price
from crm_sales.pricing.domain import VolumeBreak as Break
from crm_sales.pricing.domain import volume_discount

from .journey import API, Json, Sales, euros

NOWHERE = "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"
RETAIL = {"name": "Retail", "currency": "EUR"}
TEN = {"min_quantity": "10", "discount_percent": 5, "discount_amount": None}
HUNDRED = {"min_quantity": "100", "discount_percent": None, "discount_amount": euros("2.00")}


async def product(sales: Sales, name: str = "Gold card", **fields: object) -> Json:
    made = await sales.make("products", **({"name": name, "list_price": euros("12.50")} | fields))
    return await sales.act("products", made, "activate")


async def price(sales: Sales, price_list: Json, of: Json, **fields: object) -> Json:
    return await sales.make("price-list-items", price_list_id=price_list["id"], product_id=of["id"], **fields)


async def test_a_price_list_is_made_changed_switched_and_deleted(sales: Sales) -> None:
    retail = await sales.make("price-lists", **RETAIL, valid_from="2026-01-01")
    assert (retail["status"], retail["currency"], retail["allowed_actions"]) == ("active", "EUR", ["deactivate"])
    assert (await sales.patch("price-lists", retail, valid_to="2026-12-31"))["valid_to"] == "2026-12-31"
    assert (await sales.patch("price-lists", retail, valid_to="2026-12-31"))["version"] == 2
    off = await sales.act("price-lists", retail, "deactivate", reason="Too dear")
    assert (off["status"], off["allowed_actions"]) == ("inactive", ["activate"])
    answer = await sales.try_patch("price-lists", retail, name="Dear")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    await sales.act("price-lists", retail, "activate")
    assert (await sales.delete("price-lists", retail)).status == 204
    events = await sales.events()
    assert [event["type"].split(".")[3] for event in events] == [
        "created",
        "updated",
        "deactivated",
        "activated",
        "deleted",
    ]
    assert events[2]["data"]["reason"] == "Too dear"


async def test_a_price_list_keeps_its_currency_and_its_days_in_order(sales: Sales) -> None:
    retail = await sales.make("price-lists", **RETAIL, valid_from="2026-05-01")
    answer = await sales.try_patch("price-lists", retail, currency="USD")
    assert (answer.status, answer.problem) == (422, "read-only-field")
    answer = await sales.try_patch("price-lists", retail, valid_to="2026-04-30")
    assert (answer.status, answer.problem) == (422, "end-before-start")


async def test_price_lists_are_found_by_name_and_currency(sales: Sales) -> None:
    await sales.make("price-lists", **RETAIL, valid_from="2026-02-01")
    await sales.make("price-lists", name="Retail USA", currency="USD")
    assert [one["name"] for one in await sales.page("price-lists", "q=retail&sort=-valid_from")] == [
        "Retail",
        "Retail USA",
    ]
    assert [one["name"] for one in await sales.page("price-lists", "currency=USD")] == ["Retail USA"]


async def test_a_price_is_an_amount_with_volume_breaks(sales: Sales) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    made = await price(sales, retail, card, amount=euros("11.00"), volume_breaks=[TEN, HUNDRED])
    assert (made["pricing_method"], made["amount"], made["amount_base"]) == ("amount", euros("11.00"), euros("11.00"))
    assert (made["volume_breaks"], made["currency"], made["percent"]) == ([TEN, HUNDRED], "EUR", None)
    same = await sales.patch("price-list-items", made, amount=euros("11.00"), volume_breaks=[TEN, HUNDRED])
    assert same["version"] == 1
    changed = await sales.patch("price-list-items", made, volume_breaks=[HUNDRED])
    assert (changed["volume_breaks"], changed["version"]) == ([HUNDRED], 2)
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}&product_id={card['id']}")
    assert item == changed
    assert (await sales.events())[-1]["type"] == "crm.sales.price_list_item.updated.v1"


async def test_a_price_changes_from_an_amount_to_a_percentage_and_back(sales: Sales) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    made = await price(sales, retail, card, amount=euros("11.00"))
    to_percent = {"pricing_method": "percent_of_list", "percent": 110.5, "amount": None}
    changed = await sales.patch("price-list-items", made, **to_percent)
    assert (changed["percent"], changed["amount"], changed["amount_base"]) == (110.5, None, None)
    changed = await sales.patch("price-list-items", made, pricing_method="amount", percent=None, amount=euros("1.00"))
    assert (changed["percent"], changed["amount_base"]) == (None, euros("1.00"))


@pytest.mark.parametrize(
    ("fields", "problem", "pointer"),
    [
        ({}, "amount-required", "/amount"),
        ({"pricing_method": "percent_of_list"}, "percent-required", "/percent"),
        ({"amount": euros("1.00"), "percent": 50}, "contradicts-method", "/percent"),
        (
            {"pricing_method": "percent_of_list", "amount": euros("1.00"), "percent": 50},
            "contradicts-method",
            "/amount",
        ),
        ({"amount": {"amount": "1", "currency": "JPY"}}, "currency-mismatch", "/amount/currency"),
        ({"amount": euros("-1.00")}, "validation", "/amount"),
        ({"pricing_method": "percent_of_list", "percent": 1000}, "validation", "/percent"),
        ({"amount": euros("1.00"), "volume_breaks": [TEN, TEN]}, "not-rising", "/volume_breaks/1/min_quantity"),
        ({"amount": euros("1.00"), "volume_breaks": [{"min_quantity": "2"}]}, "one-discount", "/volume_breaks/0"),
        (
            {"amount": euros("1.00"), "volume_breaks": [TEN, HUNDRED | {"discount_percent": 5}]},
            "one-discount",
            "/volume_breaks/1",
        ),
        (
            {
                "amount": euros("1.00"),
                "volume_breaks": [{"min_quantity": "2", "discount_amount": {"amount": "1", "currency": "JPY"}}],
            },
            "currency-mismatch",
            "/volume_breaks/0/discount_amount/currency",
        ),
        (
            {
                "amount": euros("1.00"),
                "volume_breaks": [{"min_quantity": str(n), "discount_percent": 1} for n in range(1, MAX_BREAKS + 2)],
            },
            "validation",
            "/volume_breaks",
        ),
    ],
)
async def test_a_price_that_makes_no_sense_is_refused(sales: Sales, fields: Json, problem: str, pointer: str) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    answer = await sales.try_make("price-list-items", price_list_id=retail["id"], product_id=card["id"], **fields)
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, problem, pointer)


async def test_a_product_has_one_price_in_a_list(sales: Sales) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    await price(sales, retail, card, amount=euros("11.00"))
    body = {"price_list_id": retail["id"], "product_id": card["id"], "amount": euros("10.00")}
    answer = await sales.try_make("price-list-items", **body)
    assert (answer.status, answer.problem) == (409, "already-exists")


async def test_prices_are_of_products_that_are_not_retired_in_lists_that_are_active(sales: Sales) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    gone = await sales.act("products", await product(sales, "Old card"), "retire")
    cards = await sales.make("products", name="Cards", structure="family")
    closed = await sales.act("price-lists", await sales.make("price-lists", **RETAIL), "deactivate")
    unknown = {"id": NOWHERE}
    for price_list, of, problem, pointer in (
        (closed, card, "inactive-reference", "/price_list_id"),
        (unknown, card, "unknown-reference", "/price_list_id"),
        (retail, gone, "inactive-reference", "/product_id"),
        (retail, cards, "family-has-no-price", "/product_id"),
        (retail, unknown, "unknown-reference", "/product_id"),
    ):
        body = {"price_list_id": price_list["id"], "product_id": of["id"], "amount": euros("1.00")}
        answer = await sales.try_make("price-list-items", **body)
        assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, problem, pointer)
    # A retired product, or a closed list, keeps its prices, and they can be corrected.
    draft = await sales.make("products", name="New card")
    made = await price(sales, retail, draft, amount=euros("1.00"))
    await sales.act("price-lists", retail, "deactivate")
    assert (await sales.patch("price-list-items", made, amount=euros("1.50")))["amount"] == euros("1.50")


async def test_a_percentage_needs_a_list_price_in_the_lists_currency(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    america, card = await sales.make("price-lists", name="USA", currency="USD"), await product(sales)
    body = {
        "price_list_id": america["id"],
        "product_id": card["id"],
        "pricing_method": "percent_of_list",
        "percent": 95,
    }
    answer = await sales.try_make("price-list-items", **body)
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (
        422,
        "list-price-required",
        "/percent",
    )
    made = await price(sales, america, card, amount={"amount": "13.00", "currency": "USD"})
    to_percent = {"pricing_method": "percent_of_list", "percent": 95, "amount": None}
    answer = await sales.try_patch("price-list-items", made, **to_percent)
    assert (answer.status, answer.problem) == (422, "list-price-required")


@pytest.mark.parametrize("list_price", [None, euros("999999999999999.99")])
async def test_a_list_price_that_others_are_a_percentage_of_stays_usable(sales: Sales, list_price: Json | None) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    await price(sales, retail, card, pricing_method="percent_of_list", percent=110)
    await sales.act("products", card, "revise")
    answer = await sales.try_patch("products", card, list_price=list_price)
    problem = "list-price-required" if list_price is None else "too-large"
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, problem, "/list_price")
    assert (await sales.patch("products", card, list_price=euros("13.00")))["list_price"] == euros("13.00")


async def test_a_list_price_cannot_vanish_while_a_percentage_of_it_is_being_made(sales: Sales) -> None:
    for n in range(5):
        retail = await sales.make("price-lists", **RETAIL)
        card = await sales.make("products", name=f"Card {n}", list_price=euros("1.00"))
        body = {
            "price_list_id": retail["id"],
            "product_id": card["id"],
            "pricing_method": "percent_of_list",
            "percent": 5,
        }
        made, cleared = await asyncio.gather(
            sales.try_make("price-list-items", **body), sales.try_patch("products", card, list_price=None)
        )
        assert {made.status, cleared.status} in ({201, 422}, {422, 200})


async def test_what_is_priced_and_what_has_prices_stays(sales: Sales) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await sales.make("products", name="Gold card")
    made = await price(sales, retail, card, amount=euros("11.00"))
    for collection, record in (("price-lists", retail), ("products", card)):
        answer = await sales.delete(collection, record)
        assert (answer.status, answer.problem) == (409, "in-use")
        assert answer.json["references"] == [{"type": "price_list_item", "id": made["id"], "name": None}]
    assert (await sales.delete("price-list-items", made)).status == 204
    assert (await sales.delete("price-lists", retail)).status == 204
    assert (await sales.delete("products", card)).status == 204


async def test_prices_belong_to_the_whole_organisation(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    made = await price(sales, retail, card, amount=euros("11.00"))
    body = {"price_list_id": retail["id"], "product_id": card["id"], "amount": euros("1.00")}
    branch = sales_for(principal(Depth.DEEP))
    assert (await branch.try_make("price-lists", **RETAIL)).status == 403
    assert (await branch.try_make("price-list-items", **body)).status == 403
    reader = sales_for(principal(Depth.NONE, price_list="04000", price_list_item="04000"))
    assert await reader.get("price-list-items", made["id"]) == made
    assert (await reader.get("price-lists", retail["id"]))["allowed_actions"] == []
    assert (await reader.try_patch("price-list-items", made, amount=euros("1.00"))).status == 403
    assert (await reader.try_act("price-lists", retail, "deactivate")).status == 403
    # Prices do not reveal products to callers who may not read products.
    blind = sales_for(principal(product=Depth.NONE))
    answer = await blind.try_make("price-list-items", **body)
    assert (answer.status, answer.problem) == (422, "unknown-reference")


async def test_lines_find_products_with_their_prices_in_one_statement(
    sales: Sales, uow: UnitOfWork, runtime: Runtime
) -> None:
    retail = await sales.make("price-lists", **RETAIL)
    cards = [await product(sales, f"Card {n}", list_price=euros(f"{n}.55")) for n in range(4)]
    await price(sales, retail, cards[0], amount=euros("11.00"), volume_breaks=[TEN, HUNDRED])
    await price(sales, retail, cards[1], pricing_method="percent_of_list", percent=90)
    await price(sales, retail, cards[2], pricing_method="percent_of_list", percent=110)
    ids = [UUID(card["id"]) for card in cards]
    with counted(runtime.db) as statements:
        found = await prices_of(uow, UUID(retail["id"]), [*ids, uuid4()])
    assert len(statements) == 1, statements
    assert list(found) == sorted(ids)
    # 1.55 x 0.9 = 1.395 and 2.55 x 1.1 = 2.805: halves are rounded up.
    assert [found[id_].unit_price for id_ in ids] == [
        Money(Decimal("11.00"), "EUR"),
        Money(Decimal("1.40"), "EUR"),
        Money(Decimal("2.81"), "EUR"),
        None,
    ]
    assert found[ids[0]].breaks == (
        Break(Decimal(10), percent=Decimal(5)),
        Break(Decimal(100), amount=Money(Decimal("2.00"), "EUR")),
    )
    assert [found[id_].product.name for id_ in ids] == ["Card 0", "Card 1", "Card 2", "Card 3"]


async def test_without_a_price_list_a_product_costs_its_list_price(sales: Sales, uow: UnitOfWork) -> None:
    retail = await sales.make("price-lists", **RETAIL)
    priced, bare = await product(sales), await product(sales, "Bare", list_price=None)
    await price(sales, retail, priced, amount=euros("11.00"), volume_breaks=[TEN])
    found = await prices_of(uow, None, [UUID(priced["id"]), UUID(bare["id"])])
    assert [found[UUID(one["id"])].unit_price for one in (priced, bare)] == [Money(Decimal("12.50"), "EUR"), None]
    assert {one.breaks for one in found.values()} == {()}
    assert await prices_of(uow, None, []) == {}


async def test_who_may_not_read_products_finds_none(sales: Sales, runtime: Runtime) -> None:
    card = await product(sales)
    blind = UnitOfWork(runtime, principal(product=Depth.NONE), Cause(correlation_id="a test"))
    assert await prices_of(blind, None, [UUID(card["id"])]) == {}


async def test_a_product_waits_for_the_lines_that_are_being_written_with_it(sales: Sales, uow: UnitOfWork) -> None:
    card = await product(sales)
    await prices_of(uow, None, [UUID(card["id"])])
    answer = await sales.try_act("products", card, "retire")
    assert (answer.status, answer.problem) == (503, "unavailable")


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (None, None, None),
        (0, 0, None),
        (-1, 1, None),
        (1, None, "price-list-not-valid"),
        (None, -1, "price-list-not-valid"),
    ],
)
async def test_a_price_list_is_in_force_from_its_first_to_its_last_day(
    sales: Sales, uow: UnitOfWork, first: int | None, last: int | None, problem: str | None
) -> None:
    days = {
        name: (today(uow) + timedelta(days=distance)).isoformat()
        for name, distance in (("valid_from", first), ("valid_to", last))
        if distance is not None
    }
    retail = await sales.make("price-lists", **RETAIL, **days)
    if problem is None:
        assert (await require_price_list(uow, UUID(retail["id"]), "/price_list_id")).name == "Retail"
        return
    with pytest.raises(InvalidValue, match=problem) as refused:
        await require_price_list(uow, UUID(retail["id"]), "/price_list_id")
    assert refused.value.errors[0].pointer == "/price_list_id"


async def test_an_inactive_or_unknown_price_list_is_not_in_force(sales: Sales, uow: UnitOfWork) -> None:
    closed = await sales.act("price-lists", await sales.make("price-lists", **RETAIL), "deactivate")
    for id_, problem in ((closed["id"], "inactive-reference"), (NOWHERE, "unknown-reference")):
        with pytest.raises(InvalidValue, match=problem):
            await require_price_list(uow, UUID(id_), "/price_list_id")


async def test_a_new_price_is_a_look_at_its_list_and_product_and_one_statement(sales: Sales, runtime: Runtime) -> None:
    retail, card = await sales.make("price-lists", **RETAIL), await product(sales)
    body = {"price_list_id": retail["id"], "product_id": card["id"], "amount": euros("1.00")}
    with counted(runtime.db) as statements:
        answer = await sales.client.post(f"{API}/price-list-items", body)
    assert answer.status == 201
    # The list; BEGIN, the product, the price, COMMIT.
    assert len(statements) <= 5, statements


CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])
"""With no decimals, two and three."""
QUANTITY = st.decimals(Decimal("0.00001"), 1000, places=5)
PERCENT = st.decimals(0, Decimal("999.99"), places=2)


@given(CURRENCIES, PERCENT, st.integers(0, 10**12))
def test_a_percentage_of_a_list_price_is_rounded_half_up(currency: str, percent: Decimal, units: int) -> None:
    scale: int = 10 ** exponent(currency)
    found = percent_price(percent, Money(Decimal(units) / scale, currency), currency, "/percent")
    whole = (Fraction(units) * Fraction(percent) / 100 + Fraction(1, 2)).__floor__()
    assert Fraction(found.amount) * scale == whole


@given(st.lists(QUANTITY, min_size=1, max_size=8), QUANTITY)
def test_breaks_that_rise_are_taken_and_the_highest_reached_counts(quantities: list[Decimal], wanted: Decimal) -> None:
    given_breaks = [VolumeBreak(min_quantity=least, discount_percent=n) for n, least in enumerate(quantities)]
    if any(after <= before for before, after in pairwise(quantities)):
        with pytest.raises(InvalidValue, match="not-rising"):
            require_breaks(given_breaks, "EUR")
        return
    require_breaks(given_breaks, "EUR")
    reached = [n for n, least in enumerate(quantities) if least <= wanted]
    breaks = [Break(one.min_quantity, one.discount_percent, one.discount_amount) for one in given_breaks]
    off = volume_discount(breaks, Money(Decimal("100.00"), "EUR"), wanted)
    assert off == Money(Decimal(reached[-1] if reached else 0), "EUR")


@given(st.none() | PERCENT, st.booleans(), st.sampled_from(["amount", "percent_of_list"]))
def test_a_price_is_what_its_method_says_and_nothing_else(percent: Decimal | None, priced: bool, method: str) -> None:
    amount = Money(Decimal("1.00"), "EUR") if priced else None
    fits = (priced, percent is not None) == (method == "amount", method == "percent_of_list")
    if fits:
        require_price(method, amount, percent, "EUR")
    else:
        with pytest.raises(InvalidValue):
            require_price(method, amount, percent, "EUR")


@given(*[st.dates(date(2000, 1, 1), date(2100, 12, 31))] * 3)
def test_a_price_list_holds_between_its_days(day: date, first: date, last: date) -> None:
    assert (why_not_in_force(first, last, day) is None) == (first <= day <= last)
    assert why_not_in_force(None, None, day) is None
