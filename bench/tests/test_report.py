from collections.abc import Sequence

import pytest

from bench.driver import LoadFailed
from bench.report import PRICE, Goal, Row, Sample, judge, measure, prices, table


def row(goal: Goal) -> Row:
    return Row("create", "requests/s", goal)


def samples(*values: float, failures: int = 0) -> Sequence[Sample]:
    return [Sample(value, failures) for value in values]


def test_a_ratio_compares_medians_not_the_luckiest_round() -> None:
    outcome = judge(row(Goal(1.0, "A")), {"ours": samples(900, 90, 95), "A": samples(100, 100, 1)})
    assert outcome.ratio == pytest.approx(0.95)
    assert outcome.passed is False


@pytest.mark.parametrize(
    ("goal", "ours", "passed"),
    [
        (Goal(0.6, "A"), 60, True),
        (Goal(0.6, "A"), 59, False),
        (Goal(1.5, "A", at_most=True), 150, True),
        (Goal(1.5, "A", at_most=True), 151, False),
        (Goal(2_500), 2_500, True),
        (Goal(2_500), 2_499, False),
        (Goal(100, at_most=True), 101, False),
    ],
)
def test_a_goal_bounds_the_value_or_the_ratio(goal: Goal, ours: float, passed: bool) -> None:
    assert judge(row(goal), {"ours": samples(ours), "A": samples(100)}).passed is passed


@pytest.mark.parametrize("failing", ["ours", "A"])
def test_one_failed_request_on_either_side_fails_the_row(failing: str) -> None:
    seen = {"ours": samples(500), "A": samples(100)} | {failing: samples(500, failures=1)}
    outcome = judge(row(Goal(1.0, "A")), seen)
    assert outcome.passed is False
    assert outcome.problem == f"{failing}: 1 requests failed"


def test_a_row_without_our_side_is_neither_passed_nor_failed() -> None:
    outcome = judge(row(Goal(1.0, "A")), {"A": samples(100)})
    assert outcome.passed is None
    assert "| – | 100 | – | – | ≥ 1 × A | – |" in table([outcome])


async def test_sides_take_turns_and_a_refused_load_fails_the_row_with_its_reason() -> None:
    turns: list[str] = []

    async def ours() -> Sample:
        turns.append("ours")
        if len(turns) == 5:
            raise LoadFailed("answered 503")
        return Sample(1)

    async def ceiling() -> Sample:
        turns.append("A")
        return Sample(1)

    outcome = await measure(Row("create", "requests/s", Goal(1.0, "A"), ours, {"A": ceiling}), rounds=9)
    assert turns == ["ours", "A", "ours", "A", "ours"]
    assert (outcome.passed, outcome.problem) == (False, "answered 503")


def test_prices_are_medians_of_each_process() -> None:
    seen = [Sample(5, 0, {"sales-api": 2.0, "postgres": 3.0}), Sample(9, 0, {"sales-api": 4.0, "postgres": 5.0})]
    create = judge(Row("create", PRICE, None), {"ours": [*seen, Sample(99, 0, {"sales-api": 90.0, "postgres": 4.0})]})
    assert prices([create]).splitlines()[2:] == [
        "| postgres | 4.00 |",
        "| sales-api | 4.00 |",
        "| all | 8.00 |",
    ]


def test_without_prices_there_is_no_table_of_them() -> None:
    assert prices([judge(row(Goal(1.0)), {"ours": samples(1)})]) == ""
