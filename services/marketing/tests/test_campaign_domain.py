"""Campaigns without a database: the state machine as a matrix, and the rules."""

from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.marketing import CampaignStatus
from crm_contracts.money import Money
from crm_kit.errors import IllegalTransition, InvalidValue
from crm_marketing.campaign.domain import (
    LIFECYCLE,
    NAME_LENGTH,
    name_of_copy,
    require_base_currency,
    require_order,
    return_on_investment,
)
from crm_marketing.campaign.model import Campaign

EXPECTED = {
    "proposed/proposed": {"ready", "cancel"},
    "ready/ready": {"launch", "cancel"},
    "launched/launched": {"suspend", "complete", "cancel"},
    "suspended/suspended": {"resume", "complete", "cancel"},
    "completed/completed": set(),
    "canceled/canceled": set(),
}
TODAY = date(2026, 5, 4)


def campaign(state: str, *, is_template: bool = False) -> Campaign:
    status, _, reason = state.partition("/")
    return Campaign(status=status, status_reason=reason, is_template=is_template)


def test_states_are_those_of_the_contract() -> None:
    assert set(LIFECYCLE.statuses) == set(CampaignStatus)
    assert all(state.partition("/")[0] == state.partition("/")[2] for state in LIFECYCLE.states)
    assert {state: set(LIFECYCLE.actions(state)) for state in LIFECYCLE.states} == EXPECTED


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_a_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in EXPECTED[state] else pytest.raises(IllegalTransition) as refused:
        assert "/".join(LIFECYCLE.after(action, state)) in LIFECYCLE.states
    if refused is not None:
        assert set(refused.value.members["allowed"]) == EXPECTED[state]


@pytest.mark.parametrize("state", LIFECYCLE.states)
def test_a_template_can_do_all_but_be_launched(state: str) -> None:
    template = campaign(state, is_template=True)
    assert set(template.moves_from(template.__dict__)) == EXPECTED[state] - {"launch"}
    with pytest.raises(IllegalTransition, match="launch the copy" if "launch" in EXPECTED[state] else "not possible"):
        template.launch(TODAY)
    assert (template.state, template.actual_start) == (state, None)


def test_a_campaign_remembers_the_days_it_began_and_ended() -> None:
    run = campaign("ready/ready")
    run.launch(TODAY)
    run.suspend()
    run.resume()
    assert (run.actual_start, run.actual_end) == (TODAY, None)
    run.complete(date(2026, 6, 1))
    assert (run.actual_start, run.actual_end) == (TODAY, date(2026, 6, 1))


@given(name=st.text(min_size=1, max_size=200))
def test_the_name_of_a_copy_always_fits(name: str) -> None:
    assert len(name_of_copy(name)) <= NAME_LENGTH
    assert name_of_copy(name).startswith("Copy of")


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        (None, None, True),
        (TODAY, None, True),
        (None, TODAY, True),
        (TODAY, TODAY, True),
        (TODAY, date(2026, 5, 3), False),
    ],
)
def test_a_campaign_does_not_end_before_it_starts(start: date | None, end: date | None, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(InvalidValue):
        require_order(start, end)


def test_amounts_in_another_currency_are_refused_naming_the_base_currency() -> None:
    require_base_currency("budget", None, "EUR")
    require_base_currency("budget", Money(Decimal(5), "EUR"), "EUR")
    with pytest.raises(InvalidValue, match="EUR") as refused:
        require_base_currency("budget", Money(Decimal(5), "USD"), "EUR")
    assert (refused.value.slug, refused.value.errors[0].pointer) == ("currency-mismatch", "/budget/currency")


@pytest.mark.parametrize(
    ("won", "cost", "roi"),
    [
        ("0", "0", None),
        ("100", "0", None),
        ("0", "100", "-1.0000"),
        ("250", "100", "1.5000"),
        ("100", "300", "-0.6667"),
        ("200.01", "160000", "-0.9987"),
        ("1.00005", "1", "0.0001"),
    ],
)
def test_the_return_on_investment_is_exact_to_four_decimals(won: str, cost: str, roi: str | None) -> None:
    assert return_on_investment(Decimal(won), Decimal(cost)) == (None if roi is None else Decimal(roi))
