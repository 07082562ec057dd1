"""Commands on the files that a user writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give

Kind = Literal["machine", "space"]


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="machine: files of dse/machines; space: files of dse")] = "machine",
    out: Annotated[Path | None, typer.Option("--out", help="file to write instead of printing")] = None,
) -> None:
    """Print the JSON Schema by which editors complete and check a kind of file."""
    from hwsim.arch.schema import machine_schema
    from hwsim.search.schema import space_schema
    from hwsim.storage import write_whole

    made = machine_schema() if kind == "machine" else space_schema()
    give(made)
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(str(write_whole(out, text)))
