"""From one technology node to another: published factors for area and switching energy.

Energy is ``p_to(V_to) / p_from(V_from)`` with one quadratic in the supply per node; area a factor per node. Both are
fits over real processes, and independent data are off by a factor of about two: the same circuits in two open
libraries of 45 and 7 nm gave 0.070 where the factors say 0.059 (area) and 0.031 (energy). So a scaled number carries
an error of 50 %, and a number at its own node none. No factors are published below 7 nm, and none is invented.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError

SCALING_ERROR = 0.5
SOURCE = "Stillmaker and Baas 2017"


@dataclass(frozen=True, slots=True)
class Node:
    """One technology node.

    Args:
        node_nm: its name, nm.
        energy: coefficients of V², V and 1 in its energy factor.
        area_from_45: area over that at 45 nm.
        nominal_v: supply, V, or None where no source gives one.
    """

    node_nm: int
    energy: tuple[float, float, float]
    area_from_45: float
    nominal_v: float | None

    def energy_factor(self, voltage: float) -> float:
        """The node's quadratic at `voltage`."""
        square, linear, constant = self.energy
        return (square * voltage + linear) * voltage + constant


@cache
def nodes() -> dict[int, Node]:
    """All nodes, the largest first."""
    _, rows = read(FOLDER / "technology.csv")
    return {
        int(row["node_nm"]): Node(
            int(row["node_nm"]),
            (float(row["e2"]), float(row["e1"]), float(row["e0"])),
            float(row["area_from_45"]),
            float(row["nominal_v"]) if row["nominal_v"] else None,
        )
        for row in rows
    }


def node(node_nm: int) -> Node:
    """The node called `node_nm`; an unknown one is an error that lists the known."""
    if node_nm not in nodes():
        known = ", ".join(map(str, nodes()))
        raise ArgumentError(f"node must be one of {known} nm", got=node_nm, where="technology.node_nm")
    return nodes()[node_nm]


def supply(node_nm: int, voltage: float | None) -> float:
    """`voltage`, or the node's nominal one."""
    if voltage is not None:
        return voltage
    nominal = node(node_nm).nominal_v
    if nominal is None:
        raise ArgumentError(
            "must be given, as no nominal supply is known for this node", got=node_nm, where="technology.voltage"
        )
    return nominal


def area_factor(from_nm: int, to_nm: int) -> float:
    """Area at `to_nm` over area at `from_nm`."""
    return _area(to_nm) / _area(from_nm)


def energy_factor(from_nm: int, from_v: float | None, to_nm: int, to_v: float | None) -> float:
    """Switching energy at `to_nm` and `to_v` over that at `from_nm` and `from_v`; None is the nominal supply."""
    return _energy(to_nm, to_v) / _energy(from_nm, from_v)


def scaling_error(from_nm: int, to_nm: int) -> float:
    """Relative error that a change of node adds."""
    return 0.0 if from_nm == to_nm else SCALING_ERROR


MEMORY_NODE = 22
_NEIGHBOURS = (32, 20)


def _area(node_nm: int) -> float:
    if node_nm == MEMORY_NODE:
        return _between(*(node(near).area_from_45 for near in _NEIGHBOURS))
    return node(node_nm).area_from_45


def _energy(node_nm: int, voltage: float | None) -> float:
    if node_nm == MEMORY_NODE:
        # the memory table states no supply: the factor between the neighbours' at their nominal ones
        return _between(*(node(near).energy_factor(supply(near, None)) for near in _NEIGHBOURS))
    return node(node_nm).energy_factor(supply(node_nm, voltage))


def _between(high: float, low: float) -> float:
    """The value at `MEMORY_NODE` on the straight line between its neighbours, both axes logarithmic."""
    part = math.log(_NEIGHBOURS[0] / MEMORY_NODE) / math.log(_NEIGHBOURS[0] / _NEIGHBOURS[1])
    return math.exp(math.log(high) * (1 - part) + math.log(low) * part)
