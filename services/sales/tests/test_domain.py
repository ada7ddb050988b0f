"""Rules that need no database."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import Money
from crm_contracts.sales.choices import Tier
from crm_kit.errors import DomainError, InvalidValue
from crm_sales.age import years_before
from crm_sales.contact.domain import full_name
from crm_sales.lead.domain import require_somebody
from crm_sales.opportunity.domain import require_past, require_value, tier_after_win
from crm_sales.own_number import require_own_number

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after"),
    [("prospect", "standard"), ("standard", "standard"), ("important", "important"), ("key", "key")],
)
def test_winning_makes_a_customer_at_least_standard(before: str, after: str) -> None:
    assert tier_after_win(before) is Tier(after)


def test_a_deal_may_be_won_with_nothing_but_not_without_a_value() -> None:
    nothing = Money(Decimal(0), "EUR")
    assert require_value(nothing) == nothing
    with pytest.raises(DomainError, match="actual-value-required"):
        require_value(None)


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999)))
def test_a_deal_is_closed_now_or_earlier(distance: timedelta) -> None:
    if distance <= timedelta(0):
        assert require_past(NOW + distance, NOW) == NOW + distance
    else:
        with pytest.raises(InvalidValue, match="in-the-future"):
            require_past(NOW + distance, NOW)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_full_name_is_both_names_or_the_one_there_is(first: str, last: str) -> None:
    assert full_name(first, last) == f"{first} {last}"
    assert full_name(None, last) == last
    assert full_name(first, None) == first


def test_a_lead_is_about_somebody() -> None:
    require_somebody("Lovelace", None)
    require_somebody(None, "Engines Ltd")
    with pytest.raises(InvalidValue, match="name-required"):
        require_somebody(None, None)


@pytest.mark.parametrize("number", ["ACC-00042", "acc-1", "ACC-999999999"])
def test_numbers_of_the_drawn_form_cannot_be_given(number: str) -> None:
    with pytest.raises(InvalidValue, match="reserved-number"):
        require_own_number(number, "ACC")


@pytest.mark.parametrize("number", [None, "K-4711", "ACC-", "ACC-12B", "XACC-12", "PRO-12"])
def test_any_other_number_is_the_clients_own(number: str | None) -> None:
    require_own_number(number, "ACC")


@given(st.dates(min_value=date(1000, 1, 1), max_value=date(2100, 12, 31)), st.integers(0, 150))
def test_years_before_is_the_same_day_earlier(day: date, years: int) -> None:
    earlier = years_before(day, years)
    assert earlier.year == day.year - years
    assert (earlier.month, earlier.day) in {(day.month, day.day), (2, 28)}
