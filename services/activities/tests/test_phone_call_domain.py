"""Phone calls without a database: the state machine as a matrix, reasons of completion, times and durations."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_activities.activity.domain import duration, require_order
from crm_activities.phone_call.domain import LIFECYCLE, reason_of
from crm_activities.phone_call.model import PhoneCall
from crm_contracts.activities.phone_call import CallDirection, CallReason, PhoneCallStatus, PhoneCallStatusReason
from crm_kit.errors import IllegalTransition, InvalidValue

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
ENTERED = 99


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in LIFECYCLE.actions(state) else pytest.raises(IllegalTransition):
        status, reason = LIFECYCLE.after(action, state)
        assert f"{status}/{reason}" in LIFECYCLE.states


def test_the_states_are_those_of_the_contract() -> None:
    assert set(LIFECYCLE.statuses) == set(PhoneCallStatus)
    assert set(LIFECYCLE.status_reasons) == set(PhoneCallStatusReason)
    assert LIFECYCLE.states == ["open/open", "completed/made", "completed/received", "canceled/canceled"]


@pytest.mark.parametrize("state", [state for state in LIFECYCLE.states if state != LIFECYCLE.initial])
def test_only_reopen_leads_out_of_completed_and_canceled(state: str) -> None:
    assert LIFECYCLE.actions(state) == ["reopen"]
    assert "/".join(LIFECYCLE.after("reopen", state)) == LIFECYCLE.initial


def call(**values: object) -> PhoneCall:
    fields = {"status": "open", "status_reason": "open", "direction": "outgoing", "completed_at": None}
    times = dict.fromkeys(["scheduled_start_at", "scheduled_end_at", "started_at", "ended_at", "duration_minutes"])
    return PhoneCall(**{**fields, **times, **values})


@pytest.mark.parametrize(
    ("direction", "said", "reason"),
    [
        (CallDirection.OUTGOING, None, CallReason.MADE),
        (CallDirection.INCOMING, None, CallReason.RECEIVED),
        (CallDirection.OUTGOING, CallReason.RECEIVED, CallReason.RECEIVED),
    ],
)
def test_completing_is_called_by_the_direction_unless_said(
    direction: CallDirection, said: CallReason | None, reason: CallReason
) -> None:
    assert said is not None or reason_of(direction) == reason
    done = call(direction=direction)
    done.complete(said, NOW)
    assert (done.state, done.completed_at) == (f"completed/{reason}", NOW)


def test_reopening_forgets_when_it_was_completed() -> None:
    again = call()
    again.complete(None, NOW)
    again.reopen()
    assert (again.state, again.completed_at) == ("open/open", None)


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0, 0), (29, 0), (30, 1), (89, 1), (90, 2), (3600, 60), (366 * 86_400, 527_040)]
)
def test_a_duration_is_measured_half_up(seconds: int, minutes: int) -> None:
    assert duration(NOW, NOW + timedelta(seconds=seconds), None) == minutes


def test_a_duration_is_entered_where_it_was_not_measured() -> None:
    assert duration(None, NOW, ENTERED) == ENTERED
    assert duration(NOW, None, ENTERED) == ENTERED
    assert duration(NOW, None, None) is None


def test_another_duration_than_the_measured_one_is_refused() -> None:
    assert duration(NOW, NOW + timedelta(minutes=12), 12) == 12
    with pytest.raises(InvalidValue, match="12 minutes") as refused:
        duration(NOW, NOW + timedelta(minutes=12), ENTERED)
    assert refused.value.errors[0].pointer == "/duration_minutes"


def test_nobody_talks_for_more_than_a_year() -> None:
    with pytest.raises(InvalidValue, match="at most a year"):
        duration(NOW, NOW + timedelta(days=366, seconds=1), None)


@given(minutes=st.integers(-1000, 1000))
def test_nothing_ends_before_it_starts(minutes: int) -> None:
    with nullcontext() if minutes >= 0 else pytest.raises(InvalidValue):
        require_order(NOW, NOW + timedelta(minutes=minutes), "ended_at")


def test_what_was_measured_beats_what_was_entered_before() -> None:
    held = call(started_at=NOW, duration_minutes=ENTERED)
    held.ended_at = NOW + timedelta(minutes=5)
    held.settle_times({"ended_at": held.ended_at})
    assert held.duration_minutes == 5


def test_what_was_entered_stays_while_the_end_is_unknown() -> None:
    held = call(started_at=NOW, duration_minutes=ENTERED)
    held.settle_times({"started_at": NOW})
    assert held.duration_minutes == ENTERED
