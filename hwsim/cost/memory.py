"""On-chip memories of any size: energy of an access, area, leakage and speed.

From CACTI's table to a price, in this order:

1. Two factors that measured silicon asks for. Energy: ×1.6 up to 16 KiB and 256 bits (Horowitz, ISSCC 2014: 10 pJ
   where CACTI says 6.1), at least 25 fJ a bit at 22 nm. Area: ×2.5 (×1.3 for 1r1w, whose cell CACTI already
   doubles), within 1.35 of Gemmini, Eyeriss, TPUv1 and TPUv4i: the published-area factor.
2. An isotonic step: the running maximum over capacity and width, as CACTI's organisations make larger memories
   cheaper here and there (area in 14 of 50 neighbours).
3. Interpolation on logarithmic axes. Below 32 bits a port costs as one of 32; above 1,024 in proportion to its
   width.
4. Joining. A memory of more than 4 MiB, or of more than 16 banks, is several of the table's under an H-tree: an
   access pays the wire from the root of the whole to that of one of them, over the area as built. An access of a
   banked memory never costs less than 0.75 of the single bank.
5. Below 8 KiB memories become latch arrays: every number follows the power law between one word of flip-flops and
   the 8 KiB macro.

So energy, area and cycle never fall with capacity or width. CACTI knows 22 to 90 nm. Below, energy goes with the
square root of the node (SRAM stopped scaling as logic does), area with the 6T cell, delay with FO4; above 90 nm
energy and area go with the square of the node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

from hwsim.cost import sram_table
from hwsim.cost.quantity import Quantity, total
from hwsim.cost.sram_table import BANKS, KIB, WIDTHS, Kind, between_banks, place
from hwsim.cost.technology import (
    delay_factor,
    energy_factor,
    fo4_ps,
    leakage_factor,
    leakage_mw_per_mm2,
    logic_area_um2,
    node,
    step_errors,
    supply,
    temperature,
    wire_pj_per_bit_mm,
)
from hwsim.errors import DesignError

TABLE_ERROR = 1.6  # of energies, against Horowitz, TPUv4i and two tools' tables
AREA_FACTOR = {"1rw": 2.5, "2rw": 2.5, "1r1w": 1.3}
AREA_ERROR = 1.35
SMALL_FACTOR, SMALL_KIB, SMALL_BITS = 1.6, 16, 256
FLOOR_PJ_PER_BIT = 0.025
BANKED = 0.75  # least part of the single bank's energy
TREE_PJ_PER_BIT_MM = ((4, 0.165), (16, 0.225))  # 22 nm: banks joined, mean of the range seen (0.12-0.21, 0.19-0.26)
TREE_ERROR = 1.4
JOINED_AREA = 0.05  # more than the sum of the parts, and for each bit a track along the side of the whole:
TREE_PITCH_UM = ((4, 0.33), (16, 0.50))  # 22 nm: what banked rows of the table are larger by than their parts
TREE_PS_PER_MM = 636.0  # CACTI's Global_30 wire at 22 nm
SPEED_ERROR = 1.4
LEAKAGE_ERROR = 3.0
LEAKAGE_SHRINK = 0.79  # below 22 nm, with the square root of the node: hwcomponents, citing IRDS 2022
FLOP_GATES = 5.5  # a flip-flop with its write multiplexer
FLOP_PJ = 0.008  # a flip-flop's cycle at 45 nm and 1.1 V, local clock included
FLOP_FO4 = 4.2  # clock to output, and setup
LEAST_KIB = 2**-13  # one bit: where the delay of a latch array is that of a flip-flop
SMALL_ERROR = 2.0  # energy and area between a word of flip-flops and the 8 KiB macro
NODE_STEP_ERROR = 1.18  # the table's own steps from node to node against the square of their ratio
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


class _Cost(NamedTuple):
    """The numbers of one macro at its node and nominal supply; areas in mm²."""

    read_pj: float
    write_pj: float
    area: float
    raw_area: float
    leakage_mw: float
    cycle_ns: float
    access_ns: float


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
    inner = _inner(kib / group, port_bits, node_nm, ports, device, min(banks, BANKS[-1]))
    squared = (volt / nominal) ** 2
    tree = _tree_pj(kib, port_bits, group, node_nm, ports, device) * squared
    floor = _inner(kib, port_bits, node_nm, ports, device, 1) if group > 1 and kib <= KIB[-1] else inner
    source = f"{sram_table.SOURCE}, {_named(kib, port_bits, banks, ports, device)} at {node_nm} nm"
    causes = {"sram table": TABLE_ERROR} | _node_errors(node_nm)
    if kib / group < KIB[0]:
        causes["latch arrays"] = SMALL_ERROR
        source += "; below 8 KiB between flip-flops and the macro"

    def energy(own: float, single: float) -> Quantity:
        parts = [Quantity(own * squared, "pJ", source, errors=causes)]
        if tree:
            joined = max(tree, BANKED * single * squared - own * squared)
            parts.append(Quantity(joined, "pJ", "H-tree", errors={"sram tree": TREE_ERROR} | _node_errors(node_nm)))
        return total(parts, source + ("; joined by an H-tree" if tree else ""))

    def area(value: float, note: str, errors: dict[str, float]) -> Quantity:
        whole = value * group * (1 + JOINED_AREA * (1 - 1 / group))
        tracks = port_bits * (1 - 1 / group) + max(port_bits - WIDTHS[-1], 0.0) / group  # a macro has its own
        whole += tracks * _pitch_mm(group, node_nm) * math.sqrt(whole)
        return Quantity(whole * 1e6, "um2", source + note, errors=errors | _area_node_errors(node_nm))

    small = {"latch arrays": SMALL_ERROR} if "latch arrays" in causes else {}
    slow = delay_factor(node_nm, volt)
    leak = inner.leakage_mw * group * leakage_factor(node_nm, volt) / leakage_factor(node_nm, nominal)
    leak *= _warmth(kib / group, port_bits, kelvin)
    wait = TREE_PS_PER_MM * 1e-3 * _reach_mm(kib, port_bits, group, node_nm, ports, device) * _scale(node_nm).delay
    times = {"sram delay": SPEED_ERROR} | ({f"delay {node_nm} nm": SPEED_ERROR} if not _tabled(node_nm) else {})
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


def flop_bit(node_nm: int, voltage: float | None = None) -> tuple[Quantity, Quantity]:
    """A bit of a register: its area in um² (with its write multiplexer), and pJ of each clock edge it sees."""
    area = logic_area_um2(FLOP_GATES, node_nm)
    errors = {"latch arrays": SMALL_ERROR}
    energy = FLOP_PJ * energy_factor(45, 1.1, node_nm, voltage)
    return area, Quantity(energy, "pJ", "8 fJ a flip-flop and cycle at 45 nm", errors=errors)


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


# ---- the table, calibrated and isotonic


@cache
def _grid(node_nm: int, ports: str, device: str, banks: int) -> dict[tuple[int, int], _Cost]:
    """Every knot of the table at a node, after factors and the isotonic step."""
    scale = _scale(node_nm)
    raw: dict[tuple[int, int], list[float]] = {}
    for kib, width in product(KIB, WIDTHS):
        own = sram_table.macro(kib, width, Kind(scale.table_nm, ports, device, banks))
        small = SMALL_FACTOR if kib <= SMALL_KIB and width <= SMALL_BITS else 1.0
        base = sram_table.macro(kib, width)
        # the floor at 22 nm for one low-standby-power bank; its other configurations as CACTI's ratio has them
        read = max(base.read_pj * small, FLOOR_PJ_PER_BIT * width) * own.read_pj / base.read_pj
        write = max(base.write_pj * small, FLOOR_PJ_PER_BIT * width) * own.write_pj / base.write_pj
        # a second port never makes it smaller
        area = max(_published(kib, width, scale.table_nm, which, device, banks) for which in {"1rw", ports})
        raw[kib, width] = [
            read * scale.energy,
            write * scale.energy,
            area * scale.area,
            own.area_mm2 * scale.area,
            own.leakage_mw * scale.leakage,
            own.cycle_ns * scale.delay,
            own.access_ns * scale.delay,
        ]
    for entry in range(len(_Cost._fields)):  # the isotonic step
        for (row, kib), (column, width) in product(enumerate(KIB), enumerate(WIDTHS)):
            before = [raw[KIB[row - 1], width]] if row else []
            before += [raw[kib, WIDTHS[column - 1]]] if column else []
            raw[kib, width][entry] = max(cost[entry] for cost in [raw[kib, width], *before])
    return {knot: _Cost(*values) for knot, values in raw.items()}


def _published(kib: float, width: float, table_nm: float, ports: str, device: str, banks: int) -> float:
    """Area with the published factor, which is of cells and periphery: wires that join banks stay as they are."""
    own, single = (sram_table.macro(kib, width, Kind(table_nm, ports, device, n)).area_mm2 for n in (banks, 1))
    return min(own, single) * AREA_FACTOR[ports] + max(own - single, 0.0)


def _inner(kib: float, port_bits: float, node_nm: int, ports: str, device: str, banks: float) -> _Cost:
    """A memory of up to 4 MiB and 16 banks; energies of ports wider than the table's in proportion."""
    width = min(max(port_bits, WIDTHS[0]), WIDTHS[-1])
    wider = max(port_bits / WIDTHS[-1], 1.0)
    at, part = between_banks(banks)
    found = []
    for count in (BANKS[at], BANKS[at + 1]):
        found.append(_between(_grid(node_nm, ports, device, count), max(kib, KIB[0]), width))
    cost = _mixed(found[0], found[1], part)
    if banks > 1:
        single = _between(_grid(node_nm, ports, device, 1), max(kib, KIB[0]), width)
        cost = cost._replace(
            read_pj=max(cost.read_pj, BANKED * single.read_pj), write_pj=max(cost.write_pj, BANKED * single.write_pj)
        )
    if kib < KIB[0]:
        narrow = min(port_bits, WIDTHS[-1])
        word = _word(narrow, node_nm, device)
        words = narrow / 8192
        word = _Cost(*map(min, zip(word, cost, strict=True)))
        along, within = (max(math.log(kib / least) / math.log(KIB[0] / least), 0.0) for least in (words, LEAST_KIB))
        times = _mixed(word, cost, within)  # depth decides, whatever the width
        cost = _mixed(word, cost, along)._replace(cycle_ns=times.cycle_ns, access_ns=times.access_ns)
    return cost._replace(read_pj=cost.read_pj * wider, write_pj=cost.write_pj * wider)


