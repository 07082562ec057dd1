"""Technology nodes: what a gate costs, how fast it is, and how that moves with the supply.

Switching energy follows V², delay V / (V - Vt)^a, leakage V exp(3 (V - Vnominal)) and a doubling each 30 K. Sources
for logic energy from 45 to 7 nm disagree by eightfold, so each step between two neighbouring nodes carries a
factor, drawn once: designs of one node share all of it, designs of two nodes all but the steps between them.

Stillmaker's polynomials themselves were rejected as the law: their energy rises again below 0.26 V, their delay
above 0.95 V at 45 nm, and they drop by 2.3 where planar and FinFET models meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError, DesignError

SOURCE = "reconciled node table"
BASE = 45  # the node whose logic energy is 1
HEADROOM_V = 0.15  # least distance of the supply from Vt
OVERDRIVE = 1.2  # highest supply over the highest nominal one
FO4_ERROR = 1.4
WIRE_ERROR = 1.5
LEAKAGE_ERROR = 3.0  # low-leakage edge chips show 0.1 to 3 mW/mm2, big ones 65 to 137 with their clocks
LEAKAGE_PER_VOLT = 3.0
LEAKAGE_DOUBLING_K = 30.0  # 25 to 35 K
ROOM_K = 298.15
TEMPERATURES_K = (250.0, 400.0)
PLACEMENT = 0.65  # part of the area that gates fill: 0.55 to 0.75 in real designs
PLACEMENT_ERROR = 1.25

Leakage = Literal["low", "high"]


@dataclass(frozen=True, slots=True)
class Node:
    """One technology node; see the head of ``technology.csv`` for sources.

    Args:
        node_nm: its name, nm.
        reference_v: supply of the numbers below, V.
        nominal_v: supply where none is given, V.
        highest_v: highest nominal supply seen, V.
        energy: switching energy of logic over that at 45 nm and 0.9 V.
        energy_error: its error factor.
        gate_um2: area of a two-input NAND.
        gate_error: its error factor.
        fo4_ps: delay of an inverter that drives four.
        leak_low: mW/mm² of low-leakage logic at 25 °C.
        leak_high: the same of high-performance logic.
        wire: pJ/bit/mm.
        vt: threshold of the delay law, V.
        alpha: its exponent.
        bitcell_um2: area of a high-density 6T cell, or None above 22 nm.
        macro_mb_mm2: density of compiled memories, or None above 22 nm.
    """

    node_nm: int
    reference_v: float
    nominal_v: float
    highest_v: float
    energy: float
    energy_error: float
    gate_um2: float
    gate_error: float
    fo4_ps: float
    leak_low: float
    leak_high: float
    wire: float
    vt: float
    alpha: float
    bitcell_um2: float | None
    macro_mb_mm2: float | None

    @property
    def range_v(self) -> tuple[float, float]:
        """Lowest and highest supply at which the laws hold."""
        return round(self.vt + HEADROOM_V, 3), round(OVERDRIVE * self.highest_v, 3)

    def slowness(self, voltage: float) -> float:
        """The delay law, without its constant."""
        return voltage / math.pow(voltage - self.vt, self.alpha)


@cache
def nodes() -> dict[int, Node]:
    """All nodes, the largest first."""
    _, rows = read(FOLDER / "technology.csv")

    def maybe(text: str) -> float | None:
        return float(text) if text else None

    return {
        int(row["node_nm"]): Node(
            int(row["node_nm"]),
            float(row["reference_v"]),
            float(row["nominal_v"]),
            float(row["highest_v"]),
            float(row["energy"]),
            float(row["energy_error"]),
            float(row["gate_um2"]),
            float(row["gate_error"]),
            float(row["fo4_ps"]),
            float(row["leak_low"]),
            float(row["leak_high"]),
            float(row["wire"]),
            float(row["vt"]),
            float(row["alpha"]),
            maybe(row["bitcell_um2"]),
            maybe(row["macro_mb_mm2"]),
        )
        for row in rows
    }


def node(node_nm: int) -> Node:
    """The node called `node_nm`; an unknown one is an error that lists the known."""
    if node_nm not in nodes():
        known = ", ".join(map(str, nodes()))
        raise ArgumentError(f"node must be one of {known} nm", got=node_nm, where="technology.node_nm")
    return nodes()[node_nm]


def supply(node_nm: int, voltage: float | None, where: str = "technology.voltage") -> float:
    """`voltage`, or the node's nominal one.

    Raises:
        ArgumentError: unknown node.
        DesignError: a supply at which the laws of the node do not hold.
    """
    one = node(node_nm)
    if voltage is None:
        return one.nominal_v
    low, high = one.range_v
    if not low <= voltage <= high:
        raise DesignError(f"must lie in {low:g}..{high:g} V at {node_nm} nm", got=voltage, where=where)
    return voltage


def energy_factor(from_nm: int, from_v: float | None, to_nm: int, to_v: float | None) -> float:
    """Switching energy of logic at `to_nm` and `to_v` over that at `from_nm` and `from_v`; None is nominal."""

    def energy(nm: int, voltage: float | None) -> float:
        return node(nm).energy * (supply(nm, voltage) / node(nm).reference_v) ** 2

    return energy(to_nm, to_v) / energy(from_nm, from_v)


def energy_errors(from_nm: int, to_nm: int) -> dict[str, float]:
    """Factors that a change of node adds to an energy of logic, one for each step between neighbouring nodes.

    A table's factor f against 45 nm is made of its steps in quadrature, so the step from node p to its farther
    neighbour n has ln² = ln² f(n) - ln² f(p).
    """
    return step_errors("logic", BASE, lambda one: one.energy_error, from_nm, to_nm)


def step_errors(what: str, base: int, error: Callable[[Node], float], from_nm: int, to_nm: int) -> dict[str, float]:
    """Factors by step between two nodes, from each node's factor against `base`, which must not fall away from it."""
    node(from_nm), node(to_nm)
    names = list(nodes())
    first, last = sorted((names.index(from_nm), names.index(to_nm)))
    found = {}
    for large, small in zip(names[first:last], names[first + 1 : last + 1], strict=True):
        near, far = (large, small) if small < base else (small, large)
        before = 0.0 if near == base else math.log(error(nodes()[near]))
        squared = math.log(error(nodes()[far])) ** 2 - before**2
        if squared > 0:
            found[f"{what} {large} to {small} nm"] = math.exp(math.sqrt(squared))
    return found


