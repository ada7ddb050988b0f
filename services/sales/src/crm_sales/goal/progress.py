"""The progress of goals: sums over the records, computed on each request.

Two statements, whatever the size of the tree: one reads the goals and their owners, the other sums the owners' records
between the days on which periods start or end. ``domain.roll_up`` does the rest.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from crm_contracts.money import MAX_INTEGER_DIGITS, Money, exponent
from crm_contracts.sales.choices import GoalMetric
from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork
from crm_sales.goal.domain import MAX_LEVELS, Node, edges, gap, percent, roll_up
from crm_sales.goal.model import Goal

SHOWN: Final = 200
"""Maximum number of goals in one answer."""

# Writes limit the levels. This second limit ensures that the statement ends even if a cycle was stored by mistake.
TREE: Final = """
with recursive tree (id, level) as (
  select id, 0 from goal where id = $1
  union all
  select g.id, t.level + 1 from tree t join goal g on g.parent_goal_id = t.id
    where g.status <> 'discarded' and t.level < $2
)
select g.id, g.parent_goal_id, t.level, g.name, g.status, g.owner_id, g.business_unit_id, g.period_start, g.period_end,
  g.goal_owner_type, g.goal_owner_id, p.name as goal_owner_name, p.deleted as goal_owner_deleted,
  coalesce(g.target_amount, g.target_count) as target,
  coalesce(g.stretch_target_amount, g.stretch_target_count) as stretch_target,
  coalesce(g.final_actual_amount, g.final_actual_count) as final_actual,
  case when g.goal_owner_type = 'team'
    then array(select m.id from member_ref m where m.team_ids @> array[g.goal_owner_id] and not m.deleted) end as members
