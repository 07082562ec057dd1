"""How fast a unit may be clocked: depth in FO4, times the FO4 of a node at a voltage, plus what a clock takes.

``t_clk = [depth (1 + wire) + flip-flop + skew and jitter] x FO4(node, V) x corner``. Every constant stands below with
its source. Decides that a clock is a result: a unit has a depth, a node an FO4, and a faster clock costs pipeline
stages (`hwsim.cost.depths`) or volts. A law of one frequency per node was rejected, as an 8-bit adder and a 16-wide
dot product differ by four.

The voltage-frequency law is the alpha-power law ``d = k V / (V - Vt)^a`` (Sakurai, Newton, 1990), fitted by Vt and a
to the delay polynomials of Stillmaker and Baas within 2 %; it holds from Vt + 0.15 V to 1.2 times the nominal supply
and raises outside. On silicon: Eyeriss ran 1.25 times as fast at 1.17 V as at 1.0 V (65 nm), this law says 1.20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hwsim.cost.depths import Depth, depth
from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError

WIRE = 0.25
"""Delay of wires inside a unit as a part of its gates' delay; recalled rule of placed blocks, factor 1.5."""

FLIP_FLOP_FO4 = 4.2
"""Clock-to-output and setup: ASAP7 RVT 72.5 ps at an FO4 of 18.3 ps (4.0), slow corner 4.5."""

SKEW_FO4 = 1.5
"""Skew and jitter; recalled from clock-tree practice, factor 1.5."""

SLOW_CORNER = 1.30
"""FO4 of the slow corner, 0.9 of the supply, 100 C, over the typical one: ASAP7 RVT 23.6 / 18.3 ps."""

FO4_ERROR = 1.4
"""Factor within which the FO4 of a node is known."""

DEVICES = {"planar": (0.35, 1.3), "finfet": (0.32, 1.2)}
"""Threshold in volts and exponent of the alpha-power law."""

HEADROOM_V, OVERDRIVE = 0.15, 1.2
"""The law holds from this far above the threshold up to this multiple of the nominal supply."""

SOURCE = "logical effort, FO4 of published nodes"

Corner = Literal["slow", "typical"]


@dataclass(frozen=True, slots=True)
class Speed:
    """What a node's logic does at its nominal supply.

    Args:
        fo4_ps: delay of an inverter of fan-out four.
        leakage_mw_mm2: leakage of logic at 25 C, low-leakage and high-performance devices.
    """

    node_nm: int
    nominal_v: float
    fo4_ps: float
    device: str
    leakage_mw_mm2: tuple[float, float]


@cache
def speeds() -> dict[int, Speed]:
    """All nodes by their names in nm, the largest first."""
    _, rows = read(FOLDER / "fo4.csv")
    return {
        int(row["node_nm"]): Speed(
            int(row["node_nm"]),
            float(row["nominal_v"]),
            float(row["fo4_ps"]),
            row["device"],
            (float(row["leakage_low_mw_mm2"]), float(row["leakage_high_mw_mm2"])),
        )
        for row in rows
    }


def speed(node_nm: int) -> Speed:
    """The node; an unknown one is an error that lists the known."""
    if node_nm not in speeds():
        raise ArgumentError(
            f"node must be one of {', '.join(map(str, speeds()))} nm", got=node_nm, where="clocking.node_nm"
        )
    return speeds()[node_nm]


def voltage_range(node_nm: int) -> tuple[float, float]:
    """Supplies in volts between which the voltage-frequency law holds."""
    node = speed(node_nm)
    return DEVICES[node.device][0] + HEADROOM_V, OVERDRIVE * node.nominal_v


def fo4_ps(node_nm: int, voltage: float | None = None) -> float:
    """FO4 of a node, typical corner, in ps; at its nominal supply where no voltage is given.

    Raises:
        ArgumentError: an unknown node, or a voltage outside the law's range.
    """
    node = speed(node_nm)
    if voltage is None:
        return node.fo4_ps
    low, high = voltage_range(node_nm)
    if not low - 1e-9 <= voltage <= high + 1e-9:
        raise ArgumentError(
            f"voltage must be {low:.3g} to {high:.3g} V at {node_nm} nm, where its delay is known",
            got=voltage,
            where="clocking.voltage",
        )
    return node.fo4_ps * _law(node, voltage) / _law(node, node.nominal_v)


def _law(node: Speed, voltage: float) -> float:
    threshold, exponent = DEVICES[node.device]
    return float(voltage / (voltage - threshold) ** exponent)


def period_fo4(depth_fo4: float) -> float:
    """FO4 of a clock period of the typical corner for logic of this depth between two flip-flops."""
    if not depth_fo4 >= 0:
        raise ArgumentError("depth_fo4 must not be negative", got=depth_fo4, where="clocking")
    return depth_fo4 * (1 + WIRE) + FLIP_FLOP_FO4 + SKEW_FO4


def f_max_ghz(
    depth_fo4: float | Depth, node_nm: int, voltage: float | None = None, corner: Corner = "slow"
) -> Quantity:
    """The highest clock of logic of a depth.

    Args:
        depth_fo4: longest path between flip-flops, or a unit in stages from `hwsim.cost.depths`.
        node_nm: technology node.
        voltage: supply; the nominal one where left out.
        corner: ``"slow"`` signs off as a chip does, ``"typical"`` is what synthesis reports print.

    Returns:
        GHz, with the errors of depth and node joined as independent factors.

    Raises:
        ArgumentError: an unknown node or corner, or a voltage outside the law's range.
    """
    if corner not in ("slow", "typical"):
        raise ArgumentError("corner must be 'slow' or 'typical'", got=corner, where="clocking.corner")
    known = depth_fo4.depth_fo4 if isinstance(depth_fo4, Depth) else depth_fo4
    factor = depth_fo4.error_factor if isinstance(depth_fo4, Depth) else 1.0
    period_ps = period_fo4(known) * fo4_ps(node_nm, voltage) * (SLOW_CORNER if corner == "slow" else 1.0)
    error = math.exp(math.hypot(math.log(FO4_ERROR), math.log(factor))) - 1
    at = f"{node_nm} nm, {speed(node_nm).nominal_v if voltage is None else voltage:g} V, {corner} corner"
    return Quantity(1e3 / period_ps, "GHz", f"{SOURCE}: {known:.1f} FO4 at {at}", error)


def unit_f_max_ghz(
    unit: str, node_nm: int, voltage: float | None = None, stages: int = 1, corner: Corner = "slow"
) -> Quantity:
    """The highest clock of a circuit of the catalogue in `stages` pipeline stages, from the table of depths."""
    return f_max_ghz(depth(unit, stages), node_nm, voltage, corner)


def stages_for(unit: str, clock_ghz: float, node_nm: int, voltage: float | None = None) -> Depth:
    """The unit in the fewest stages that reach a clock.

    Raises:
        ArgumentError: none of the table's does; the message says by how much.
    """
    from hwsim.cost.depths import STAGES

    best = 0.0
    for stages in STAGES:
        found = depth(unit, stages)
        reached = f_max_ghz(found, node_nm, voltage).value
        if reached >= clock_ghz:
            return found
        best = max(best, reached)
    raise ArgumentError(
        f"clock_ghz must be at most {best:.3g}, what {unit} reaches at {node_nm} nm in up to {STAGES[-1]} stages",
        got=clock_ghz,
        where="clocking",
    )
