"""Tasks without a database: the state machine as a matrix, percentages, reminders."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest

from crm_activities.activity.domain import require_future
from crm_activities.task.domain import LIFECYCLE, percent_when_reopened
from crm_activities.task.model import Task
from crm_contracts.activities.task import TaskStatus, TaskStatusReason
from crm_kit.errors import IllegalTransition, InvalidValue

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in LIFECYCLE.actions(state) else pytest.raises(IllegalTransition):
        status, reason = LIFECYCLE.after(action, state)
        assert f"{status}/{reason}" in LIFECYCLE.states


def test_every_state_of_the_contract_is_reached() -> None:
    assert set(LIFECYCLE.statuses) == set(TaskStatus)
    assert set(LIFECYCLE.status_reasons) == set(TaskStatusReason)
    reached = {LIFECYCLE.initial}
    for state in [LIFECYCLE.initial, *LIFECYCLE.states]:
        reached |= {"/".join(LIFECYCLE.after(action, state)) for action in LIFECYCLE.actions(state)}
    assert reached == set(LIFECYCLE.states)


@pytest.mark.parametrize("state", [s for s in LIFECYCLE.states if s.startswith("open/")])
@pytest.mark.parametrize("action", ["reschedule", "snooze"])
def test_rescheduling_and_snoozing_keep_the_state(action: str, state: str) -> None:
    assert "/".join(LIFECYCLE.after(action, state)) == state


def test_only_reopen_leads_out_of_completed_and_canceled() -> None:
    for state in ("completed/completed", "canceled/canceled"):
        assert LIFECYCLE.actions(state) == ["reopen"]


def task(**values: object) -> Task:
    fields = {"status": "open", "status_reason": "not_started", "percent_complete": Decimal(0)}
    return Task(**{**fields, "remind_at": None, "reminded_at": None, "completed_at": None, **values})


def test_completing_says_when_and_that_all_is_done() -> None:
    done = task(percent_complete=Decimal(40))
    done.complete(NOW)
    assert (done.status, done.completed_at, done.percent_complete) == ("completed", NOW, Decimal(100))


def test_reopening_forgets_when_it_was_completed() -> None:
    again = task()
    again.complete(NOW)
    again.reopen()
    assert (again.state, again.completed_at, again.percent_complete) == ("open/not_started", None, Decimal(0))


def test_work_that_was_given_up_goes_on_where_it_was() -> None:
    assert percent_when_reopened(Decimal(60)) == Decimal(60)
    assert percent_when_reopened(Decimal(100)) == Decimal(0)


def test_another_moment_reminds_anew_and_the_same_moment_does_not() -> None:
    reminded = task(remind_at=NOW, reminded_at=NOW)
    reminded.remind(NOW)
    assert reminded.reminded_at == NOW
    reminded.remind(NOW + timedelta(hours=1))
    assert reminded.reminded_at is None


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_reminder_is_not_put_off_to_a_moment_gone_by(seconds: int) -> None:
    with pytest.raises(InvalidValue):
        require_future(NOW + timedelta(seconds=seconds), NOW)
