"""Rows of the bench: what is compared, how often, and whether the result meets its goal."""

import json
import os
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench.driver import LoadFailed, Measured


@dataclass(frozen=True)
class Sample:
    """A short run of one side: the compared value in the row's unit, failed requests, and other measurements."""

    value: float
    failures: int = 0
    detail: Mapping[str, float] = field(default_factory=dict)


# A side runs several times, in turns with the others. Its preparation is not measured.
Side = Callable[[], Awaitable[Sample]]


@dataclass(frozen=True)
class Goal:
    """A limit for our value, or, with `against`, for our value divided by that ceiling's."""

    bound: float
    against: str | None = None
    at_most: bool = False

    def met(self, figure: float) -> bool:
        return figure <= self.bound if self.at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}" + (f" × {self.against}" if self.against else "")


@dataclass(frozen=True)
class Row:
    """A row of the table. Without `ours` the ceilings are measured alone, and the row neither passes nor fails.

    Without a goal it fails only if its side fails.
    """

    name: str
    unit: str
    goal: Goal | None
    ours: Side | None = None
    ceilings: Mapping[str, Side] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Medians over the rounds. `passed` is None if our side was not measured."""

    name: str
    unit: str
    target: str
    values: Mapping[str, float]
    samples: Mapping[str, Sequence[Sample]]
    ratio: float | None
    passed: bool | None
    problem: str | None = None


def by_rate(measured: Measured) -> Sample:
    return Sample(measured.rate, measured.failures, {"p50": measured.p50, "p95": measured.p95, "p99": measured.p99})


def by_p95(measured: Measured) -> Sample:
    return Sample(measured.p95, measured.failures, {"rate": measured.rate, "p50": measured.p50, "p99": measured.p99})


async def measure(row: Row, rounds: int) -> Outcome:
    """Run every side of a row `rounds` times in turns, so that a slow period of the machine affects all of them."""
    sides = ({"ours": row.ours} if row.ours else {}) | dict(row.ceilings)
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    problem = None
    try:
        for _ in range(rounds):
            for name, side in sides.items():
                samples[name].append(await side())
    except LoadFailed as failure:
        problem = str(failure)
    return judge(row, samples, problem)


def judge(row: Row, samples: Mapping[str, Sequence[Sample]], problem: str | None = None) -> Outcome:
    """A row passes if its goal is met and no side failed a single request, because a fast wrong answer does not count."""
    values = {name: median(sample.value for sample in of_side) for name, of_side in samples.items() if of_side}
    failed = {name: sum(s.failures for s in of_side) for name, of_side in samples.items()}
    if problem is None and any(failed.values()):
        problem = ", ".join(f"{name}: {count} requests failed" for name, count in failed.items() if count)
    ours, against = values.get("ours"), values.get((row.goal and row.goal.against) or "")
    ratio = ours / against if ours is not None and against else None
    figure = ratio if row.goal and row.goal.against else ours
    if problem is not None:
        passed: bool | None = False
    else:
        passed = None if figure is None or row.goal is None else row.goal.met(figure)
    return Outcome(row.name, row.unit, str(row.goal or "–"), values, samples, ratio, passed, problem)


HEAD = ("row", "unit", "ours", "A", "B", "ratio", "target", "pass")


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as Markdown. A ceiling other than A and B is in column A with its name."""
    lines = [cells(HEAD), cells(["---"] * len(HEAD))]
    for outcome in outcomes:
        others = " ".join(
            f"{name}: {number(v)}" for name, v in outcome.values.items() if name not in ("ours", "A", "B")
        )
        lines.append(
            cells(
                [
                    *(outcome.name, outcome.unit, number(outcome.values.get("ours"))),
                    *(others or number(outcome.values.get("A")), number(outcome.values.get("B"))),
                    "–" if outcome.ratio is None else f"{outcome.ratio:.2f}",
                    *(outcome.target, {True: "yes", False: "NO", None: "–"}[outcome.passed]),
                ]
            )
        )
        if outcome.problem:
            lines.append(cells([f"↳ {outcome.problem}", *[""] * (len(HEAD) - 1)]))
    return "\n".join(lines)


PRICE = "ms of processor"
"""The unit of rows whose samples have the processor time of each process."""


def prices(outcomes: Sequence[Outcome]) -> str:
    """Return the cost of one piece of work by process; empty unless it was measured."""
    found = {outcome.name: by_process(outcome) for outcome in outcomes if outcome.unit == PRICE and outcome.values}
    if not found:
        return ""
    processes = sorted({process for costs in found.values() for process in costs})
    lines = [cells([PRICE, *found]), cells(["---"] * (len(found) + 1))]
    lines += [cells([name, *(f"{costs.get(name, 0.0):.2f}" for costs in found.values())]) for name in processes]
    return "\n".join([*lines, cells(["all", *(f"{sum(costs.values()):.2f}" for costs in found.values())])])


def by_process(outcome: Outcome) -> dict[str, float]:
    """Return the medians of our samples by process."""
    samples = outcome.samples["ours"]
    names = dict.fromkeys(name for sample in samples for name in sample.detail)
    return {name: median(sample.detail.get(name, 0.0) for sample in samples) for name in names}


def cells(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def write_json(outcomes: Sequence[Outcome], file: Path, *, rounds: int, seconds: int) -> None:
    """Write all results, including every sample and the machine."""
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()}
    document = {
        "machine": machine,
        "rounds": rounds,
        "seconds": seconds,
        "rows": [asdict(outcome) for outcome in outcomes],
    }
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
