"""The machine that a plan for ``objective = "nominal"`` is chosen on: the sizes of a design, all else nominal.

What a plan decides (which operators run fused, what stays on chip, which tiles) depends most on memories and
dataflow. So a space may choose its plans once for those, as a compiler does that knows no supply; all designs that
differ in the rest share them, and the space can be swept whole. What the shared plan costs on each design is counted
with the design's own array, prices, ports and clock, as ever.

It is not the design's own best plan. Of 100 random machines of ``dse/edge-lm.toml`` (GPT and BitNet, seed 7), against
plans chosen for the energy of each design itself:

======================================  =====================================  =====================================
plan                                    more energy: median, mean, 90th, most  more latency: median, mean, 90th, most
======================================  =====================================  =====================================
nominal but for array, kind of DRAM     0.5 %, 2.1 %, 5.5 %, 31 %              0.3 %, 2.4 %, 7.2 %, 31 %
array of 32 x 32                        1.6 %, 3.3 %, 7.2 %, 41 %              1.3 %, 3.4 %, 11 %, 21 %
and LPDDR4, logic that does not leak    1.9 %, 4.0 %, 8.8 %, 48 %              2.8 %, 5.7 %, 13 %, 45 %
======================================  =====================================  =====================================

Rejected: nominal arrays of 16 x 16 (4.2 % more energy in the mean) and 64 x 64 (5.6 %).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwsim.arch.memory import Port
from hwsim.cost.dram import device_gbyte_s

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.arch.memory import Memory

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
    array = machine.array
    return replace(
        machine,
        name="nominal",
        arrays=(replace(array, rows=SIDE, cols=SIDE, stages=1),),
        memories=tuple(_memory(memory) for memory in machine.memories),
        vector=replace(machine.vector, lanes=LANES),
        clock_ghz=CLOCK_GHZ,
        voltage=None,
    )


def weighing(machine: Accelerator) -> Accelerator:
    """The machine whose prices weigh the plan of a `nominal` one: each of its memories has the energy of 128 KiB."""
    memories = (replace(memory, kib=KIB) if memory.kind == "sram" else memory for memory in machine.memories)
    return replace(machine, memories=tuple(memories))


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
