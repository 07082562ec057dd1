"""On-chip memories of any size: energy of an access, area, leakage and speed.

Up to 4 MiB and 16 banks a memory is a macro of `hwsim.cost.sram_grid`. Beyond, it is several of them under an
H-tree: an access pays the wire from the root of the whole to that of one of them, over the area as built, and each
bit a track. The wire's energy and the track's width are what CACTI's banked rows cost more than their parts. An
access of a banked memory never costs less than 0.75 of the single bank; and energy, area and cycle never fall with
capacity or width.

Building each memory of the cheapest macros, side by side, was rejected: without the tree it is 2 to 9 times too
cheap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from hwsim.cost import sram_table
from hwsim.cost.quantity import Quantity, total
from hwsim.cost.sram_grid import AREA_FACTOR, BANKED, LATCH_ERROR, macro_cost
from hwsim.cost.sram_nodes import area_errors, cell_factor, energy_errors, scale, tabled
from hwsim.cost.sram_table import BANKS, KIB, WIDTHS, Kind
from hwsim.cost.technology import (
    delay_factor,
    leakage_factor,
    node,
    supply,
    temperature,
    wire_pj_per_bit_mm,
)
from hwsim.errors import DesignError

TABLE_ERROR = 1.6  # of energies, against Horowitz, TPUv4i and two tools' tables
AREA_ERROR = 1.35
SPEED_ERROR = 1.4
LEAKAGE_ERROR = 3.0
TREE_PJ_PER_BIT_MM = ((4, 0.165), (16, 0.225))  # 22 nm: banks joined, middle of what was seen (.12-.21, .19-.26)
TREE_ERROR = 1.4
TREE_PITCH_UM = ((4, 0.33), (16, 0.50))  # 22 nm: what banked rows of the table are larger by than their parts
TREE_PS_PER_MM = 636.0  # 22 nm: CACTI's Global_30 wire
JOINED_AREA = 0.05  # more than the sum of the parts
LARGEST_KIB = 262144


@dataclass(frozen=True, slots=True)
class Sram:
    """A memory on the chip.

    Args:
        kib: capacity.
        port_bits: width of each port.
        banks: how many accesses of different addresses it can hold at a time.
        ports: ``"1rw"``, ``"1r1w"`` or ``"2rw"``.
        device: see `hwsim.cost.sram_table.Kind`.
        read_pj: energy of one read of a port's width.
        write_pj: energy of one write of a port's width.
        area_um2: area with the published-area factor.
        cacti_area_um2: area without it.
        leakage_mw: static power of the whole memory.
        cycle_ns: least time between two accesses of a bank.
        access_ns: time from address to data.
    """

    kib: float
    port_bits: float
    banks: int
    ports: str
    device: str
    read_pj: Quantity
    write_pj: Quantity
    area_um2: Quantity
    cacti_area_um2: Quantity
    leakage_mw: Quantity
    cycle_ns: Quantity
    access_ns: Quantity

    @property
    def read_pj_per_bit(self) -> Quantity:
        """`read_pj` over the port's width."""
        return self.read_pj.scaled(1 / self.port_bits).with_unit("pJ/bit")

    @property
    def write_pj_per_bit(self) -> Quantity:
        """`write_pj` over the port's width."""
        return self.write_pj.scaled(1 / self.port_bits).with_unit("pJ/bit")


