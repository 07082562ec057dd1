"""Macros as they are priced: CACTI's table, corrected by silicon, made monotone, and carried on below 8 KiB.

1. Two factors that measured silicon asks for. Energy: ×1.6 up to 16 KiB and 256 bits (Horowitz, ISSCC 2014: 10 pJ
   where CACTI says 6.1), at least 25 fJ a bit at 22 nm. Area: ×2.5 (×1.3 for 1r1w, whose cell CACTI already
   doubles), which is within 1.35 of Gemmini, Eyeriss, TPUv1 and TPUv4i: the published-area factor.
2. An isotonic step: the running maximum over capacity and width, as CACTI's organisations make larger memories
   cheaper here and there (area in 14 of 50 neighbours).
3. Interpolation on logarithmic axes. Below 32 bits a port costs as one of 32; above 1,024 in proportion to its
   width.
4. Below 8 KiB memories become latch arrays: every number follows the power law between one word of flip-flops and
   the 8 KiB macro. One law for both sides keeps them monotone; CACTI itself has no row there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple

from hwsim.cost import sram_table
from hwsim.cost.quantity import Quantity
from hwsim.cost.sram_nodes import scale
from hwsim.cost.sram_table import BANKS, KIB, PORTS, WIDTHS, Kind, between_banks, place
from hwsim.cost.technology import energy_factor, fo4_ps, leakage_mw_per_mm2, logic_area_um2

AREA_FACTOR = {"1rw": 2.5, "2rw": 2.5, "1r1w": 1.3}
SMALL_FACTOR, SMALL_KIB, SMALL_BITS = 1.6, 16, 256
FLOOR_PJ_PER_BIT = 0.025
BANKED = 0.75  # least part of the single bank's energy
FLOP_GATES = 5.5  # a flip-flop with its write multiplexer
FLOP_PJ = 0.008  # a flip-flop's cycle at 45 nm and 1.1 V, local clock included
FLOP_FO4 = 4.2  # clock to output, and setup
LATCH_ERROR = 2.0  # energy and area between a word of flip-flops and the 8 KiB macro
LEAST_KIB = 2**-13  # one bit: where the delay of a latch array is that of a flip-flop


class MacroCost(NamedTuple):
    """The numbers of one macro at its node and nominal supply; areas in mm²."""

    read_pj: float
    write_pj: float
    area: float
    raw_area: float
    leakage_mw: float
    cycle_ns: float
    access_ns: float


def flop_bit(node_nm: int, voltage: float | None = None) -> tuple[Quantity, Quantity]:
    """A bit of a register: its area in um² (with its write multiplexer), and pJ of each clock edge it sees."""
    area = logic_area_um2(FLOP_GATES, node_nm)
    errors = {"latch arrays": LATCH_ERROR}
    energy = FLOP_PJ * energy_factor(45, 1.1, node_nm, voltage)
    return area, Quantity(energy, "pJ", "8 fJ a flip-flop and cycle at 45 nm", errors=errors)


def macro_cost(kib: float, port_bits: float, node_nm: int, ports: str, device: str, banks: float) -> MacroCost:
    """A memory of up to 4 MiB and 16 banks; energies of ports wider than the table's in proportion."""
    width = min(max(port_bits, WIDTHS[0]), WIDTHS[-1])
    wider = max(port_bits / WIDTHS[-1], 1.0)
    at, part = between_banks(banks)
    found = []
    for count in (BANKS[at], BANKS[at + 1]):
        found.append(_between(_grid(node_nm, ports, device, count), max(kib, KIB[0]), width))
    cost = mixed(found[0], found[1], part)
    if banks > 1:
        single = _between(_grid(node_nm, ports, device, 1), max(kib, KIB[0]), width)
        cost = cost._replace(
            read_pj=max(cost.read_pj, BANKED * single.read_pj), write_pj=max(cost.write_pj, BANKED * single.write_pj)
        )
    if kib < KIB[0]:
        narrow = min(port_bits, WIDTHS[-1])
        word = _word(narrow, node_nm, device)
        words = narrow / 8192
        word = MacroCost(*map(min, zip(word, cost, strict=True)))
        along, within = (max(math.log(kib / least) / math.log(KIB[0] / least), 0.0) for least in (words, LEAST_KIB))
        times = mixed(word, cost, within)  # depth decides, whatever the width
        cost = mixed(word, cost, along)._replace(cycle_ns=times.cycle_ns, access_ns=times.access_ns)
    return cost._replace(read_pj=cost.read_pj * wider, write_pj=cost.write_pj * wider)


