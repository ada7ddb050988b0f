"""Goals: the state machine, required fields, and sums over a tree. Terms follow Dataverse's Goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from crm_contracts.money import Money
from crm_contracts.sales.choices import GoalMetric
from crm_contracts.sentences import Named, said
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/open",
    {
        "close": ({"open/*"}, "closed/closed"),
        "discard": ({"open/*"}, "discarded/discarded"),
        "reopen": ({"closed/*", "discarded/*"}, "open/open"),
    },
)

MAX_LEVELS = 10
"""Maximum number of levels of goals below a root."""

CENT = Decimal("0.01")

Period = tuple[date, date]
"""First and last day, both included."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a goal: amounts in base currency, or counts."""

    target: Money | None
    target_count: int | None
    stretch_target: Money | None
    stretch_target_count: int | None


def require_targets(metric: str, wanted: Targets, base: str) -> None:
    """Require a target of the goal's metric and no target of another metric.

    422 ``target-required``, ``other-metric`` for a target of another metric, ``currency-mismatch`` for an amount that
    is not in base currency, ``stretch-below-target``.
    """
    money = metric == GoalMetric.WON_AMOUNT
    used, unused = ("", "_count") if money else ("_count", "")
    for field in ("target", "stretch_target"):
        if getattr(wanted, field + unused) is not None:
            message = said(
                "Send {field} instead: the metric of the goal is {metric}.",
                field=field + used,
                metric=Named(metric, "option", "goal", "metric", metric),
            )
            raise InvalidValue(f"/{field}{unused}", "other-metric", message)
    target: Money | int | None = wanted.target if money else wanted.target_count
    stretch: Money | int | None = wanted.stretch_target if money else wanted.stretch_target_count
    if target is None:
        raise InvalidValue(
            f"/target{used}",
            "target-required",
            said(
                "A goal of {metric} needs a {field}.",
                metric=Named(metric, "option", "goal", "metric", metric),
                field=f"target{used}",
            ),
        )
    for field, amount in (("target", target), ("stretch_target", stretch)):
        if isinstance(amount, Money) and amount.currency != base:
            message = said("Send the amount in the organisation's base currency, {base}.", base=base)
            raise InvalidValue(f"/{field}/currency", "currency-mismatch", message)
    if stretch is not None and _number(stretch) < _number(target):
        raise InvalidValue(
            f"/stretch_target{used}", "stretch-below-target", "Send a value that is not below the target."
        )


def require_order(period: Period) -> None:
    """Refuse a period that ends before it starts. A period can be one day."""
    if period[1] < period[0]:
        raise InvalidValue("/period_end", "end-before-start", "Send a period_end that is not before period_start.")


def require_part(parent_metric: str, parent: Period, metric: str, period: Period) -> None:
    """Require its parent's metric, and a period within the parent's: 422 ``other-metric`` or ``outside-parent``."""
    if parent_metric != metric:
        raise InvalidValue(
            "/parent_goal_id",
            "other-metric",
            said(
                "Choose another parent: this one counts {metric}.",
                metric=Named(parent_metric, "option", "goal", "metric", parent_metric),
            ),
        )
    if period[0] < parent[0] or period[1] > parent[1]:
        pointer = "/period_start" if period[0] < parent[0] else "/period_end"
        message = said(
            "Send a period within that of the parent goal, {first} to {last}.",
            first=parent[0].isoformat(),
            last=parent[1].isoformat(),
        )
        raise InvalidValue(pointer, "outside-parent", message)


def require_parts_fit(period: Period, parts: Period) -> None:
    """Require that a period contains those of the goals below: 422 ``parts-outside``."""
    if parts[0] < period[0] or parts[1] > period[1]:
        pointer = "/period_start" if parts[0] < period[0] else "/period_end"
        message = said(
            "Send a period that contains that of the goals below, {first} to {last}.",
            first=parts[0].isoformat(),
            last=parts[1].isoformat(),
        )
        raise InvalidValue(pointer, "parts-outside", message)


@dataclass(frozen=True, slots=True)
class Node:
    """A goal for the roll-up: the owners whose records count, the first day, and the day after the last.

    Days are numbered from day 1 (proleptic Gregorian ordinals).
    """

    id: UUID
    parent_id: UUID | None
    owners: frozenset[UUID]
    first_day: int
    day_after: int

    @classmethod
    def of(cls, id: UUID, parent_id: UUID | None, owners: frozenset[UUID], period: Period) -> "Node":
        """Make a node of calendar days. Days are numbers, because the last possible date has no next day."""
        return cls(id, parent_id, owners, period[0].toordinal(), period[1].toordinal() + 1)


def edges(nodes: Sequence[Node]) -> list[int]:
    """Return the days on which a period starts or has ended, in order.

    Each goal counts all or none of the days between two edges.
    """
    return sorted({day for node in nodes for day in (node.first_day, node.day_after)})


Sums = Mapping[UUID, Sequence[tuple[int, Decimal]]]
"""By owner: (number of the stretch between two edges, from 0; sum over the owner's records in it)."""


def roll_up(nodes: Sequence[Node], sums: Sums) -> dict[UUID, Decimal]:
    """Return what each goal has reached. Records that count for the goal or for goals below it count once.

    ``nodes`` must list parents before their children. A set of stretches is an integer with one bit for each, so a
    union is a bitwise or.
    """
    place = {day: position for position, day in enumerate(edges(nodes))}
    covered: dict[UUID, dict[UUID, int]] = {node.id: {} for node in nodes}
    reached: dict[UUID, Decimal] = {}
    for node in reversed(nodes):
        mine = covered[node.id]
        first, after = place[node.first_day], place[node.day_after]
        stretches = (1 << after) - (1 << first)
        for owner in node.owners:
            mine[owner] = mine.get(owner, 0) | stretches
        reached[node.id] = sum(
            (amount for owner, bits in mine.items() for stretch, amount in sums.get(owner, ()) if bits >> stretch & 1),
            Decimal(0),
        )
        above = covered.get(node.parent_id) if node.parent_id is not None else None
        if above is not None:
            for owner, bits in mine.items():
                above[owner] = above.get(owner, 0) | bits
    return reached


def gap(target: Decimal, actual: Decimal) -> Decimal:
    """Return what is missing to the target; zero once it is reached."""
    return max(target - actual, Decimal(0))


def percent(target: Decimal, actual: Decimal) -> Decimal | None:
    """Return the reached part of the target in percent with two decimals, rounded half up.

    None for a target of zero.
    """
    return (actual * 100 / target).quantize(CENT, ROUND_HALF_UP) if target else None


def _number(value: Money | int) -> Decimal:
    return value.amount if isinstance(value, Money) else Decimal(value)
