"""The design point: a graph of memory levels, arrays of units, a vector unit, a clock and a technology.

What hwsim assumes about it:

- An array has rows × columns units. Each holds one datapath of every kind that the policy names, one of them in use
  at a time, and takes `lanes` products along K a cycle: the group that the datapath adds without rounding between.
- Memories form a tree whose root is the DRAM. Operand a of a product passes the levels that hold ``"input"``,
  operand b those of ``"weight"``, results and partial sums those of ``"output"``.
- Everything that is no matrix product runs in the vector unit.

A flat record of numbers was rejected: a unified buffer, a spad in every unit, two levels of SRAM have no place in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hwsim.arch import hierarchy, machine_tables
from hwsim.arch.dataflow import Operand
from hwsim.arch.fields import FUSED, OBJECTIVE, OUTPUT_BITS, TECHNOLOGY, check_record
from hwsim.arch.memory import Memory
from hwsim.arch.parts import Array, VectorUnit
from hwsim.arch.policy import Policy
from hwsim.errors import DesignError, UnknownName
from hwsim.notebook import heading, table

Objective = Literal["traffic", "energy", "time", "edp", "nominal"]


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A frozen design point.

    Args:
        name: for reports.
        policy: arithmetic by layer.
        arrays: one `Array`, which runs every product.
        memories: the levels, DRAM among them.
        vector: the vector unit.
        output_bits: bits of a stored activation that vector work reads, 8, 16 or 32; what only products read is
            stored as their scheme.
        objective: what the plan is chosen for: DRAM ``"traffic"``, ``"energy"``, ``"time"``, ``"edp"``, or
            ``"nominal"``, the energy of its memories and dataflow at nominal prices and sides (`hwsim.arch.nominal`).
        fused: False plans every product alone, every result to DRAM and back: the unfused reference.
        clock_ghz: clock, GHz.
        node_nm: technology node, nm.
        voltage: supply, V; None is the node's nominal one.

    Raises:
        DesignError: a field breaks a rule; the message holds its path in the machine's file.
    """

    name: str
    policy: Policy
    arrays: tuple[Array, ...]
    memories: tuple[Memory, ...]
    vector: VectorUnit = field(default_factory=VectorUnit)
    output_bits: int = 16
    objective: Objective = "energy"
    fused: bool = True
    clock_ghz: float = 0.5
    node_nm: int = 45
    voltage: float | None = None

    def __post_init__(self) -> None:
        check_record((OUTPUT_BITS, OBJECTIVE, FUSED), self, self.name)
        check_record(TECHNOLOGY, self, f"{self.name}.technology")
        if len(self.arrays) != 1:
            raise DesignError("must be one array", got=len(self.arrays), where=f"{self.name}.array")
        hierarchy.check(self.memories, f"{self.name}.memory")

    def __hash__(self) -> int:
        # a part of the fields: prices are looked up by machine for every product of every design of a search
        array, sizes = self.arrays[0], tuple(memory.kib for memory in self.memories)
        return hash((self.name, array.rows, array.cols, array.dataflow.name, sizes, self.clock_ghz, self.node_nm))

    def _repr_html_(self) -> str:
        """What a notebook shows: arithmetic, array, clock, and every memory."""
        array = self.array
        rows = [
            ("arithmetic", self.policy.default.label),
            ("unit", self.policy.default.datapath.name),
            ("array", f"{array.rows} × {array.cols}, {array.dataflow.name}"),
            ("clock", f"{self.clock_ghz:g} GHz at {self.node_nm} nm"),
            *((memory.name, f"{memory.kib:g} KiB" if memory.kib else "no limit") for memory in self.memories),
        ]
        return heading(self.name, "Accelerator") + table(("part", "what it is"), rows, left=2)

    @property
    def array(self) -> Array:
        """The array that runs every product."""
        return self.arrays[0]

    @property
    def dram(self) -> Memory:
        """The root of the memories."""
        return next(memory for memory in self.memories if memory.kind == "dram")

    def levels(self, operand: Operand) -> tuple[Memory, ...]:
        """The memories that an operand passes, DRAM first, the one that the array reads last."""
        return hierarchy.chain(self.memories, operand)

    def memory(self, name: str) -> Memory:
        """The memory called `name`; `UnknownName` lists the machine's."""
        for memory in self.memories:
            if memory.name == name:
                return memory
        raise UnknownName("memory", name, [memory.name for memory in self.memories], where=f"{self.name}.memory")

    @property
    def numerics_key(self) -> str:
        """What accuracy depends on: the policy, and nothing of array, memories, clock and node."""
        return self.policy.key

    @property
    def dram_bits_per_cycle(self) -> float:
        """Bandwidth of the DRAM channel in bits a clock cycle."""
        return (self.dram.gbyte_s or 0.0) * 8 / self.clock_ghz

    @property
    def f_max_ghz(self) -> float:
        """The highest clock of its units, GHz; `hwsim.arch.clock.f_max` also says how sure that is."""
        from hwsim.arch.clock import f_max

        return f_max(self).value

    def latency_s(self, cycles: int) -> float:
        """Seconds that `cycles` take."""
        return cycles / (self.clock_ghz * 1e9)

    def changed(self, **fields: Any) -> Accelerator:
        """This machine with some fields of its file replaced.

        Args:
            fields: values by path in the machine's file: ``changed(**{"array.rows": 32, "memory.weight_kib": 64})``;
                a level of a graph by its name, ``"memory.glb.kib"``; None takes an optional field away.

        Raises:
            DesignError: as `from_dict`; no table has the path.
        """
        return machine_tables.changed(self, fields)

    def with_hardware(self, tables: Mapping[str, Any]) -> Accelerator:
        """The machine that `tables` describe, with this one's policy in place of their numerics.

        Raises:
            DesignError: as `from_dict`.
        """
        return machine_tables.hardware(type(self), tables, self.policy)

    def to_dict(self) -> dict[str, Any]:
        """The tables of a machine file; `from_dict` turns them into an equal machine."""
        return machine_tables.to_tables(self)

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
        return machine_tables.from_tables(cls, tables, where)
