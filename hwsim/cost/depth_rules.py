"""Depths of units that the table does not hold, from those that it does.

``y = c GE^p`` of a circuit's gate equivalents (mapped for area, its own registers included), fitted by least squares
of logarithms to a family of the table, or to all units where the family has fewer than five or misses more. Its error
is the 90th percentile of the factors by which it misses a unit that was left out of the fit. Decides that a machine
with a unit of any width has a clock without Yosys; `hwsim.cost.depths.synthesized` is the exact answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hwsim.cost.depths import STAGES, Depth, depth, group, table
from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates.critical_path import SIZED_ERROR
from hwsim.gates.liberty import read_liberty
from hwsim.rtl.unit import Unit

ALL = "all"
"""What an estimate says for its family when it comes from all units."""

FEWEST = 5

Column = Literal["depth_fo4", "loop_fo4", "register_bits", "area_um2"]


@dataclass(frozen=True, slots=True)
class Rule:
    """``value = scale * GE^power``.

    Attributes:
        designs: units that it was fitted to.
        error_factor: 90th percentile of the factors by which it misses a unit that it has not seen.
    """

    scale: float
    power: float
    designs: int
    error_factor: float

    def value(self, area_ge: float) -> float:
        """The estimate for this many gate equivalents."""
        if not area_ge > 0:
            raise ArgumentError("area_ge must be positive", got=area_ge, where="depth rule")
        return float(self.scale * area_ge**self.power)


@cache
def rule(family: str | None = None, stages: int = 1, column: Column = "depth_fo4") -> Rule:
    """The rule of a family, or of all units, for a column of the table in `stages` stages, one of the table's.

    Raises:
        UnknownName: the table holds no unit of the family.
    """
    whole = [found[stages] for found in table().values()]
    families = {one.family for one in whole}
    if family is not None and family not in families:
        raise UnknownName("family of the table of depths", family, families)
    chosen = [one for one in whole if family in (None, one.family) and getattr(one, column) > 0]
    if len(chosen) < FEWEST:
        return _rule(tuple(one for one in whole if getattr(one, column) > 0), column)
    own = _rule(tuple(chosen), column)
    every = own if family is None else rule(None, stages, column)
    return min(own, every, key=lambda one: one.error_factor)


def estimate(unit: Unit, area_um2: float, stages: int = 1) -> Depth:
    """A unit from the table if it is there, else by the rule of its family.

    Args:
        unit: the circuit; its text is not synthesised.
        area_um2: of its cells mapped for area, at 45 nm in the library that hwsim ships, own registers included.
        stages: pipeline stages, 1 to 8.

    Raises:
        ArgumentError: an area that is not positive, or stages outside the table.
    """
    if unit.name in table():
        return depth(unit.name, stages)
    if not STAGES[0] <= stages <= STAGES[-1]:
        raise ArgumentError(f"stages must be {STAGES[0]}..{STAGES[-1]}", got=stages, where=unit.name)
    cuts = max(count for count in STAGES if count <= stages)
    family: str | None = group(unit)
    if family not in {found[1].family for found in table().values()}:
        family = None
    area_ge = area_um2 / _nand2_um2()
    longest = rule(family, cuts)
    return Depth(
        unit.name,
        family or ALL,
        cuts,
        longest.value(area_ge),
        rule(family, cuts, "loop_fo4").value(area_ge) if unit.clocked else 0.0,
        0,
        round(rule(family, cuts, "register_bits").value(area_ge)) if cuts > 1 else 0,
        rule(family, cuts, "area_um2").value(area_ge),
        area_um2,
        longest.error_factor * SIZED_ERROR,
        f"rule of {longest.designs} designs of family {family or ALL}",
    )


def _rule(chosen: tuple[Depth, ...], column: str) -> Rule:
    points = [(math.log(one.small_area_um2 / _nand2_um2()), math.log(getattr(one, column))) for one in chosen]
    misses = sorted(_miss(points[:i] + points[i + 1 :], points[i]) for i in range(len(points)))
    scale, power = _fit(points)
    return Rule(math.exp(scale), power, len(points), math.exp(misses[math.ceil(0.9 * len(misses)) - 1]))


def _fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares of y on x: offset and slope."""
    mean_x, mean_y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return mean_y - slope * mean_x, slope


def _miss(others: list[tuple[float, float]], point: tuple[float, float]) -> float:
    offset, slope = _fit(others)
    return abs(offset + slope * point[0] - point[1])


@cache
def _nand2_um2() -> float:
    return read_liberty().cells["NAND2"].area_um2
