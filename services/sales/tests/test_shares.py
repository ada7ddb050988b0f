"""Parts of a document add up to it exactly, in every currency, whatever the division and the released parts."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import EXPONENTS, Money
from crm_kit.errors import InvalidValue
from crm_sales.pricing.domain import LinePrice, LineTerms, price_line, totals
from crm_sales.pricing.shares import Amounts, LineAmounts, take

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
TAXES = [Decimal(0), Decimal(7), Decimal("19.25")]
QUANTITIES = st.decimals("0.00001", "99999", places=5)


def money(currency: str, most: int = 10**9) -> st.SearchStrategy[Money]:
    return st.integers(0, most).map(lambda units: Money(Decimal(units).scaleb(-EXPONENTS[currency]), currency))


@st.composite
def documents(draw: st.DrawFn) -> Amounts:
    """A priced document like that of an order, with totals by the pricing rules."""
    currency = draw(CURRENCIES)
    lines, prices = {}, []
    for _ in range(draw(st.integers(1, 4))):
        quantity, price = draw(QUANTITIES), draw(money(currency))
        worth = Money.rounded(price.amount * quantity, currency)
        discount = draw(st.sampled_from([Money.zero(currency), Money.rounded(worth.amount / 3, currency)]))
        terms = LineTerms(quantity, price, Money.zero(currency), discount, draw(st.sampled_from(TAXES)))
        priced = price_line(terms, "/lines/0")
        prices.append(priced)
        lines[uuid4()] = LineAmounts(quantity, discount, priced.net, priced.tax)
    percent = draw(st.none() | st.decimals(0, 100, places=2))
    amount, freight = draw(money(currency)), draw(money(currency))
    found = totals(currency, prices, discount_percent=percent, discount_amount=amount, freight=freight)
    whole = Amounts(lines, amount, found.discount_total, freight)
    assert whole.total == found.total
    return whole


@dataclass(frozen=True)
class Cut:
    """The part that one invoice takes of what is left, in thousandths of each line. Some parts are released later."""

    thousandths: list[int]
    given_back: bool


CUTS = st.lists(st.builds(Cut, st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.booleans()), max_size=6)


def some_of(rest: Amounts, cut: Cut) -> dict[UUID, Decimal]:
    wanted = {}
    for (line_id, line), part in zip(rest.lines.items(), cut.thousandths, strict=False):
        quantity = (line.quantity * part / 1000).quantize(Decimal("0.00001"))
        if quantity:
            wanted[line_id] = quantity
    return wanted


@given(documents(), CUTS)
def test_the_parts_of_a_document_add_up_to_it_exactly(whole: Amounts, cuts: list[Cut]) -> None:
    parts: list[Amounts] = []
    for cut in cuts:
        rest = whole.without(parts)
        part = rest.share(some_of(rest, cut))
        for amount in (part.subtotal, part.discount_total, part.freight, part.tax_total, part.total):
            assert amount.amount >= 0
        assert part.discount_total <= part.subtotal
        parts.append(part)
        if cut.given_back:
            parts.remove(part)
    rest = whole.without(parts)
    parts.append(rest.share({line_id: line.quantity for line_id, line in rest.lines.items() if line.quantity}))
    nothing = whole.without(parts)
    assert {amount for line in nothing.lines.values() for amount in (line.net, line.tax, line.manual_discount)} == {
        Money.zero(whole.currency)
    }
    assert nothing.discount_total == nothing.discount_amount == nothing.freight == Money.zero(whole.currency)
    assert sum((part.total.amount for part in parts), Decimal(0)) == whole.total.amount


@given(documents(), CUTS)
def test_no_part_strays_from_its_fair_share_by_more_than_rounding(whole: Amounts, cuts: list[Cut]) -> None:
    parts: list[Amounts] = []
    for cut in cuts:
        rest = whole.without(parts)
        part = rest.share(some_of(rest, cut))
        for line_id, line in part.lines.items():
            of = rest.lines[line_id]
            unit = Decimal(1).scaleb(-EXPONENTS[whole.currency])
            assert abs(line.net.amount - of.net.amount * line.quantity / of.quantity) <= unit / 2
        parts.append(part)


def test_a_discount_and_freight_of_a_third_each_are_ten_in_the_end() -> None:
    def euros(amount: str) -> Money:
        return Money(Decimal(amount), "EUR")

    line = uuid4()
    amounts = LineAmounts(Decimal(3), euros("0"), euros("100.00"), euros("19.00"))
    whole = Amounts({line: amounts}, euros("10.00"), euros("10.00"), euros("10.00"))
    parts: list[Amounts] = []
    for _ in range(3):
        parts.append(whole.without(parts).share({line: Decimal(1)}))
    assert [part.lines[line].net.text for part in parts] == ["33.33", "33.34", "33.33"]
    assert [part.discount_total.text for part in parts] == ["3.33", "3.34", "3.33"]
    assert [part.freight.text for part in parts] == ["3.33", "3.34", "3.33"]
    assert [part.lines[line].tax.text for part in parts] == ["6.33", "6.34", "6.33"]


def test_a_free_document_gives_its_freight_to_the_last_part() -> None:
    nothing, five = Money.zero("EUR"), Money(Decimal(5), "EUR")
    one, other = uuid4(), uuid4()
    free = LineAmounts(Decimal(1), nothing, nothing, nothing)
    whole = Amounts({one: free, other: free}, nothing, nothing, five)
    first = whole.share({one: Decimal(1)})
    assert first.freight == nothing
    assert whole.without([first]).share({other: Decimal(1)}).freight == five


@dataclass(frozen=True)
class Wish:
    line_id: UUID
    quantity: Decimal


def test_all_that_is_left_is_taken_unless_said() -> None:
    one, other, done = uuid4(), uuid4(), uuid4()
    left = {one: Decimal(3), done: Decimal(0), other: Decimal("2.5")}
    assert take(left, None, "") == {one: Decimal(3), other: Decimal("2.5")}
    assert list(take(left, [Wish(other, Decimal(1)), Wish(one, Decimal(3))], "")) == [one, other]


@pytest.mark.parametrize(
    ("wishes", "pointer", "slug"),
    [
        ([("other", "1")], "/lines/0/line_id", "unknown-line"),
        ([("one", "1"), ("one", "1")], "/lines/1/line_id", "duplicate-line"),
        ([("one", "3.00001")], "/lines/0/quantity", "quantity-exceeded"),
    ],
)
def test_what_is_not_left_cannot_be_taken(wishes: list[tuple[str, str]], pointer: str, slug: str) -> None:
    ids = {"one": uuid4(), "other": uuid4()}
    wanted = [Wish(ids[name], Decimal(quantity)) for name, quantity in wishes]
    with pytest.raises(InvalidValue) as refused:
        take({ids["one"]: Decimal(3)}, wanted, "No more than was ordered")
    assert (refused.value.slug, refused.value.errors[0].pointer) == (slug, pointer)


def test_prices_of_lines_and_of_parts_are_one_arithmetic() -> None:
    price = LinePrice(Money(Decimal("10.00"), "EUR"), Money(Decimal("1.90"), "EUR"))
    nothing = Money.zero("EUR")
    whole = Amounts({uuid4(): LineAmounts(Decimal(1), nothing, price.net, price.tax)}, nothing, nothing, nothing)
    found = totals("EUR", [price], discount_percent=None, discount_amount=None, freight=None)
    assert (whole.subtotal, whole.tax_total, whole.total) == (found.subtotal, found.tax_total, found.total)
