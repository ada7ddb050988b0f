"""What can be done with a task."""

from typing import Any
from uuid import UUID

from crm_activities.projections.record_ref import refer_to_any
from crm_activities.task.domain import require_future
from crm_activities.task.model import Task
from crm_activities.task.schemas import TaskCreate, TaskReschedule, TaskSnooze, TaskUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities import (
    TaskAssigned,
    TaskCanceled,
    TaskCompleted,
    TaskCreated,
    TaskDeferred,
    TaskDeleted,
    TaskReminderDue,
    TaskReopened,
    TaskRescheduled,
    TaskStarted,
    TaskUpdated,
    TaskWaiting,
)
from crm_contracts.types import RefInput
from crm_kit.records.patching import Assignment, apply, assign, fields_set, require_status
from crm_kit.uow import UnitOfWork


async def create_task(uow: UnitOfWork, body: TaskCreate) -> Task:
    """A new task, owned by the caller."""
    await uow.start(Task)
    task = Task(**await _columns(uow, body.regarding, dict(body)))
    return uow.add(task, TaskCreated)


async def update_task(uow: UnitOfWork, task_id: UUID, body: TaskUpdate) -> Task:
    """Change fields of an open task; a patch that changes nothing is no change."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    require_status(task, "open")
    values = fields_set(body)
    if "regarding" in values:
        regarding = body.regarding
        if regarding is not None and (regarding.type, regarding.id) == (task.regarding_type, task.regarding_id):
            # What stays is no new reference: its record may be inactive by now, or out of the caller's sight.
            del values["regarding"]
        else:
            values = await _columns(uow, regarding, values)
    if "remind_at" in values:
        task.remind(values.pop("remind_at"))
    apply(task, values)
    if uow.changed(task):
        uow.emit(task, TaskUpdated)
    return task


async def start_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Somebody works on it."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.start()
    uow.emit(task, TaskStarted)
    return task


async def wait_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Somebody else has to do something first."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.wait()
    uow.emit(task, TaskWaiting)
    return task


async def defer_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Not now."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.defer()
    uow.emit(task, TaskDeferred)
    return task


async def complete_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """It is done."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.complete(uow.now)
    uow.emit(task, TaskCompleted, completed_at=uow.now)
    return task


async def cancel_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """It will not be done."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.cancel()
    uow.emit(task, TaskCanceled)
    return task


async def reopen_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """It is to be done after all."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.reopen()
    uow.emit(task, TaskReopened)
    return task


async def reschedule_task(uow: UnitOfWork, task_id: UUID, body: TaskReschedule) -> Task:
    """It is due at another time; the same time again is no change."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    old = task.due_at
    task.reschedule(body.due_at)
    if uow.changed(task):
        uow.emit(task, TaskRescheduled, old_due_at=old, new_due_at=task.due_at)
    return task


async def snooze_task(uow: UnitOfWork, task_id: UUID, body: TaskSnooze) -> Task:
    """Remind again later."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.snooze(body.until)
    require_future(body.until, uow.now)
    if uow.changed(task):
        uow.emit(task, TaskUpdated)
    return task


async def assign_task(uow: UnitOfWork, task_id: UUID, body: Assignment) -> Task:
    """Give the task to another owner."""
    task = await uow.get(Task, task_id, Privilege.ASSIGN)
    await assign(uow, task, body, TaskAssigned)
    return task


async def delete_task(uow: UnitOfWork, task_id: UUID) -> None:
    """Delete a task, whatever its state."""
    uow.remove(await uow.get(Task, task_id, Privilege.DELETE), TaskDeleted)


async def remind_owner(uow: UnitOfWork, task_id: UUID) -> None:
    """The moment of the reminder has come."""
    task = await uow.load(Task, task_id)
    task.reminded_at = uow.now
    uow.emit(task, TaskReminderDue, remind_at=task.remind_at)


async def _columns(uow: UnitOfWork, regarding: RefInput | None, values: dict[str, Any]) -> dict[str, Any]:
    """The fields as columns, with the record that the task is about looked up."""
    columns = {name: value for name, value in values.items() if name != "regarding"}
    found = None if regarding is None else await refer_to_any(uow, regarding, "/regarding")
    return {
        **columns,
        "regarding_type": found.type if found else None,
        "regarding_id": found.id if found else None,
    }
