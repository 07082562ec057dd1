"""What an array does while it runs one GEMM: counts, no joules and no seconds.

`hwsim.timing` fills these records and `hwsim.cost` reads them; neither imports the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Buffers(NamedTuple):
    """One count for each on-chip memory."""

    activation: int
    weight: int
    output: int

    @property
    def total(self) -> int:
        """The sum over the memories."""
        return self.activation + self.weight + self.output


@dataclass(frozen=True, slots=True)
class Activity:
    """Counts of one GEMM (all of its batch) on one machine.

    Operand a of the GEMM goes through the activation memory, operand b through the weight memory (also where b is an
    activation, as in attention), results and partial sums through the output memory.

    Args:
        layer: the layer's name.
        numerics_key: `Numerics.key` of what ran.
        macs: multiply-accumulates of the GEMM, padding not counted.
        updates: accumulations of one unit, each of `lanes` products at once, ragged K padded to whole units;
            additions of an add-only unit.
        folds: times that the array is filled with another stationary tile.
        compute_cycles: cycles of the array, fill and drain as the machine's `overlap` says.
        array_cycles: cycles in which at least one unit works times all units: compute_cycles * rows * cols.
        a_reads: elements of operand a that leave their memory.
        b_reads: the same for operand b.
        a_loads: elements written into operand registers of side a, all units together.
        b_loads: the same for side b.
        sram_read_bits: bits read from each memory: by the array, and results that leave.
        sram_write_bits: bits written into each memory: operands that enter, and sums.
        dram_read_bits: bits fetched from DRAM.
        dram_write_bits: bits sent to DRAM.
        sram_cycles: cycles of the busiest memory port.
        dram_cycles: cycles of the DRAM channel.
        first_load_cycles: cycles before the first tile is on chip.
        last_store_cycles: cycles after the last tile is computed.
        latency_cycles: from the first request to the last result in DRAM.
    """

    layer: str
    numerics_key: str
    macs: int
    updates: int
    folds: int
    compute_cycles: int
    array_cycles: int
    a_reads: int
    b_reads: int
    a_loads: int
    b_loads: int
    sram_read_bits: Buffers
    sram_write_bits: Buffers
    dram_read_bits: Buffers
    dram_write_bits: Buffers
    sram_cycles: int
    dram_cycles: int
    first_load_cycles: int
    last_store_cycles: int
    latency_cycles: int

    @property
    def bound(self) -> str:
        """What the steady state waits for: ``"compute"``, ``"sram"`` or ``"dram"``; the first of equals."""
        cycles = {"compute": self.compute_cycles, "sram": self.sram_cycles, "dram": self.dram_cycles}
        return max(cycles, key=cycles.__getitem__)

    @property
    def utilization(self) -> float:
        """Part of the unit-cycles of the whole latency that did an accumulation of this GEMM."""
        return self.updates * self.compute_cycles / (self.array_cycles * self.latency_cycles)
