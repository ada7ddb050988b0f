"""Taxes under the four rules of a document, compared with an oracle of fractions, and the rules that documents keep."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import Money, exponent, quantum, total
from crm_contracts.sales.choices import HeaderDiscount, TaxRounding
from crm_sales.pricing.domain import LinePrice, totals
from crm_sales.pricing.tax import Taxed, TaxRules, taxes

from .journey import API, Json, Sales
from .paperwork import buyer, derived, line, part

RULES = [TaxRules(rounding, discount) for rounding, discount in product(TaxRounding, HeaderDiscount)]
CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])
TAX = st.sampled_from([Decimal(one) for one in ("0", "7", "19", "8.875", "5.5")])


def half_up(exact: Fraction) -> int:
    whole: int = (exact + Fraction(1, 2)).__floor__()
    return whole


def cut(exact: list[Fraction], whole: int) -> list[int]:
    """The oracle of a division: give one unit after another to the part from which most is cut off."""
    parts = [one.__floor__() for one in exact]
    while sum(parts) < whole:
        worst = max(range(len(parts)), key=lambda at: (exact[at] - parts[at], -at))
        parts[worst] += 1
    return parts


def oracle(nets: list[int], percents: list[Decimal], discount: int, rules: TaxRules) -> list[int]:
    bases = nets
    if rules.discount == "before_tax" and any(nets):
        parts = cut([Fraction(discount * net, sum(nets)) for net in nets], discount)
        bases = [net - part_ for net, part_ in zip(nets, parts, strict=True)]
    exact = [base * Fraction(percent) / 100 for base, percent in zip(bases, percents, strict=True)]
    if rules.rounding == "line":
        return [half_up(one) for one in exact]
    groups = defaultdict(list)
    for at, percent in enumerate(percents):
        groups[percent].append(at)
    found = [0] * len(nets)
    for members in groups.values():
        shares = cut([exact[at] for at in members], half_up(sum((exact[at] for at in members), Fraction(0))))
        for at, share in zip(members, shares, strict=True):
            found[at] = share
    return found


@given(CURRENCIES, st.lists(st.tuples(st.integers(0, 10**7), TAX), max_size=8), st.integers(0, 10**7), st.data())
def test_taxes_are_what_the_oracle_says_under_each_rule(
    currency: str, lines: list[tuple[int, Decimal]], off: int, data: st.DataObject
) -> None:
    rules = data.draw(st.sampled_from(RULES))
    nets, percents = [net for net, _ in lines], [percent for _, percent in lines]
    discount = min(off, sum(nets))

    def money(units: int) -> Money:
        return Money(Decimal(units).scaleb(-exponent(currency)), currency)

    taxed = [Taxed(money(net), percent) for net, percent in lines]
    found = taxes(taxed, money(discount), rules)
    assert found == [money(units) for units in oracle(nets, percents, discount, rules)]
    prices = [LinePrice(one.net, tax) for one, tax in zip(taxed, found, strict=True)]
    sums = totals(currency, prices, discount_percent=None, discount_amount=money(discount), freight=None)
    assert sums.tax_total == total(found, currency)
    assert sums.total == sums.subtotal - sums.discount_total + sums.tax_total
    # A tax is never more than a unit away from the exact tax of what is left of its line.
    for tax, net, percent in zip(found, nets, percents, strict=True):
        left = Fraction(net) - (Fraction(discount * net, sum(nets)) if rules.discount == "before_tax" and net else 0)
        assert abs(Fraction(tax.amount) / Fraction(quantum(currency)) - left * Fraction(percent) / 100) < 2


def test_one_rounding_per_document_is_one_for_each_percentage() -> None:
    lines = [
        Taxed(Money(Decimal(net), "EUR"), Decimal(percent))
        for net, percent in (("0.03", 19), ("0.03", 19), ("0.07", 7))
    ]
    nothing = Money.zero("EUR")
    by_line = taxes(lines, nothing, TaxRules())
    at_once = taxes(lines, nothing, TaxRules(TaxRounding.DOCUMENT))
    assert [one.text for one in by_line] == ["0.01", "0.01", "0.00"]
    assert [one.text for one in at_once] == ["0.01", "0.00", "0.00"]


async def _set(sales: Sales, **values: str) -> None:
    known = await sales.client.get(f"{API}/settings/sales")
    answer = await sales.client.patch(f"{API}/settings/sales", values, etag=known.etag)
    assert answer.status == 200, answer.body


LINES = [
    line("Pen", "1", "0.13", tax_percent=19),
    line("Ink", "1", "0.13", tax_percent=19),
    line("Pad", "3", "0.33", tax_percent=7),
]
SUMMED = ("subtotal", "discount_total", "tax_total", "total")
# Net 0.13 + 0.13 + 0.99 = 1.25, less 20 % = 0.25, divided 0.03 + 0.02 + 0.20.
EXPECTED = {
    ("line", "after_tax"): "0.11",  # 0.02 + 0.02 + 0.07
    ("document", "after_tax"): "0.12",  # 19 % of 0.26 = 0.05, 7 % of 0.99 = 0.07
    ("line", "before_tax"): "0.10",  # 19 % of 0.10 = 0.02, 19 % of 0.11 = 0.02, 7 % of 0.79 = 0.06
    ("document", "before_tax"): "0.10",  # 19 % of 0.21 = 0.04, 7 % of 0.79 = 0.06
}


@pytest.mark.parametrize(("rounding", "discount"), EXPECTED)
async def test_a_document_keeps_its_rules_on_the_way_to_the_credit_note(
    sales: Sales, rounding: str, discount: str
) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.8537", valid_from="2020-01-01")
    await _set(sales, tax_rounding=rounding, header_discount=discount)
    customer = await buyer(sales)
    lines = [one | {"unit_price": one["unit_price"] | {"currency": "USD"}} for one in LINES]
    quote = await sales.make("quotes", name="Desk", customer=customer, lines=lines, discount_percent=20)
    other = {"line": "document", "document": "line", "after_tax": "before_tax", "before_tax": "after_tax"}
    await _set(sales, tax_rounding=other[rounding], header_discount=other[discount])

    def kept(document: Json) -> Json:
        assert (document["tax_rounding"], document["header_discount"]) == (rounding, discount)
        taxes_ = sum(Decimal(one["tax"]["amount"]) for one in document["lines"])
        assert taxes_ == Decimal(document["tax_total"]["amount"])
        for suffix in ("", "_base"):
            amounts = {name: Decimal(document[name + suffix]["amount"]) for name in SUMMED}
            assert amounts["total"] == amounts["subtotal"] - amounts["discount_total"] + amounts["tax_total"]
        return document

    assert kept(quote)["tax_total"]["amount"] == EXPECTED[rounding, discount]
    quote = kept(await sales.patch("quotes", quote, description="Urgent", lines=quote["lines"]))
    quote = await sales.act("quotes", quote, "activate")
    quote = kept((await sales.try_act("quotes", quote, "revise")).json)
    quote = await sales.act("quotes", quote, "activate")
    order = kept(await derived(sales, "quotes", quote, "order"))
    assert order["tax_total"] == quote["tax_total"]
    await sales.act("orders", order, "submit")
    first = kept(await derived(sales, "orders", order, "invoice", lines=[part(order, 2, "2")]))
    rest = kept(await derived(sales, "orders", order, "invoice"))
    assert sum(Decimal(one["tax_total"]["amount"]) for one in (first, rest)) == Decimal(order["tax_total"]["amount"])
    issued = await sales.act("invoices", first, "issue")
    note = kept(await derived(sales, "invoices", issued, "credit", reason="Returned"))
    assert note["total"] == issued["total"]
    deal = await sales.make("opportunities", name="Desk", lines=LINES, customer=customer)
    new = (await sales.try_act("opportunities", deal, "quote")).json
    assert (new["tax_rounding"], new["header_discount"]) == (other[rounding], other[discount])


async def test_tax_rules_of_a_document_cannot_be_written(sales: Sales) -> None:
    answer = await sales.client.post(
        f"{API}/orders", {"name": "Desk", "customer": await buyer(sales), "lines": LINES, "tax_rounding": "document"}
    )
    assert answer.status == 422
    for values in ({"tax_rounding": "never"}, {"header_discount": None}):
        assert (await sales.client.patch(f"{API}/settings/sales", values)).status == 422
