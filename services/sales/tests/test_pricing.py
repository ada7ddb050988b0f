"""Prices of lines and documents, compared with an oracle of fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import Money, MoneyError, exponent
from crm_contracts.unit_price import MORE_DECIMALS, UnitPrice, as_shown, both, chosen
from crm_kit.errors import InvalidValue
from crm_sales.pricing.domain import LinePrice, LineTerms, VolumeBreak, price_line, totals, volume_discount

CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])
"""With no decimals, two and three."""
PERCENT = st.decimals(0, 100, places=2)
QUANTITY = st.decimals(Decimal("0.00001"), 100_000, places=5)


def money(currency: str, most: int = 1_000_000) -> st.SearchStrategy[Money]:
    return st.decimals(0, most, places=exponent(currency)).map(lambda amount: Money(amount, currency))


def half_up(exact: Fraction, currency: str) -> Decimal:
    """The rounding of the oracle: to minor units, halves up. Amounts are never negative here."""
    unit: int = 10 ** exponent(currency)
    whole: int = (exact * unit + Fraction(1, 2)).__floor__()
    return Decimal(whole) / unit


def price_of_unit(currency: str, most: int = 1_000_000) -> st.SearchStrategy[UnitPrice]:
    places = exponent(currency) + MORE_DECIMALS
    return st.decimals(0, most, places=places).map(lambda amount: UnitPrice(amount, currency))


@st.composite
def terms(draw: st.DrawFn, currency: str) -> LineTerms:
    price = draw(money(currency) | price_of_unit(currency))
    volume = draw(
        st.sampled_from([5, 10, 100]).map(lambda part: price.amount / part).map(lambda off: _down(off, price))
    )
    quantity = draw(QUANTITY)
    gross = Fraction(price.amount - volume.amount) * Fraction(quantity)
    share = draw(st.integers(0, 5))
    manual = Money(half_up(gross * share / 5, currency), currency) if share else Money.zero(currency)
    if manual.amount > half_up(gross, currency):
        manual = Money.zero(currency)
    return LineTerms(quantity, price, volume, manual, draw(PERCENT))


def _down(off: Decimal, price: Money | UnitPrice) -> Money | UnitPrice:
    """A discount in the form of the price."""
    places = exponent(price.currency) + (MORE_DECIMALS if isinstance(price, UnitPrice) else 0)
    amount = off.quantize(Decimal(1).scaleb(-places), rounding="ROUND_DOWN")
    return type(price)(amount, price.currency)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[LineTerms], Decimal | None, Money | None, Money | None]:
    currency = draw(CURRENCIES)
    lines = draw(st.lists(terms(currency), max_size=6))
    return (
        currency,
        lines,
        draw(st.none() | PERCENT),
        draw(st.none() | money(currency)),
        draw(st.none() | money(currency)),
    )


@given(documents())
def test_a_total_is_what_the_oracle_says(
    document: tuple[str, list[LineTerms], Decimal | None, Money | None, Money | None],
) -> None:
    currency, lines, percent, amount, freight = document
    found = totals(
        currency,
        [price_line(line, f"/lines/{position}") for position, line in enumerate(lines)],
        discount_percent=percent,
        discount_amount=amount,
        freight=freight,
    )

    subtotal = tax = Decimal(0)
    for line in lines:
        unit = Fraction(line.unit_price.amount) - Fraction(line.volume_discount.amount)
        net = half_up(unit * Fraction(line.quantity), currency) - line.manual_discount.amount
        subtotal += net
        tax += half_up(Fraction(net) * Fraction(line.tax_percent) / 100, currency)
    discount = half_up(Fraction(subtotal) * Fraction(percent or 0) / 100, currency)
    discount = min(discount + (amount.amount if amount else 0), subtotal)
    total = subtotal - discount + (freight.amount if freight else 0) + tax

    assert [one.amount for one in (found.subtotal, found.discount_total, found.tax_total, found.total)] == [
        subtotal,
        discount,
        tax,
        total,
    ]
    assert {one.currency for one in (found.subtotal, found.discount_total, found.tax_total, found.total)} == {currency}


@given(currency=CURRENCIES, data=st.data())
def test_a_volume_discount_is_that_of_the_highest_break_reached(currency: str, data: st.DataObject) -> None:
    price, quantity = data.draw(money(currency)), data.draw(QUANTITY)
    steps = data.draw(st.lists(st.tuples(QUANTITY, PERCENT), max_size=5, unique_by=lambda step: step[0]))
    found = volume_discount([VolumeBreak(least, percent) for least, percent in steps], price, quantity)
    reached = [percent for least, percent in sorted(steps) if least <= quantity]
    expected = half_up(Fraction(price.amount) * Fraction(reached[-1]) / 100, currency) if reached else Decimal(0)
    assert found == Money(expected, currency)


@given(currency=CURRENCIES, data=st.data())
def test_a_volume_discount_on_a_fine_price_is_as_fine(currency: str, data: st.DataObject) -> None:
    price, percent = data.draw(price_of_unit(currency, 10).filter(lambda one: one.is_fine)), data.draw(PERCENT)
    found = volume_discount([VolumeBreak(Decimal(1), percent)], price, Decimal(5))
    unit = 10 ** (exponent(currency) + MORE_DECIMALS)
    exact = Fraction(price.amount) * Fraction(percent) / 100 * unit
    assert Fraction(found.amount) * unit == (exact + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [("0.00125", "EUR", "0.00125"), ("1.2", "EUR", "1.20"), ("0.1234", "JPY", "0.1234"), ("7", "KWD", "7.000")],
)
def test_a_unit_price_is_shown_without_zeros_beyond_its_currency(amount: str, currency: str, shown: str) -> None:
    price = UnitPrice.parse(amount, currency)
    assert price.as_json() == {"amount": shown, "currency": currency}
    assert UnitPrice.parse(shown, currency) == price


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("1.200", "EUR"),
        ("1.2345678", "EUR"),
        ("0.12345", "JPY"),
        ("-1", "EUR"),
        ("999999999999999.999999", "EUR"),
        ("999999999999999.5", "JPY"),
        ("1e3", "EUR"),
        ("", "EUR"),
        ("1", "XXX"),
    ],
)
def test_what_no_unit_price_may_be_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        UnitPrice.parse(amount, currency)


def test_of_two_prices_that_are_sent_back_the_one_that_was_changed_counts() -> None:
    fine, other = UnitPrice.parse("0.00125", "EUR"), UnitPrice.parse("3.50", "EUR")
    shown = UnitPrice.of(fine.money)
    assert (chosen(shown, fine), chosen(None, fine), chosen(other, fine), chosen(other, None)) == (
        fine,
        fine,
        other,
        other,
    )


@given(currency=CURRENCIES, data=st.data())
def test_a_client_that_knows_rounded_prices_only_changes_a_price_only_to_another_one(
    currency: str, data: st.DataObject
) -> None:
    present = data.draw(price_of_unit(currency, 10))
    shown, fine = both(present)
    back, sent = UnitPrice.of(shown), data.draw(price_of_unit(currency, 10))
    assert as_shown(back, fine) == fine, "it was sent back as it was read"
    assert as_shown(sent, fine) == (fine if sent == back else None)
    assert (as_shown(None, fine), as_shown(back, shown)) == (None, None)


def test_a_discount_by_amount_is_never_more_than_the_price() -> None:
    off = VolumeBreak(Decimal(1), amount=Money(Decimal(9), "EUR"))
    assert volume_discount([off], Money(Decimal(5), "EUR"), Decimal(2)) == Money(Decimal(5), "EUR")


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def test_a_line_never_costs_less_than_nothing() -> None:
    line = LineTerms(Decimal(1), euros("10.00"), euros("0.00"), euros("10.01"), Decimal(0))
    with pytest.raises(InvalidValue) as refused:
        price_line(line, "/lines/0")
    assert (refused.value.slug, refused.value.errors[0].pointer) == ("discount-too-large", "/lines/0/manual_discount")


def test_a_line_is_discounted_to_nothing_although_its_exact_price_is_below_the_discount() -> None:
    # 2.25 x 64.22 is 144.495, which the customer sees as 144.50.
    line = LineTerms(Decimal("2.25"), euros("64.22"), euros("0.00"), euros("144.50"), Decimal(19))
    assert price_line(line, "/lines/0") == LinePrice(euros("0.00"), euros("0.00"))


def test_amounts_of_two_currencies_are_never_added() -> None:
    yen = Money(Decimal(10), "JPY")
    with pytest.raises(InvalidValue, match="currency-mismatch"):
        price_line(LineTerms(Decimal(1), euros("10.00"), euros("0.00"), yen, Decimal(0)), "/lines/0")
    line = LinePrice(euros("10.00"), euros("1.90"))
    for amounts in ({"freight": yen, "discount_amount": None}, {"freight": None, "discount_amount": yen}):
        with pytest.raises(InvalidValue, match="currency-mismatch"):
            totals("EUR", [line], discount_percent=None, **amounts)


def test_a_sum_past_fifteen_digits_is_refused() -> None:
    most = euros("999999999999999.99")
    with pytest.raises(InvalidValue, match="too-large"):
        price_line(LineTerms(Decimal(2), most, euros("0.00"), euros("0.00"), Decimal(0)), "/lines/0")
    with pytest.raises(InvalidValue, match="too-large"):
        totals("EUR", [LinePrice(most, euros("0.00"))] * 2, discount_percent=None, discount_amount=None, freight=None)
