"""Commands on circuits: write them, map them to gates, drive a trace through them, calibrate by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hwsim.cli.app import Force, Liberty, Machine, Out, app
from hwsim.cli.output import give
from hwsim.cli.terminal import progress, show_table

Delay = Literal["zero", "unit"]


@app.command()
def rtl(
    name: Annotated[str, typer.Argument(help="a circuit of the catalogue; a wrong name lists near ones")],
    out: Out,
    rows: Annotated[int, typer.Option(help="golden vectors")] = 1000,
    force: Force = False,
) -> None:
    """Write the Verilog of a circuit, a self-checking bench, and golden vectors of the emulator."""
    from hwsim.datapaths.circuits import write

    written = list(write(name, out, rows=rows, force=force))
    give({"files": written})
    for path in written:
        typer.echo(str(path))


@app.command()
def synth(
    name: Annotated[str | None, typer.Argument(help="a circuit of the catalogue; all of them without it")] = None,
    liberty: Liberty = None,
) -> None:
    """Map circuits to gates with Yosys, one on each core: area, cells, gates on the longest path."""
    from hwsim.datapaths.circuits import build, named_units
    from hwsim.gates.liberty import DEFAULT_LIBERTY
    from hwsim.gates.synthesis import synth as map_to_gates
    from hwsim.gates.synthesis import synth_all

    library = liberty or DEFAULT_LIBERTY
    units = [build(one) for one in ([name] if name else named_units())]
    with progress("synthesis") as advance:
        synth_all([(unit.verilog, unit.top) for unit in units], library, advance)
    found = [map_to_gates(unit, library) for unit in units]
    give(
        {
            "circuits": [
                {
                    "name": one.name, "area_um2": one.area_um2, "area_ge": one.area_ge, "cells": one.result.cells,
                    "flip_flops": one.result.flip_flops, "levels": one.result.levels,
                }
                for one in found
            ],
            "liberty": found[0].result.liberty,
            "tool": found[0].result.tool,
        }
    )  # fmt: skip
    show_table(
        ("circuit", "area µm²", "NAND2s", "cells", "flip-flops", "levels"),
        [
            (
                one.name, f"{one.area_um2:.1f}", f"{one.area_ge:.0f}", str(sum(one.result.cells.values())),
                str(one.result.flip_flops), str(one.result.levels),
            )
            for one in found
        ],
    )  # fmt: skip
    typer.echo(f"{found[0].result.liberty}, {found[0].result.tool}")


@app.command()
def power(
    trace: Annotated[Path, typer.Argument(help="folder of a trace")],
    machine: Machine,
    delay: Annotated[Delay, typer.Option(help="zero: no glitches; unit: those of equal gate delays")] = "zero",
    liberty: Liberty = None,
) -> None:
    """Drive a trace's operands through the gates of a machine's unit, layer by layer."""
    import hwsim
    from hwsim.evaluation.power import trace_power
    from hwsim.gates.liberty import DEFAULT_LIBERTY

    gemms = hwsim.load_trace(trace).gemms("forward")
    accelerator = hwsim.load_accelerator(machine)
    rows = []
    for layer in trace_power(gemms, accelerator, delay=delay, liberty=liberty or DEFAULT_LIBERTY):
        if layer is not None:
            rows.append(
                {
                    "layer": layer.layer, "energy_per_mac_fj": layer.energy_per_mac_fj,
                    "toggles_per_mac": layer.toggles_per_mac, "energy_pj": layer.energy_pj,
                    "provenance": layer.provenance,
                }
            )  # fmt: skip
            typer.echo(
                f"{layer.layer:28} {layer.energy_per_mac_fj:9.2f} fJ/MAC {layer.toggles_per_mac:8.1f} toggles/MAC "
                f"{layer.energy_pj * 1e-6:9.3f} µJ   {layer.provenance}"
            )
    give({"layers": rows})


@app.command()
def calibrate(
    trace: Annotated[Path, typer.Argument(help="folder of a trace with forward products")],
    out: Out,
    liberty: Liberty = None,
    node_nm: Annotated[int, typer.Option(help="technology node of the library, nm")] = 45,
    unit: Annotated[str | None, typer.Option(help="one family, or path/to/file.py:Class, alone")] = None,
    force: Force = False,
) -> None:
    """Fit areas and energies to synthesised circuits and a trace in their gates; needs Yosys."""
    from hwsim.evaluation.calibration.calibrate import write
    from hwsim.gates.liberty import DEFAULT_LIBERTY

    page = write(trace, out, liberty or DEFAULT_LIBERTY, node_nm, typer.echo, unit, force)
    give({"page": page})
    typer.echo(str(page))
