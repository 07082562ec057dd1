"""Prices of the vector unit's circuits: area, depth, energy of an operation; kept as a table.

``data/units.csv`` holds, for every circuit of `hwsim.datapaths.vector.units`: cells of the netlist mapped for area,
cells and depth of the one mapped for depth, and the energy of one operation on a realistic stream, without glitches
and with those of unit gate delays. ``python -m hwsim.datapaths.vector.cost`` makes it anew. All of it is at 45 nm,
1.1 V, in the library that hwsim ships; operand registers, the register file and wires are not in it. Energy is that
without glitches, as everywhere in hwsim: the other one is an upper side, and its error says so. The error does not
hold what the library is off as a whole: its 8-bit multiplier takes 0.73 pJ on the same kind of operands, where
Horowitz (ISSCC 2014) gives 0.2 pJ at 45 nm, 0.9 V. Ratios to the multiply-accumulate units of this library are what
the table is for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hwsim.cost import depths
from hwsim.cost.gates import DELAY_ERROR, SYNTHESIS_ERROR
from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import read
from hwsim.datapaths.vector.units import names, stream, unit
from hwsim.errors import UnknownName

TABLE = Path(__file__).parent / "data" / "units.csv"
DEPTHS = TABLE.with_name("depths.csv")
"""The circuits in pipeline stages, as `hwsim.cost.depths` reads them."""
STEPS = 8192
"""Operations of a stream; energies of two halves of one differ by less than 2 %."""

NODE_NM, VOLTAGE = 45, 1.1

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

    @property
    def energy(self) -> Quantity:
        """Energy of one operation with its error."""
        source = f"gates of {self.unit}: {self.source}"
        return Quantity(self.energy_fj, "fJ", source, errors={"glitches": 1 + DELAY_ERROR})

    @property
    def area(self) -> Quantity:
        """Area with its error."""
        source = f"{self.unit}: {self.source}"
        return Quantity(self.area_um2, "um2", source, errors={"synthesis": 1 + SYNTHESIS_ERROR})


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


def unit_price(name: str) -> UnitPrice:
    """One circuit of the table.

    Raises:
        UnknownName: the table does not hold it.
    """
    if name not in table():
        raise UnknownName("circuit of the vector unit", name, table())
    return table()[name]


def measure(name: str, steps: int = STEPS, seed: int = 0) -> UnitPrice:
    """Synthesise and simulate one circuit in the library that hwsim ships.

    Raises:
        MissingExtra: Yosys is not installed. UnknownName: no such circuit.
    """
    from hwsim.gates.critical_path import critical_path
    from hwsim.gates.energy import energy, loads
    from hwsim.gates.simulator import count, stimulus
    from hwsim.gates.synthesis import synth

    own = unit(name)
    small, fast = synth(own), synth(own, fast=True)
    path = critical_path(fast.netlist)
    packed = stimulus(small.netlist, stream(name, np.random.default_rng(seed), steps))
    settled, glitching = energy(count(packed, "zero")).per_step_fj, energy(count(packed, "unit")).per_step_fj
    return UnitPrice(
        name,
        small.area_um2,
        fast.area_um2,
        path.depth_fo4,
        path.levels,
        settled,
        glitching,
        loads(small.netlist).leakage_nw,
        f"{small.result.liberty}, {small.result.tool}",
    )


def csv_text(prices: Mapping[str, UnitPrice]) -> str:
    """The file that `table` reads."""
    library, _, tool = next(iter(prices.values())).source.partition(", ")
    out = io.StringIO()
    out.write(
        "# Circuits of the vector unit at 45 nm, 1.1 V: cells, depth, energy of an operation on realistic streams.\n"
        "# Made by python -m hwsim.datapaths.vector.cost; glitch_energy_fj is that of unit gate delays.\n"
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


def write(folder: Path = TABLE.parent, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Make both tables of all circuits anew in a folder; returns it.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    made = {}
    for name in names():
        progress(name)
        made[name] = measure(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE.name).write_text(csv_text(made), encoding="utf-8")
    tool = next(iter(made.values())).source.partition(", ")[2]
    text = depths.csv_text((unit(name) for name in names()), tool, progress, "python -m hwsim.datapaths.vector.cost")
    (folder / DEPTHS.name).write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    write()
