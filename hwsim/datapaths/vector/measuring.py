"""What a circuit of the vector unit is measured as: cells, depth, energy of an operation; and the tables of that.

The library is the one that hwsim ships, at 45 nm, 1.1 V. Energy is that without glitches, as everywhere in hwsim: the
one with unit gate delays is an upper side, and the error of a price says so. Operand registers, the register file and
wires are not in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hwsim.cost.gates import DELAY_ERROR, SYNTHESIS_ERROR
from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import read
from hwsim.rtl.unit import Unit, Values

TABLE = Path(__file__).parent / "data" / "units.csv"
STEPS = 8192
"""Operations of a stream; energies of two halves of one differ by less than 2 %."""

FIT = "fit of circuits"
"""Cause of the errors of prices that no circuit has."""

COLUMNS = (
    "unit", "area_um2", "fast_area_um2", "depth_fo4", "levels", "energy_fj", "glitch_energy_fj", "leakage_nw",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """One circuit at 45 nm, 1.1 V.

    Args:
        unit: its name.
        area_um2: cells mapped for area.
        fast_area_um2: cells of the netlist that has this depth.
        depth_fo4: longest path, flip-flops and wires not included.
        energy_fj: of one operation, without glitches.
        glitch_energy_fj: the same with unit gate delays.
        leakage_nw: of the cells mapped for area.
        source: library and tool.
        fit_error: of a price that no circuit has, but a fit: the relative error on circuits held out of it.
    """

    unit: str
    area_um2: float
    fast_area_um2: float
    depth_fo4: float
    levels: int
    energy_fj: float
    glitch_energy_fj: float
    leakage_nw: float
    source: str
    fit_error: float = 0.0

    @property
    def energy(self) -> Quantity:
        """Energy of one operation with its error."""
        source = f"gates of {self.unit}: {self.source}"
        return Quantity(self.energy_fj, "fJ", source, errors=self._errors({"glitches": 1 + DELAY_ERROR}))

    @property
    def area(self) -> Quantity:
        """Area with its error."""
        source = f"{self.unit}: {self.source}"
        return Quantity(self.area_um2, "um2", source, errors=self._errors({"synthesis": 1 + SYNTHESIS_ERROR}))

    def _errors(self, own: dict[str, float]) -> dict[str, float]:
        return own | {FIT: 1 + self.fit_error} if self.fit_error else own


@cache
def table(path: Path = TABLE) -> Mapping[str, UnitPrice]:
    """All circuits by name."""
    facts, rows = read(path)
    source = f"{facts['library']}, {facts['tool']}"
    return {
        row["unit"]: UnitPrice(
            row["unit"],
            float(row["area_um2"]),
            float(row["fast_area_um2"]),
            float(row["depth_fo4"]),
            int(row["levels"]),
            float(row["energy_fj"]),
            float(row["glitch_energy_fj"]),
            float(row["leakage_nw"]),
            source,
        )
        for row in rows
    }


def measured(own: Unit, stream: Callable[[np.random.Generator, int], Values], seed: int = 0) -> UnitPrice:
    """Synthesise and simulate a circuit on `STEPS` operations of a stream.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    from hwsim.gates.critical_path import critical_path
    from hwsim.gates.energy import energy, loads
    from hwsim.gates.simulator import count, stimulus
    from hwsim.gates.synthesis import synth

    small, fast = synth(own), synth(own, fast=True)
    path = critical_path(fast.netlist)
    packed = stimulus(small.netlist, stream(np.random.default_rng(seed), STEPS))
    settled, glitching = energy(count(packed, "zero")).per_step_fj, energy(count(packed, "unit")).per_step_fj
    return UnitPrice(
        own.name,
        small.area_um2,
        fast.area_um2,
        path.depth_fo4,
        path.levels,
        settled,
        glitching,
        loads(small.netlist).leakage_nw,
        f"{small.result.liberty}, {small.result.tool}",
    )


def csv_text(prices: Mapping[str, UnitPrice], made_by: str) -> str:
    """The file that `table` reads."""
    library, _, tool = next(iter(prices.values())).source.partition(", ")
    out = io.StringIO()
    out.write(
        "# Circuits of the vector unit at 45 nm, 1.1 V: cells, depth, energy of an operation on realistic streams.\n"
        f"# Made by {made_by}; glitch_energy_fj is that of unit gate delays.\n"
        f"#: library = {library}\n"
        f"#: tool = {tool}\n"
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in prices.values():
        writer.writerow(
            [
                one.unit, f"{one.area_um2:.1f}", f"{one.fast_area_um2:.1f}", f"{one.depth_fo4:.2f}", one.levels,
                f"{one.energy_fj:.2f}", f"{one.glitch_energy_fj:.2f}", f"{one.leakage_nw:.0f}",
            ]
        )  # fmt: skip
    return out.getvalue()
