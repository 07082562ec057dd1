"""SRAM between technology nodes: factors of its own, as it stopped shrinking when logic went on.

CACTI's rows span 22 to 90 nm. Below, energy goes with the square root of the node (hwcomponents, after IRDS 2022),
area with the high-density 6T cell, delay with FO4; above, energy and area with the square of the node. How wrong
that may be is how far another rule lies: that of logic for energy, that of compiled memories for area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from hwsim.cost.sram_table import NODES, TABLE_NODE
from hwsim.cost.technology import node, nodes, step_errors

LEAKAGE_SHRINK = 0.79  # below 22 nm, with the square root of the node: hwcomponents, citing IRDS 2022
STEP_ERROR = 1.18  # the table's own steps from node to node against the square of their ratio


@dataclass(frozen=True, slots=True)
class Scale:
    """From the nearest node of the table to another."""

    table_nm: float
    energy: float
    area: float
    leakage: float
    delay: float


def tabled(node_nm: int) -> bool:
    """Whether the node lies within CACTI's rows."""
    return NODES[0] <= node_nm <= NODES[-1]


@cache
def scale(node_nm: int) -> Scale:
    """From the nearest node of the table; within it nothing, as the table itself is interpolated."""
    if tabled(node_nm):
        return Scale(node_nm, 1.0, 1.0, 1.0, 1.0)
    edge = NODES[0 if node_nm < NODES[0] else -1]
    slower = node(node_nm).fo4_ps / node(edge).fo4_ps
    if node_nm > edge:
        grown = (node_nm / edge) ** 2
        leak = node(node_nm).leak_low / node(edge).leak_low
        return Scale(edge, grown, grown, grown * leak, slower)
    root = math.sqrt(node_nm / edge)
    return Scale(edge, root, cell_factor(node_nm), LEAKAGE_SHRINK * root, slower)


def cell_factor(node_nm: int) -> float:
    """Area over that at 22 nm: of the 6T cell, or in proportion to the node squared above."""
    cell, base = node(node_nm).bitcell_um2, node(TABLE_NODE).bitcell_um2
    assert base is not None
    return (node_nm / TABLE_NODE) ** 2 if cell is None else cell / base


@cache
def energy_errors(node_nm: int) -> dict[str, float]:
    """Energy: below 22 nm the distance of the square root rule from that of logic, by steps between nodes."""
    if node_nm > NODES[-1]:
        return step_errors("sram", 90, lambda one: STEP_ERROR ** (1 if one.node_nm == 130 else 2), 90, node_nm)
    if tabled(node_nm):
        return {}
    return step_errors("sram", TABLE_NODE, lambda one: _logic_distance(one.node_nm), TABLE_NODE, node_nm)


@cache
def _logic_distance(node_nm: int) -> float:
    """The largest distance at this node or any between it and the table's."""
    return max(
        math.sqrt(nm / TABLE_NODE) / (node(nm).energy / node(TABLE_NODE).energy)
        for nm in nodes()
        if node_nm <= nm < TABLE_NODE
    )


@cache
def area_errors(node_nm: int) -> dict[str, float]:
    """Area: below 22 nm the distance of the cell's factor from that of compiled memories."""
    if tabled(node_nm):
        return {}
    if node_nm > NODES[-1]:
        return energy_errors(node_nm)
    dense, base = node(node_nm).macro_mb_mm2, node(TABLE_NODE).macro_mb_mm2
    assert dense is not None
    assert base is not None
    return {f"sram area {node_nm} nm": cell_factor(node_nm) * dense / base}