@cache
def _grid(node_nm: int, ports: str, device: str, banks: int) -> dict[tuple[int, int], MacroCost]:
    """Every knot of the table at a node, after factors and the isotonic step."""
    to = scale(node_nm)
    raw: dict[tuple[int, int], list[float]] = {}
    for kib, width in product(KIB, WIDTHS):
        kind = Kind(to.table_nm, ports, device, banks)
        own = sram_table.macro(kib, width, kind)
        small = SMALL_FACTOR if kib <= SMALL_KIB and width <= SMALL_BITS else 1.0
        base = sram_table.macro(kib, width)
        # the floor at 22 nm for one low-standby-power bank; its other configurations as CACTI's ratio has them
        read = max(base.read_pj * small, FLOOR_PJ_PER_BIT * width) * own.read_pj / base.read_pj
        write = max(base.write_pj * small, FLOOR_PJ_PER_BIT * width) * own.write_pj / base.write_pj
        # a second port never makes it smaller
        area = max(_area(kib, width, replace(kind, ports=one), AREA_FACTOR[one]) for one in {"1rw", ports})
        raw[kib, width] = [
            read * to.energy,
            write * to.energy,
            area * to.area,
            _area(kib, width, kind, 1.0) * to.area,
            own.leakage_mw * to.leakage,
            own.cycle_ns * to.delay,
            own.access_ns * to.delay,
        ]
    for entry in range(len(MacroCost._fields)):  # the isotonic step
        for (row, kib), (column, width) in product(enumerate(KIB), enumerate(WIDTHS)):
            before = [raw[KIB[row - 1], width]] if row else []
            before += [raw[kib, WIDTHS[column - 1]]] if column else []
            raw[kib, width][entry] = max(cost[entry] for cost in [raw[kib, width], *before])
    return {knot: MacroCost(*values) for knot, values in raw.items()}


def _area(kib: float, width: float, kind: Kind, factor: float) -> float:
    """Area, mm², with a factor on cells and their periphery. Tracks that join banks stay as CACTI has them; they grow
    with the side of the memory, and are there for each port that both reads and writes."""
    single = sram_table.macro(kib, width, replace(kind, banks=1)).area_mm2
    plain = sram_table.macro(kib, width, replace(kind, banks=1, ports="1rw")).area_mm2
    joined = sram_table.macro(kib, width, replace(kind, ports="1rw")).area_mm2
    if joined <= plain:
        return single * factor * joined / plain
    return single * factor + (joined - plain) * math.sqrt(single / plain) * max(PORTS[kind.ports][0], 1)


def _word(width: float, node_nm: int, device: str) -> MacroCost:
    """One word of flip-flops."""
    area, clock = flop_bit(node_nm)
    mm2 = area.value * width * 1e-6
    leak = leakage_mw_per_mm2(node_nm, "high" if device.startswith("hp") else "low").value * mm2
    wait = FLOP_FO4 * fo4_ps(node_nm).value * 1e-3
    return MacroCost(clock.value * width, clock.value * width, mm2, mm2, leak, wait, wait)


def _between(grid: dict[tuple[int, int], MacroCost], kib: float, width: float) -> MacroCost:
    row, down = place(KIB, kib)
    column, across = place(WIDTHS, width)
    ends = []
    for size in (KIB[row], KIB[row + 1]):
        ends.append(mixed(grid[size, WIDTHS[column]], grid[size, WIDTHS[column + 1]], across))
    return mixed(ends[0], ends[1], down)


def mixed(one: MacroCost, other: MacroCost, part: float) -> MacroCost:
    """Between two costs on a logarithmic axis."""
    if part in (0.0, 1.0):
        return other if part else one
    pairs = zip(one, other, strict=True)
    return MacroCost(*(math.exp(math.log(low) * (1 - part) + math.log(high) * part) for low, high in pairs))
