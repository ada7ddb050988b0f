"""Credit notes: drafted from an invoice and set off against its balance; the rest is paid back."""

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from .journey import Json, Sales, euros
from .paperwork import derived, drafted, issued, line, part, pay, state, submitted, summed


async def credit(sales: Sales, invoice: Json, *lines: Json) -> Json:
    """Draft a credit note."""
    more = {"lines": list(lines)} if lines else {}
    return await derived(sales, "invoices", invoice, "credit", reason="Returned", **more)


async def test_a_credit_note_is_a_draft_of_what_it_gives_back(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "4", tax_percent=19), line("Table"), payment_terms="net_30")
    note = await credit(sales, invoice, part(invoice, 0, "1"))
    assert (state(note), note["kind"], note["reason"], note["number"]) == (
        "draft/draft",
        "credit_note",
        "Returned",
        None,
    )
    assert (note["credited_invoice_id"], note["customer"]) == (invoice["id"], invoice["customer"])
    assert (note["total"], note["lines"][0]["id"]) == (euros("119.00"), invoice["lines"][0]["id"])
    now = await sales.get("invoices", invoice["id"])
    assert [one["credited_quantity"] for one in now["lines"]] == ["1", "0"]
    # A draft does not change the balance.
    assert (now["balance"], state(now)) == (invoice["balance"], "issued/issued")
    assert (await sales.facts())[-2:] == ["invoice.created", "invoice.updated"]


async def test_issuing_it_lowers_what_is_left_to_pay(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "4"))
    note = await sales.act("invoices", await credit(sales, invoice, part(invoice, 0, "1")), "issue")
    assert (state(note), note["credited_total"], note["balance"]) == ("paid/complete", euros("100.00"), euros("0.00"))
    assert (note["number"], note["due_date"]) == (f"INV-{int(invoice['number'][4:]) + 1:05d}", None)
    now = await sales.get("invoices", invoice["id"])
    assert (state(now), now["credited_total"], now["balance"]) == ("issued/issued", euros("100.00"), euros("300.00"))
    assert (now["credited_total_base"], now["balance_base"]) == (euros("100.00"), euros("300.00"))
    answer = await sales.try_act("invoices", invoice, "pay", amount=euros("300.01"), method="cash")
    assert (answer.status, answer.problem) == (422, "overpayment")
    assert state(await pay(sales, invoice, "300.00")) == "paid/complete"


async def test_a_credit_note_over_all_that_is_left_settles_the_invoice(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "4"))
    await pay(sales, invoice, "100.00")
    three = await credit(sales, invoice, part(invoice, 0, "3"))
    await sales.act("invoices", three, "issue")
    now = await sales.get("invoices", invoice["id"])
    assert (state(now), now["paid_total"], now["credited_total"]) == ("paid/complete", euros("100.00"), euros("300.00"))
    paid = next(event for event in await sales.events() if event["type"].endswith("invoice.paid.v1"))
    assert (paid["subject"], paid["data"]["amount"]) == (invoice["id"], None)


async def test_what_was_paid_already_is_paid_back(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "4"))
    await pay(sales, invoice, "350.00")
    note = await sales.act("invoices", await credit(sales, invoice, part(invoice, 0, "2")), "issue")
    # The balance was 50.00, so 150.00 of 200.00 have to be paid back.
    assert (state(note), note["credited_total"], note["balance"]) == ("issued/issued", euros("50.00"), euros("150.00"))
    assert state(await sales.get("invoices", invoice["id"])) == "paid/complete"
    answer = await sales.try_act("invoices", note, "pay", amount=euros("150.01"), method="bank_transfer")
    assert (answer.status, answer.problem) == (422, "overpayment")
    assert state(await pay(sales, note, "100.00")) == "paid/partial"
    refunded = await pay(sales, note, "50.00")
    assert (state(refunded), refunded["paid_total"]) == ("paid/complete", euros("150.00"))


async def test_no_more_is_credited_than_was_invoiced_drafts_included(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "4"))
    note = await credit(sales, invoice, part(invoice, 0, "3"))
    answer = await sales.try_act("invoices", invoice, "credit", reason="Broken", lines=[part(invoice, 0, "2")])
    assert (answer.status, answer.problem) == (422, "quantity-exceeded")
    await credit(sales, invoice)
    answer = await sales.try_act("invoices", invoice, "credit", reason="Broken")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    await sales.act("invoices", note, "cancel")
    assert [one["credited_quantity"] for one in (await sales.get("invoices", invoice["id"]))["lines"]] == ["1"]
    assert (await credit(sales, invoice))["total"] == euros("300.00")


