"""A quote becomes an order once. A won deal passes its customer on to orders and invoices."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import ADA, Json, Sales, euros
from .paperwork import buyer, derived, line, part, state, submitted
from .selling import make_customer, make_price_list, make_product, make_quote


async def offered(sales: Sales, **fields: object) -> Json:
    """An active quote."""
    return await sales.act("quotes", await make_quote(sales, **fields), "activate")


async def test_ordering_an_active_quote_wins_it(sales: Sales) -> None:
    quote = await offered(sales, payment_terms="net_30", freight=euros("5.00"), discount_percent=3, description="Soon")
    order = await derived(sales, "quotes", quote, "order", name="Vans")
    now = await sales.get("quotes", quote["id"])
    assert (state(now), now["order_id"], now["version"]) == ("won/won", order["id"], quote["version"] + 1)
    assert (state(order), order["quote_id"], order["name"]) == ("active/new", quote["id"], "Vans")
    for field in ("payment_terms", "freight", "discount_percent", "description", "customer", "total", "total_base"):
        assert order[field] == quote[field], field
    assert (await sales.facts())[-2:] == ["quote.won", "order.created"]
    assert "order" not in now["allowed_actions"]


async def test_a_won_quote_becomes_an_order_later(sales: Sales) -> None:
    won = await sales.act("quotes", await offered(sales), "win")
    assert won["allowed_actions"] == ["order", "assign"]
    order = await derived(sales, "quotes", won, "order")
    assert (await sales.facts())[-2:] == ["quote.updated", "order.created"]
    again = await sales.try_act("quotes", won, "order")
    assert (again.status, again.problem, again.json["order_id"]) == (409, "already-ordered", order["id"])


@pytest.mark.parametrize("ending", ["lose", "cancel", None])
async def test_what_was_not_offered_or_not_accepted_becomes_no_order(sales: Sales, ending: str | None) -> None:
    quote = await sales.act("quotes", await offered(sales), ending) if ending else await make_quote(sales)
    answer = await sales.try_act("quotes", quote, "order")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert [*answer.json["allowed"], "assign"] == quote["allowed_actions"]


async def test_a_quote_of_a_lost_deal_becomes_an_order_once_the_deal_is_reopened(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    quote = await sales.act("quotes", await offered(sales, opportunity_id=deal["id"]), "win")
    await sales.act("opportunities", deal, "lose", reason="canceled")
    answer = await sales.try_act("quotes", quote, "order")
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert state(await sales.get("quotes", quote["id"])) == "won/won"
    await sales.act("opportunities", deal, "reopen")
    assert (await derived(sales, "quotes", quote, "order"))["opportunity_id"] == deal["id"]


async def test_twenty_at_once_make_one_order_of_a_quote(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    quote = await offered(sales, opportunity_id=deal["id"])
    answers = await asyncio.gather(*(sales.try_act("quotes", quote, "order") for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 19}
    assert {answer.problem for answer in answers if answer.status == 409} == {"already-ordered"}
    counts = Counter(await sales.facts())
    assert (counts["order.created"], counts["quote.won"]) == (1, 1)


async def test_whoever_orders_may_create_orders(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    quote = await offered(sales)
    answer = await sales_for(principal(order=Depth.NONE)).try_act("quotes", quote, "order")
    assert (answer.status, answer.problem) == (403, "forbidden")
    assert state(await sales.get("quotes", quote["id"])) == "active/active"


async def test_the_order_of_a_quote_is_canceled_instead_of_deleted(sales: Sales) -> None:
    order = await derived(sales, "quotes", await offered(sales), "order")
    answer = await sales.delete("orders", order)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"][0]["type"] == "quote"
    assert state(await sales.act("orders", order, "cancel")) == "canceled/canceled"


async def test_lines_of_a_price_locked_order_keep_their_prices(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(
        sales, (card, "10.00"), volume_breaks=[{"min_quantity": "5", "discount_percent": 10}]
    )
    lines = [{"product_id": card["id"], "quantity": "5"}]
    order = await sales.make("orders", name="Cards", price_list_id=retail["id"], lines=lines, prices_locked=True)
    assert (order["lines"][0]["volume_discount"], order["subtotal"]) == (euros("1.00"), euros("45.00"))
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("20.00"))
    more = [{"id": order["lines"][0]["id"], "product_id": card["id"], "quantity": "6"}, *lines]
    locked = await sales.patch("orders", order, lines=more)
    assert [one["net"] for one in locked["lines"]] == [euros("54.00"), euros("90.00")]
    assert locked["lines"][0]["price_overridden"] is False
    answer = await sales.try_act("orders", order, "reprice")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    free = await sales.act("orders", order, "unlock-prices")
    assert free["subtotal"] == locked["subtotal"]
    repriced = await sales.act("orders", order, "reprice")
    assert [one["net"] for one in repriced["lines"]] == [euros("108.00"), euros("90.00")]
    assert (await sales.act("orders", order, "reprice"))["version"] == repriced["version"]


async def test_a_person_may_still_give_another_price_where_prices_are_locked(sales: Sales) -> None:
    card = await make_product(sales)
    order = await sales.make(
        "orders", name="Cards", lines=[{"product_id": card["id"], "quantity": "2"}], prices_locked=True
    )
    given = {**order["lines"][0], "unit_price": euros("9.00"), "price_overridden": True}
    changed = await sales.patch("orders", order, lines=[given])
    assert (changed["lines"][0]["net"], changed["lines"][0]["price_overridden"]) == (euros("18.00"), True)


async def test_a_price_list_is_looked_at_where_prices_are_locked_too(sales: Sales) -> None:
    order = await sales.make("orders", name="Cards", lines=[line("Card")], prices_locked=True)
    yen = await sales.make("price-lists", name="Yen", currency="JPY")
    for more in ({}, {"lines": order["lines"]}):
        for wrong, problem in ((yen["id"], "currency-mismatch"), (order["id"], "unknown-reference")):
            answer = await sales.try_patch("orders", order, price_list_id=wrong, **more)
            assert (answer.status, answer.problem) == (422, problem)


async def test_a_price_list_out_of_force_prices_no_new_line_where_prices_are_locked(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "10.00"))
    new = {"product_id": card["id"], "quantity": "2"}
    order = await sales.make("orders", name="Cards", price_list_id=retail["id"], lines=[new], prices_locked=True)
    await sales.act("price-lists", retail, "deactivate")
    kept = {**new, "id": order["lines"][0]["id"], "quantity": "3"}
    assert (await sales.patch("orders", order, lines=[kept]))["subtotal"] == euros("30.00")
    answer = await sales.try_patch("orders", order, lines=[kept, new])
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    given = {**new, "unit_price": euros("9.00")}
    assert (await sales.patch("orders", order, lines=[kept, given]))["subtotal"] == euros("48.00")


async def test_a_retired_product_stays_in_an_order_and_is_in_use(sales: Sales) -> None:
    card = await make_product(sales)
    lines = [{"product_id": card["id"], "quantity": "2"}]
    order = await sales.make("orders", name="Cards", customer=await make_customer(sales), lines=lines)
    await sales.act("products", card, "retire")
    await sales.patch("orders", order, lines=[{**lines[0], "id": order["lines"][0]["id"], "quantity": "3"}])
    invoice = await derived(sales, "orders", await sales.act("orders", order, "submit"), "invoice")
    assert invoice["lines"][0]["quantity"] == "3"
    draft = await sales.act("products", card, "revise")
    answer = await sales.delete("products", draft)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert {one["type"] for one in answer.json["references"]} == {"order", "invoice"}


@pytest.mark.parametrize(("command", "done"), [("fulfill", 200), ("invoice", 201)])
async def test_what_is_sold_in_whole_units_is_delivered_and_billed_in_whole_units(
    sales: Sales, command: str, done: int
) -> None:
    card, cable = await make_product(sales), await make_product(sales, "Cable", unit="metre", decimals=1)
    lines = [{"product_id": one["id"], "quantity": "3"} for one in (card, cable)]
    customer = await make_customer(sales)
    order = await sales.act(
        "orders", await sales.make("orders", name="Parts", customer=customer, lines=lines), "submit"
    )
    answer = await sales.try_act("orders", order, command, lines=[part(order, 1, "1"), part(order, 0, "0.5")])
    assert (answer.status, answer.problem) == (422, "too-many-decimals")
    assert answer.json["errors"][0]["pointer"] == "/lines/1/quantity"
    wanted = [part(order, 0, "1"), part(order, 1, "0.5")]
    assert (await sales.try_act("orders", order, command, lines=wanted)).status == done


async def test_a_price_list_that_an_order_takes_its_prices_from_is_in_use(sales: Sales) -> None:
    retail = await make_price_list(sales)
    await sales.make("orders", name="Cards", price_list_id=retail["id"])
    answer = await sales.delete("price-lists", retail)
    assert (answer.status, answer.json["references"][0]["type"]) == (409, "order")


async def test_a_deal_with_an_unfinished_order_is_won_by_force(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales), estimated_value=euros("100.00"))
    order = await submitted(sales, opportunity_id=deal["id"])
    answer = await sales.try_act("opportunities", deal, "win")
    assert (answer.status, answer.problem) == (409, "unfinished-business")
    assert answer.json["references"] == [{"type": "order", "id": order["id"], "name": order["number"]}]
    hidden = await sales_for(principal(order=Depth.NONE)).try_act("opportunities", deal, "win")
    assert hidden.json["references"] == [{"hidden": True}]
    assert (await sales.act("opportunities", deal, "win", force=True))["status"] == "won"


@pytest.mark.parametrize("ending", ["invoice", "cancel"])
async def test_a_deal_whose_orders_are_finished_is_simply_won(sales: Sales, ending: str) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales), estimated_value=euros("100.00"))
    order = await submitted(sales, opportunity_id=deal["id"])
    assert (await sales.try_act("orders", order, ending)).status in (200, 201)
    assert (await sales.act("opportunities", deal, "win"))["status"] == "won"


async def test_winning_gives_a_customer_to_what_an_applicant_has_bought(sales: Sales) -> None:
    await sales.make_customers_on_win()
    lead = await sales.act("leads", await sales.make("leads", **ADA), "qualify")
    deal = {"id": lead["opportunity_id"]}
    await sales.patch("opportunities", deal, lines=[line("Gold card")])
    quote = await sales.act("quotes", await derived(sales, "opportunities", deal, "quote"), "activate")
    order = await sales.act("orders", await derived(sales, "quotes", quote, "order"), "submit")
    invoice = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    paid = await sales.act("invoices", invoice, "pay", amount=invoice["total"], method="card")
    assert paid["customer"] is None
    won = await sales.act("opportunities", deal, "win")
    for collection, record in (("quotes", quote), ("orders", order), ("invoices", invoice)):
        now = await sales.get(collection, record["id"])
        assert now["customer"] == won["customer"], collection
    made = {"account.created": 1, "contact.created": 1, "opportunity.won": 1}
    updated = {f"{entity}.updated": 1 for entity in ("lead", "quote", "order", "invoice")}
    assert Counter((await sales.facts())[-7:]) == made | updated


async def test_ordering_and_winning_at_once_leave_nobody_without_a_customer(sales: Sales) -> None:
    await sales.make_customers_on_win()
    lead = await sales.act("leads", await sales.make("leads", **ADA), "qualify")
    deal = {"id": lead["opportunity_id"]}
    await sales.patch("opportunities", deal, lines=[line("Gold card")])
    quote = await sales.act("quotes", await derived(sales, "opportunities", deal, "quote"), "activate")
    ordered, won = await asyncio.gather(
        sales.try_act("quotes", quote, "order"), sales.try_act("opportunities", deal, "win", force=True)
    )
    assert (ordered.status, won.status) == (201, 200)
    [order] = await sales.page("orders", f"quote_id={quote['id']}")
    assert order["customer"]["id"] == won.json["customer"]["id"]
