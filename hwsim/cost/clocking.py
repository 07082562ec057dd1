"""How fast a unit may be clocked: depth in FO4, times the FO4 of a node at a voltage, plus what a clock takes.

``t_clk = [depth (1 + wire) + flip-flop + skew and jitter] x FO4(node, V) x corner``. Every constant stands below with
its source; FO4 and its law of voltage are `hwsim.cost.technology`'s. Decides that a clock is a result: a unit has a
depth, a node an FO4, and a faster clock costs pipeline stages (`hwsim.cost.depths`) or volts. A law of one frequency
per node was rejected, as an 8-bit adder and a 16-wide dot product differ by four.
"""

from __future__ import annotations

from typing import Literal

from hwsim.cost.depths import STAGES, Depth, depth
from hwsim.cost.quantity import Quantity
from hwsim.cost.technology import fo4_ps, supply
from hwsim.errors import ArgumentError

WIRE = 0.25
"""Delay of wires inside a unit as a part of its gates' delay; recalled rule of placed blocks, factor 1.5."""

FLIP_FLOP_FO4 = 4.2
"""Clock-to-output and setup: ASAP7 RVT 72.5 ps at an FO4 of 18.3 ps (4.0), slow corner 4.5."""

SKEW_FO4 = 1.5
"""Skew and jitter; recalled from clock-tree practice, factor 1.5."""

SLOW_CORNER = 1.30
"""FO4 of the slow corner, 0.9 of the supply, 100 C, over the typical one: ASAP7 RVT 23.6 / 18.3 ps."""

Corner = Literal["slow", "typical"]


def period_fo4(depth_fo4: float) -> float:
    """FO4 of a clock period of the typical corner for logic of this depth between two flip-flops."""
    if not depth_fo4 >= 0:
        raise ArgumentError("depth_fo4 must not be negative", got=depth_fo4, where="clocking")
    return depth_fo4 * (1 + WIRE) + FLIP_FLOP_FO4 + SKEW_FO4


def f_max_ghz(
    depth_fo4: float | Depth | Quantity, node_nm: int, voltage: float | None = None, corner: Corner = "slow"
) -> Quantity:
    """The highest clock of logic of a depth.

    Args:
        depth_fo4: longest path between flip-flops: a number, a unit in stages from `hwsim.cost.depths`, or a quantity
            such as a vector operator's.
        node_nm: technology node.
        voltage: supply; the nominal one where left out.
        corner: ``"slow"`` signs off as a chip does, ``"typical"`` is what synthesis reports print.

    Returns:
        GHz, with the errors of depth and node by their causes.

    Raises:
        ArgumentError: an unknown node or corner. DesignError: a voltage outside the range of the node's law.
    """
    if corner not in ("slow", "typical"):
        raise ArgumentError("corner must be 'slow' or 'typical'", got=corner, where="clocking.corner")
    known = depth_fo4.quantity if isinstance(depth_fo4, Depth) else depth_fo4
    logic = known if isinstance(known, Quantity) else Quantity(known, "FO4", "given depth")
    one = fo4_ps(node_nm, voltage)
    period_ps = period_fo4(logic.value) * one.value * (SLOW_CORNER if corner == "slow" else 1.0)
    source = f"{logic.value:.1f} FO4 at {node_nm} nm, {supply(node_nm, voltage):g} V, {corner} corner; {one.source}"
    return Quantity(1e3 / period_ps, "GHz", source, errors=logic.errors | one.errors)


def unit_f_max_ghz(
    unit: str, node_nm: int, voltage: float | None = None, stages: int = 1, corner: Corner = "slow"
) -> Quantity:
    """The highest clock of a circuit of the catalogue in `stages` pipeline stages, from the table of depths."""
    return f_max_ghz(depth(unit, stages), node_nm, voltage, corner)


def stages_for(unit: str, clock_ghz: float, node_nm: int, voltage: float | None = None) -> Depth:
    """The unit in the fewest stages that reach a clock.

    Raises:
        ArgumentError: none of the table's does; the message says what is reached.
    """
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
