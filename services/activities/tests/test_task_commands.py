"""Commands on tasks: rows and events, in a transaction that is rolled back."""

from datetime import UTC, datetime, timedelta

import pytest

from crm_activities.activity.commands import remind_owner
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.task import commands
from crm_activities.task.model import Task
from crm_activities.task.schemas import TaskCreate, TaskUpdate
from crm_contracts.activities.task import TaskReminderDue
from crm_kit.errors import DomainError, IllegalTransition, InvalidValue
from crm_kit.testing import announced, emitted
from crm_kit.work.uow import UnitOfWork

DUE = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
async def task(uow: UnitOfWork) -> Task:
    made = await commands.create_task(uow, TaskCreate(subject="Call Ada", due_at=DUE, remind_at=DUE))
    await uow.flush()
    return made


async def test_a_new_task_belongs_to_its_maker(uow: UnitOfWork) -> None:
    made = await commands.create_task(uow, TaskCreate(subject="Call Ada"))
    assert (made.owner_id, made.business_unit_id, made.state) == (
        uow.principal.id,
        uow.principal.unit,
        "open/not_started",
    )
    assert emitted(uow) == ["crm.activities.task.created.v1"]


MOVES = [
    ("start_task", "started", "open/in_progress"),
    ("wait_task", "waiting", "open/waiting"),
    ("defer_task", "deferred", "open/deferred"),
    ("complete_task", "completed", "completed/completed"),
    ("cancel_task", "canceled", "canceled/canceled"),
]


@pytest.mark.parametrize(("command", "fact", "state"), MOVES)
async def test_each_move_tells_the_others(uow: UnitOfWork, task: Task, command: str, fact: str, state: str) -> None:
    moved = await getattr(commands, command)(uow, task.id)
    assert (moved.state, moved.version) == (state, 2)
    assert emitted(uow) == [f"crm.activities.task.{fact}.v1"]
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["record"]["status"] == state.partition("/")[0]


@pytest.mark.parametrize("command", ["complete_task", "cancel_task"])
async def test_what_is_closed_is_read_only_until_reopened(uow: UnitOfWork, task: Task, command: str) -> None:
    await getattr(commands, command)(uow, task.id)
    await uow.flush()
    with pytest.raises(DomainError, match="only be edited"):
        await commands.update_task(uow, task.id, TaskUpdate(subject="Write to Ada"))
    with pytest.raises(IllegalTransition):
        await commands.reschedule_task(uow, task.id, Reschedule(due_at=None))
    with pytest.raises(IllegalTransition):
        await commands.snooze_task(uow, task.id, Snooze(until=DUE))
    await commands.reopen_task(uow, task.id)
    assert emitted(uow) == ["crm.activities.task.reopened.v1"]
    await uow.flush()
    changed = await commands.update_task(uow, task.id, TaskUpdate(subject="Write to Ada"))
    assert changed.subject == "Write to Ada"


async def test_a_patch_that_changes_nothing_is_no_change(uow: UnitOfWork, task: Task) -> None:
    same = await commands.update_task(uow, task.id, TaskUpdate(subject="Call Ada", due_at=DUE))
    assert (same.version, emitted(uow)) == (1, [])


async def test_rescheduling_says_from_when_to_when(uow: UnitOfWork, task: Task) -> None:
    await commands.reschedule_task(uow, task.id, Reschedule(due_at=DUE + timedelta(days=7)))
    await uow.flush()
    data = (await announced(uow))[-1]["data"]
    assert (data["old_due_at"], data["new_due_at"]) == ("2026-12-01T09:00:00Z", "2026-12-08T09:00:00Z")


async def test_rescheduling_to_the_same_time_is_no_change(uow: UnitOfWork, task: Task) -> None:
    assert (await commands.reschedule_task(uow, task.id, Reschedule(due_at=DUE))).version == 1


async def test_snoozing_sets_the_reminder_again(uow: UnitOfWork, task: Task) -> None:
    await remind_owner(uow, Task, task.id, TaskReminderDue)
    await uow.flush()
    until = uow.now + timedelta(minutes=10)
    snoozed = await commands.snooze_task(uow, task.id, Snooze(until=until))
    assert (snoozed.remind_at, snoozed.reminded_at) == (until, None)
    assert emitted(uow) == ["crm.activities.task.updated.v1"]


async def test_snoozing_into_the_past_is_refused(uow: UnitOfWork, task: Task) -> None:
    with pytest.raises(InvalidValue):
        await commands.snooze_task(uow, task.id, Snooze(until=uow.now))


async def test_a_deleted_task_is_announced_at_the_next_version(uow: UnitOfWork, task: Task) -> None:
    await commands.delete_task(uow, task.id)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert (event["type"], event["entityversion"]) == ("crm.activities.task.deleted.v1", 2)
    assert event["data"]["changed"] == {}
