"""On-chip and off-chip memory: energy of an access, area and leakage, from tables.

A memory of any capacity and port width is built from macros of the table's widths. Macros lie side by side to make
the port; if that leaves each larger than the table's largest, several share a port and one of them works at a time.
Between two capacities of one width every number is interpolated on logarithmic axes; outside the table is an error,
because CACTI changes its organisation with size and no line continues it.

Calling CACTI instead was rejected: a query takes up to a second, and its program does not start on many systems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.cost.technology import MEMORY_NODE, area_factor, energy_factor, scaling_error
from hwsim.errors import ArgumentError, DesignError, UnknownName

SRAM_SOURCE = "CACTI at 22 nm (hwcomponents-cacti 1.0.40)"
SRAM_ERROR = 0.3  # two CACTI front ends differ by more for other ports; none was checked against silicon


@dataclass(frozen=True, slots=True)
class Macro:
    """One row of the table: energies for a whole port width, area and leakage (None: not tabulated)."""

    port_bits: int
    kib: float
    area_mm2: float
    leakage_mw: float | None
    read_pj: float
    write_pj: float


@dataclass(frozen=True, slots=True)
class Sram:
    """A memory made of macros.

    Args:
        macros: how many.
        macro_bits: port width of each.
        macro_kib: capacity of each.
        read_pj_per_bit: energy of a bit read.
        write_pj_per_bit: energy of a bit written.
        area_um2: area of all macros.
        leakage_mw: static power of all macros.
    """

    macros: int
    macro_bits: int
    macro_kib: float
    read_pj_per_bit: Quantity
    write_pj_per_bit: Quantity
    area_um2: Quantity
    leakage_mw: Quantity


@cache
def sram_table() -> tuple[Macro, ...]:
    """The table, by width and capacity."""
    _, rows = read(FOLDER / "sram.csv")
    return tuple(
        Macro(
            int(row["port_bits"]),
            float(row["kib"]),
            float(row["area_mm2"]),
            float(row["leakage_mw"]) if row["leakage_mw"] else None,
            float(row["read_pj"]),
            float(row["write_pj"]),
        )
        for row in rows
    )


def macro(port_bits: int, kib: float) -> Macro:
    """A macro of one of the table's widths, its numbers interpolated between two capacities.

    Raises:
        ArgumentError: the table has no such width, or the capacity lies outside it.
    """
    rows = [row for row in sram_table() if row.port_bits == port_bits]
    if not rows:
        widths = ", ".join(map(str, sorted({row.port_bits for row in sram_table()})))
        raise ArgumentError(f"port must be one of {widths} bits", got=port_bits, where="sram.port_bits")
    if not rows[0].kib <= kib <= rows[-1].kib:
        raise ArgumentError(
            f"capacity must lie in {rows[0].kib:g}..{rows[-1].kib:g} KiB for a port of {port_bits} bits",
            got=kib,
            where="sram.kib",
        )
    low = max((row for row in rows if row.kib <= kib), key=lambda row: row.kib)
    high = min((row for row in rows if row.kib >= kib), key=lambda row: row.kib)
    part = 0.0 if low is high else math.log(kib / low.kib) / math.log(high.kib / low.kib)

    def between(one: float, other: float) -> float:
        return math.exp(math.log(one) * (1 - part) + math.log(other) * part)

    leakages = [row.leakage_mw for row in rows if row.leakage_mw is not None]
    if low.leakage_mw is not None and high.leakage_mw is not None:
        leakage = between(low.leakage_mw, high.leakage_mw)
    else:
        leakage = leakages[0] * kib / rows[0].kib  # proportional to capacity, as the whole table is within 20 %
    return Macro(
        port_bits,
        kib,
        between(low.area_mm2, high.area_mm2),
        leakage,
        between(low.read_pj, high.read_pj),
        between(low.write_pj, high.write_pj),
    )


@lru_cache(maxsize=1024)
def sram(kib: int, port_bits: int, node_nm: int, voltage: float | None, where: str = "memory") -> Sram:
    """A memory of `kib` KiB with a port of `port_bits`, at a node and supply (None: nominal).

    Of the macros that can make it, those with the cheapest read are taken.

    Raises:
        DesignError: no macros of the table make it.
        ArgumentError: unknown node.
    """
    choices = []
    for width in sorted({row.port_bits for row in sram_table()}):
        sizes = [row.kib for row in sram_table() if row.port_bits == width]
        if port_bits % width:
            continue
        abreast = port_bits // width
        deep = max(1, math.ceil(kib / abreast / max(sizes)))
        each = kib / abreast / deep
        if each >= min(sizes):
            choices.append((macro(width, each), abreast * deep))
    if not choices:
        raise DesignError(
            f"capacity must be at least {_least(port_bits)} KiB for a port of {port_bits} bits", got=kib, where=where
        )
    cell, count = min(choices, key=lambda choice: choice[0].read_pj / choice[0].port_bits)
    error = SRAM_ERROR + scaling_error(MEMORY_NODE, node_nm)
    energy = energy_factor(MEMORY_NODE, None, node_nm, voltage)
    area = area_factor(MEMORY_NODE, node_nm)
    source = f"{SRAM_SOURCE}, {count} macros of {cell.kib:g} KiB"

    def quantity(value: float, unit: str) -> Quantity:
        return Quantity(value, unit, source, error)

    return Sram(
        macros=count,
        macro_bits=cell.port_bits,
        macro_kib=cell.kib,
        read_pj_per_bit=quantity(cell.read_pj / cell.port_bits * energy, "pJ/bit"),
        write_pj_per_bit=quantity(cell.write_pj / cell.port_bits * energy, "pJ/bit"),
        area_um2=quantity(cell.area_mm2 * 1e6 * count * area, "um2"),
        leakage_mw=quantity((cell.leakage_mw or 0.0) * count * energy, "mW"),
    )


def _least(port_bits: int) -> int:
    """The smallest capacity that macros of the table give a port of this width."""
    return min(
        (int(row.kib) * (port_bits // row.port_bits) for row in sram_table() if port_bits % row.port_bits == 0),
        default=0,
    )


@cache
def dram_pj_per_bit(kind: str) -> Quantity:
    """Energy of a bit moved to or from DRAM of a kind; the error spans the published range.

    Raises:
        UnknownName: no such kind.
    """
    _, rows = read(FOLDER / "dram.csv")
    by_kind = {row["kind"]: row for row in rows}
    if kind not in by_kind:
        raise UnknownName("kind of DRAM", kind, by_kind, where="memory.dram")
    row = by_kind[kind]
    value, low, high = float(row["pj_per_bit"]), float(row["low"]), float(row["high"])
    return Quantity(value, "pJ/bit", row["source"], max(high - value, value - low) / value)


def dram_kinds() -> list[str]:
    """The kinds that `dram_pj_per_bit` knows."""
    return [row["kind"] for row in read(FOLDER / "dram.csv")[1]]
