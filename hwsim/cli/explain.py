"""Where every cycle, byte, picojoule and µm² of a design goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.designs import AccuracyKind, EnergyKind
from hwsim.cli.terminal import show_table

SHOWN = 24
"""Rows of a table that a terminal shows, the largest or first; ``--json`` and ``--page`` hold all."""


@app.command()
def explain(
    trace: Annotated[Path, typer.Argument(help="folder of a trace")],
    machine: Annotated[str, typer.Argument(help="a machine of the workbench (edge-nvfp4), or a TOML file")],
    accuracy: Annotated[AccuracyKind, typer.Option(help="replay or rerun")] = "replay",
    energy: Annotated[EnergyKind, typer.Option(help="pann, trace or gates")] = "trace",
    as_json: Annotated[bool, typer.Option("--json", help="print every row of every table as JSON")] = False,
    page: Annotated[Path | None, typer.Option(help="write every row of every table as an HTML page")] = None,
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
    if as_json:
        typer.echo(json.dumps(to_json(tables), indent=1))
    elif page is None:
        from hwsim.report import significant

        for table in tables:
            hidden = len(table.rows) - SHOWN
            typer.echo(f"\n{table.title}" + (f" ({SHOWN} of {len(table.rows)} rows)" if hidden > 0 else ""))
            text = [name for name in table.columns if all(isinstance(row[table.columns.index(name)], str)
                    for row in table.rows)]  # fmt: skip
            rows = [tuple(map(significant, row)) for row in table.rows[:SHOWN]]
            show_table(table.columns, rows, left=text)