async def test_credit_notes_over_everything_add_up_to_the_invoice(sales: Sales) -> None:
    invoice = await issued(
        sales,
        line("Chair", "3", "33.33", tax_percent=19),
        line("Table", "1.5", "77.77", tax_percent=7),
        discount_percent=7,
        discount_amount=euros("0.02"),
        freight=euros("10.00"),
    )
    notes = [
        await credit(sales, invoice, part(invoice, 0, "1"), part(invoice, 1, "0.7")),
        await credit(sales, invoice, part(invoice, 0, "1")),
        await credit(sales, invoice),
    ]
    for field in ("subtotal", "discount_total", "freight", "tax_total", "total"):
        assert summed(notes, field) == summed([invoice], field), field
    for note in notes:
        await sales.act("invoices", note, "issue")
    now = await sales.get("invoices", invoice["id"])
    assert (state(now), now["balance"], now["credited_total"]) == ("paid/complete", euros("0.00"), invoice["total"])


async def test_a_credit_note_is_in_base_currency_at_the_rate_of_its_invoice(sales: Sales) -> None:
    rate = await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    dollars = {"name": "Chair", "quantity": "1", "unit_price": {"amount": "100.00", "currency": "USD"}}
    invoice = await issued(sales, dollars)
    await sales.patch("exchange-rates", rate, rate="0.5")
    assert (await credit(sales, invoice))["total_base"] == invoice["total_base"] == euros("90.00")


@pytest.mark.parametrize("command", ["cancel", "delete"])
async def test_a_draft_that_is_given_up_gives_its_quantities_back(sales: Sales, command: str) -> None:
    invoice = await issued(sales, line("Chair", "4"))
    note = await credit(sales, invoice)
    assert "credit" not in (await sales.get("invoices", invoice["id"]))["allowed_actions"]
    if command == "cancel":
        await sales.act("invoices", note, "cancel")
    else:
        assert (await sales.delete("invoices", note)).status == 204
    now = await sales.get("invoices", invoice["id"])
    assert now["lines"] == invoice["lines"]
    assert now["allowed_actions"] == ["pay", "credit", "cancel", "assign"]


async def test_what_was_set_off_is_not_canceled_and_what_was_not_is(sales: Sales) -> None:
    owed = await issued(sales)
    set_off = await sales.act("invoices", await credit(sales, owed), "issue")
    answer = await sales.try_act("invoices", set_off, "cancel")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", [])
    paid = await pay(sales, await issued(sales), "100.00")
    to_pay_back = await sales.act("invoices", await credit(sales, paid), "issue")
    assert state(await sales.act("invoices", to_pay_back, "cancel")) == "canceled/canceled"
    assert (await sales.get("invoices", paid["id"]))["lines"][0]["credited_quantity"] == "0"


async def test_an_invoice_with_a_credit_note_is_not_canceled(sales: Sales) -> None:
    invoice = await issued(sales)
    await credit(sales, invoice)
    answer = await sales.try_act("invoices", invoice, "cancel")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["pay"])


async def test_only_what_is_owed_or_paid_is_credited_and_no_credit_note_is(sales: Sales) -> None:
    draft = await drafted(sales)
    note = await sales.act("invoices", await credit(sales, await issued(sales)), "issue")
    for record in (draft, note):
        answer = await sales.try_act("invoices", record, "credit", reason="Returned")
        assert (answer.status, answer.problem) == (409, "illegal-transition")


async def test_a_credited_order_is_billed_again_over_what_was_credited(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "3", "33.33", tax_percent=19), discount_percent=7)
    first = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    note = await credit(sales, first, part(first, 0, "2"))
    assert (note["order_id"], note["lines"][0]["order_line_id"]) == (order["id"], order["lines"][0]["id"])
    # A draft releases nothing.
    assert state(await sales.get("orders", order["id"])) == "invoiced/invoiced"
    await sales.act("invoices", note, "issue")
    now = await sales.get("orders", order["id"])
    assert (state(now), now["lines"][0]["invoiced_quantity"]) == ("submitted/submitted", "1")
    assert (await sales.facts())[-3:] == ["invoice.updated", "order.updated", "invoice.issued"]
    again = await derived(sales, "orders", order, "invoice")
    assert (again["lines"][0]["quantity"], again["total"]) == ("2", note["total"])
    assert state(await sales.get("orders", order["id"])) == "invoiced/invoiced"
    answer = await sales.try_act("orders", order, "invoice")
    assert (answer.status, answer.problem) == (409, "illegal-transition")


