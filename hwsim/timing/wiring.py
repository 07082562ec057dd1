"""A machine as a plan sees it: levels by number, the room of each operand, prices and ports.

Residency and fusion are decided at the outermost level on chip of each operand; operands that one memory holds
together share its room, unless the memory splits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.arch.dataflow import OPERANDS
from hwsim.errors import DesignError

if TYPE_CHECKING:
    from hwsim.arch import Accelerator


@dataclass(frozen=True, slots=True)
class PlanPrices:
    """What a plan for energy weighs.

    Attributes:
        read_pj, write_pj: pJ of a bit by name of the level.
        idle_pj_per_cycle: leakage, clock tree and background power of a cycle.
    """

    read_pj: dict[str, float]
    write_pj: dict[str, float]
    idle_pj_per_cycle: float = 0.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """Levels and rooms. Operands are numbered input 0, weight 1, output 2; level 0 is the DRAM.

    Attributes:
        names: of the levels.
        outer: outermost level on chip of each operand.
        inner: levels inside it, outermost first.
        array: the level next to the array, registers not counted.
        registers: whether the innermost level of an operand lies in the units.
        pool: of each operand.
        rooms: bits of each pool.
        double: 2 where tiles of an operand are double-buffered, else 1.
        overlaps: whether loads and stores overlap with work.
        prices: a row a level: pJ of a bit read and written; bits a cycle of its read ports, write ports, all ports.
        bits_per_cycle: of the DRAM channel.
    """

    names: tuple[str, ...]
    outer: tuple[int, ...]
    inner: tuple[tuple[int, ...], ...]
    array: tuple[int, ...]
    registers: tuple[int, ...]
    pool: tuple[int, ...]
    rooms: tuple[int, ...]
    double: tuple[int, ...]
    overlaps: bool
    prices: NDArray[np.float64]
    bits_per_cycle: float
    idle: float
    capacities: tuple[float, ...]


def wiring(machine: Accelerator, prices: PlanPrices | None) -> Wiring:
    """The wiring of `machine`. Without `prices` a bit of DRAM costs 1 and all else nothing.

    Raises:
        DesignError: an operand passes no memory on chip; a price is missing.
    """
    dram = machine.dram
    levels = [dram, *(memory for memory in machine.memories if memory is not dram)]
    names = [level.name for level in levels]
    outer, inner, array, registers, pool, rooms, double = [], [], [], [], [], list[int](), []
    pools: dict[tuple[str, str], int] = {}
    for operand in OPERANDS:
        chain = [names.index(memory.name) for memory in machine.levels(operand) if memory.kind != "dram"]
        srams = [level for level in chain if levels[level].kind != "registers"]
        if not srams:
            raise DesignError("each operand must pass a memory on chip", got=operand, where=f"{machine.name}.memory")
        memory = levels[srams[0]]
        share = memory.split[memory.holds.index(operand)] if memory.split else 1.0
        key = (memory.name, operand if memory.split else "")
        if key not in pools:
            pools[key] = len(rooms)
            rooms.append(int(memory.bits * share))
        outer.append(srams[0])
        inner.append(tuple(srams[1:]))
        array.append(srams[-1])
        registers.append(chain[-1] if levels[chain[-1]].kind == "registers" else -1)
        pool.append(pools[key])
        double.append(2 if memory.double_buffered else 1)
    table = np.zeros((len(levels), 5))
    for number, level in enumerate(levels):
        if prices is None:
            table[number, :2] = 1.0 if number == 0 else 0.0
        else:
            for known in (prices.read_pj, prices.write_pj):
                if level.name not in known:
                    raise DesignError("must have a price", got=sorted(known), where=f"memory.{level.name}")
            table[number, :2] = prices.read_pj[level.name], prices.write_pj[level.name]
        every = level.copies * sum(port.bits for port in level.ports)
        table[number, 2:] = (level.read_bits, level.write_bits, every) if number else np.inf
    return Wiring(
        tuple(names),
        tuple(outer),
        tuple(inner),
        tuple(array),
        tuple(registers),
        tuple(pool),
        tuple(rooms),
        tuple(double),
        all(levels[level].double_buffered for level in outer),
        table,
        machine.dram_bits_per_cycle,
        0.0 if prices is None else prices.idle_pj_per_cycle,
        tuple(level.bits for level in levels),
    )
