"""Payment terms as data: due dates, end of month, and the discount for early payment."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crm_contracts.money import Money
from crm_contracts.sales.choices import PaymentTerms
from crm_contracts.sales.payment_conditions import PaymentConditions
from crm_kit.errors import InvalidValue
from crm_kit.testing import People
from crm_sales.document.payment import discount_until, due, settle_terms
from crm_sales.invoice.domain import discount_taken

from .journey import Json, Sales, euros
from .paperwork import derived, drafted, issued, line, ordered, part, pay, state, summed

SKONTO: Json = {"days": 30, "discount_percent": 2, "discount_days": 10}
"""Two percent in ten days, thirty days net."""


@pytest.mark.parametrize(
    ("days", "end_of_month", "on", "due_on"),
    [
        (14, False, date(2026, 1, 20), date(2026, 2, 3)),
        (30, False, date(2026, 1, 31), date(2026, 3, 2)),
        (60, False, date(2026, 12, 15), date(2027, 2, 13)),
        (90, False, date(2027, 12, 1), date(2028, 2, 29)),
        (0, True, date(2026, 2, 1), date(2026, 2, 28)),
        (30, True, date(2026, 1, 15), date(2026, 2, 28)),
        (30, True, date(2028, 1, 31), date(2028, 3, 31)),
    ],
)
def test_an_invoice_is_due_after_days_or_at_the_end_of_their_month(
    days: int, end_of_month: bool, on: date, due_on: date
) -> None:
    assert due(on, None, PaymentConditions(days=days, end_of_month=end_of_month)) == due_on


def test_the_closed_list_of_terms_still_says_when() -> None:
    assert due(date(2026, 1, 31), PaymentTerms.NET_30) == date(2026, 3, 2)
    assert discount_until(date(2026, 1, 31), None) is None


@pytest.mark.parametrize(
    ("conditions", "slug"),
    [
        ({"days": 30, "discount_percent": 2}, "incomplete-discount"),
        ({"days": 30, "discount_days": 10}, "incomplete-discount"),
        ({"days": 30, "discount_days": 10, "discount_percent": 0}, "incomplete-discount"),
        ({"days": 5, "discount_days": 10, "discount_percent": 2}, "incomplete-discount"),
        # An invoice of the last day of a month would be due on that day.
        ({"days": 0, "end_of_month": True, "discount_days": 10, "discount_percent": 2}, "incomplete-discount"),
        (SKONTO, "contradicting-terms"),
    ],
)
def test_conditions_are_whole_and_say_it_alone(conditions: Json, slug: str) -> None:
    values = {"payment_conditions": conditions, "payment_terms": "net_30" if slug == "contradicting-terms" else None}
    with pytest.raises(InvalidValue, match=slug):
        settle_terms(values)


def amount(units: str) -> Money:
    return Money(Decimal(units), "EUR")


@pytest.mark.parametrize(
    ("paid", "late", "taken"),
    [("98.00", 0, "2.00"), ("99.00", 0, "1.00"), ("97.99", 0, None), ("98.00", 1, None), ("100.00", 0, None)],
)
def test_a_payment_in_time_takes_the_discount_that_it_leaves(paid: str, late: int, taken: str | None) -> None:
    until = date(2026, 5, 10)
    found = discount_taken(amount(paid), amount("100.00"), amount("2.00"), until + timedelta(days=late), until)
    assert found == (None if taken is None else amount(taken))


async def test_an_invoice_shows_the_discount_and_is_settled_by_a_payment_with_it(sales: Sales) -> None:
    invoice = await issued(sales, payment_conditions=SKONTO)
    issue_date = date.fromisoformat(invoice["issue_date"])
    assert date.fromisoformat(invoice["due_date"]) == issue_date + timedelta(days=30)
    assert date.fromisoformat(invoice["early_discount_until"]) == issue_date + timedelta(days=10)
    assert (invoice["early_discount"], invoice["payment_terms"]) == (euros("2.00"), None)
    partly = await pay(sales, invoice, "50.00")
    assert (state(partly), partly["early_discount_taken"]) == ("paid/partial", None)
    paid = await pay(sales, invoice, "48.00")
    assert (state(paid), paid["paid_total"], paid["balance"]) == ("paid/complete", euros("98.00"), euros("0.00"))
    assert (paid["early_discount_taken"], paid["early_discount_taken_base"]) == (euros("2.00"), euros("2.00"))
    told = (await sales.events())[-1]
    assert (told["type"], told["data"]["discount"]) == ("crm.sales.invoice.paid.v1", euros("2.00"))
    owed = await sales.act("invoices", invoice, "payments/1/reverse", reason="Returned")
    assert (state(owed), owed["balance"], owed["early_discount_taken"]) == ("paid/partial", euros("52.00"), None)


async def test_a_payment_after_the_discount_time_leaves_a_balance(sales: Sales, people: People) -> None:
    await people.organization(time_zone="Pacific/Pago_Pago")
    today_only = {"days": 30, "discount_percent": 2, "discount_days": 0}
    late, in_time = [await issued(sales, payment_conditions=today_only) for _ in range(2)]
    assert state(await pay(sales, in_time, "98.00")) == "paid/complete"
    # The two zones are 25 hours apart, so it is the next day there.
    await people.organization(time_zone="Pacific/Kiritimati")
    partly = await pay(sales, late, "98.00")
    assert (state(partly), partly["balance"]) == ("paid/partial", euros("2.00"))


async def test_a_credit_lowers_the_discount(sales: Sales) -> None:
    invoice = await issued(sales, line(quantity="2"), payment_conditions=SKONTO)
    note = await derived(sales, "invoices", invoice, "credit", reason="Broken", lines=[part(invoice, 0, "1")])
    await sales.act("invoices", note, "issue")
    assert (await sales.get("invoices", invoice["id"]))["early_discount"] == euros("2.00")
    assert state(await pay(sales, invoice, "98.00")) == "paid/complete"


async def back_of(sales: Sales, invoice: Json, quantity: str) -> Json:
    """Issue a credit note over so much of the first line. Return it."""
    wanted = [part(invoice, 0, quantity)]
    note = await derived(sales, "invoices", invoice, "credit", reason="Broken", lines=wanted, bill_again=False)
    return await sales.act("invoices", note, "issue")


async def test_what_was_taken_as_discount_is_not_paid_back(sales: Sales) -> None:
    whole, halves = [
        await issued(sales, line(quantity="2", price="50.00"), payment_conditions=SKONTO) for _ in range(2)
    ]
    assert state(await pay(sales, whole, "98.00")) == state(await pay(sales, halves, "98.00")) == "paid/complete"
    note = await back_of(sales, whole, "2")
    assert (state(note), note["total"], note["balance"]) == ("issued/issued", euros("100.00"), euros("98.00"))
    assert state(await pay(sales, note, "98.00")) == "paid/complete"
    now = await sales.get("invoices", whole["id"])
    assert (state(now), now["balance"], now["early_discount_taken"]) == ("paid/complete", euros("0.00"), None)
    assert (now["credited_total"], now["credited_total_base"]) == (euros("2.00"), euros("2.00"))
    note = await back_of(sales, halves, "1")
    assert (note["credited_total"], note["balance"]) == (euros("1.00"), euros("49.00"))
    now = await sales.get("invoices", halves["id"])
    assert (now["early_discount_taken"], now["early_discount"], now["balance"]) == (
        euros("1.00"),
        euros("1.00"),
        euros("0.00"),
    )
    # What is not credited keeps its discount when the payment has to be made again.
    await sales.act("invoices", halves, "payments/1/reverse", reason="Returned")
    again = await pay(sales, halves, "98.00")
    assert (state(again), again["early_discount_taken"]) == ("paid/complete", euros("1.00"))
    assert (await back_of(sales, halves, "1"))["balance"] == euros("49.00")


async def test_several_credit_notes_pay_back_what_was_paid_to_the_cent(sales: Sales) -> None:
    conditions = {"days": 30, "discount_percent": 3, "discount_days": 10}
    invoice = await issued(sales, line(quantity="7", price="14.29"), payment_conditions=conditions)
    assert (invoice["total"], invoice["early_discount"]) == (euros("100.03"), euros("3.00"))
    await pay(sales, invoice, "97.03")
    notes = [await back_of(sales, invoice, quantity) for quantity in ("1", "1", "3", "2")]
    assert [note["balance"]["amount"] for note in notes] == ["13.86", "13.86", "41.59", "27.72"]
    assert summed(notes, "balance") == Decimal("97.03")


async def test_conditions_replace_a_term_and_go_from_order_to_invoice(sales: Sales) -> None:
    order = await ordered(sales, payment_terms="net_30")
    changed = await sales.patch("orders", order, payment_conditions=SKONTO)
    whole = {"days": 30, "end_of_month": False, "discount_percent": 2, "discount_days": 10}
    assert (changed["payment_terms"], changed["payment_conditions"]) == (None, whole)
    changed = await sales.patch("orders", order, payment_conditions={"days": 14})
    assert changed["payment_conditions"] == whole | {"days": 14}
    await sales.act("orders", order, "submit")
    assert (await derived(sales, "orders", order, "invoice"))["payment_conditions"] == changed["payment_conditions"]
    back = await sales.patch("invoices", await drafted(sales, payment_conditions=SKONTO), payment_terms="net_10")
    assert (back["payment_terms"], back["payment_conditions"]) == ("net_10", None)
    answer: Any = await sales.try_patch("invoices", back, payment_conditions={"days": 400})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/payment_conditions/days")


async def test_a_tax_rate_has_up_to_three_decimals(sales: Sales) -> None:
    product = await sales.make("products", name="Chair", tax_percent=8.875, list_price=euros("100.00"))
    assert product["tax_percent"] == 8.875
    invoice = await drafted(sales, line(tax_percent=8.875))
    assert (invoice["lines"][0]["tax_percent"], invoice["tax_total"]) == (8.875, euros("8.88"))
    answer = await sales.try_make("products", name="Chair", tax_percent=8.8755)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/tax_percent")