async def test_goods_that_came_back_are_not_billed_again(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "2"))
    invoice = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    note = await derived(sales, "invoices", invoice, "credit", reason="Returned", bill_again=False)
    await sales.act("invoices", note, "issue")
    now = await sales.get("orders", order["id"])
    assert (state(now), now["lines"][0]["invoiced_quantity"]) == ("invoiced/invoiced", "2")


async def test_a_canceled_credit_note_bills_its_order_once_more_unless_that_was_billed_since(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "2"))
    invoice = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    await pay(sales, invoice, "200.00")
    note = await sales.act("invoices", await credit(sales, invoice), "issue")
    again = await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1")])
    answer = await sales.try_act("invoices", note, "cancel")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    await sales.act("invoices", again, "cancel")
    await sales.act("invoices", note, "cancel")
    now = await sales.get("orders", order["id"])
    assert (state(now), now["lines"][0]["invoiced_quantity"]) == ("invoiced/invoiced", "2")


async def test_a_note_is_not_canceled_if_less_than_its_amount_is_left_to_bill(sales: Sales) -> None:
    order = await submitted(sales, line("Chair", "3", "33.34", manual_discount=euros("0.02")))
    invoice = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    await pay(sales, invoice, "100.00")
    one = [part(invoice, 0, "1")]
    lower, higher = [await sales.act("invoices", await credit(sales, invoice, *one), "issue") for _ in range(2)]
    again = await derived(sales, "orders", order, "invoice", lines=[part(order, 0, "1")])
    assert [record["total"]["amount"] for record in (lower, higher, again)] == ["33.33", "33.34", "33.34"]
    answer = await sales.try_act("invoices", higher, "cancel")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["detail"] == "The order was billed again since. Cancel its new invoice first."
    await sales.act("invoices", lower, "cancel")
    assert state(await sales.get("orders", order["id"])) == "invoiced/invoiced"


async def test_a_note_of_a_canceled_order_stays(sales: Sales) -> None:
    order = await submitted(sales)
    invoice = await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue")
    await pay(sales, invoice, "100.00")
    note = await sales.act("invoices", await credit(sales, invoice), "issue")
    await sales.act("orders", order, "cancel")
    answer = await sales.try_act("invoices", note, "cancel")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["detail"].startswith("The order was canceled since.")


async def test_a_credit_note_has_no_due_date(sales: Sales) -> None:
    note = await credit(sales, await issued(sales))
    answer = await sales.try_patch("invoices", note, due_date="2999-01-01")
    assert (answer.status, answer.problem) == (422, "no-due-date")


async def test_twenty_credits_at_once_never_exceed_the_invoice(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "5"))
    wanted = [part(invoice, 0, "1")]
    answers = await asyncio.gather(
        *(sales.try_act("invoices", invoice, "credit", reason="Returned", lines=wanted) for _ in range(20))
    )
    assert Counter(answer.status for answer in answers)[201] == 5
    assert {answer.status for answer in answers} <= {201, 409, 422}
    notes = [answer.json for answer in answers if answer.status == 201]
    assert summed(notes, "total") == Decimal("500.00")


async def test_paying_and_issuing_credit_notes_at_once_keep_the_balance(sales: Sales) -> None:
    invoice = await issued(sales, line("Chair", "10"))
    notes = [await credit(sales, invoice, part(invoice, 0, "1")) for _ in range(6)]
    body = {"amount": euros("100.00"), "method": "cash"}
    answers = await asyncio.gather(
        *(sales.try_act("invoices", note, "issue") for note in notes),
        *(sales.try_act("invoices", invoice, "pay", **body) for _ in range(6)),
    )
    assert {answer.status for answer in answers} <= {200, 409, 422}
    now = await sales.get("invoices", invoice["id"])
    after = [await sales.get("invoices", note["id"]) for note in notes]
    assert {state(note).partition("/")[0] for note in after} <= {"paid", "issued"}
    assert summed(after, "credited_total") == summed([now], "credited_total")
    assert summed([now], "paid_total") + summed([now], "credited_total") + summed([now], "balance") == Decimal(1000)
    assert summed([now], "balance") == 0
