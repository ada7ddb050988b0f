"""The HTTP face of tasks."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.task import commands
from crm_activities.task.model import Task
from crm_activities.task.schemas import TaskCreate, TaskRead, TaskUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=about(Task))

TASKS = Listing(
    Task,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[TaskRead], operation_id="list_tasks")
@lists(TASKS)
async def list_tasks(request: Request, uow: Uow) -> Response:
    """Tasks you may read: filter, search subject and category with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `regarding.id=<id>` finds what is about a record. Sort by
    created_at, modified_at, due_at, subject or priority (low, normal, high).
    """
    return await list_records(uow, TASKS, request)


@router.post("/query", response_model=Page[TaskRead], operation_id="query_tasks")
async def query_tasks(query: Query, uow: Uow) -> Response:
    """Tasks by a JSON filter with and, or, not."""
    return await query_records(uow, TASKS, query)


@router.post("", response_model=TaskRead, status_code=201, operation_id="create_task")
async def create_task(body: TaskCreate, uow: Uow) -> Response:
    """A new task, owned by you.

    `regarding` may be any record of any service that you may read: 422 `unknown-reference` for another, or for one this
    service has not heard of yet (send `Crm-After` with what you just wrote), `inactive-reference` for an inactive one.
    """
    return await created(uow, await commands.create_task(uow, body))


@router.get("/{task_id}", response_model=TaskRead, operation_id="get_task")
async def get_task(task_id: UUID, request: Request, uow: Uow) -> Response:
    """One task, with its version as ETag."""
    return await read(uow, Task, task_id, request)


@router.patch("/{task_id}", response_model=TaskRead, operation_id="update_task")
async def update_task(task_id: UUID, body: TaskUpdate, uow: Uow) -> Response:
    """Change fields of an open task (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    Another `remind_at` reminds anew. Completed and canceled tasks are read-only until reopened: 409.
    """
    return await one(uow, await commands.update_task(uow, task_id, body))


@router.delete("/{task_id}", status_code=204, operation_id="delete_task")
async def delete_task(task_id: UUID, uow: Uow) -> Response:
    """Delete a task, whatever its state."""
    await commands.delete_task(uow, task_id)
    return gone()


@router.get("/{task_id}/history", response_model=HistoryPage, operation_id="list_task_history")
@shows_history
async def list_task_history(task_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Task, task_id, request)


@router.post("/{task_id}/start", response_model=TaskRead, operation_id="start_task")
async def start_task(task_id: UUID, uow: Uow) -> Response:
    """Start work on the task: open → in_progress."""
    return await one(uow, await commands.start_task(uow, task_id))


@router.post("/{task_id}/wait", response_model=TaskRead, operation_id="wait_task")
async def wait_task(task_id: UUID, uow: Uow) -> Response:
    """Let the task wait for somebody else: open → waiting."""
    return await one(uow, await commands.wait_task(uow, task_id))


@router.post("/{task_id}/defer", response_model=TaskRead, operation_id="defer_task")
async def defer_task(task_id: UUID, uow: Uow) -> Response:
    """Defer the task: open → deferred."""
    return await one(uow, await commands.defer_task(uow, task_id))


@router.post("/{task_id}/complete", response_model=TaskRead, operation_id="complete_task")
async def complete_task(task_id: UUID, uow: Uow) -> Response:
    """Complete the task: `completed_at` is now and `percent_complete` 100. Read-only until reopened."""
    return await one(uow, await commands.complete_task(uow, task_id))


@router.post("/{task_id}/cancel", response_model=TaskRead, operation_id="cancel_task")
async def cancel_task(task_id: UUID, uow: Uow) -> Response:
    """Cancel the task. Read-only until reopened."""
    return await one(uow, await commands.cancel_task(uow, task_id))


@router.post("/{task_id}/reopen", response_model=TaskRead, operation_id="reopen_task")
async def reopen_task(task_id: UUID, uow: Uow) -> Response:
    """Reopen the task as not_started. A completed task starts again at 0 percent."""
    return await one(uow, await commands.reopen_task(uow, task_id))


@router.post("/{task_id}/reschedule", response_model=TaskRead, operation_id="reschedule_task")
async def reschedule_task(task_id: UUID, body: Reschedule, uow: Uow) -> Response:
    """Change the due time of an open task. Its reminder moves by as much. The same time keeps the version."""
    return await one(uow, await commands.reschedule_task(uow, task_id, body))


@router.post("/{task_id}/snooze", response_model=TaskRead, operation_id="snooze_task")
async def snooze_task(task_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of an open task again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_task(uow, task_id, body))


@router.post("/{task_id}/assign", response_model=TaskRead, operation_id="assign_task")
async def assign_task(task_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the task to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_task(uow, task_id, body))
