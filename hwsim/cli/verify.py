"""The command that checks the emulators: against silicon if there is any, else against everything but it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import Force, Seed, app
from hwsim.cli.output import give
from hwsim.cli.terminal import progress


@app.command()
def verify(
    quick: Annotated[bool, typer.Option("--quick", help="fewer cases, about 20 s")] = False,
    replay: Annotated[Path | None, typer.Option(help="folder of recordings to compare with")] = None,
    record: Annotated[Path | None, typer.Option(help="folder for recordings of the GPU in this machine")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for verify.json and verify.md")] = None,
    discover: Annotated[
        bool, typer.Option("--discover", help="measure the dot units of the GPU, or of --emulated, instead")
    ] = False,
    emulated: Annotated[str | None, typer.Option(help="with --discover: the emulator of an architecture")] = None,
    compile_to: Annotated[
        Path | None,
        typer.Option("--compile", help="write all machine code there, for HWSIM_CUBINS elsewhere; no check"),
    ] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="plant faults and show that each is found")] = False,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Compare every emulated unit with all oracles here; one table, with what could not be checked and why."""
    if compile_to is not None:
        from hwsim.verify.cuda import build

        kernels = build.shelve(compile_to)
        give({"kernels": kernels, "folder": compile_to})
        typer.echo(f"{kernels} kernels in {compile_to}")
    elif discover:
        _discover(emulated, seed)
    elif mutants:
        _hunt(seed)
    else:
        _table(quick, replay, record, out, seed, force)


def _table(quick: bool, replay: Path | None, record: Path | None, out: Path | None, seed: int, force: bool) -> None:
    from hwsim.verify import run
    from hwsim.verify.report import write

    with progress("verify") as advance:
        table = run(quick, replay, record, seed=seed, progress=advance)
    give(table)
    typer.echo(table.to_text())
    if out is not None:
        for path in write(table, out, force):
            typer.echo(str(path))
    if table.differences:
        raise typer.Exit(1)


def _discover(emulated: str | None, seed: int) -> None:
    from hwsim.verify.campaign import discoveries

    for found in discoveries(emulated, seed):
        typer.echo(found.text())


def _hunt(seed: int) -> None:
    from hwsim.verify.mutants import MUTANTS, hunt

    missed = 0
    for mutant in MUTANTS:
        row = hunt(mutant, seed)
        missed += row is None
        typer.echo(f"{mutant.name:44} " + (f"found: {row.oracle}: {row.note}" if row else "NOT FOUND"))
    if missed:
        raise typer.Exit(1)
