"""From the deal to the last payment in one story: each step has an event, and each illegal step lists the allowed ones."""

from decimal import Decimal

from .journey import Json, Sales, euros
from .paperwork import buyer, derived, line, part, pay, state, summed
from .selling import days_pass


async def refused(sales: Sales, collection: str, record: Json, command: str, allowed: set[str], **body: object) -> None:
    """Check that the step is refused with 409 and lists the allowed actions."""
    answer = await sales.try_act(collection, record, command, **body)
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert set(answer.json["allowed"]) == allowed


async def test_from_the_deal_to_the_last_payment(sales: Sales) -> None:
    deal = await sales.make(
        "opportunities",
        name="Furniture",
        customer=await buyer(sales),
        estimated_value_source="lines",
        lines=[line("Chair", "4", "99.99", tax_percent=19), line("Table", "1", "350.00", tax_percent=19)],
    )
    first = await derived(sales, "opportunities", deal, "quote")
    await refused(sales, "quotes", first, "order", set(first["allowed_actions"]) - {"assign"})
    await sales.act("quotes", first, "activate")
    second = await derived(sales, "quotes", first, "revise")
    cheaper = [{**second["lines"][0], "manual_discount": euros("0.01")}, second["lines"][1]]
    await sales.patch("quotes", second, lines=cheaper, freight=euros("9.99"), discount_percent=2.5)
    await sales.act("quotes", second, "activate")
    third = await sales.act("quotes", await derived(sales, "quotes", second, "revise"), "activate")
    assert (third["revision"], third["number"]) == (3, first["number"])

    won = await sales.act("quotes", third, "win")
    order = await derived(sales, "quotes", won, "order", requested_delivery="2030-01-31")
    quote = await sales.get("quotes", won["id"])
    assert (quote["order_id"], order["quote_id"], order["opportunity_id"]) == (order["id"], quote["id"], deal["id"])
    for field in ("total", "subtotal", "discount_total", "tax_total", "customer", "name"):
        assert order[field] == third[field], field
    assert [one["id"] for one in order["lines"]] == [one["id"] for one in deal["lines"]]
    assert order["prices_locked"] is True
    again = await sales.try_act("quotes", won, "order")
    assert (again.status, again.problem) == (409, "already-ordered")

    await refused(sales, "orders", order, "fulfill", {"hold", "unlock-prices", "submit", "cancel"})
    await sales.act("orders", order, "submit")
    await refused(sales, "orders", order, "submit", {"fulfill", "invoice", "cancel"})
    await sales.act("orders", order, "fulfill", lines=[part(order, 0, "3")])
    half = await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "2")])
    too_much = await sales.try_act("orders", order, "invoice", lines=[part(order, 0, "3")])
    assert (too_much.status, too_much.problem) == (422, "quantity-exceeded")
    rest = await derived(sales, "orders", order, "invoice")
    assert summed([half, rest], "total") == summed([order], "total")
    await refused(sales, "orders", order, "cancel", {"fulfill"})
    await sales.act("orders", order, "fulfill")
    await refused(sales, "orders", order, "fulfill", set())

    await refused(sales, "invoices", half, "pay", {"issue", "cancel"}, amount=euros("1.00"), method="cash")
    await sales.patch("invoices", rest, payment_terms="net_10")
    half, rest = [await sales.act("invoices", one, "issue") for one in (half, rest)]
    await pay(sales, half, "50.00")
    await refused(sales, "invoices", half, "cancel", {"pay", "reverse-payment", "credit"})
    left = Decimal(half["total"]["amount"]) - 50
    assert state(await pay(sales, half, str(left))) == "paid/complete"
    assert await days_pass(sales, 11) == 1
    assert (await sales.get("invoices", rest["id"]))["overdue_at"] is not None

    told: dict[str, list[str]] = {}
    for event in await sales.events():
        facts = told.setdefault(event["subject"], [])
        facts.append(event["type"].split(".")[3])
        assert event["entityversion"] == len(facts)
    assert told[order["id"]] == ["created", "submitted", "partially_fulfilled", "updated", "invoiced", "fulfilled"]
    assert told[half["id"]] == ["created", "issued", "partially_paid", "paid"]
    assert told[rest["id"]] == ["created", "updated", "issued", "overdue"]
    assert told[won["id"]] == ["created", "activated", "won", "updated"]