def _word(width: float, node_nm: int, device: str) -> _Cost:
    """One word of flip-flops."""
    area, clock = flop_bit(node_nm)
    mm2 = area.value * width * 1e-6
    leak = leakage_mw_per_mm2(node_nm, "high" if device.startswith("hp") else "low").value * mm2
    wait = FLOP_FO4 * fo4_ps(node_nm).value * 1e-3
    return _Cost(clock.value * width, clock.value * width, mm2, mm2, leak, wait, wait)


def _between(grid: dict[tuple[int, int], _Cost], kib: float, width: float) -> _Cost:
    row, down = place(KIB, kib)
    column, across = place(WIDTHS, width)
    ends = []
    for size in (KIB[row], KIB[row + 1]):
        ends.append(_mixed(grid[size, WIDTHS[column]], grid[size, WIDTHS[column + 1]], across))
    return _mixed(ends[0], ends[1], down)


def _mixed(one: _Cost, other: _Cost, part: float) -> _Cost:
    """Between two costs on a logarithmic axis."""
    if part in (0.0, 1.0):
        return other if part else one
    pairs = zip(one, other, strict=True)
    return _Cost(*(math.exp(math.log(low) * (1 - part) + math.log(high) * part) for low, high in pairs))


def _warmth(kib: float, port_bits: float, kelvin: float) -> float:
    """Leakage at a temperature over that at the table's."""
    size = min(max(kib, KIB[0]), KIB[-1]), min(max(port_bits, WIDTHS[0]), WIDTHS[-1])
    hot = sram_table.macro(*size, Kind(temperature_k=kelvin))
    return hot.leakage_mw / sram_table.macro(*size).leakage_mw


