"""How far prices of dot units that nobody ships lie from their gates, as a table.

Draws units at random (elements of 3 to 8 bits, groups of 4 to 64, blocks of 8 to 128, six scale formats), and for one
in ten of those that have a price compares area and energy with the unit's own netlist. No fit has seen any of them.
``python -m hwsim.studies.free_units [FILE]`` writes ``reports/free_units.md``, or a file of one's own; ten minutes
without kept circuits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.cost.coefficients import Coefficients, load_coefficients
from hwsim.cost.fitted import energy
from hwsim.datapaths.base import MissingView
from hwsim.datapaths.dot import Dot
from hwsim.datapaths.dot.cost import FREE_ERROR
from hwsim.datapaths.pricing import stream_energy, unit_logic
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Dataflow, budget

ELEMENTS = (
    "e1m1", "e2m0", "e2m1", "e1m2", "e3m0", "e1m3", "e2m2", "e3m1", "e4m0", "e2m3", "e3m2", "e4m1", "e3m3", "e2m4",
    "e4m2", "e5m1", "e3m4", "e4m3", "e5m2", "e2m5", "e4m3_ieee",
)  # fmt: skip
SCALES = (None, "e8m0", "ue4m3", "ue5m3", "e4m3", "e2m3", "e6m1")
SEED, COUNT, EVERY = 12, 200, 10
FLOWS: tuple[Dataflow, ...] = ("ws", "is", "os")
ROWS, DEPTH = 24, 4
"""Rows of Gaussian operands, and groups along K."""


def drawn(seed: int = SEED, count: int = COUNT) -> list[Dot]:
    """Units that exist, at random."""
    rng = np.random.default_rng(seed)
    units: list[Dot] = []
    while len(units) < count:
        a = str(rng.choice(ELEMENTS))
        scale = SCALES[rng.integers(len(SCALES))]
        try:
            units.append(
                Dot(
                    a, str(rng.choice(ELEMENTS)) if rng.random() < 0.5 else a,
                    group=int(rng.choice([4, 8, 16, 24, 32, 64])), fraction_bits=int(rng.integers(5, 36)),
                    align="grouped" if scale and rng.random() < 0.4 else "fused",
                    block=None if scale is None else int(rng.choice([8, 16, 32, 64, 128])), scale=scale,
                    acc="e8m13" if rng.random() < 0.2 else "fp32", sub_group=int(rng.choice([4, 8, 16])),
                )
            )  # fmt: skip
        except ArgumentError:  # blocks that do not divide, sums of more than 62 bits
            continue
    return units


def priced(units: Iterable[Dot], held: Coefficients) -> list[Dot]:
    """Those that have a price."""
    found = []
    for unit in units:
        try:
            unit.price.blocks(held)
        except MissingView:
            continue
        found.append(unit)
    return found


def cast(x: NDArray[np.float64], element: str, block: int | None, scale: str | None) -> tuple[Any, Any]:
    """Codes and scale bytes of x ``[rows, K]``: the largest of a block meets the largest of its element."""
    form = formats.get(element)
    if block is None or scale is None:
        return form.encode((x * (form.max / np.abs(x).max())).astype(np.float32)), None
    shared = formats.get(scale)
    blocks = np.abs(x).reshape(len(x), -1, min(block, x.shape[1])).max(-1)
    words = shared.encode((blocks / form.max).astype(np.float32), "rp" if shared.mantissa_bits == 0 else "rne")
    values = np.repeat(shared.decode(words), min(block, x.shape[1]), axis=1)
    return form.encode((x / np.where(values > 0, values, 1)).astype(np.float32)), words


@dataclass(frozen=True, slots=True)
class Compared:
    """One unit: um² and fJ of an update, by the fit and in gates; `usual` where the fit knows scales like its own."""

    name: str
    usual: bool
    area: tuple[float, float]
    energy: tuple[float, float]

    @property
    def area_error(self) -> float:
        """Fitted over synthesized, less one."""
        return self.area[0] / self.area[1] - 1

    @property
    def energy_error(self) -> float:
        """Of trace over gates, less one, means of three dataflows."""
        return self.energy[0] / self.energy[1] - 1


def compare(unit: Dot, held: Coefficients, seed: int = 0) -> Compared:
    """A unit's price beside its gates, on Gaussian operands.

    Raises:
        MissingExtra: Yosys is not installed. MissingView: a unit without a price.
    """
    rng = np.random.default_rng(seed)
    k = max(unit.group, unit.block or 1) * DEPTH
    (a, scale_a), (b, scale_b) = (
        cast(rng.normal(size=(ROWS, k)), element, unit.block, unit.scale) for element in (unit.a, unit.b)
    )
    ours = gates = 0.0
    for flow in FLOWS:
        stream = unit.stream(flow, budget(unit.lanes, None), a, b, scale_a, scale_b)
        ours += energy(held, unit.price.update, unit.price.update_flips(stream)).value
        gates += stream_energy("gaussian", unit, stream, flow).update_fj
    area = sum(block.area.value for block in unit.price.blocks(held)[0])
    return Compared(unit.name, unit.price.beyond_fit < FREE_ERROR, (area, unit_logic(unit).unit.value), (ours, gates))


def text(found: Iterable[Compared], without: int) -> str:
    """Markdown: errors of both kinds of units, and each of them."""
    rows = list(found)
    lines = [
        "# Prices of free dot units beside their gates",
        "",
        f"Of {COUNT} units drawn at random (seed {SEED}), {without} are sums of other elements than E2M1 in groups",
        f"and have no price; of the others one in {EVERY} was synthesized and simulated on Gaussian operands in",
        "three dataflows, zero delay. No fit has seen them. Made by `python -m hwsim.studies.free_units`.",
        "",
        "| error of the fit | units | area, median | largest | energy, median | largest |",
        "|---|---|---|---|---|---|",
    ]
    for label, usual in (("scales like those of the fit, or none", True), ("other scales", False)):
        own = [row for row in rows if row.usual == usual]
        cells = []
        for errors in ([abs(row.area_error) for row in own], [abs(row.energy_error) for row in own]):
            cells += [f"{np.median(errors):.1%}", f"{max(errors):.1%}"]
        lines.append(f"| {label} | {len(own)} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Beside them, fused units of the catalogue on circuits and layers held out of the fit: see `dot.fused` and",
        "`dot.grouped` in [calibration.md](calibration.md).",
        "",
        "| unit | fitted, um² | gates, um² | error | trace, fJ | gates, fJ | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        (area, synthesized), (trace, gates) = row.area, row.energy
        lines.append(
            f"| {row.name} | {area:.0f} | {synthesized:.0f} | {row.area_error:+.1%} "
            f"| {trace:.0f} | {gates:.0f} | {row.energy_error:+.1%} |"
        )
    return "\n".join([*lines, ""])


def report() -> str:
    """The text of the report, from the units themselves."""
    held, units = load_coefficients(), drawn()
    known = priced(units, held)
    return text((compare(unit, held) for unit in known[::EVERY]), len(units) - len(known))


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "reports/free_units.md").write_text(report())
