"""A memory that keeps up with a clock: in as many banks, and as many macros a word, as it takes.

A macro takes a cycle of its own, longer the more it holds and the wider it is. Words may lie side by side in several
macros, addresses in several banks; that is how large memories are built, and what a clock costs there.

Decides that a clock asks for parts by itself: the fewest, by doubling, whose cycle is no longer than the clock's. A
memory in parts never costs less than the one macro, so that nothing gets cheaper by being faster. Rejected: one macro
for all, to which CACTI gives 0.25 GHz at 4 MiB and 7 nm, where chips run above 1 GHz.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

from hwsim.cost.memory import Sram, sram
from hwsim.cost.quantity import Quantity
from hwsim.errors import DesignError

LEAST_ROWS = 64
"""Words of a bank at least: the fewest of CACTI's table."""

LEAST_BITS = 32
"""Width of a macro at least: the narrowest of the table."""


@lru_cache(maxsize=4096)
def clocked_sram(
    kib: float,
    port_bits: float,
    node_nm: int,
    voltage: float | None,
    clock_ghz: float,
    where: str = "memory",
    *,
    banks: int = 1,
    ports: str = "1rw",
    device: str = "lstp",
) -> Sram:
    """A memory that is accessed every cycle of a clock.

    Args:
        kib, port_bits, node_nm, voltage, where, ports, device: as of `hwsim.cost.memory.sram`.
        clock_ghz: accesses of a port in a nanosecond.
        banks: that the memory has at least.

    Returns:
        The memory of the fewest parts whose cycle is short enough; energies and area at least those of one macro.

    Raises:
        DesignError: no number of parts reaches the clock, or as of `sram`.
    """

    def of(count: int, slices: int) -> Sram:
        return sram(
            kib / slices, port_bits / slices, node_nm, voltage, where, banks=count, ports=ports, device=device
        )

    plain = of(banks, 1)
    for count, slices in _parts(kib, port_bits, banks):
        made = of(count, slices)
        if made.cycle_ns.value * clock_ghz <= 1 + 1e-9:
            return replace(
                made,
                kib=kib,
                port_bits=port_bits,
                read_pj=_larger(plain.read_pj, made.read_pj.scaled(slices)),
                write_pj=_larger(plain.write_pj, made.write_pj.scaled(slices)),
                area_um2=_larger(plain.area_um2, made.area_um2.scaled(slices)),
                cacti_area_um2=_larger(plain.cacti_area_um2, made.cacti_area_um2.scaled(slices)),
                leakage_mw=_larger(plain.leakage_mw, made.leakage_mw.scaled(slices)),
            )
    fastest = fastest_ghz(kib, port_bits, node_nm, voltage, banks=banks, ports=ports, device=device)
    raise DesignError(
        f"clock must be at most {fastest.value:.3g} GHz, what {kib:g} KiB of {port_bits:g} bits reach", got=clock_ghz,
        where=where,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def fastest_ghz(
    kib: float,
    port_bits: float,
    node_nm: int,
    voltage: float | None,
    *,
    banks: int = 1,
    ports: str = "1rw",
    device: str = "lstp",
) -> Quantity:
    """The highest clock at which a memory answers every cycle, in the most parts, GHz."""
    cycles = [
        sram(kib / slices, port_bits / slices, node_nm, voltage, banks=count, ports=ports, device=device).cycle_ns
        for count, slices in _parts(kib, port_bits, banks)
    ]
    best = min(cycles, key=lambda one: one.value)
    source = f"memory of {kib:g} KiB and {port_bits:g} bits, {device}, in parts; {best.source}"
    return Quantity(1 / best.value, "GHz", source, errors=best.errors)


def _parts(kib: float, port_bits: float, banks: int) -> list[tuple[int, int]]:
    """Numbers of banks, and of macros that hold a word, to try, few parts first: both are doubled as long as a bank
    holds `LEAST_ROWS` words and a macro `LEAST_BITS` of each."""
    counts = [banks]
    while kib * 8192 / (2 * counts[-1] * port_bits) >= LEAST_ROWS:
        counts.append(2 * counts[-1])
    slices = [1]
    while port_bits / (2 * slices[-1]) >= LEAST_BITS:
        slices.append(2 * slices[-1])
    return sorted(product(counts, slices), key=lambda one: (one[0] * one[1], one))


def _larger(one: Quantity, other: Quantity) -> Quantity:
    return one if one.value >= other.value else other
