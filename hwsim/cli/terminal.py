"""What a terminal shows: progress bars, the front of a search that runs, and tables of results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from hwsim.evaluation import Evaluation
    from hwsim.search import Point, Study

Advance = Callable[[int, int, str], None]

SHOWN_LIVE = 8
"""Designs of the front that a running search shows, evenly spread."""


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A progress bar with rate and time left; plain lines where the output is not a terminal."""
    if not sys.stderr.isatty():
        yield _plain_lines(title)
        return
    with _bar() as bar:
        yield _advancing(bar, title)


@contextmanager
def live(title: str) -> Iterator[tuple[Advance, Callable[[Study], None] | None]]:
    """A progress bar, and under it the front so far of the search that is watched; plain lines, and nobody who
    watches, where the output is not a terminal."""
    if not sys.stderr.isatty():
        yield _plain_lines(title), None
        return
    from rich.console import Console, Group
    from rich.live import Live

    bar = _bar()
    with Live(bar, console=Console(stderr=True), refresh_per_second=4) as view:
        yield _advancing(bar, title), lambda study: view.update(Group(bar, _front_so_far(study)))
        view.update(bar)  # what is under it is printed anew, whole


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many a second."""

        def render(self, task: Task) -> Text:
            return Text(_rate(task.speed))

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        Rate(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))


def _advancing(bar: Progress, title: str) -> Advance:
    task = bar.add_task(title, total=None, note="")
    return lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _rate(a_second: float | None) -> str:
    """``1,234/s``, or ``12/min`` where less than one a second is done."""
    if not a_second:
        return ""
    return f"{a_second:,.0f}/s" if a_second >= 1 else f"{60 * a_second:.2g}/min"


def _front_so_far(study: Study) -> Table:
    front = study.front
    table = _front_table(study, front[:: max(1, -(-len(front) // SHOWN_LIVE))])
    table.title, table.title_justify = f"the front so far, {len(front)} designs", "left"
    return table


def _plain_lines(title: str) -> Advance:
    shown = -1, -1
    first: tuple[float, int] | None = None

    def advance(done: int, total: int, note: str) -> None:
        nonlocal shown, first
        now = time.monotonic()
        if total != shown[0] or first is None:
            first = now, done
        tenth = 10 * done // max(1, total)
        if tenth > shown[1] or total != shown[0]:
            shown = total, tenth
            typer.echo(
                f"{title}: {done}/{total} {note}{_pace(now - first[0], done - first[1], total - done)}", err=True
            )

    return advance


def _pace(seconds: float, made: int, left: int) -> str:
    """Rate and time left of work that made so many in these seconds; nothing where neither is known."""
    if seconds <= 0 or made <= 0 or left <= 0:
        return ""
    return f", {_rate(made / seconds)}, {left * seconds / made:.0f} s left"


def show_evaluation(result: Evaluation) -> None:
    """Values, and the parts of energy and area with their errors and sources."""
    from hwsim.notebook import significant

    values = result.values()
    for name, value in values.items():
        typer.echo(f"{name:22} {significant(value)}")
    for title, part, scale, unit in (("energy", result.energy, 1e-6, "µJ"), ("area", result.area, 1e-6, "mm²")):
        typer.echo(f"\n{title}, {unit}")
        for name, quantity in part.breakdown().parts.items():
            error = f"×/÷{quantity.error_factor:.2f}"
            typer.echo(f"  {name:24} {significant(quantity.value * scale):>10} {error:>8}  {quantity.source}")


def show_study(study: Study) -> None:
    """The front as a table of designs that stand for all of it (`Study.thinned`), at most 12, evenly spread."""
    from rich.console import Console

    kept = study.thinned()
    shown = kept[:: max(1, -(-len(kept) // 12))]
    as_good = [str(len(one.others)) if one.others else "" for one in shown]
    Console().print(_front_table(study, [one.design for one in shown], ("as good", as_good)))


def _front_table(study: Study, designs: Sequence[Point], more: tuple[str, Sequence[str]] | None = None) -> Table:
    """Designs with their arithmetic, array and objectives, and one more column behind."""
    from hwsim.notebook import significant

    rows = [
        [one.detail["numerics"], one.detail["array"], *(significant(one.values[name]) for name in study.objectives)]
        for one in designs
    ]
    if more is not None:
        rows = [[*row, cell] for row, cell in zip(rows, more[1], strict=True)]
    return _table(("arithmetic", "array", *study.objectives, *((more[0],) if more else ())), rows, left=("array",))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> None:
    """Rows under their heads; the first column folds, the others but those of `left` are numbers."""
    from rich.console import Console

    Console().print(_table(columns, rows, left))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
