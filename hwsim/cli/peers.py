"""The command that writes a design, or a study, for another program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hwsim.cli.app import Force, Out, app
from hwsim.cli.output import give

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.trace import Workload


@app.command()
def export(
    design: Annotated[
        str, typer.Argument(help="a machine of the workbench, a TOML file, or STUDY:NUMBER; for optuna a STUDY")
    ],
    to: Annotated[
        Literal["accelforge", "zigzag", "optuna"], typer.Option(help="a cost model, or Optuna and optuna-dashboard")
    ],
    out: Out,
    trace: Annotated[Path | None, typer.Option(help="folder of a trace whose forward products run")] = None,
    gemm: Annotated[
        list[str] | None, typer.Option(help="MxNxK, or BxMxNxK for products of activations, repeatable")
    ] = None,
    force: Force = False,
) -> None:
    """Write a design as ZigZag or AccelForge reads it, for a second opinion on its cycles and energy; or a study as
    Optuna stores one, for its dashboard."""
    if to == "optuna":
        _export_study(design, out, force)
        return
    from hwsim.evaluation.peers import export as write

    folder, told = write(_machine(design), _workload(trace, gemm or ()), to, out, force)
    give({
        "folder": folder, "products": len(told.products), "latency_cycles": told.latency_cycles,
        "energy_pj": told.energy_pj, "dram_bits": told.dram_bits,
    })  # fmt: skip
    typer.echo(
        f"{folder}: {len(told.products)} products; hwsim says {told.latency_cycles:,} cycles, "
        f"{told.energy_pj * 1e-6:.4g} µJ of array and memories, {told.dram_bits:,} bits of DRAM"
    )


def _export_study(folder: str, out: Path, force: bool) -> None:
    import hwsim
    from hwsim.search import write_journal

    study = hwsim.load_study(folder)
    journal = write_journal(study, out, force)
    give({"journal": journal, "trials": len(study.points)})
    typer.echo(f"{journal}: {len(study.points)} trials; optuna-dashboard {journal} shows them")


def _machine(design: str) -> Accelerator:
    import hwsim

    folder, _, number = design.rpartition(":")
    if not (folder and number.isdecimal()):
        return hwsim.load_accelerator(design)
    study = hwsim.load_study(folder)
    return study.space.design(dict(study.point(int(number)).point)).accelerator


def _workload(trace: Path | None, gemms: tuple[str, ...] | list[str]) -> Workload:
    import hwsim
    from hwsim.errors import ArgumentError
    from hwsim.trace import GemmShape, Workload

    if (trace is None) == (not gemms):
        raise ArgumentError("products must come from --trace or from --gemm", where="export")
    if trace is not None:
        shapes = [one for one in hwsim.load_trace(trace).workload.gemms if one.phase == "forward"]
        return Workload(trace.name, tuple(shapes))
    found = []
    for text in gemms:
        sizes = re.fullmatch(r"(?:([1-9][0-9]{0,8})x)?([1-9][0-9]{0,8})x([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
        if sizes is None:
            raise ArgumentError("a product must be MxNxK or BxMxNxK", got=text, where="gemm")
        batch, (m, n, k) = sizes[1], map(int, sizes.groups()[1:])
        if batch is None:
            found.append(GemmShape(f"gemm {text}", "linear", "forward", 1, m, n, k, "weight"))
        else:
            count = int(batch)
            found.append(GemmShape(f"gemm {text}", "attention", "forward", count, m, n, k, "activation", count))
    return Workload("products", tuple(found))
