"""Goals: the state machine, what a goal must say, and how records add up through a tree. Terms follow Dataverse's Goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from crm_contracts.money import Money
from crm_contracts.sales.choices import GoalMetric
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
"""How many levels of goals there may be below a root."""

CENT = Decimal("0.01")

Period = tuple[date, date]
"""First and last day."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a goal asks for: amounts in base currency, or numbers."""

    target: Money | None
    target_count: int | None
    stretch_target: Money | None
    stretch_target_count: int | None


def require_targets(metric: str, wanted: Targets, base: str) -> None:
    """A goal has the target that its metric can be held against, and only that.

    422 ``target-required``, ``other-metric`` for the target of another one, ``currency-mismatch`` for an amount that is
    not in base currency, ``stretch-below-target``.
    """
    money = metric == GoalMetric.WON_AMOUNT
    used, unused = ("", "_count") if money else ("_count", "")
    for field in ("target", "stretch_target"):
        if getattr(wanted, field + unused) is not None:
            message = f"Send {field}{used} instead: the metric of the goal is {metric}."
            raise InvalidValue(f"/{field}{unused}", "other-metric", message)
    target: Money | int | None = wanted.target if money else wanted.target_count
    stretch: Money | int | None = wanted.stretch_target if money else wanted.stretch_target_count
    if target is None:
        raise InvalidValue(f"/target{used}", "target-required", f"A goal of {metric} needs a target{used}.")
    for field, amount in (("target", target), ("stretch_target", stretch)):
        if isinstance(amount, Money) and amount.currency != base:
            message = f"Send the amount in the organisation's base currency, {base}."
            raise InvalidValue(f"/{field}/currency", "currency-mismatch", message)
    if stretch is not None and _number(stretch) < _number(target):
        raise InvalidValue(
            f"/stretch_target{used}", "stretch-below-target", "Send a value that is not below the target."
        )


def require_order(period: Period) -> None:
    """A period does not end before it starts; one day is a period."""
    if period[1] < period[0]:
        raise InvalidValue("/period_end", "end-before-start", "Send a period_end that is not before period_start.")


def require_part(parent_metric: str, parent: Period, metric: str, period: Period) -> None:
    """A goal is a part of another when it counts the same, on some of its days: 422 ``other-metric`` or ``outside-parent``."""
    if parent_metric != metric:
        raise InvalidValue(
            "/parent_goal_id", "other-metric", f"Choose another parent: this one counts {parent_metric}."
        )
    if period[0] < parent[0] or period[1] > parent[1]:
        pointer = "/period_start" if period[0] < parent[0] else "/period_end"
        message = f"Send a period within that of the parent goal, {parent[0].isoformat()} to {parent[1].isoformat()}."
        raise InvalidValue(pointer, "outside-parent", message)


def require_parts_fit(period: Period, parts: Period) -> None:
    """A period cannot shrink below those of the goals under it: 422 ``parts-outside``."""
    if parts[0] < period[0] or parts[1] > period[1]:
        pointer = "/period_start" if parts[0] < period[0] else "/period_end"
        message = (
            f"Send a period that contains that of the goals below, {parts[0].isoformat()} to {parts[1].isoformat()}."
        )
        raise InvalidValue(pointer, "parts-outside", message)


@dataclass(frozen=True, slots=True)
class Node:
    """A goal as its sums see it: whose records count for itself, from which day to before which (counted from day 1)."""

    id: UUID
    parent_id: UUID | None
    owners: frozenset[UUID]
    first_day: int
    day_after: int

    @classmethod
    def of(cls, id: UUID, parent_id: UUID | None, owners: frozenset[UUID], period: Period) -> "Node":
        """With a period of calendar days. Days are plain numbers: the last date that there is has no next one."""
        return cls(id, parent_id, owners, period[0].toordinal(), period[1].toordinal() + 1)


def edges(nodes: Sequence[Node]) -> list[int]:
    """The days on which some period begins or is over, in order. Between two of them all days are alike to every goal."""
    return sorted({day for node in nodes for day in (node.first_day, node.day_after)})


Sums = Mapping[UUID, Sequence[tuple[int, Decimal]]]
"""By owner: the number of a stretch of days, from 0, and what its records add up to."""


def roll_up(nodes: Sequence[Node], sums: Sums) -> dict[UUID, Decimal]:
    """What each goal has reached: the records that count for it or for any goal below it, each counted once.

    Parents come before their children. A set of stretches is one integer, a bit for each, so a union is an ``or``.
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
    """What is missing to the target; nothing once it is reached."""
    return max(target - actual, Decimal(0))


def percent(target: Decimal, actual: Decimal) -> Decimal | None:
    """How much of the target is reached, in percent with two decimals, half up; None when nothing was asked for."""
    return (actual * 100 / target).quantize(CENT, ROUND_HALF_UP) if target else None


def _number(value: Money | int) -> Decimal:
    return value.amount if isinstance(value, Money) else Decimal(value)
