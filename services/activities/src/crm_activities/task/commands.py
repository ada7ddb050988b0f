"""Commands on tasks."""

from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of, reopen, reschedule, snooze
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.task.model import Task
from crm_activities.task.schemas import TaskCreate, TaskUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities.task import (
    TaskAssigned,
    TaskCanceled,
    TaskCompleted,
    TaskCreated,
    TaskDeferred,
    TaskDeleted,
    TaskReopened,
    TaskRescheduled,
    TaskStarted,
    TaskUpdated,
    TaskWaiting,
)
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.uow import UnitOfWork


async def create_task(uow: UnitOfWork, body: TaskCreate) -> Task:
    """Create a task. The caller owns it."""
    await uow.start(Task)
    return uow.add(Task(**await columns_of(uow, body)), TaskCreated)


async def update_task(uow: UnitOfWork, task_id: UUID, body: TaskUpdate) -> Task:
    """Change fields of an open task. A patch that changes no value does nothing."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    apply(task, await changes_of(uow, task, body))
    return uow.emit_if_changed(task, TaskUpdated)


async def start_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Start work on the task."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.start()
    return uow.emit(task, TaskStarted)


async def wait_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Mark the task as waiting for somebody else."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.wait()
    return uow.emit(task, TaskWaiting)


async def defer_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Defer the task."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.defer()
    return uow.emit(task, TaskDeferred)


async def complete_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Complete the task."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.complete(uow.now)
    return uow.emit(task, TaskCompleted, completed_at=uow.now)


async def cancel_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Cancel the task."""
    task = await uow.get(Task, task_id, Privilege.WRITE)
    task.cancel()
    return uow.emit(task, TaskCanceled)


async def reopen_task(uow: UnitOfWork, task_id: UUID) -> Task:
    """Reopen the task."""
    return reopen(uow, await uow.get(Task, task_id, Privilege.WRITE), TaskReopened)


async def reschedule_task(uow: UnitOfWork, task_id: UUID, body: Reschedule) -> Task:
    """Change when the task is due. The same time again does nothing."""
    return reschedule(uow, await uow.get(Task, task_id, Privilege.WRITE), body, TaskRescheduled)


async def snooze_task(uow: UnitOfWork, task_id: UUID, body: Snooze) -> Task:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(Task, task_id, Privilege.WRITE), body, TaskUpdated)


async def assign_task(uow: UnitOfWork, task_id: UUID, body: Assignment) -> Task:
    """Assign the task to another owner."""
    task = await uow.get(Task, task_id, Privilege.ASSIGN)
    await assign(uow, task, body, TaskAssigned)
    return task


async def delete_task(uow: UnitOfWork, task_id: UUID) -> None:
    """Delete a task of any status."""
    uow.remove(await uow.get(Task, task_id, Privilege.DELETE), TaskDeleted)
