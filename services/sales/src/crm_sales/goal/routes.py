"""The HTTP face of goals."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.computed import computed
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.goal import commands
from crm_sales.goal.model import Goal
from crm_sales.goal.progress import progress_of
from crm_sales.goal.schemas import GoalCreate, GoalProgress, GoalRead, GoalUpdate

router = APIRouter(prefix="/goals", tags=["goals"], route_class=about(Goal))

GOALS = Listing(
    Goal,
    sortable=("created_at", "modified_at", "name", "period_start", "period_end", "target.amount", "target_count"),
    search="search_text",
)


@router.get("", response_model=Page[GoalRead], operation_id="list_goals")
@lists(GOALS)
async def list_goals(request: Request, uow: Uow) -> Response:
    """Goals you may read: filter, search names with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`, such as `goal_owner.id=…`, `parent_goal_id[is_null]=true` for the
    roots, or `period_start[lte]=2027-03-01&period_end[gte]=2027-03-01` for those that count on a day. Sort by created_at,
    modified_at, name, period_start, period_end, target.amount or target_count. `progress` returns their progress.
    """
    return await list_records(uow, GOALS, request)


@router.post("/query", response_model=Page[GoalRead], operation_id="query_goals")
async def query_goals(query: Query, uow: Uow) -> Response:
    """Goals by a JSON filter with and, or, not."""
    return await query_records(uow, GOALS, query)


@router.post("", response_model=GoalRead, status_code=201, operation_id="create_goal")
async def create_goal(body: GoalCreate, uow: Uow) -> Response:
    """A new open goal, managed by you (`owner_*`), for whoever shall reach it (`goal_owner`).

    422 `target-required` without the target of its metric, `other-metric` with that of another one or below a goal that
    counts something else, `currency-mismatch` for an amount that is not in base currency, `stretch-below-target`,
    `end-before-start`, `outside-parent` for days that the parent goal does not count, `too-deep`.
    """
    return await created(uow, await commands.create_goal(uow, body))


@router.get("/{goal_id}", response_model=GoalRead, operation_id="get_goal")
async def get_goal(goal_id: UUID, request: Request, uow: Uow) -> Response:
    """One goal, with its version as ETag."""
    return await read(uow, Goal, goal_id, request)


@router.patch("/{goal_id}", response_model=GoalRead, operation_id="update_goal")
async def update_goal(goal_id: UUID, body: GoalUpdate, uow: Uow) -> Response:
    """Change fields of an open goal (RFC 7396 merge patch); `metric` is for good.

    422 as on create, `circular-parent` when the new parent lies below the goal, `parts-outside` for a period that leaves
    out days of a goal below.
    """
    return await one(uow, await commands.update_goal(uow, goal_id, body))


@router.delete("/{goal_id}", status_code=204, operation_id="delete_goal")
async def delete_goal(goal_id: UUID, uow: Uow) -> Response:
    """Delete a goal; 409 `in-use` lists the goals below it."""
    await commands.delete_goal(uow, goal_id)
    return gone()


@router.get("/{goal_id}/history", response_model=HistoryPage, operation_id="list_goal_history")
@shows_history
async def list_goal_history(goal_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Goal, goal_id, request)


@router.get("/{goal_id}/progress", response_model=GoalProgress, operation_id="get_goal_progress")
async def get_goal_progress(goal_id: UUID, request: Request, uow: Uow) -> Response:
    """The progress of the goal and of each goal in the tree below it, for a dashboard, in one answer.

    A record counts if its owner should reach this goal or one below it, on a day of that goal. It counts once, however many goals
    match. A team counts the records of the team and of its current members. Sums include records that you may not read
    one by one, and goals below that you may not read: they tell numbers, no names. A closed goal says what had been
    reached at its close. Won deals and qualified leads count at once; cases follow service management within moments, and
    `Crm-After` with the `Crm-Version` of a case waits for it. The weak ETag changes with the figures, not with `as_of`.
    """
    return computed(uow, await progress_of(uow, await uow.read(Goal, goal_id)), request)


@router.post("/{goal_id}/close", response_model=GoalRead, operation_id="close_goal")
async def close_goal(goal_id: UUID, uow: Uow) -> Response:
    """Close the goal: open → closed. The result is kept (`final_actual` or `final_actual_count`) and no longer changes."""
    return await one(uow, await commands.close_goal(uow, goal_id))


@router.post("/{goal_id}/discard", response_model=GoalRead, operation_id="discard_goal")
async def discard_goal(goal_id: UUID, uow: Uow) -> Response:
    """Discard the goal: open → discarded. It and the goals below it no longer count for those above."""
    return await one(uow, await commands.discard_goal(uow, goal_id))


@router.post("/{goal_id}/reopen", response_model=GoalRead, operation_id="reopen_goal")
async def reopen_goal(goal_id: UUID, uow: Uow) -> Response:
    """Reopen the goal: closed or discarded → open. The result that was kept at its close is removed."""
    return await one(uow, await commands.reopen_goal(uow, goal_id))


@router.post("/{goal_id}/assign", response_model=GoalRead, operation_id="assign_goal")
async def assign_goal(goal_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Assign the goal to another user or team to manage. A PATCH of `goal_owner` changes who should reach it."""
    return await one(uow, await commands.assign_goal(uow, goal_id, body))
