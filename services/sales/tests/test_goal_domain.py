"""Goals without a database: required fields, and sums over a tree compared with counting each record."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.money import Money
from crm_contracts.sales.choices import GoalMetric
from crm_kit.errors import InvalidValue
from crm_sales.goal.domain import (
    Node,
    Targets,
    edges,
    gap,
    percent,
    require_order,
    require_part,
    require_parts_fit,
    require_targets,
    roll_up,
)

EUR, USD = Money(Decimal("100.00"), "EUR"), Money(Decimal("100.00"), "USD")
LESS = Money(Decimal("99.99"), "EUR")
NEW_YEAR = date(2026, 1, 1)
PEOPLE = [UUID(int=n) for n in range(1, 5)]


@pytest.mark.parametrize("metric", GoalMetric)
def test_a_goal_asks_for_what_its_metric_measures(metric: GoalMetric) -> None:
    money = metric is GoalMetric.WON_AMOUNT
    require_targets(metric, Targets(EUR, None, EUR, None) if money else Targets(None, 3, None, 3), "EUR")


@pytest.mark.parametrize(
    ("metric", "targets", "pointer", "slug"),
    [
        ("won_amount", Targets(None, None, None, None), "/target", "target-required"),
        ("won_count", Targets(None, None, None, 5), "/target_count", "target-required"),
        ("won_amount", Targets(EUR, 3, None, None), "/target_count", "other-metric"),
        ("won_amount", Targets(EUR, None, None, 3), "/stretch_target_count", "other-metric"),
        ("leads_qualified", Targets(EUR, 3, None, None), "/target", "other-metric"),
        ("cases_resolved", Targets(None, 3, EUR, None), "/stretch_target", "other-metric"),
        ("won_amount", Targets(USD, None, None, None), "/target/currency", "currency-mismatch"),
        ("won_amount", Targets(EUR, None, USD, None), "/stretch_target/currency", "currency-mismatch"),
        ("won_amount", Targets(EUR, None, LESS, None), "/stretch_target", "stretch-below-target"),
        ("won_count", Targets(None, 3, None, 2), "/stretch_target_count", "stretch-below-target"),
    ],
)
def test_any_other_target_is_refused(metric: str, targets: Targets, pointer: str, slug: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_targets(metric, targets, "EUR")
    assert (refused.value.slug, refused.value.errors[0].pointer) == (slug, pointer)


def day(number: int) -> date:
    return NEW_YEAR + timedelta(days=number)


def test_a_period_is_one_day_at_least() -> None:
    require_order((day(3), day(3)))
    with pytest.raises(InvalidValue, match="end-before-start"):
        require_order((day(3), day(2)))


@pytest.mark.parametrize(
    ("first", "last", "pointer"), [(4, 8, "/period_start"), (5, 11, "/period_end"), (1, 20, "/period_start")]
)
def test_a_part_stays_within_the_whole_from_both_sides(first: int, last: int, pointer: str) -> None:
    whole, part = (day(5), day(10)), (day(first), day(last))
    with pytest.raises(InvalidValue, match="outside-parent") as refused:
        require_part("won_count", whole, "won_count", part)
    assert refused.value.errors[0].pointer == pointer
    with pytest.raises(InvalidValue, match="parts-outside") as refused:
        require_parts_fit(whole, part)
    assert refused.value.errors[0].pointer == pointer


def test_a_part_may_be_the_whole_period_and_counts_the_same() -> None:
    whole = (day(5), day(10))
    require_part("won_count", whole, "won_count", whole)
    require_parts_fit(whole, whole)
    with pytest.raises(InvalidValue, match="other-metric"):
        require_part("won_count", whole, "won_amount", whole)


def test_what_is_missing_and_how_much_is_done() -> None:
    assert [gap(Decimal(100), Decimal(40)), gap(Decimal(100), Decimal(140))] == [60, 0]
    assert (percent(Decimal(3), Decimal(1)), percent(Decimal(3), Decimal(2))) == (Decimal("33.33"), Decimal("66.67"))
    assert [percent(Decimal(100), Decimal(140)), percent(Decimal(0), Decimal(5))] == [140, None]


def test_the_first_and_the_last_day_that_there_are_can_be_a_period() -> None:
    node = Node.of(PEOPLE[0], None, frozenset(PEOPLE), (date.min, date.max))
    assert edges([node]) == [1, date.max.toordinal() + 1]
    assert roll_up([node], {PEOPLE[1]: [(0, Decimal(7))]}) == {node.id: 7}


@dataclass(frozen=True)
class Done:
    """A record that counts: its owner, its day, its amount."""

    owner: UUID
    day: int
    amount: Decimal


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Goals in any shape, parents first, with any overlap of periods and owners."""
    nodes: list[Node] = []
    for n in range(draw(st.integers(1, 8))):
        first = draw(st.integers(1, 20))
        parent = draw(st.sampled_from([None, *(node.id for node in nodes)]))
        owners = frozenset(draw(st.lists(st.sampled_from(PEOPLE), max_size=3)))
        nodes.append(Node(UUID(int=100 + n), parent, owners, first, first + draw(st.integers(1, 15))))
    return nodes


RECORDS = st.lists(
    st.builds(Done, st.sampled_from(PEOPLE), st.integers(1, 40), st.decimals(0, 999, places=2)), max_size=30
)


def counted_one_by_one(nodes: Sequence[Node], records: Sequence[Done]) -> dict[UUID, Decimal]:
    """Count for each goal the records that count for it or for a goal below it."""
    parents = {node.id: node.parent_id for node in nodes}
    reached = {node.id: Decimal(0) for node in nodes}
    for record in records:
        goals: set[UUID | None] = set()
        for node in nodes:
            if record.owner in node.owners and node.first_day <= record.day < node.day_after:
                above: UUID | None = node.id
                while above is not None:
                    goals.add(above)
                    above = parents[above]
        for goal in goals:
            reached[goal or UUID(int=0)] += record.amount
    return reached


def summed(nodes: Sequence[Node], records: Sequence[Done]) -> dict[UUID, list[tuple[int, Decimal]]]:
    """Return the sums as the database does, by owner and stretch of days."""
    days, sums = edges(nodes), defaultdict[tuple[UUID, int], Decimal](Decimal)
    for record in records:
        if days[0] <= record.day < days[-1]:
            sums[record.owner, sum(1 for edge in days if edge <= record.day) - 1] += record.amount
    found: dict[UUID, list[tuple[int, Decimal]]] = defaultdict(list)
    for (owner, stretch), amount in sums.items():
        found[owner].append((stretch, amount))
    return found


@given(trees(), RECORDS)
def test_a_tree_adds_up_as_if_every_record_were_looked_at(nodes: list[Node], records: list[Done]) -> None:
    assert roll_up(nodes, summed(nodes, records)) == counted_one_by_one(nodes, records)


@given(trees(), RECORDS)
def test_a_goal_without_an_owner_never_has_more_than_its_parts_together(nodes: list[Node], records: list[Done]) -> None:
    reached = roll_up(nodes, summed(nodes, records))
    for node in nodes:
        parts = sum((reached[part.id] for part in nodes if part.parent_id == node.id), Decimal(0))
        if not node.owners:
            assert reached[node.id] <= parts
