"""Cases without a database: the state machine as a matrix, first responses, resolutions and their reversal."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.service.case import CaseResolution
from crm_contracts.service.choices import CaseStatus, CaseStatusReason, ResolutionKind
from crm_kit.errors import IllegalTransition, InvalidValue
from crm_service_mgmt.case.domain import LIFECYCLE, require_billable
from crm_service_mgmt.case.model import Case

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AGENT = UUID("01900000-0000-7000-8000-0000000000aa")
COMES_WITH_MERGING = {CaseStatusReason.MERGED}
ENDS = {"resolve", "cancel", "escalate"}
EXPECTED = {
    "active/in_progress": {"hold", "wait", "research"} | ENDS,
    "active/on_hold": {"wait", "research", "resume"} | ENDS,
    "active/waiting_for_details": {"hold", "research", "resume"} | ENDS,
    "active/researching": {"hold", "wait", "resume"} | ENDS,
    "resolved/problem_solved": {"reactivate"},
    "resolved/information_provided": {"reactivate"},
    "canceled/canceled": {"reactivate"},
}


def test_each_state_has_the_moves_of_the_domain() -> None:
    assert {state: set(LIFECYCLE.actions(state)) for state in LIFECYCLE.states} == EXPECTED


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in EXPECTED[state] else pytest.raises(IllegalTransition):
        assert "/".join(LIFECYCLE.after(action, state)) in LIFECYCLE.states


def test_every_state_of_the_contract_is_there() -> None:
    assert set(LIFECYCLE.statuses) == set(CaseStatus)
    assert set(LIFECYCLE.status_reasons) == set(CaseStatusReason) - COMES_WITH_MERGING


def a_case(**values: object) -> Case:
    fields = {"status": "active", "status_reason": "in_progress", "resolutions": []}
    return Case(**{**fields, "escalated_at": None, "first_responded_at": None, "resolved_at": None, **values})


def a_resolution(at: datetime = NOW, kind: ResolutionKind = ResolutionKind.PROBLEM_SOLVED) -> CaseResolution:
    return CaseResolution(
        kind=kind,
        resolution="Refunded",
        minutes=25,
        billable_minutes=10,
        resolved_at=at,
        reversed_at=None,
        by=AGENT,
    )


@pytest.mark.parametrize("command", ["hold", "wait", "research"])
def test_the_first_word_to_the_customer_is_the_first_response(command: str) -> None:
    case = a_case()
    getattr(case, command)(NOW)
    assert case.first_responded_at == NOW
    case.resume()
    getattr(case, command)(LATER)
    assert case.first_responded_at == NOW


def test_a_resolution_may_be_the_first_response() -> None:
    case = a_case()
    case.resolve(a_resolution())
    assert (case.first_responded_at, case.resolved_at) == (NOW, NOW)


def test_escalating_and_canceling_say_nothing_to_the_customer() -> None:
    case = a_case()
    case.escalate(NOW)
    case.cancel()
    assert (case.first_responded_at, case.escalated_at) == (None, NOW)


def test_a_case_is_escalated_once_and_stays_so() -> None:
    case = a_case(status_reason="on_hold")
    case.escalate(NOW)
    assert (case.escalated_at, case.state) == (NOW, "active/on_hold")
    case.cancel()
    case.reactivate(LATER)
    with pytest.raises(IllegalTransition, match="already escalated") as refused:
        case.escalate(LATER)
    assert (case.escalated_at, "escalate" in refused.value.members["allowed"]) == (NOW, False)


@pytest.mark.parametrize("state", LIFECYCLE.states)
def test_having_been_escalated_rules_out_nothing_else(state: str) -> None:
    status, _, reason = state.partition("/")
    fields = {"status": status, "status_reason": reason}
    assert set(Case.moves_from({**fields, "escalated_at": None})) == EXPECTED[state]
    assert set(Case.moves_from({**fields, "escalated_at": NOW})) == EXPECTED[state] - {"escalate"}


@pytest.mark.parametrize("kind", ResolutionKind)
def test_how_it_was_resolved_becomes_the_status_reason(kind: ResolutionKind) -> None:
    case = a_case()
    case.resolve(a_resolution(kind=kind))
    assert case.state == f"resolved/{kind}"


def test_reactivating_reverses_the_resolution_that_held_and_no_other() -> None:
    case = a_case()
    case.resolve(a_resolution())
    first = case.reactivate(LATER)
    assert first is not None
    assert (first.reversed_at, case.resolved_at, case.state) == (LATER, None, "active/in_progress")
    case.resolve(a_resolution(LATER))
    case.reactivate(LATER + timedelta(hours=1))
    assert [one["reversed_at"] for one in case.resolutions] == ["2026-05-04T10:30:00Z", "2026-05-04T11:30:00Z"]
    assert case.first_responded_at == NOW


def test_a_canceled_case_has_no_resolution_to_reverse() -> None:
    case = a_case()
    case.resolve(a_resolution())
    case.reactivate(LATER)
    before = case.resolutions
    case.cancel()
    assert (case.reactivate(LATER + timedelta(hours=1)), case.resolutions) == (None, before)


def test_a_list_of_resolutions_is_replaced_and_never_changed() -> None:
    case = a_case()
    empty = case.resolutions
    case.resolve(a_resolution())
    held = case.resolutions
    case.reactivate(LATER)
    assert empty == []
    assert held[0]["reversed_at"] is None


@given(minutes=st.integers(0, 10_000), billable=st.integers(0, 10_000))
def test_no_more_is_billed_than_was_spent(minutes: int, billable: int) -> None:
    with nullcontext() if billable <= minutes else pytest.raises(InvalidValue):
        require_billable(minutes, billable)
