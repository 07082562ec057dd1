"""The design point: an array of units, its memories, its clock and its technology.

The machine that these fields describe, and everything that hwsim assumes about it:

- `rows` × `cols` units. Each holds one datapath of every kind that the policy names, one of them in use at a time,
  and takes `lanes` products along K a cycle: the group of products that the datapath adds without rounding between.
- Operand a of a GEMM comes from the activation memory, operand b from the weight memory, results and partial sums use
  the output memory. Each memory has one read and one write port of `port_bits`, and half of it is filled while the
  other half is used (double buffering).
- Results leave with `output_bits` each. Softmax, normalisation, activation functions and quantisation of results
  happen in a vector unit that is not part of the model: no cycles, energy or area.

Nested tables for memory and technology, as in the file, were rejected for the record: a changed design is
``dataclasses.replace(machine, rows=32)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hwsim.arch.activity import Buffers
from hwsim.arch.policy import Policy
from hwsim.arch.tables import one_of, positive, power_of_two
from hwsim.errors import DesignError

Dataflow = Literal["ws", "os", "is"]
Overlap = Literal["none", "fill", "ideal"]
Handover = Literal["dram", "chip"]


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A frozen design point.

    Args:
        name: for reports.
        policy: arithmetic by layer.
        rows: units along the first side of the array.
        cols: units along the second side.
        dataflow: which operand stays in the units: ``"ws"`` weights (operand b), ``"os"`` results, ``"is"`` inputs
            (operand a).
        overlap: ``"none"`` fills and drains the array for every tile, ``"fill"`` once a GEMM, ``"ideal"`` never.
        activation_kib: activation memory, KiB, a power of two.
        weight_kib: weight memory, KiB, a power of two.
        output_kib: output memory, KiB, a power of two.
        port_bits: width of each memory port, a power of two.
        output_bits: bits of a stored result, 8, 16 or 32. `Numerics.gemm` returns 32; fewer is a wish that the
            accuracy does not see.
        handover: where activations are between two GEMMs: ``"dram"`` always, or ``"chip"`` wherever all of them fit
            one buffer of their memory. Weights always come from DRAM.
        dram: kind of DRAM, a name in the table of `hwsim.cost`.
        dram_gbyte_s: bandwidth, 10^9 byte/s.
        dram_pj_per_bit: energy that replaces the table's, or None.
        clock_ghz: clock, GHz.
        node_nm: technology node, nm.
        voltage: supply, V; None is the node's nominal one.

    Raises:
        DesignError: a field breaks a rule; the message holds its path in the machine's file.
    """

    name: str
    policy: Policy
    rows: int
    cols: int
    dataflow: Dataflow = "ws"
    overlap: Overlap = "fill"
    activation_kib: int = 128
    weight_kib: int = 128
    output_kib: int = 128
    port_bits: int = 256
    output_bits: int = 32
    handover: Handover = "dram"
    dram: str = "lpddr4"
    dram_gbyte_s: float = 25.6
    dram_pj_per_bit: float | None = None
    clock_ghz: float = 0.5
    node_nm: int = 45
    voltage: float | None = None

    def __post_init__(self) -> None:
        for field in ("rows", "cols"):
            value = getattr(self, field)
            if not 1 <= value <= 4096:
                raise DesignError("must lie in 1..4096", got=value, where=f"{self.name}.array.{field}")
        one_of(self.dataflow, ("ws", "os", "is"), f"{self.name}.array.dataflow")
        one_of(self.overlap, ("none", "fill", "ideal"), f"{self.name}.array.overlap")
        for field in ("activation_kib", "weight_kib", "output_kib", "port_bits"):
            power_of_two(getattr(self, field), f"{self.name}.memory.{field}")
        one_of(self.output_bits, (8, 16, 32), f"{self.name}.memory.output_bits")
        one_of(self.handover, ("dram", "chip"), f"{self.name}.memory.handover")
        positive(self.dram_gbyte_s, f"{self.name}.memory.dram_gbyte_s")
        if self.dram_pj_per_bit is not None:
            positive(self.dram_pj_per_bit, f"{self.name}.memory.dram_pj_per_bit")
        positive(self.clock_ghz, f"{self.name}.technology.clock_ghz")
        positive(self.node_nm, f"{self.name}.technology.node_nm")
        if self.voltage is not None:
            positive(self.voltage, f"{self.name}.technology.voltage")

    def __hash__(self) -> int:
        # a part of the fields: prices are looked up by machine for every GEMM of every design of a search
        return hash((self.name, self.rows, self.cols, self.dataflow, self.weight_kib, self.clock_ghz, self.node_nm))

    @property
    def numerics_key(self) -> str:
        """What accuracy depends on: the policy, and nothing of array, memories, clock and node."""
        return self.policy.key

    @property
    def sram_kib(self) -> Buffers:
        """Capacity of the three memories, KiB."""
        return Buffers(self.activation_kib, self.weight_kib, self.output_kib)

    @property
    def dram_bits_per_cycle(self) -> float:
        """Bandwidth of the DRAM channel in bits a clock cycle."""
        return self.dram_gbyte_s * 8 / self.clock_ghz

    def latency_s(self, cycles: int) -> float:
        """Seconds that `cycles` take."""
        return cycles / (self.clock_ghz * 1e9)

    def to_dict(self) -> dict[str, Any]:
        """The tables of a machine file; `from_dict` turns them into an equal machine."""
        from hwsim.arch.loading import to_tables

        return to_tables(self)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any], where: str | None = None) -> Accelerator:
        """The machine that the tables of a machine file describe.

        Args:
            tables: the parsed file.
            where: what replaces the machine's name in messages.

        Raises:
            DesignError: a key is unknown, absent or of another type, or a value breaks a rule.
            UnknownName: no such scheme or datapath.
        """
        from hwsim.arch.loading import from_tables

        return from_tables(tables, where)