# ---- joining


def _reach_mm(kib: float, port_bits: float, group: float, node_nm: int, ports: str, device: str) -> float:
    """Wire from the root of the whole to that of one of its parts: half the sides of each, square and as built."""
    if group == 1:
        return 0.0
    part = _inner(kib / group, port_bits, node_nm, ports, device, 1).area
    return math.sqrt(part) * (math.sqrt(group) - 1)


def _tree_pj(kib: float, port_bits: float, group: float, node_nm: int, ports: str, device: str) -> float:
    scale = wire_pj_per_bit_mm(node_nm).value / wire_pj_per_bit_mm(sram_table.TABLE_NODE).value
    reach = _reach_mm(kib, port_bits, group, node_nm, ports, device)
    return _by_banks(TREE_PJ_PER_BIT_MM, group) * scale * max(port_bits, WIDTHS[0]) * reach


def _pitch_mm(group: float, node_nm: int) -> float:
    """Width of the track of one bit."""
    return _by_banks(TREE_PITCH_UM, group) * 1e-3 * math.sqrt(_cell(node_nm))


def _by_banks(table: tuple[tuple[int, float], tuple[int, float]], group: float) -> float:
    """A number of a tree known for 4 and 16 banks, held beyond."""
    (few, low), (many, high) = table
    part = min(max(math.log(group / few) / math.log(many / few), 0.0), 1.0)
    return math.exp(math.log(low) * (1 - part) + math.log(high) * part)


