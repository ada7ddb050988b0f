"""The output of the demo: acts with their lines, the events of each, a progress bar, and tables of figures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm_local.demo.client import Step

BLOCKS = "█"
WIDTH = 40


class Stage:
    """A terminal. Other outputs get the same lines without colours and progress bar."""

    def __init__(self, acts: int, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._acts, self._number = acts, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    @contextmanager
    def open(self) -> Iterator[TaskID]:
        """Show the progress bar of the whole demo during the block."""
        with self._progress:
            yield self._progress.add_task("the story", total=self._acts)

    def act(self, whole: TaskID, title: str) -> None:
        """Begin the next act."""
        self._number += 1
        self._progress.update(whole, completed=self._number)
        self._console.print(f"\n[bold]{self._number}. {escape(title)}[/bold]")

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(f"   {escape(line)}", soft_wrap=True)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator["Counter"]:
        """Show a progress bar for many items of one kind."""
        task = self._progress.add_task(f"  {what}", total=total)
        try:
            yield Counter(self._progress, task)
        finally:
            self._progress.remove_task(task)

    def trail(self, steps: Sequence[Step]) -> None:
        """Print the events of an act. Successive events of one type become one line."""
        for type_, group in groupby(steps, key=lambda step: step.type):
            same = list(group)
            what = f"{same[0].title} · {same[0].record}" if len(same) == 1 else f"{len(same)} times"
            line = f"   [cyan]→ {escape(type_)}[/cyan]  [dim]{escape(what)}[/dim]"
            self._console.print(line, soft_wrap=True)

    def figures(self, title: str, rows: Mapping[str, object]) -> None:
        """Print a small table."""
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in rows.items():
            table.add_row(name, str(value))
        self._console.print(table)

    def funnel(self, funnel: Mapping[str, Any]) -> None:
        """Print the funnel: one bar for each step, as wide as the number that reached it."""
        leads, deals = funnel["leads"], funnel["opportunities"]
        steps = [("leads", leads["count"], ""), ("qualified", leads["qualified"], percent(leads["qualified_percent"]))]
        for stage in funnel["stages"]:
            note = (
                f"{percent(stage['conversion'])} went on, {stage['open']} open worth {money(stage['estimated_value'])}"
            )
            steps.append((stage["stage"], stage["entered"], note))
        steps.append(
            ("won", deals["won"], f"{money(deals['won_value'])}, {percent(deals['win_percent'])} of the closed")
        )
        most = max(count for _, count, _ in steps) or 1
        for name, count, note in steps:
            bar = BLOCKS * max(round(WIDTH * count / most), 1 if count else 0)
            line = f"   {escape(name):<10} {count:>4} [green]{bar.center(WIDTH)}[/green] [dim]{escape(note)}[/dim]"
            self._console.print(line, soft_wrap=True)


class Counter:
    """Moves a progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def reach(self, done: int) -> None:
        """Set the number of items that are done."""
        self._progress.update(self._task, completed=done)


def money(value: Mapping[str, str]) -> str:
    """Format an amount: 12,345.00 EUR."""
    whole, dot, cents = value["amount"].partition(".")
    return f"{int(whole):,}{dot}{cents} {value['currency']}"


def percent(value: float | None) -> str:
    """Format a share as a percentage; a dash for None."""
    return "–" if value is None else f"{value:.0f} %"
