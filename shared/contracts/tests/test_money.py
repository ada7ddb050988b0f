"""Money is exact, rounds half up, never mixes currencies, and has one spelling on the wire."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from crm_contracts.money import (
    EXPONENTS,
    CurrencyMismatch,
    Money,
    MoneyError,
    convert,
    exponent,
    quantum,
    round_half_up,
    total,
)

CURRENCIES = st.sampled_from(sorted(EXPONENTS))


@st.composite
def moneys(draw: st.DrawFn, currency: st.SearchStrategy[str] = CURRENCIES) -> Money:
    code = draw(currency)
    minor = draw(st.integers(min_value=-(10**13), max_value=10**13))
    return Money(Decimal(minor).scaleb(-exponent(code)), code)


ADAPTER = TypeAdapter(Money)


@given(moneys())
def test_the_wire_form_reads_back_the_same(money: Money) -> None:
    assert ADAPTER.validate_python(money.as_json()) == money
    assert ADAPTER.validate_json(ADAPTER.dump_json(money)) == money
    assert ADAPTER.dump_python(money, mode="json") == money.as_json()


@given(moneys())
def test_an_amount_is_written_with_exactly_the_decimals_of_its_currency(money: Money) -> None:
    _, _, decimals = money.text.partition(".")
    assert len(decimals) == EXPONENTS[money.currency]
    assert "E" not in money.text


@given(moneys())
def test_a_shorter_spelling_is_the_same_money(money: Money) -> None:
    short = money.text.rstrip("0").rstrip(".") if "." in money.text else money.text
    again = Money.parse(short, money.currency)
    assert again == money
    assert again.text == money.text
    assert hash(again) == hash(money)


@given(moneys(st.just("EUR")), moneys(st.just("EUR")))
def test_adding_and_taking_away_is_exact(one: Money, other: Money) -> None:
    assert one + other - other == one
    assert (one + other).amount == one.amount + other.amount
    assert one + -one == Money.zero("EUR")
    assert (one < other) == (one.amount < other.amount)
    assert total([one, other], "EUR") == one + other


@given(moneys(st.just("EUR")), moneys(st.just("JPY")))
def test_currencies_do_not_mix(euros: Money, yen: Money) -> None:
    for act in (
        lambda: euros + yen,
        lambda: euros - yen,
        lambda: euros < yen,
        lambda: euros >= yen,
        lambda: total([yen], "EUR"),
    ):
        with pytest.raises(CurrencyMismatch):
            act()
    assert euros != yen


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6), CURRENCIES)
def test_rounding_is_half_up_and_at_most_half_a_unit_away(amount: Decimal, currency: str) -> None:
    rounded = round_half_up(amount, currency)
    assert abs(rounded - amount) <= quantum(currency) / 2
    with localcontext() as context:
        context.rounding = ROUND_HALF_UP
        assert rounded == amount.quantize(quantum(currency))


@given(moneys(st.just("USD")), st.decimals(min_value="0.0001", max_value=1000, places=4))
def test_converting_rounds_once(money: Money, rate: Decimal) -> None:
    assert convert(money, rate, "EUR") == Money.rounded(money.amount * rate, "EUR")


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("2.675", "2.68")]
)
def test_a_half_goes_away_from_zero(amount: str, rounded: str) -> None:
    assert Money.rounded(Decimal(amount), "EUR").text == rounded


def test_multiplying_rounds_to_the_currency() -> None:
    assert Money.parse("0.10", "EUR") * Decimal("0.25") == Money.parse("0.03", "EUR")
    assert 3 * Money.parse("1.10", "EUR") == Money.parse("3.30", "EUR")
    assert (Money.parse("5", "JPY") * Decimal("0.5")).text == "3"


@pytest.mark.parametrize(("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_currencies_have_their_decimals(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals
    assert quantum(currency) == Decimal(1).scaleb(-decimals)


@pytest.mark.parametrize(
    "amount",
    [
        "",
        " 1",
        "1 ",
        "1,5",
        "1.",
        ".5",
        "+1",
        "1e3",
        "NaN",
        "Infinity",
        "0x1",
        "１",
        "1_000",
        "1" * 16,
        "9" * 400,
        10**15,
        10**4000,
    ],
)
def test_an_amount_that_is_not_plain_decimal_text_is_refused(amount: Any) -> None:
    with pytest.raises(MoneyError):
        Money.parse(amount, "EUR")
    with pytest.raises(ValidationError):
        ADAPTER.validate_python({"amount": amount, "currency": "EUR"})


@pytest.mark.parametrize("amount", [1.5, 1.0, True, None, [], {}, Decimal("1"), b"1"])
def test_an_amount_of_another_type_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError) as error:
        ADAPTER.validate_python({"amount": amount, "currency": "EUR"})
    assert error.value.errors()[0]["loc"] == ("amount",)


def test_more_decimals_than_the_currency_has_are_refused_not_rounded() -> None:
    for amount, currency in (("1.001", "EUR"), ("1.5", "JPY"), ("1.0001", "KWD"), ("1.200", "EUR"), ("12.0", "JPY")):
        with pytest.raises(MoneyError, match="decimals"):
            Money.parse(amount, currency)
    assert Money.parse("7", "EUR").text == "7.00"
    assert Money.parse(7, "EUR").text == "7.00"


def test_there_is_no_negative_zero() -> None:
    assert Money.parse("-0.00", "EUR").text == "0.00"
    assert (-Money.zero("EUR")).text == "0.00"
    assert ADAPTER.validate_python({"amount": "-0.00", "currency": "EUR"}).text == "0.00"


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "ZZZ", 978, None])
def test_an_unknown_currency_is_refused(currency: Any) -> None:
    with pytest.raises(ValidationError) as error:
        ADAPTER.validate_python({"amount": "1.00", "currency": currency})
    assert error.value.errors()[0]["loc"] == ("currency",)


def test_a_numeric_column_with_four_decimals_reads_as_money() -> None:
    assert Money(Decimal("1200.0000"), "EUR").text == "1200.00"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    price: Money | None


def test_unknown_keys_are_refused_by_producers_and_ignored_by_consumers() -> None:
    body = {"price": {"amount": "1.00", "currency": "EUR", "rounded": True}}
    with pytest.raises(ValidationError) as error:
        _Strict.model_validate(body)
    assert error.value.errors()[0]["loc"] == ("price", "rounded")
    assert _Strict.model_validate(body, extra="ignore").price == Money.parse("1", "EUR")


def test_a_conversion_needs_a_rate_above_zero() -> None:
    for rate in (Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(MoneyError):
            convert(Money.parse("1", "USD"), rate, "EUR")
