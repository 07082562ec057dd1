"""What a terminal shows: progress bars, and tables of results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hwsim.evaluation import Evaluation
    from hwsim.search import Study


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time left; plain lines where the output is not a terminal."""
    if not sys.stderr.isatty():
        yield _plain_lines(title)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _plain_lines(title: str) -> Callable[[int, int, str], None]:
    shown = -1, -1

    def advance(done: int, total: int, note: str) -> None:
        nonlocal shown
        tenth = 10 * done // max(1, total)
        if tenth > shown[1] or total != shown[0]:
            shown = total, tenth
            typer.echo(f"{title}: {done}/{total} {note}", err=True)

    return advance


def show_evaluation(result: Evaluation) -> None:
    """Values, and the parts of energy and area with their errors and sources."""
    from hwsim.report import significant

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
    from hwsim.report import significant

    kept = study.thinned()
    show_table(
        ("arithmetic", "array", *study.objectives, "as good"),
        [
            (
                one.design.detail["numerics"],
                one.design.detail["array"],
                *(significant(one.design.values[name]) for name in study.objectives),
                str(len(one.others)) if one.others else "",
            )
            for one in kept[:: max(1, -(-len(kept) // 12))]
        ],
        left=("array",),
    )


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> None:
    """Rows under their heads; the first column folds, the others but those of `left` are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
