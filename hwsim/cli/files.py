"""Commands on the files that a user writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from hwsim.cli.app import app

Kind = Literal["machine"]


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="machine: files of dse/machines")] = "machine",
    out: Annotated[Path | None, typer.Option("--out", help="file to write instead of printing")] = None,
) -> None:
    """Print the JSON Schema by which editors complete and check a kind of file."""
    from hwsim.arch.schema import machine_schema
    from hwsim.storage import write_whole

    text = json.dumps(machine_schema(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(str(write_whole(out, text)))
