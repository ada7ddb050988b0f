"""Amounts of documents in base currency add up as they do in the document's own currency."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import EXPONENTS, Money, convert, quantum, total
from crm_sales.pricing.in_base import parts_in_base, share_of_rest

from .journey import Json, Sales, euros
from .paperwork import derived, issued, line, part, state

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
RATES = st.decimals("0.0000000001", "99999", places=10)


@given(
    CURRENCIES,
    CURRENCIES,
    RATES,
    st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
    st.integers(0, 10**9),
)
def test_parts_add_up_and_each_is_its_exact_value_rounded_down_or_up(
    currency: str, base: str, rate: Decimal, units: list[int], discount: int
) -> None:
    parts = [Money(Decimal(one).scaleb(-EXPONENTS[currency]), currency) for one in (*units, discount)]
    parts[-1] = -min(parts[-1], total(parts[:-1], currency))
    whole = convert(total(parts, currency), rate, base)
    found = parts_in_base(parts, rate, whole)
    assert total(found, base) == whole
    for part_, in_base in zip(parts, found, strict=True):
        exact = Fraction(part_.amount) * Fraction(rate)
        assert abs(Fraction(in_base.amount) - exact) < Fraction(quantum(base))
        assert (in_base.amount <= 0) if part_ is parts[-1] else (in_base.amount >= 0)


def test_parts_that_add_up_by_themselves_are_rounded_half_up() -> None:
    parts = [Money(Decimal(one), "USD") for one in ("100.00", "19.00", "-10.00")]
    found = parts_in_base(parts, Decimal("0.9"), Money(Decimal("98.10"), "EUR"))
    assert [one.text for one in found] == ["90.00", "17.10", "-9.00"]


@given(
    CURRENCIES,
    CURRENCIES,
    RATES,
    st.lists(st.integers(0, 10**6), min_size=4, max_size=4),
    st.lists(st.tuples(st.fractions(0, 1), st.booleans()), max_size=12),
)
def test_parts_of_a_document_take_all_of_it_in_base_currency(
    currency: str, base: str, rate: Decimal, units: list[int], takes: list[tuple[Fraction, bool]]
) -> None:
    """Parts are drafted, and some are canceled again. The oracle counts in whole units: what is out and what is left."""
    units[1] = -min(units[1], units[0])  # a discount is no more than the subtotal
    document = [Money(Decimal(one).scaleb(-EXPONENTS[currency]), currency) for one in units]
    whole = parts_in_base(document, rate, convert(total(document, currency), rate, base))
    left, left_in_base = document, whole
    out: list[tuple[list[Money], list[Money]]] = []
    for fraction, canceled in [*takes, (Fraction(1), False)]:
        shares = [int(Fraction(one.amount) / Fraction(quantum(currency)) * fraction) for one in left]
        part_ = [Money(Decimal(one).scaleb(-EXPONENTS[currency]), currency) for one in shares]
        found = share_of_rest(part_, left, left_in_base)
        for one, rest, amount, of in zip(found, left_in_base, part_, left, strict=True):
            assert abs(one.amount) <= abs(rest.amount)
            assert one.amount * rest.amount >= 0
            assert one == rest if amount == of else True
        assert total(found, base).amount >= 0
        out.append((part_, found))
        if canceled:
            out.pop(len(out) // 2)
        left = [one - total((taken[at] for taken, _ in out), currency) for at, one in enumerate(document)]
        left_in_base = [one - total((taken[at] for _, taken in out), base) for at, one in enumerate(whole)]
    assert all(not one.amount for one in (*left, *left_in_base))
    assert total((total(taken, base) for _, taken in out), base) == convert(total(document, currency), rate, base)


def _added_up(document: Json) -> Decimal:
    parts = {field: Decimal((document[f"{field}_base"] or euros("0"))["amount"]) for field in SIGNED}
    return sum((sign * parts[field] for field, sign in SIGNED.items()), Decimal(0))


SIGNED = {"subtotal": 1, "discount_total": -1, "freight": 1, "tax_total": 1}
DOLLARS = {"amount": "0.03", "currency": "USD"}


async def test_credit_notes_over_all_of_a_foreign_invoice_are_its_amounts_in_base_currency(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.8537", valid_from="2020-01-01")
    chairs = line(quantity="7", tax_percent=19) | {"unit_price": {"amount": "10.03", "currency": "USD"}}
    invoice = await issued(sales, chairs, discount_percent=3, freight={"amount": "7.77", "currency": "USD"})
    notes = []
    for quantity in ("1", "1", "2", "3"):
        note = await derived(
            sales, "invoices", invoice, "credit", reason="Returned", lines=[part(invoice, 0, quantity)]
        )
        assert _added_up(note) == Decimal(note["total_base"]["amount"])
        issued_ = await sales.act("invoices", note, "issue")
        assert (issued_["total_base"], issued_["tax_total_base"]) == (note["total_base"], note["tax_total_base"])
        assert (issued_["credited_total_base"], issued_["balance_base"]) == (note["total_base"], euros("0.00"))
        notes.append(issued_)
    for field in (*SIGNED, "total"):
        found = sum(Decimal(note[f"{field}_base"]["amount"]) for note in notes)
        assert found == Decimal(invoice[f"{field}_base"]["amount"]), field
    now = await sales.get("invoices", invoice["id"])
    assert (state(now), now["balance_base"], now["credited_total_base"]) == (
        "paid/complete",
        euros("0.00"),
        invoice["total_base"],
    )


@pytest.mark.parametrize("price", ["10.01", "10.02", "33.33", "99.97"])
async def test_a_foreign_invoice_adds_up_and_so_do_its_payments(sales: Sales, price: str) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.8537", valid_from="2020-01-01")
    dollars = {"amount": price, "currency": "USD"}
    chair = line(quantity="3", tax_percent=19) | {"unit_price": dollars}
    invoice = await issued(sales, chair, discount_percent=3, freight={"amount": "7.77", "currency": "USD"})
    assert _added_up(invoice) == Decimal(invoice["total_base"]["amount"])
    note = await derived(sales, "invoices", invoice, "credit", reason="Returned", lines=[part(invoice, 0, "1")])
    assert _added_up(note) == Decimal(note["total_base"]["amount"])
    await sales.act("invoices", note, "issue")
    for _ in range(3):
        invoice = await sales.act("invoices", invoice, "pay", amount=DOLLARS, method="cash")
        settled = sum(
            Decimal(invoice[f"{field}_base"]["amount"]) for field in ("paid_total", "credited_total", "balance")
        )
        assert settled == Decimal(invoice["total_base"]["amount"])
    invoice = await sales.act("invoices", invoice, "pay", amount=invoice["balance"], method="cash")
    assert (state(invoice), invoice["balance_base"]) == ("paid/complete", euros("0.00"))
    payments = [event["data"]["amount_base"] for event in await sales.events() if "paid" in event["type"]]
    paid = sum(Decimal(one["amount"]) for one in payments if one is not None)
    assert paid == Decimal(invoice["paid_total_base"]["amount"])
