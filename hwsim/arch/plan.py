"""What a machine does to run a graph: counts, no joules. `hwsim.timing` fills these records, prices read them.

A plan is a sequence of steps. A step runs one or several operators fused: their intermediate results never leave the
chip. Between steps a tensor lies in DRAM or in a memory on chip, as the plan's `residents` say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Traffic(NamedTuple):
    """Bits of one tensor that pass one memory level in one step.

    Attributes:
        layer: the operator that asked for it.
        tensor: its name in the graph; ``"LAYER:partial"`` for partial sums.
        level: name of the memory.
        read_bits: bits read from it.
        written_bits: bits written into it.
    """

    layer: str
    tensor: str
    level: str
    read_bits: int
    written_bits: int


@dataclass(frozen=True, slots=True)
class Product:
    """What an array does for one GEMM, all of its batch.

    Attributes:
        layer: the operator.
        record: place of the GEMM among the products of the workload.
        numerics_key: `Numerics.key` of what ran.
        macs: multiply-accumulates done: padding and masked blocks that are skipped are not counted.
        updates: accumulations of one unit, each of `lanes` products at once, ragged K padded; additions of an
            add-only unit.
        folds: times that the array is filled with another stationary tile.
        compute_cycles: cycles of the array, fill and drain as its overlap says.
        used_rows, used_cols: the part of the array that the plan uses.
        a_reads, b_reads: elements of each operand that leave the innermost memory for the array.
        a_loads, b_loads: elements written into operand registers of each side, all units together.
    """

    layer: str
    record: int | None
    numerics_key: str
    macs: int
    updates: int
    folds: int
    compute_cycles: int
    used_rows: int
    used_cols: int
    a_reads: int
    b_reads: int
    a_loads: int
    b_loads: int

    @property
    def array_cycles(self) -> int:
        """Cycles times units that are clocked."""
        return self.compute_cycles * self.used_rows * self.used_cols


@dataclass(frozen=True, slots=True)
class VectorWork:
    """What the vector unit does for one operator: elements of one kind (`hwsim.trace.graph.VECTOR_KINDS`, and
    ``rotate``)."""

    layer: str
    kind: str
    elements: int
    cycles: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Cycles of a step.

    Attributes:
        latency: from the start of the step to its last result stored.
        compute: cycles of the array.
        vector: cycles of the vector unit.
        ports: cycles of each on-chip memory's busiest port, by name of the level.
        dram: cycles of the channel.
        first_load: cycles before the first tile is on chip.
        last_store: cycles after the last tile is computed.
    """

    latency: int
    compute: int
    vector: int
    ports: tuple[tuple[str, int], ...]
    dram: int
    first_load: int
    last_store: int

    @property
    def bound(self) -> str:
        """What the steady state waits for: ``"compute"``, ``"vector"``, ``"dram"`` or the name of a memory."""
        cycles = {"compute": self.compute, "vector": self.vector, **dict(self.ports), "dram": self.dram}
        return max(cycles, key=cycles.__getitem__)


@dataclass(frozen=True, slots=True)
class Resident:
    """A tensor that stays on chip from one step to a later one: its bits in the memory `level`, steps inclusive."""

    tensor: str
    level: str
    bits: int
    first_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Step:
    """One operator, or several fused.

    Attributes:
        layers: the operators' layers, in order.
        operators: their places in the graph.
        tiling: the chosen tile in words, for explanations: ``"rows 32 of 256, K and V streamed"``.
        traffic: bits by tensor and level.
        products: of the array.
        vector: of the vector unit.
        cycles: when what happens.
    """

    layers: tuple[str, ...]
    operators: tuple[int, ...]
    tiling: str
    traffic: tuple[Traffic, ...]
    products: tuple[Product, ...]
    vector: tuple[VectorWork, ...]
    cycles: Timeline


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run: steps one after another.

    Attributes:
        objective: what it was chosen for: ``"traffic"``, ``"energy"``, ``"time"``, ``"edp"`` or ``"nominal"``.
        steps: in order.
        residents: what lies on chip between steps.
        dram: name of the machine's DRAM level.
    """

    objective: str
    steps: tuple[Step, ...]
    residents: tuple[Resident, ...]
    dram: str

    @property
    def latency_cycles(self) -> int:
        """Cycles of the run."""
        return sum(step.cycles.latency for step in self.steps)

    @property
    def dram_read_bits(self) -> int:
        """Bits read from DRAM."""
        return sum(row.read_bits for step in self.steps for row in step.traffic if row.level == self.dram)

    @property
    def dram_write_bits(self) -> int:
        """Bits written to DRAM."""
        return sum(row.written_bits for step in self.steps for row in step.traffic if row.level == self.dram)