def scaling_error(from_nm: int, to_nm: int) -> float:
    """Relative error, factor less one, that a change of node adds to an energy of logic."""
    return math.exp(math.hypot(*map(math.log, energy_errors(from_nm, to_nm).values()))) - 1


def area_factor(from_nm: int, to_nm: int) -> float:
    """Area of logic at `to_nm` over area at `from_nm`."""
    return node(to_nm).gate_um2 / node(from_nm).gate_um2


def area_errors(from_nm: int, to_nm: int) -> dict[str, float]:
    """Factors that a change of node adds to an area of logic: how far libraries of each node lie apart."""
    ends = {} if from_nm == to_nm else {nm: node(nm).gate_error for nm in (from_nm, to_nm)}
    return {f"gate area {nm} nm": factor for nm, factor in ends.items()}


def logic_area_um2(gates: float, node_nm: int) -> Quantity:
    """Placed area of `gates` two-input NAND equivalents, of which `PLACEMENT` of the floor is filled."""
    one = node(node_nm)
    errors = {f"gate area {node_nm} nm": one.gate_error, "placement": PLACEMENT_ERROR}
    source = f"{one.gate_um2:g} um2 a gate at {node_nm} nm, {PLACEMENT:g} of the area filled"
    return Quantity(gates * one.gate_um2 / PLACEMENT, "um2", source, errors=errors)


def fo4_ps(node_nm: int, voltage: float | None = None) -> Quantity:
    """Delay of an inverter that drives four, typical corner, ps."""
    one = node(node_nm)
    value = one.fo4_ps * one.slowness(supply(node_nm, voltage)) / one.slowness(one.reference_v)
    return Quantity(value, "ps", SOURCE, errors={f"delay {node_nm} nm": FO4_ERROR})


def delay_factor(node_nm: int, voltage: float | None, base_v: float | None = None) -> float:
    """Delay at `voltage` over that at `base_v`; None is nominal."""
    one = node(node_nm)
    return one.slowness(supply(node_nm, voltage)) / one.slowness(supply(node_nm, base_v))


def leakage_factor(node_nm: int, voltage: float | None) -> float:
    """Leakage power at `voltage` over that at the reference supply."""
    volt, base = supply(node_nm, voltage), node(node_nm).reference_v
    return volt / base * math.exp(LEAKAGE_PER_VOLT * (volt - base))


def leakage_mw_per_mm2(
    node_nm: int, device: Leakage = "low", voltage: float | None = None, temperature_k: float = ROOM_K
) -> Quantity:
    """Static power of logic, mW for 1 mm².

    Raises:
        ArgumentError: unknown node or device.
        DesignError: supply or temperature out of range.
    """
    if device not in ("low", "high"):
        raise ArgumentError("must be one of low, high", got=device, where="technology.device")
    one = node(node_nm)
    value = one.leak_low if device == "low" else one.leak_high
    warm = 2 ** ((temperature(temperature_k) - ROOM_K) / LEAKAGE_DOUBLING_K)
    value *= leakage_factor(node_nm, voltage) * warm
    return Quantity(value, "mW/mm2", SOURCE, errors={f"logic leakage {device}": LEAKAGE_ERROR})


def temperature(kelvin: float, where: str = "technology.temperature_k") -> float:
    """`kelvin`, if the laws hold there."""
    low, high = TEMPERATURES_K
    if not low <= kelvin <= high:
        raise DesignError(f"must lie in {low:g}..{high:g} K", got=kelvin, where=where)
    return kelvin


def wire_pj_per_bit_mm(node_nm: int, voltage: float | None = None) -> Quantity:
    """Energy of a bit of random data over 1 mm of repeated wire, pJ: 0.25 C V² with repeaters."""
    one = node(node_nm)
    value = one.wire * (supply(node_nm, voltage) / one.reference_v) ** 2
    return Quantity(value, "pJ/bit/mm", SOURCE, errors={"wires": WIRE_ERROR})
