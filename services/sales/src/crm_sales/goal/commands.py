"""Commands on goals.

Goals form trees. A goal's metric and period must fit those above and below it. A command that changes a parent or a
period locks the tree first and no other goal afterwards, so such commands wait for each other without a deadlock.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from crm_contracts.access import Privilege
from crm_contracts.sales.goal import (
    GoalAssigned,
    GoalClosed,
    GoalCreated,
    GoalDeleted,
    GoalDiscarded,
    GoalReopened,
    GoalUpdated,
)
from crm_contracts.sentences import entity_word, said, status_word
from crm_kit.errors import InvalidValue
from crm_kit.records.patching import (
    Assignment,
    apply,
    assign,
    refer_to_principal,
    require_status,
)
from crm_kit.records.tree import Tree
from crm_kit.store.presenter import ReferenceName
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.goal.domain import MAX_LEVELS, require_order, require_part, require_parts_fit, require_targets
from crm_sales.goal.model import Goal
from crm_sales.goal.progress import reached_by
from crm_sales.goal.schemas import GoalCreate, GoalOwnerInput, GoalUpdate

TREE = Tree(Goal, "parent_goal_id", MAX_LEVELS)


async def create_goal(uow: UnitOfWork, body: GoalCreate) -> Goal:
    """Create a goal. The caller owns it; the goal owner has to reach it."""
    await uow.start(Goal)
    values = dict(body)
    goal_owner = values.pop("goal_owner")
    goal = Goal(**values)
    _require_targets(uow, goal)
    require_order(goal.period)
    await _set_goal_owner(uow, goal, goal_owner, Privilege.CREATE)
    if goal.parent_goal_id is not None:
        await uow.transaction()
        await TREE.lock(uow)
        await _require_place(uow, goal, goal.parent_goal_id, new_parent=True)
    return uow.add(goal, GoalCreated)


async def update_goal(uow: UnitOfWork, goal_id: UUID, body: GoalUpdate) -> Goal:
    """Change fields of an open goal. A patch that changes no value does nothing."""
    goal = await uow.get(Goal, goal_id, Privilege.WRITE)
    require_status(goal, "open")
    before = goal.parent_goal_id, goal.period
    values = body.onto(goal)
    if "goal_owner" in values:
        await _set_goal_owner(uow, goal, values.pop("goal_owner"), Privilege.WRITE)
    apply(goal, values)
    _require_targets(uow, goal)
    require_order(goal.period)
    if (goal.parent_goal_id, goal.period) != before:
        await TREE.lock(uow)
        if goal.parent_goal_id is not None:
            await _require_place(uow, goal, goal.parent_goal_id, new_parent=goal.parent_goal_id != before[0])
        if goal.period != before[1]:
            await _require_parts_fit(uow, goal)
    return uow.emit_if_changed(goal, GoalUpdated)


async def close_goal(uow: UnitOfWork, goal_id: UUID) -> Goal:
    """Close the goal and store what was reached (Dataverse: a goal is closed)."""
    goal = await uow.get(Goal, goal_id, Privilege.WRITE)
    goal.require("close")
    goal.close(await reached_by(uow, goal), uow.now)
    return uow.emit(
        goal,
        GoalClosed,
        final_actual=goal.final_actual,
        final_actual_count=goal.final_actual_count,
        closed_at=goal.closed_at,
    )


async def discard_goal(uow: UnitOfWork, goal_id: UUID) -> Goal:
    """Discard the goal. It and the goals below it no longer count for the goals above."""
    goal = await uow.get(Goal, goal_id, Privilege.WRITE)
    goal.discard()
    return uow.emit(goal, GoalDiscarded)


async def reopen_goal(uow: UnitOfWork, goal_id: UUID) -> Goal:
    """Reopen the goal. Its figures are computed again."""
    goal = await uow.get(Goal, goal_id, Privilege.WRITE)
    goal.reopen()
    return uow.emit(goal, GoalReopened)


async def assign_goal(uow: UnitOfWork, goal_id: UUID, body: Assignment) -> Goal:
    """Assign the goal to another owner. The goal owner stays."""
    goal = await uow.get(Goal, goal_id, Privilege.ASSIGN)
    await assign(uow, goal, body, GoalAssigned)
    return goal


async def delete_goal(uow: UnitOfWork, goal_id: UUID) -> None:
    """Delete a goal of any status that has no goals below it."""
    goal = await uow.get(Goal, goal_id, Privilege.DELETE)
    await refuse_in_use(uow, goal)
    uow.remove(goal, GoalDeleted)


def _require_targets(uow: UnitOfWork, goal: Goal) -> None:
    require_targets(goal.metric, goal.targets, uow.runtime.directory.organization.base_currency)


async def _set_goal_owner(uow: UnitOfWork, goal: Goal, wanted: GoalOwnerInput | None, privilege: Privilege) -> None:
    """Set the goal owner.

    The caller's privilege on goals must reach the new one, because the progress shows their sales.
    """
    if wanted is None:
        goal.goal_owner_type = goal.goal_owner_id = None
    elif (wanted.type, wanted.id) != (goal.goal_owner_type, goal.goal_owner_id):
        found = await refer_to_principal(uow, wanted.type, wanted.id, "/goal_owner/id")
        if not uow.reach(Goal, privilege).covers(wanted.id, found.unit):
            message = said(
                "Choose another goal owner: your privilege on goals does not reach this {kind}.",
                kind=entity_word(wanted.type),
            )
            raise InvalidValue("/goal_owner/id", "beyond-reach", message)
        goal.goal_owner_type, goal.goal_owner_id = wanted.type, wanted.id
        uow.names[wanted.id] = ReferenceName(found.name)


async def _require_place(uow: UnitOfWork, goal: Goal, parent_id: UUID, *, new_parent: bool) -> None:
    """Require an open parent of the same metric whose period contains this one's, without a cycle and within
    MAX_LEVELS."""
    if not new_parent:
        above: Any = select(Goal.metric, Goal.period_start, Goal.period_end).where(Goal.id == parent_id)
        found = (await uow.execute(above)).one()
        require_part(found.metric, (found.period_start, found.period_end), goal.metric, goal.period)
        return
    if parent_id != goal.id:
        parent = await uow.refer(Goal, parent_id, "/parent_goal_id")
        if parent.status != "open":
            raise InvalidValue(
                "/parent_goal_id",
                "inactive-reference",
                said("Choose an open parent goal: this one is {status}.", status=status_word("goal", parent.status)),
            )
        require_part(parent.metric, parent.period, goal.metric, goal.period)
    await TREE.require_place(uow, goal, parent_id)


async def _require_parts_fit(uow: UnitOfWork, goal: Goal) -> None:
    within = func.min(Goal.period_start).label("first"), func.max(Goal.period_end).label("last")
    parts = (await uow.execute(select(*within).where(Goal.parent_goal_id == goal.id))).one()
    if parts.first is not None:
        require_parts_fit(goal.period, (parts.first, parts.last))
