"""The machine that a plan for ``objective = "nominal"`` is chosen on: the sizes of a design, all else nominal.

What a plan decides (which operators run fused, what stays on chip, which tiles) depends most on memories and
dataflow. So a space may choose its plans once for those, as a compiler does that knows no supply; all designs that
differ in the rest share them, and the space can be swept whole. What the shared plan costs on each design is counted
with the design's own array, prices, ports and clock, as ever.

It is not the design's own best plan: of 200 random designs of ``dse/edge-lm.toml`` one takes 1.1 % more energy in the
median, 2.8 % in the mean, 22 % at most (``reports/nominal_plans.md``). Rejected, on 100 designs of an earlier space:
the design's own array (2.1 % in the mean, nine times as many plans), 16 x 16 (4.2 %), 64 x 64 (5.6 %).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from hwsim.arch.memory import Port
from hwsim.cost.dram import device_gbyte_s

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.arch.parts import Array

SIDE = 32
CLOCK_GHZ = 0.5
KIB = 128
LANES = 16
PORT_BITS = 256
DEVICE = "lstp"
DRAM = {"lpddr": "lpddr4", "ddr": "ddr4", "gddr": "gddr6", "hbm": "hbm2e"}
"""Of each family of DRAM, by what its kinds begin with, the kind that stands for all."""


def nominal(machine: Accelerator) -> Accelerator:
    """`machine` with nominal sides of the array, supply, clock, ports, lanes, SRAM device and one pipeline stage, and
    with one device of its family of DRAM; dataflow, sizes and holders of memories, numerics and node stay."""
    return replace(
        machine,
        name="nominal",
        arrays=(nominal_array(machine.array),),
        memories=nominal_memories(machine.memories),
        vector=replace(machine.vector, lanes=LANES),
        clock_ghz=CLOCK_GHZ,
        voltage=None,
    )


def weighing(machine: Accelerator) -> Accelerator:
    """The machine whose prices weigh the plan of a `nominal` one: each of its memories has the energy of 128 KiB."""
    memories = (replace(memory, kib=KIB) if memory.kind == "sram" else memory for memory in machine.memories)
    return replace(machine, memories=tuple(memories))


def nominal_memories(memories: tuple[Memory, ...]) -> tuple[Memory, ...]:
    """The memories of a `nominal` machine."""
    return tuple(_memory(memory) for memory in memories)


@lru_cache(maxsize=1024)
def nominal_array(array: Array) -> Array:
    """The array of a `nominal` machine."""
    return replace(array, rows=SIDE, cols=SIDE, stages=1)


@lru_cache(maxsize=4096)
def _memory(memory: Memory) -> Memory:
    if memory.kind == "dram":
        kind = memory.technology or ""
        kind = next((one for family, one in DRAM.items() if kind.startswith(family)), kind)
        return replace(memory, technology=kind, gbyte_s=device_gbyte_s(kind))
    if memory.kind == "registers":
        return memory
    whole = memory.kib * 8192 / (memory.copies * memory.banks)
    bits = max(1, min(PORT_BITS, int(whole)))
    return replace(memory, ports=tuple(Port(bits, port.direction) for port in memory.ports), technology=DEVICE)
