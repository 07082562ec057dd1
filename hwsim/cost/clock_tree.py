"""What a clock and idle logic take: flip-flops' clock pins, the tree above them, leakage.

Decides three terms that no operand toggles. A flip-flop's own clock energy is that of the library's cell at 45 nm
(both edges of its clock pin and of the inverters behind it: 15.5 fJ in this library, 8.6 fJ measured in another open
library of 45 nm; so a factor of 1.8 between two sources at one node). The tree is capacitance: a share for every
flip-flop's last wire and buffer, and a mesh over the area. Switching energy of a clock is ``C V^2`` a cycle: it rises
once and falls once.
"""

from __future__ import annotations

import math

from hwsim.cost.clocking import speed
from hwsim.cost.quantity import Quantity
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

LEAKAGE_ERROR = 3.0
"""Factor on leakage at one device type; types differ by up to 300."""

ENERGY_FROM_45 = {
    180: (20, 1.8), 130: (5.6, 1.5), 90: (2.8, 1.4), 65: (1.9, 1.3), 45: (1, 1.2), 40: (0.85, 1.3), 32: (0.66, 1.3),
    28: (0.58, 1.4), 22: (0.45, 1.5), 16: (0.30, 1.7), 14: (0.30, 1.7), 12: (0.27, 1.8), 10: (0.20, 2.0),
    7: (0.15, 2.2), 5: (0.105, 2.3), 4: (0.098, 2.4), 3: (0.075, 2.5), 2: (0.055, 2.7),
}  # fmt: skip
"""Switching energy of logic at the nominal supply over that at 45 nm, 0.9 V, and the factor of its error: geometric
mean of Stillmaker and Baas, foundry power steps and Google's TPU table (ISCA 2021)."""

SOURCE = "clock pins, local and trunk capacitance"


def clock_tree_pj_per_cycle(
    flip_flops: int, area_mm2: float, node_nm: int = 45, voltage: float | None = None
) -> Quantity:
    """Energy of one clock cycle of everything that hangs on the clock, without gating.

    Args:
        flip_flops: bits that are clocked.
        area_mm2: area that the tree spans.
        node_nm: technology node.
        voltage: supply; the nominal one where left out.

    Raises:
        ArgumentError: negative sizes, an unknown node or a voltage that is not positive.
    """
    for name, value in (("flip_flops", flip_flops), ("area_mm2", area_mm2)):
        if not 0 <= value < math.inf:
            raise ArgumentError(f"{name} must be finite and not negative", got=value, where="clock_tree")
    supply = _supply(node_nm, voltage)
    cells = flip_flops * flip_flop_fj(node_nm, voltage).value
    wires = (flip_flops * LOCAL_FF + area_mm2 * TREE_PF_MM2 * 1e3) * supply**2
    total = cells + wires
    node_factor = ENERGY_FROM_45[node_nm][1] if node_nm != FLIP_FLOP_NODE else 1.0
    own = math.exp(math.hypot(math.log(FLIP_FLOP_ERROR), math.log(node_factor))) - 1
    error = (cells * own + wires * (TREE_ERROR - 1)) / total if total else 0.0
    return Quantity(total * 1e-3, "pJ", SOURCE, error)


def flip_flop_fj(node_nm: int = 45, voltage: float | None = None) -> Quantity:
    """Clock energy of one flip-flop a cycle, its inside and its clock pin; scales as logic does, with V squared."""
    supply = _supply(node_nm, voltage)
    factor, error = ENERGY_FROM_45[node_nm]
    # the table of nodes is relative to 45 nm at 0.9 V, each node at its nominal supply
    value = FLIP_FLOP_FJ * (0.9 / FLIP_FLOP_V) ** 2 * factor * (supply / _reference_v(node_nm)) ** 2
    joined = math.exp(math.hypot(math.log(FLIP_FLOP_ERROR), math.log(error if node_nm != FLIP_FLOP_NODE else 1.0)))
    return Quantity(value, "fJ", f"flip-flop of 45 nm, to {node_nm} nm by published factors", joined - 1)


def leakage_mw(area_mm2: float, node_nm: int, high_performance: bool = False) -> Quantity:
    """Leakage of logic of an area at 25 C and the nominal supply; it doubles every 25 to 35 K.

    Raises:
        ArgumentError: a negative area or an unknown node.
    """
    if not 0 <= area_mm2 < math.inf:
        raise ArgumentError("area_mm2 must be finite and not negative", got=area_mm2, where="clock_tree")
    node = speed(node_nm)
    device = "high-performance" if high_performance else "low-leakage"
    density = node.leakage_mw_mm2[int(high_performance)]
    return Quantity(area_mm2 * density, "mW", f"{device} logic at {node_nm} nm, 25 C", LEAKAGE_ERROR - 1)


def leakage_at_voltage(nominal: Quantity, node_nm: int, voltage: float) -> Quantity:
    """Leakage power at another supply: ``V exp(3 (V - nominal))``, as published tools assume."""
    reference = speed(node_nm).nominal_v
    factor = voltage / reference * math.exp(3 * (voltage - reference))
    return nominal.scaled(factor, 0.0, f"at {voltage:g} V")


def _reference_v(node_nm: int) -> float:
    return 0.9 if node_nm == FLIP_FLOP_NODE else speed(node_nm).nominal_v


def _supply(node_nm: int, voltage: float | None) -> float:
    supply = speed(node_nm).nominal_v if voltage is None else voltage
    if not supply > 0:
        raise ArgumentError("voltage must be positive", got=supply, where="clock_tree")
    return supply