@lru_cache(maxsize=4096)
def sram(
    kib: float,
    port_bits: float,
    node_nm: int,
    voltage: float | None = None,
    where: str = "memory",
    *,
    banks: int = 1,
    ports: str = "1rw",
    device: str = "lstp",
    temperature_k: float = sram_table.TABLE_K,
) -> Sram:
    """A memory at a node and supply (None: nominal).

    Args:
        kib: capacity of all banks, any positive number up to 256 MiB.
        port_bits: width of each port, any positive number.
        node_nm: technology node.
        voltage: supply, V; the table's energies hold at the node's nominal one.
        where: place for errors.
        banks: how many.
        ports: ``"1rw"``, ``"1r1w"`` or ``"2rw"``.
        device: ``"lstp"``, ``"lop"``, ``"hp"`` and so on: the periphery.
        temperature_k: for the leakage.

    Raises:
        DesignError: a size that cannot be made, or a supply or temperature outside the laws.
        ArgumentError: unknown node.
        UnknownName: unknown ports or device.
    """
    _checked(kib, port_bits, banks, where)
    volt = supply(node_nm, voltage)
    kelvin = temperature(temperature_k)
    nominal = node(node_nm).nominal_v
    group = max(1.0, kib / KIB[-1], banks / BANKS[-1])
    inner = macro_cost(kib / group, port_bits, node_nm, ports, device, min(banks, BANKS[-1]))
    squared = (volt / nominal) ** 2
    tree = _tree_pj(kib, port_bits, group, node_nm, ports, device) * squared
    floor = macro_cost(kib, port_bits, node_nm, ports, device, 1) if group > 1 and kib <= KIB[-1] else inner
    source = f"{sram_table.SOURCE}, {_named(kib, port_bits, banks, ports, device)} at {node_nm} nm"
    causes = {"sram table": TABLE_ERROR} | energy_errors(node_nm)
    if kib / group < KIB[0]:
        causes["latch arrays"] = LATCH_ERROR
        source += "; below 8 KiB between flip-flops and the macro"

    def energy(own: float, single: float) -> Quantity:
        parts = [Quantity(own * squared, "pJ", source, errors=causes)]
        if tree:
            joined = max(tree, BANKED * single * squared - own * squared)
            parts.append(Quantity(joined, "pJ", "H-tree", errors={"sram tree": TREE_ERROR} | energy_errors(node_nm)))
        return total(parts, source + ("; joined by an H-tree" if tree else ""))

    def area(value: float, note: str, errors: dict[str, float]) -> Quantity:
        whole = value * group * (1 + JOINED_AREA * (1 - 1 / group))
        tracks = port_bits * (1 - 1 / group) + max(port_bits - WIDTHS[-1], 0.0) / group  # a macro has its own
        whole += tracks * _pitch_mm(group, node_nm) * math.sqrt(whole)
        return Quantity(whole * 1e6, "um2", source + note, errors=errors | area_errors(node_nm))

    small = {"latch arrays": LATCH_ERROR} if "latch arrays" in causes else {}
    slow = delay_factor(node_nm, volt)
    leak = inner.leakage_mw * group * leakage_factor(node_nm, volt) / leakage_factor(node_nm, nominal)
    leak *= _warmth(kib / group, port_bits, kelvin)
    wait = TREE_PS_PER_MM * 1e-3 * _reach_mm(kib, port_bits, group, node_nm, ports, device) * scale(node_nm).delay
    times = {"sram delay": SPEED_ERROR} | ({f"delay {node_nm} nm": SPEED_ERROR} if not tabled(node_nm) else {})
    return Sram(
        kib,
        port_bits,
        banks,
        ports,
        device,
        energy(inner.read_pj, floor.read_pj),
        energy(inner.write_pj, floor.write_pj),
        area(inner.area, "; published-area factor", {"sram published area": AREA_ERROR} | small),
        area(
            inner.raw_area, "; no published-area factor", {"sram published area": max(AREA_FACTOR.values())} | small
        ),
        Quantity(leak, "mW", source, errors={f"sram leakage {device}": LEAKAGE_ERROR}),
        Quantity(inner.cycle_ns * slow, "ns", source, errors=times),
        Quantity((inner.access_ns + wait) * slow, "ns", source, errors=times),
    )


def _checked(kib: float, port_bits: float, banks: int, where: str) -> None:
    if not 0 < kib <= LARGEST_KIB:
        raise DesignError(f"capacity must lie above 0 and up to {LARGEST_KIB} KiB", got=kib, where=where)
    if banks < 1:
        raise DesignError("banks must be at least 1", got=banks, where=where)
    if not 0 < port_bits <= kib * 8192 / banks:
        raise DesignError(
            f"a port must have up to {kib * 8192 / banks:g} bits, what a bank holds", got=port_bits, where=where
        )


def _named(kib: float, port_bits: float, banks: int, ports: str, device: str) -> str:
    many = f", {banks} banks" if banks > 1 else ""
    return f"{kib:g} KiB of {port_bits:g} bits{many}, {ports}, {device}"


def _warmth(kib: float, port_bits: float, kelvin: float) -> float:
    """Leakage at a temperature over that at the table's."""
    size = min(max(kib, KIB[0]), KIB[-1]), min(max(port_bits, WIDTHS[0]), WIDTHS[-1])
    hot = sram_table.macro(*size, Kind(temperature_k=kelvin))
    return hot.leakage_mw / sram_table.macro(*size).leakage_mw


def _reach_mm(kib: float, port_bits: float, group: float, node_nm: int, ports: str, device: str) -> float:
    """Wire from the root of the whole to that of one of its parts: half the sides of each, square and as built."""
    if group == 1:
        return 0.0
    part = macro_cost(kib / group, port_bits, node_nm, ports, device, 1).area
    return math.sqrt(part) * (math.sqrt(group) - 1)


def _tree_pj(kib: float, port_bits: float, group: float, node_nm: int, ports: str, device: str) -> float:
    scale = wire_pj_per_bit_mm(node_nm).value / wire_pj_per_bit_mm(sram_table.TABLE_NODE).value
    reach = _reach_mm(kib, port_bits, group, node_nm, ports, device)
    return _by_banks(TREE_PJ_PER_BIT_MM, group) * scale * max(port_bits, WIDTHS[0]) * reach


def _pitch_mm(group: float, node_nm: int) -> float:
    """Width of the track of one bit."""
    return _by_banks(TREE_PITCH_UM, group) * 1e-3 * math.sqrt(cell_factor(node_nm))


def _by_banks(table: tuple[tuple[int, float], tuple[int, float]], group: float) -> float:
    """A number of a tree known for 4 and 16 banks, held beyond."""
    (few, low), (many, high) = table
    part = min(max(math.log(group / few) / math.log(many / few), 0.0), 1.0)
    return math.exp(math.log(low) * (1 - part) + math.log(high) * part)
