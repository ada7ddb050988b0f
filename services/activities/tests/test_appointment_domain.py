"""Appointments without a database: the state machine as a matrix, times and zones, all-day appointments, reminders."""

from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_activities.appointment.domain import (
    LIFECYCLE,
    SHOWN_AS,
    Times,
    asked_again,
    midnight,
    reminder_of,
    require_one_organizer,
    times_of,
)
from crm_contracts.activities.appointment import AppointmentStatus, AppointmentStatusReason
from crm_kit.errors import IllegalTransition, InvalidValue

START = datetime(2026, 7, 1, 8, tzinfo=UTC)
END = datetime(2026, 7, 1, 16, 30, tzinfo=UTC)
TIMED = {"scheduled_start_at": START, "scheduled_end_at": END}


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in LIFECYCLE.actions(state) else pytest.raises(IllegalTransition):
        status, reason = LIFECYCLE.after(action, state)
        assert f"{status}/{reason}" in LIFECYCLE.states


def test_the_states_are_those_of_the_contract() -> None:
    assert set(LIFECYCLE.statuses) == set(AppointmentStatus)
    assert set(LIFECYCLE.status_reasons) == set(AppointmentStatusReason)
    assert set(SHOWN_AS.values()) == {state for state in LIFECYCLE.states if state.startswith(("open", "scheduled"))}


@pytest.mark.parametrize("state", ["completed/completed", "canceled/canceled"])
def test_only_reopen_leads_out_of_completed_and_canceled(state: str) -> None:
    assert LIFECYCLE.actions(state) == ["reopen"]


def test_start_and_end_have_zones_of_their_own() -> None:
    zones = {"start_zone": "Europe/Berlin", "end_zone": "America/New_York"}
    made = times_of(TIMED | zones, None, "UTC")
    assert (made.minutes, made.start_zone, made.end_zone) == (510, "Europe/Berlin", "America/New_York")
    moved = times_of({"scheduled_start_at": START + timedelta(hours=1)}, made, "UTC")
    assert (moved.minutes, moved.start_zone, moved.end_zone) == (510, "Europe/Berlin", "America/New_York")
    assert times_of({"start_zone": "Asia/Tokyo"}, made, "UTC").end_zone == "Asia/Tokyo"


@pytest.mark.parametrize("zone", ["Europe/Copenhagen", "America/New_York", "Pacific/Kiritimati"])
def test_an_all_day_appointment_has_dates_whatever_the_zone(zone: str) -> None:
    made = times_of({"all_day": True, "start_date": date(2025, 12, 29)}, None, zone)
    assert (made.start_date, made.end_date, made.minutes) == (date(2025, 12, 29), date(2025, 12, 29), 24 * 60)
    assert made.scheduled_start_at == midnight(date(2025, 12, 29), zone)


def test_a_day_on_which_the_clocks_change_has_its_own_length() -> None:
    spring = times_of({"all_day": True, "start_date": date(2026, 3, 29)}, None, "Europe/Berlin")
    autumn = times_of({"all_day": True, "start_date": date(2026, 10, 25)}, None, "Europe/Berlin")
    assert (spring.minutes, autumn.minutes) == (23 * 60, 25 * 60)


def test_an_appointment_becomes_all_day_and_back() -> None:
    timed = times_of(TIMED, None, "Europe/Berlin")
    day = times_of({"all_day": True}, timed, "UTC")
    assert (day.start_date, day.end_date, day.start_zone) == (date(2026, 7, 1), date(2026, 7, 1), "Europe/Berlin")
    again = times_of({"all_day": False, **TIMED}, day, "UTC")
    assert (again.start_date, again.scheduled_start_at) == (None, START)
    with pytest.raises(InvalidValue) as refused:
        times_of({"all_day": False}, day, "UTC")
    assert refused.value.slug == "time-required"


@pytest.mark.parametrize(
    ("sent", "pointer", "slug"),
    [
        ({}, "/scheduled_start_at", "time-required"),
        ({"scheduled_start_at": START}, "/scheduled_end_at", "time-required"),
        ({"all_day": True}, "/start_date", "time-required"),
        ({"all_day": True, "scheduled_start_at": START}, "/scheduled_start_at", "only-timed"),
        (TIMED | {"start_date": date(2026, 7, 1)}, "/start_date", "only-all-day"),
        ({"scheduled_start_at": END, "scheduled_end_at": START}, "/scheduled_end_at", "end-before-start"),
        (
            {"all_day": True, "start_date": date(2026, 7, 2), "end_date": date(2026, 6, 30)},
            *("/end_date", "end-before-start"),
        ),
        (
            {"scheduled_start_at": START, "scheduled_end_at": START + timedelta(days=367)},
            "/scheduled_end_at",
            "too-long",
        ),
        ({"all_day": True, "start_date": date.max}, "/end_date", "too-late"),
    ],
)
def test_times_that_contradict_are_refused(sent: dict[str, Any], pointer: str, slug: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        times_of(sent, None, "UTC")
    assert (refused.value.errors[0].pointer, refused.value.slug) == (pointer, slug)


def test_a_new_start_past_all_years_is_refused() -> None:
    made = times_of(TIMED, None, "UTC")
    with pytest.raises(InvalidValue, match="9999"):
        times_of({"scheduled_start_at": datetime.max.replace(tzinfo=UTC)}, made, "UTC")


@given(hours=st.integers(-8000, 8000))
def test_a_new_start_keeps_the_duration(hours: int) -> None:
    made = times_of(TIMED, None, "UTC")
    assert times_of({"scheduled_start_at": START + timedelta(hours=hours)}, made, "UTC").minutes == made.minutes


@pytest.mark.parametrize(
    ("local", "zone", "due"),
    [
        ("2015-12-29T10:00", "Europe/Warsaw", datetime(2015, 12, 29, 8, 45, tzinfo=UTC)),
        ("2026-03-29T03:00", "Europe/Berlin", datetime(2026, 3, 29, 0, 45, tzinfo=UTC)),
    ],
)
def test_a_reminder_is_due_before_the_start_in_its_own_zone(local: str, zone: str, due: datetime) -> None:
    start = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    times = Times(False, None, None, start, start + timedelta(hours=1), zone, zone)
    assert reminder_of(times, 15) == due


def test_there_is_one_organizer() -> None:
    require_one_organizer(["required", "organizer", "optional"])
    with pytest.raises(InvalidValue) as refused:
        require_one_organizer(["organizer", "required", "organizer"])
    assert refused.value.errors[0].pointer == "/parties/2/role"


def test_those_invited_are_asked_again_and_the_organizer_is_not() -> None:
    said = [
        {"role": role, "reply": "accepted", "replied_at": "2026-05-04T09:00:00Z"} for role in ("organizer", "required")
    ]
    assert [(one["reply"], one["replied_at"]) for one in asked_again(said)] == [
        ("accepted", "2026-05-04T09:00:00Z"),
        ("needs_action", None),
    ]