# ---- nodes


@dataclass(frozen=True, slots=True)
class _Scale:
    """From the nearest node of the table to another."""

    table_nm: float
    energy: float
    area: float
    leakage: float
    delay: float


def _tabled(node_nm: int) -> bool:
    return sram_table.NODES[0] <= node_nm <= sram_table.NODES[-1]


@cache
def _scale(node_nm: int) -> _Scale:
    if _tabled(node_nm):
        return _Scale(node_nm, 1.0, 1.0, 1.0, 1.0)
    edge = sram_table.NODES[0 if node_nm < sram_table.NODES[0] else -1]
    slower = node(node_nm).fo4_ps / node(edge).fo4_ps
    if node_nm > edge:
        grown = (node_nm / edge) ** 2
        leak = node(node_nm).leak_low / node(edge).leak_low
        return _Scale(edge, grown, grown, grown * leak, slower)
    root = math.sqrt(node_nm / edge)
    return _Scale(edge, root, _cell(node_nm), LEAKAGE_SHRINK * root, slower)


def _cell(node_nm: int) -> float:
    """Area over that at 22 nm: of the 6T cell, or in proportion to the node squared above."""
    cell, base = node(node_nm).bitcell_um2, node(sram_table.TABLE_NODE).bitcell_um2
    assert base is not None
    return (node_nm / sram_table.TABLE_NODE) ** 2 if cell is None else cell / base


@cache
def _node_errors(node_nm: int) -> dict[str, float]:
    """Energy: below 22 nm the distance of the square root rule from that of logic, by steps between nodes."""
    table = sram_table.TABLE_NODE
    if node_nm > sram_table.NODES[-1]:
        return step_errors("sram", 90, lambda one: NODE_STEP_ERROR ** (1 if one.node_nm == 130 else 2), 90, node_nm)
    if _tabled(node_nm):
        return {}
    return step_errors("sram", table, lambda one: _logic_distance(one.node_nm), table, node_nm)


@cache
def _logic_distance(node_nm: int) -> float:
    """The largest distance at this node or any between it and the table's."""
    table = sram_table.TABLE_NODE
    return max(
        math.sqrt(nm / table) / (node(nm).energy / node(table).energy)
        for nm in (16, 14, 12, 10, 7, 5, 4, 3, 2)
        if nm >= node_nm
    )


@cache
def _area_node_errors(node_nm: int) -> dict[str, float]:
    """Area: below 22 nm the distance of the cell's factor from that of compiled memories."""
    if _tabled(node_nm):
        return {}
    if node_nm > sram_table.NODES[-1]:
        return _node_errors(node_nm)
    dense, base = node(node_nm).macro_mb_mm2, node(sram_table.TABLE_NODE).macro_mb_mm2
    assert dense is not None
    assert base is not None
    return {f"sram area {node_nm} nm": _cell(node_nm) * dense / base}
