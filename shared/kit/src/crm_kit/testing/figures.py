"""Figures that tests measure. They are printed at the end of the run, whether tests pass or fail."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

PREFIX = "figure."


class Figures(Protocol):
    """Records figures by name."""

    def __call__(self, **values: object) -> None: ...


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Record figures for the report: ``figures(events=10_000, lost=0)`` gives one line."""

    def note(**values: object) -> None:
        for name, value in values.items():
            # As text, because xdist's workers send nothing else.
            record_property(PREFIX + name, f"{value:.2f}" if isinstance(value, float) else str(value))

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each test that recorded figures."""
    lines = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            found = [(name, value) for name, value in report.user_properties if name.startswith(PREFIX)]
            if found and report.when == "call":
                told = ", ".join(f"{name.removeprefix(PREFIX)} {value}" for name, value in found)
                lines.append(f"{report.nodeid.rpartition('/')[2]}: {told}")
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
