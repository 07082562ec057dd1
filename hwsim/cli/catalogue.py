"""What there is by name: formats, schemes, units, recipes, models, spaces, machines, studies, workloads."""

from __future__ import annotations

from typing import Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give

KINDS = "formats, schemes, units, recipes, models, spaces, machines, studies or workloads"


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help=KINDS, autocompletion=lambda: KINDS.replace(" or ", ", ").split(", "))],
    detail: Annotated[
        str | None, typer.Option("--detail", help="all of one of them: its equation, its source, what is unverified")
    ] = None,
) -> None:
    """List what is known by name."""
    from hwsim.report.catalogues import entries, entry

    if detail is not None:
        one = entry(what, detail)
        give(one)
        lines = (f"{one.name}: {one.title}", one.source, *one.facts)
        if one.equation and what != "recipes":
            lines = (*lines[:1], one.equation, *lines[1:])
        typer.echo("\n".join(line for line in lines if line))
        return
    found = entries(what)
    give([{"name": one.name, "title": one.title, "source": one.source} for one in found])
    width = max(26, *(len(one.name) for one in found))
    for one in found:
        typer.echo(f"{one.name:{width}} {one.title}".rstrip())