from tree t join goal g on g.id = t.id left join principal_ref p on p.id = g.goal_owner_id
order by t.level, public.crm_sort_key(g.name), g.id
"""

_DONE: Final[Mapping[str, tuple[str, str, str, str]]] = {
    GoalMetric.WON_AMOUNT: ("opportunity", "closed_at", "status = 'won'", "coalesce(sum(actual_value_base_amount), 0)"),
    GoalMetric.WON_COUNT: ("opportunity", "closed_at", "status = 'won'", "count(*)"),
    # A reopened lead keeps its qualified_at, so the statement checks the status too.
    GoalMetric.LEADS_QUALIFIED: ("lead", "qualified_at", "status = 'qualified'", "count(*)"),
    GoalMetric.CASES_RESOLVED: ("case_ref", "resolved_at", "status = 'resolved' and not deleted", "count(*)"),
}
"""For each metric: table, time column, condition, and aggregate."""


def _sums_sql(metric: str) -> str:
    """SQL for the sums by owner and stretch.

    The database computes dates and zones, because Python has no day after its last date.

    The lateral join reads owner by owner. In one scan for all owners the planner underestimates the rows of a period
    and chooses the index on time.
    """
    table, at, counts, amount = _DONE[metric]
    return (
        "with edge as materialized (select array(select"  # noqa: S608  # words of this module only
        " (date '0001-01-01' + (day - 1))::timestamp at time zone $3 from unnest($2::int[]) day order by day) as at)"
        " select o.id as owner_id, d.stretch, d.amount from unnest($1::uuid[]) o (id) cross join lateral ("
        f"select width_bucket({at}, (select at from edge)) - 1 as stretch, {amount} as amount from {table}"
        f" where {counts} and owner_id = o.id"
        f" and {at} >= (select at[1] from edge) and {at} < (select at[cardinality(at)] from edge)"
        " group by 1) d"
    )


SUMS: Final = {metric: _sums_sql(metric) for metric in _DONE}

Rows = Sequence[Mapping[str, Any]]


async def progress_of(uow: UnitOfWork, goal: Goal) -> dict[str, Any]:
    """Return the progress of a goal, and of the goals below it that the caller may read."""
    async with uow.reads.slowly("Request the progress of the goals below this one instead."):
        rows, actual = await _reached(uow, goal)
    top, below = rows[0], rows[1:]
    children = [row for row in below if row["level"] == 1]
    handed_down = sum((Decimal(row["target"]) for row in children), Decimal(0))
    reach = uow.reach(Goal)
    readable = [row for row in below if reach.covers(row["owner_id"], row["business_unit_id"])]
    measure = _measure(uow, goal)
    return {
        "metric": goal.metric,
        **_figures(top, actual[goal.id], measure),
        "children": {
            "count": len(children),
            "target_sum": measure(handed_down),
            "difference": measure(Decimal(top["target"]) - handed_down),
            "actual_sum": measure(sum((actual[row["id"]] for row in children), Decimal(0))),
        },
        "goals": [_below(row, actual[row["id"]], measure) for row in readable[:SHOWN]],
        "hidden": len(below) - len(readable),
        "truncated": len(readable) > SHOWN,
    }


async def reached_by(uow: UnitOfWork, goal: Goal) -> Money | int:
    """Return what the goal has reached, in the unit of its metric. 422 ``too-large`` above the range of money."""
    _, actual = await _reached(uow, goal)
    amount = actual[goal.id]
    if goal.metric != GoalMetric.WON_AMOUNT:
        return int(amount)
    if amount >= Decimal(10) ** MAX_INTEGER_DIGITS:
        raise DomainError(
            "too-large",
            said("The result has more than {most} digits before the decimal point.", most=MAX_INTEGER_DIGITS),
        )
    return Money(amount, uow.runtime.directory.organization.base_currency)


async def _reached(uow: UnitOfWork, goal: Goal) -> tuple[Rows, dict[UUID, Decimal]]:
    """Return the goals of the tree and what each has reached: the stored value of a closed goal, else the sums."""
    conn = await uow.connection()
    rows = await fetch(conn, TREE, (goal.id, MAX_LEVELS))
    if not rows:
        # The goal was deleted between the caller's read and this one.
        raise DomainError("not-found", "There is no such goal.")
    nodes = [
        Node.of(row["id"], row["parent_goal_id"], _owners(row), (row["period_start"], row["period_end"]))
        for row in rows
    ]
    owners = sorted(frozenset[UUID]().union(*(node.owners for node in nodes)))
    sums: dict[UUID, list[tuple[int, Decimal]]] = {}
    if owners:
        zone = uow.runtime.directory.organization.time_zone
        for found in await fetch(conn, SUMS[goal.metric], (owners, edges(nodes), zone)):
            sums.setdefault(found["owner_id"], []).append((found["stretch"], Decimal(found["amount"])))
    live = roll_up(nodes, sums)
    return rows, {row["id"]: live[row["id"]] if row["final_actual"] is None else row["final_actual"] for row in rows}


def _owners(row: Mapping[str, Any]) -> frozenset[UUID]:
    if row["goal_owner_id"] is None:
        return frozenset()
    return frozenset([row["goal_owner_id"], *(row["members"] or ())])


def _below(row: Mapping[str, Any], actual: Decimal, measure: "_Measure") -> dict[str, Any]:
    owner = row["goal_owner_id"] and {
        "type": row["goal_owner_type"],
        "id": row["goal_owner_id"],
        "name": row["goal_owner_name"],
        "deleted": bool(row["goal_owner_deleted"]),
    }
    plain = ("id", "parent_goal_id", "level", "name", "status", "period_start", "period_end")
    return {**{field: row[field] for field in plain}, "goal_owner": owner, **_figures(row, actual, measure)}


def _figures(row: Mapping[str, Any], actual: Decimal, measure: "_Measure") -> dict[str, Any]:
    target, stretch = Decimal(row["target"]), row["stretch_target"]
    share = percent(target, actual)
    return {
        "actual": measure(actual),
        "target": measure(target),
        "stretch_target": None if stretch is None else measure(Decimal(stretch)),
        "gap": measure(gap(target, actual)),
        "percent": None if share is None else float(share),
    }


class _Measure:
    """Formats a goal's numbers. A sum can have more digits than Money accepts."""

    def __init__(self, currency: str | None) -> None:
        self._currency = currency

    def __call__(self, amount: Decimal) -> dict[str, str] | int:
        if self._currency is None:
            return int(amount)
        return {"amount": f"{amount:.{exponent(self._currency)}f}", "currency": self._currency}


def _measure(uow: UnitOfWork, goal: Goal) -> _Measure:
    money = goal.metric == GoalMetric.WON_AMOUNT
    return _Measure(uow.runtime.directory.organization.base_currency if money else None)
