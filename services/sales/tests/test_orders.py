"""Orders: created without a quote, submitted, delivered and billed in parts up to the ordered quantities."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import Json, Sales, euros
from .paperwork import buyer, derived, line, ordered, part, state, submitted, summed


async def test_an_order_by_hand_costs_what_its_lines_cost(sales: Sales) -> None:
    order = await ordered(
        sales,
        line("Chair", "4", "100.00", tax_percent=19),
        line("Table", "1", "350.00", manual_discount=euros("50.00"), tax_percent=19),
        discount_percent=10,
        freight=euros("20.00"),
    )
    assert order["number"].startswith("ORD-")
    assert state(order) == "active/new"
    assert [order[field] for field in ("subtotal", "discount_total", "tax_total", "total")] == [
        euros("700.00"),
        euros("70.00"),
        euros("133.00"),
        euros("783.00"),
    ]
    assert order["total_base"] == euros("783.00")
    assert {one["shipped_quantity"] for one in order["lines"]} == {"0"}
    assert await sales.facts() == ["account.created", "order.created"]


async def test_an_order_takes_customer_addresses_and_campaign_from_its_deal(sales: Sales, campaign: str) -> None:
    account = await sales.make("accounts", name="Movers", billing_address={"city": "Bonn"})
    customer = {"type": "account", "id": account["id"]}
    deal = await sales.make("opportunities", name="Fleet", customer=customer, campaign_id=campaign)
    order = await sales.make("orders", name="Fleet", opportunity_id=deal["id"], lines=[line()])
    assert (order["customer"]["id"], order["campaign_id"]) == (account["id"], campaign)
    assert order["bill_to"]["city"] == "Bonn"


@pytest.mark.parametrize("collection", ["orders", "invoices"])
async def test_nothing_new_is_sold_in_a_lost_deal(sales: Sales, collection: str) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    before = await sales.make(collection, name="Before", opportunity_id=deal["id"])
    beside = await sales.make(collection, name="Beside")
    await sales.act("opportunities", deal, "lose", reason="canceled")
    refused = [
        await sales.try_make(collection, name="After", opportunity_id=deal["id"]),
        await sales.try_patch(collection, beside, opportunity_id=deal["id"]),
    ]
    assert {(answer.status, answer.problem) for answer in refused} == {(422, "inactive-reference")}
    await sales.patch(collection, before, name="Still", opportunity_id=deal["id"])


@pytest.mark.parametrize("status", ["submitted", "canceled"])
async def test_an_order_is_edited_while_it_is_active(sales: Sales, status: str) -> None:
    order = await ordered(sales)
    changed = await sales.patch("orders", order, lines=[line(quantity="3")], freight=euros("5.00"))
    assert (changed["total"], changed["lines"][0]["quantity"]) == (euros("305.00"), "3")
    await sales.act("orders", order, {"submitted": "submit", "canceled": "cancel"}[status])
    answer = await sales.try_patch("orders", order, name="Later")
    assert (answer.status, answer.problem) == (409, "illegal-transition")


async def test_lines_keep_their_identity_and_may_be_sent_back_as_they_were_read(sales: Sales) -> None:
    order = await ordered(sales, line("Chair"), line("Table"))
    same = await sales.patch("orders", order, lines=order["lines"])
    assert same["version"] == order["version"]
    fewer = await sales.patch("orders", order, lines=[{**order["lines"][1], "quantity": "2"}, line("Lamp")])
    assert fewer["lines"][0]["id"] == order["lines"][1]["id"]
    assert [one["name"] for one in fewer["lines"]] == ["Table", "Lamp"]


async def test_an_order_on_hold_is_not_submitted(sales: Sales) -> None:
    order = await sales.act("orders", await ordered(sales), "hold")
    assert state(order) == "active/pending"
    answer = await sales.try_act("orders", order, "submit")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert "resume" in answer.json["allowed"]
    resumed = await sales.act("orders", order, "resume")
    assert state(await sales.act("orders", resumed, "submit")) == "submitted/submitted"


async def test_an_order_without_lines_is_not_submitted(sales: Sales) -> None:
    order = await sales.make("orders", name="Nothing", customer=await buyer(sales))
    answer = await sales.try_act("orders", order, "submit")
    assert (answer.status, answer.problem) == (422, "lines-required")


async def test_an_order_for_nobody_is_not_submitted(sales: Sales) -> None:
    order = await sales.make("orders", name="Furniture", lines=[line()])
    answer = await sales.try_act("orders", order, "submit")
    assert (answer.status, answer.problem) == (422, "customer-required")


async def test_what_is_delivered_adds_up_to_what_was_ordered(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "4"), line("Table", "1.5"))
    partly = await sales.act("orders", order, "fulfill", lines=[part(order, 0, "3")])
    assert (state(partly), partly["lines"][0]["shipped_quantity"]) == ("fulfilled/partial", "3")
    answer = await sales.try_act("orders", order, "fulfill", lines=[part(order, 0, "1.5")])
    assert (answer.status, answer.problem) == (422, "quantity-exceeded")
    assert answer.json["errors"][0]["pointer"] == "/lines/0/quantity"
    whole = await sales.act("orders", order, "fulfill")
    assert (state(whole), whole["fulfilled_at"] is not None) == ("fulfilled/complete", True)
    assert [one["shipped_quantity"] for one in whole["lines"]] == ["4", "1.5"]
    assert "fulfill" not in whole["allowed_actions"]
    assert (await sales.facts())[-2:] == ["order.partially_fulfilled", "order.fulfilled"]
    told = (await sales.events())[-1]["data"]["shipped"]
    assert told == [part(order, 0, "1"), part(order, 1, "1.5")]


async def test_an_order_is_billed_in_parts_that_add_up_to_it(sales: Sales) -> None:
    order = await submitted(
        sales,
        line("Chair", "3", "33.33", tax_percent=19),
        line("Table", "1", "100.01", manual_discount=euros("0.01"), tax_percent=7),
        discount_percent=3,
        discount_amount=euros("1.00"),
        freight=euros("10.00"),
    )
    invoices = [
        await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1")]),
        await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1"), part(order, 1, "0.5")]),
    ]
    assert state(await sales.get("orders", order["id"])) == "submitted/submitted"
    invoices.append(await derived(sales, "orders", order, "invoice"))
    after = await sales.get("orders", order["id"])
    assert state(after) == "invoiced/invoiced"
    assert [one["invoiced_quantity"] for one in after["lines"]] == ["3", "1"]
    for field in ("subtotal", "discount_total", "discount_amount", "freight", "tax_total", "total"):
        assert summed(invoices, field) == summed([order], field), field
    assert {invoice["discount_percent"] for invoice in invoices} == {3}
    assert {invoice["order_id"] for invoice in invoices} == {order["id"]}
    assert invoices[0]["lines"][0]["order_line_id"] == invoices[0]["lines"][0]["id"] == order["lines"][0]["id"]
    assert (await sales.facts())[-2:] == ["invoice.created", "order.invoiced"]
    answer = await sales.try_act("orders", order, "invoice")
    assert (answer.status, answer.problem) == (409, "illegal-transition")


async def test_a_move_that_the_state_does_not_have_is_refused_for_the_state(sales: Sales) -> None:
    order = await sales.make("orders", name="Nothing yet", customer=await buyer(sales))
    answer = await sales.try_act("orders", order, "fulfill")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["detail"] == "'fulfill' is not possible while the record is active/new."


async def test_billing_says_nothing_of_delivery_and_delivery_goes_on_after_it(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "2"))
    await sales.act("orders", order, "fulfill", lines=[part(order, 0, "1")])
    await derived(sales, "orders", order, "invoice")
    delivered = await sales.act("orders", order, "fulfill")
    assert (state(delivered), delivered["lines"][0]["shipped_quantity"]) == ("invoiced/invoiced", "2")
    assert (await sales.facts())[-1] == "order.fulfilled"


@pytest.mark.parametrize("shipped", ["0", "1", "2"])
async def test_canceling_its_invoice_lets_an_order_be_billed_again(sales: Sales, shipped: str) -> None:
    order = await submitted(sales, line("Chair", "2"))
    if shipped != "0":
        await sales.act("orders", order, "fulfill", lines=[part(order, 0, shipped)])
    before = await sales.get("orders", order["id"])
    invoice = await derived(sales, "orders", order, "invoice")
    canceled = await sales.act("invoices", invoice, "cancel")
    assert (state(canceled), canceled["balance"]) == ("canceled/canceled", euros("0.00"))
    after = await sales.get("orders", order["id"])
    assert (state(after), after["lines"]) == (state(before), before["lines"])
    assert (await derived(sales, "orders", order, "invoice"))["total"] == order["total"]


async def test_deleting_a_drafted_invoice_lets_its_order_be_billed_again(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "2"))
    invoice = await derived(sales, "orders", order, "invoice")
    assert (await sales.delete("invoices", invoice)).status == 204
    assert state(await sales.get("orders", order["id"])) == "submitted/submitted"


async def test_an_order_is_not_canceled_once_it_is_on_an_invoice(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "2"))
    invoice = await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1")])
    answer = await sales.try_act("orders", order, "cancel")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert set(answer.json["allowed"]) == {"fulfill", "invoice"}
    await sales.act("invoices", invoice, "cancel")
    canceled = await sales.act("orders", order, "cancel")
    assert (state(canceled), canceled["canceled_at"] is not None) == ("canceled/canceled", True)


async def test_an_order_is_deleted_only_while_it_is_active(sales: Sales) -> None:
    order = await ordered(sales)
    kept = await submitted(sales)
    assert (await sales.delete("orders", order)).status == 204
    answer = await sales.delete("orders", kept)
    assert (answer.status, answer.problem) == (409, "not-deletable")


@pytest.mark.parametrize("command", ["fulfill", "invoice"])
async def test_twenty_at_once_never_get_more_than_was_ordered(sales: Sales, command: str) -> None:
    order = await submitted(sales, line("Chair", "5"))
    wanted = [part(order, 0, "1")]
    answers = await asyncio.gather(*(sales.try_act("orders", order, command, lines=wanted) for _ in range(20)))
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200 if command == "fulfill" else 201] == 5
    assert set(statuses) <= {200, 201, 409, 422}
    after = await sales.get("orders", order["id"])
    field = {"fulfill": "shipped_quantity", "invoice": "invoiced_quantity"}[command]
    assert after["lines"][0][field] == "5"
    assert len(await sales.page("invoices", f"order_id={order['id']}")) == (0 if command == "fulfill" else 5)


async def test_billing_and_canceling_the_bill_at_once_never_lose_count(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "6"))
    invoices = [await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1")]) for _ in range(3)]
    answers = await asyncio.gather(
        *(sales.try_act("invoices", invoice, "cancel") for invoice in invoices),
        *(sales.try_act("orders", order, "invoice", lines=[part(order, 0, "1")]) for _ in range(3)),
        *(sales.try_act("orders", order, "fulfill", lines=[part(order, 0, "1")]) for _ in range(3)),
    )
    assert {answer.status for answer in answers} == {200, 201}
    after = (await sales.get("orders", order["id"]))["lines"][0]
    assert (after["invoiced_quantity"], after["shipped_quantity"]) == ("3", "3")


async def test_whoever_bills_an_order_may_create_invoices(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    order = await submitted(sales)
    answer = await sales_for(principal(invoice=Depth.NONE)).try_act("orders", order, "invoice")
    assert (answer.status, answer.problem) == (403, "forbidden")
    assert state(await sales.get("orders", order["id"])) == "submitted/submitted"


@pytest.mark.parametrize(("collection", "field"), [("accounts", "customer"), ("opportunities", "opportunity_id")])
async def test_what_an_order_refers_to_is_not_deleted(sales: Sales, collection: str, field: str) -> None:
    customer = await buyer(sales)
    deal = await sales.make("opportunities", name="Fleet")
    order = await sales.make("orders", name="Fleet", customer=customer, opportunity_id=deal["id"], lines=[line()])
    target: Json = order[field] if field == "customer" else {"id": order[field]}
    answer = await sales.delete(collection, target)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"][0]["type"] == "order"
