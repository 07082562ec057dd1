"""Depth of every circuit of the catalogue in pipeline stages: synthesised once, kept as a table.

Decides that a clock needs no Yosys: ``data/depths.csv`` holds, for every named unit and number of stages, the longest
stage in FO4, the loop that no stage can cut, the registers of the cuts and the area of the netlist that is this fast
(mapped for depth, see `hwsim.rtl.tools.yosys`) beside the one mapped for area. `hwsim.studies.depths`
makes it anew.

Units outside the table: `hwsim.cost.depth_rules`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates.critical_path import SIZED_ERROR, critical_path, pipeline
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.synthesis import synth
from hwsim.rtl.unit import Unit

STAGES = (1, 2, 3, 4, 6, 8)
"""Numbers of stages in the table; a cut of another number is that of the next smaller one."""

TABLE = FOLDER / "depths.csv"
CAUSE = "critical path"
"""Cause of the errors of depths: sizing and mapping, which units share."""

COLUMNS = (
    "unit", "family", "stages", "depth_fo4", "loop_fo4", "levels", "register_bits", "area_um2", "small_area_um2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Depth:
    """A unit in `stages` stages.

    Attributes:
        depth_fo4: the longest stage in FO4, flip-flops and wires not included.
        loop_fo4: the part that no stage can cut; 0 for a combinational unit.
        levels: cells on the whole unit's longest path.
        register_bits: flip-flops that the cuts add.
        area_um2: cells of the netlist of this depth, without the cuts' registers.
        small_area_um2: cells of the netlist mapped for area.
        error_factor: factor within which the depth is expected.
        source: table, rule or synthesis.
    """

    unit: str
    family: str
    stages: int
    depth_fo4: float
    loop_fo4: float
    levels: int
    register_bits: int
    area_um2: float
    small_area_um2: float
    error_factor: float
    source: str

    @property
    def quantity(self) -> Quantity:
        """The longest stage in FO4, with its error."""
        return Quantity(self.depth_fo4, "FO4", f"{self.unit}: {self.source}", errors={CAUSE: self.error_factor})


@cache
def table(path: Path = TABLE) -> Mapping[str, Mapping[int, Depth]]:
    """Depths by unit and stages."""
    facts, rows = read(path)
    found: dict[str, dict[int, Depth]] = {}
    for row in rows:
        found.setdefault(row["unit"], {})[int(row["stages"])] = Depth(
            row["unit"],
            row["family"],
            int(row["stages"]),
            float(row["depth_fo4"]),
            float(row["loop_fo4"]),
            int(row["levels"]),
            int(row["register_bits"]),
            float(row["area_um2"]),
            float(row["small_area_um2"]),
            SIZED_ERROR,
            f"{facts['library']}, {facts['tool']}",
        )
    return found


def depth(unit: str, stages: int = 1, path: Path = TABLE) -> Depth:
    """A unit of a table in `stages` stages, or in the next smaller number that the table holds.

    Raises:
        UnknownName: the table does not hold the unit. ArgumentError: stages outside 1..8.
    """
    known = table(path)
    if unit not in known:
        raise UnknownName("a unit of the table of depths", unit, known)
    if not STAGES[0] <= stages <= STAGES[-1]:
        raise ArgumentError(f"stages must be {STAGES[0]}..{STAGES[-1]}", got=stages, where=unit)
    return known[unit][max(count for count in STAGES if count <= stages)]


def synthesized(unit: Unit, stages: int = 1, liberty: str | Path = DEFAULT_LIBERTY) -> Depth:
    """Depth of any circuit, from its own netlist in any number of stages.

    Raises:
        MissingExtra: Yosys is not installed. ArgumentError: stages < 1, or a library without delays.
    """
    return next(_measured(unit, (stages,), liberty))


def _measured(unit: Unit, stages: Iterable[int], liberty: str | Path) -> Iterator[Depth]:
    fast, small = synth(unit, liberty, fast=True), synth(unit, liberty)
    path = critical_path(fast.netlist)
    for count in stages:
        cut = pipeline(fast.netlist, count)
        yield Depth(
            unit.name,
            group(unit),
            count,
            cut.depth_fo4 if count > 1 else path.depth_fo4,
            path.loop_fo4,
            path.levels,
            sum(cut.register_bits),
            fast.area_um2,
            small.area_um2,
            SIZED_ERROR,
            f"{fast.provenance}; {path.provenance}",
        )


def group(unit: Unit) -> str:
    """Family, with the style where it has one, as a Booth multiplier is no deeper array; floats are apart."""
    if style := unit.parameters.get("style"):
        return f"{unit.family}.{style}"
    real = unit.parameters.get("activation", "int8") != "int8" or unit.parameters.get("accumulate") == "fp32"
    return f"{unit.family}.real" if real else unit.family


def csv_text(
    units: Iterable[Unit],
    tool: str,
    progress: Callable[[str], None] = lambda line: None,
    made_by: str = "python -m hwsim.studies.depths",
) -> str:
    """The table of `units`, as `table` reads it."""
    out = io.StringIO()
    out.write(
        "# Depths of circuits in pipeline stages, by logical effort on netlists mapped for depth\n"
        f"# (hwsim.gates.critical_path); made by {made_by}. register_bits: nets at all cuts together.\n"
        f"#: library = {DEFAULT_LIBERTY.name}\n"
        f"#: tool = {tool}\n"
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for unit in units:
        progress(unit.name)
        for one in _measured(unit, STAGES, DEFAULT_LIBERTY):
            writer.writerow(
                [
                    one.unit, one.family, one.stages, f"{one.depth_fo4:.2f}", f"{one.loop_fo4:.2f}", one.levels,
                    one.register_bits, f"{one.area_um2:.1f}", f"{one.small_area_um2:.1f}",
                ]
            )  # fmt: skip
    return out.getvalue()
