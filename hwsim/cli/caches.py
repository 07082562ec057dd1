"""The command on the user's cache."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give
from hwsim.cli.terminal import show_table

What = Literal["show", "verify", "clear"]


@app.command("cache")
def cache_command(
    what: Annotated[What, typer.Argument(help="show it, verify every record, or clear it")] = "show",
) -> None:
    """Show, verify or clear the cache of accuracies, netlists and machine code; nothing depends on it but time."""
    from hwsim import cache

    if what == "clear":
        removed = cache.clear()
        give({"removed": removed})
        typer.echo(f"{removed} records removed")
        return
    base = cache.root()
    if base is None:
        give({"folder": None, "kinds": []})
        typer.echo("no cache: this user has no home; set HWSIM_CACHE_DIR")
        return
    held = cache.survey(verify=what == "verify")
    give({"folder": base, "kinds": held})
    rows = [
        (one.kind, str(one.files), f"{one.size_bytes / 1e6:.1f}", *([str(len(one.damaged))] * (what == "verify")))
        for one in held
    ]
    show_table(("kind", "files", "MB", *(["damaged"] * (what == "verify"))), rows)
    typer.echo(str(base))
    damaged = [path for one in held for path in one.damaged]
    for path in damaged:
        typer.echo(f"{path}: damaged or not yours; it counts as absent")
    if damaged:
        raise typer.Exit(1)
