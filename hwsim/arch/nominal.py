"""The machine that a plan for ``objective = "nominal"`` is chosen on: the sizes of a design, all else nominal.

What a plan decides (which operators run fused, what stays on chip, which tiles) hardly depends on what a bit costs.
Of 24 supplies, SRAM devices, clocks and kinds of DRAM, the plan chosen for one takes at most 0.5 % more energy on
another in three of four random machines of ``dse/edge-lm.toml`` (GPT, 64 tokens), 1.5 % in the fourth. With all below
nominal, 12 random machines take 0.02 to 4.8 % more energy than by a plan of their own, 0.2 % in the median; arrays of
64 x 64 take most (both counted before the search for such plans was shortened, and clocks and loads were charged as
now; not counted again). So a space may choose its plans once for an array and its memories, as a compiler that knows
these and no supply; all designs that differ in the rest then share them, and it can be swept whole.
What the shared plan costs on each design is counted with the design's own prices, ports and clock, as ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwsim.arch.memory import Port
from hwsim.cost.dram import device_gbyte_s

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.arch.memory import Memory

SIDE = 16
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
