"""Where every cycle, byte, picojoule and µm² of a design goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import Machine, app
from hwsim.cli.designs import AccuracyKind, EnergyKind
from hwsim.cli.output import give
from hwsim.cli.terminal import show_table

if TYPE_CHECKING:
    from hwsim.evaluation.explanation import Table

SHOWN = 24
"""Rows of a table that a terminal shows, the largest or first; ``--json`` and ``--page`` hold all."""

SHORT = {
    "answer": ("value",),
    "steps": ("latency_cycles", "waits_for", "dram_read_bits", "dram_write_bits", "energy_pj"),
    "energy": ("energy_pj", "share", "factor"),
    "traffic": ("level", "read_bits", "written_bits"),
    "residents": ("level", "bits", "first_step", "last_step"),
    "area": ("area_um2", "share", "factor"),
}
"""Columns of each table that a terminal has room for; charges are left to the others."""


@app.command()
def explain(
    trace: Annotated[Path, typer.Argument(help="folder of a trace")],
    machine: Machine,
    accuracy: Annotated[AccuracyKind, typer.Option(help="replay or rerun")] = "replay",
    energy: Annotated[EnergyKind, typer.Option(help="pann, trace or gates")] = "trace",
    page: Annotated[Path | None, typer.Option(help="write every row of every table as an HTML page")] = None,
    tables_to: Annotated[
        Path | None, typer.Option("--tables", help="folder for a CSV of each table, and Parquet where pyarrow is")
    ] = None,
) -> None:
    """Say where a design's cycles, bytes, picojoules and µm² go: by step, layer, tensor, level and component."""
    import hwsim
    from hwsim.evaluation.explanation import explain, to_json

    result = hwsim.evaluate(
        hwsim.load_trace(trace), hwsim.load_accelerator(machine), accuracy=accuracy, energy=energy
    )
    tables = explain(result)
    if page is not None:
        from hwsim.report.explained import write_explanation

        typer.echo(str(write_explanation(tables, f"{result.workload} on {result.accelerator.name}", page)))
    if tables_to is not None:
        from hwsim.report.exported import write_tables

        for path in write_tables(tables, tables_to):
            typer.echo(str(path))
    give(to_json(tables))
    if page is None and tables_to is None:
        for table in tables:
            _show(table)


def _show(table: Table) -> None:
    """The columns of a table that a terminal has room for, the first rows."""
    from hwsim.notebook import significant

    shown = SHORT.get(table.name.split(" by ")[0], ())
    if not shown:
        return
    places = [place for place, name in enumerate(table.columns) if name in shown or place == 0]
    columns = [table.columns[place] for place in places]
    hidden = len(table.rows) - SHOWN
    typer.echo(f"\n{table.title}" + (f" (the first {SHOWN} of {len(table.rows)} rows)" if hidden > 0 else ""))
    rows = [tuple(significant(row[place]) for place in places) for row in table.rows[:SHOWN]]
    text = [table.columns[place] for place in places if table.rows and isinstance(table.rows[0][place], str)]
    show_table(columns, rows, left=text)
