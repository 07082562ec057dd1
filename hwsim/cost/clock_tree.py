"""What a clock takes that no operand toggles: flip-flops' clock pins and the tree above them.

Decides three terms. A flip-flop's own clock energy is that of a library's cell at 45 nm (both edges of its clock pin
and of the inverters behind it: 15.5 fJ in this library, 8.6 fJ measured in another open library of 45 nm; so a factor
of 1.8 between two sources at one node). The tree is capacitance: a share for every flip-flop's last wire and buffer,
and a mesh over the area. Switching energy of a clock is ``C V^2`` a cycle: it rises once and falls once. Leakage of
logic is `hwsim.cost.technology.leakage_mw_per_mm2`.
"""

from __future__ import annotations

import math

from hwsim.cost.quantity import Quantity, total
from hwsim.cost.technology import energy_errors, energy_factor, supply
from hwsim.errors import ArgumentError

FLIP_FLOP_FJ = 8.6
"""Clock energy of a flip-flop a cycle at 45 nm, 1.1 V: cells of an open 45 nm library, internal power included."""

FLIP_FLOP_NODE, FLIP_FLOP_V = 45, 1.1

LOCAL_FF = 0.6
"""Wire and last buffer of the tree for every flip-flop, fF; assumed in published tools for 7 nm, factor 2."""

TREE_PF_MM2 = 50.0
"""Trunk and mesh, pF for a mm2; assumed in published tools for 7 nm, factor 2. Wire capacitance a length hardly
depends on the node (0.18 to 0.21 pF/mm), so the figure serves all."""

TREE_ERROR = 2.0
"""Factor on local and trunk capacitance together."""

FLIP_FLOP_ERROR = 1.8
"""Factor between the flip-flops of two open libraries of 45 nm."""


def clock_tree_pj_per_cycle(
    flip_flops: int, area_mm2: float, node_nm: int = FLIP_FLOP_NODE, voltage: float | None = None
) -> Quantity:
    """Energy of one clock cycle of everything that hangs on the clock, without gating.

    Args:
        flip_flops: bits that are clocked.
        area_mm2: area that the tree spans.
        node_nm: technology node.
        voltage: supply; the nominal one where left out.

    Raises:
        ArgumentError: negative sizes or an unknown node. DesignError: a voltage outside the node's range.
    """
    for name, value in (("flip_flops", flip_flops), ("area_mm2", area_mm2)):
        if not 0 <= value < math.inf:
            raise ArgumentError(f"{name} must be finite and not negative", got=value, where="clock_tree")
    wires_pf = flip_flops * LOCAL_FF * 1e-3 + area_mm2 * TREE_PF_MM2
    tree = Quantity(wires_pf * supply(node_nm, voltage) ** 2, "pJ", "clock tree", errors={"clock tree": TREE_ERROR})
    cells = flip_flop_fj(node_nm, voltage).scaled(flip_flops * 1e-3).with_unit("pJ")
    return total((cells, tree), "clock pins, local and trunk capacitance")


def flip_flop_fj(node_nm: int = FLIP_FLOP_NODE, voltage: float | None = None) -> Quantity:
    """Clock energy of one flip-flop a cycle, its inside and its clock pin; scales as logic does."""
    value = FLIP_FLOP_FJ * energy_factor(FLIP_FLOP_NODE, FLIP_FLOP_V, node_nm, voltage)
    errors = {"flip-flop": FLIP_FLOP_ERROR} | energy_errors(FLIP_FLOP_NODE, node_nm)
    return Quantity(value, "fJ", f"flip-flop of an open 45 nm library at {node_nm} nm", errors=errors)
