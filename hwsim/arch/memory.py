"""Memory levels of a machine: what each holds, how wide its ports are, and where it is filled from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwsim.arch.dataflow import OPERANDS, Operand
from hwsim.arch.tables import one_of, positive
from hwsim.errors import DesignError

Direction = Literal["read", "write", "both"]
MemoryKind = Literal["dram", "sram", "registers"]


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a memory: `bits` a cycle, for reads, writes, or either of them but one at a time."""

    bits: int
    direction: Direction = "both"


@dataclass(frozen=True, slots=True)
class Memory:
    """One level.

    Args:
        name: unique in its machine.
        kind: ``"dram"`` (off chip; HBM too), ``"sram"`` or ``"registers"``.
        kib: capacity of all copies together, KiB, any positive number; ``math.inf`` for DRAM.
        holds: which operands pass through it: ``"input"`` (operand a, and activations between layers), ``"weight"``
            (operand b), ``"output"`` (results and partial sums).
        parent: name of the level that fills it; None for the DRAM at the root.
        ports: of one copy; empty for DRAM, whose channel is `gbyte_s`.
        banks: of one copy.
        copies: how many of it the chip has; together they hold different data (one a unit, one a row), or the same.
        replicated: whether all copies hold the same data: the capacity that counts is then one copy's.
        split: share of the capacity of each operand of `holds`, in that order, or empty where they share it freely.
        double_buffered: half of a tile's space is filled while the other half is used.
        technology: for DRAM its kind (``"lpddr4"``), for SRAM its device (``"lstp"``, ``"lop"``, ``"hp"``).
        gbyte_s: bandwidth of a DRAM, 10^9 byte/s.
        pj_per_bit: energy of a bit that replaces the table's, or None.

    Raises:
        DesignError: a field breaks a rule.
    """

    name: str
    kind: MemoryKind
    kib: float
    holds: tuple[Operand, ...]
    parent: str | None
    ports: tuple[Port, ...] = ()
    banks: int = 1
    copies: int = 1
    replicated: bool = False
    split: tuple[float, ...] = ()
    double_buffered: bool = True
    technology: str = "lstp"
    gbyte_s: float = 0.0
    pj_per_bit: float | None = None

    def __post_init__(self) -> None:
        where = f"memory.{self.name}"
        one_of(self.kind, ("dram", "sram", "registers"), f"{where}.kind")
        for operand in self.holds:
            one_of(operand, OPERANDS, f"{where}.holds")
        if not self.holds:
            raise DesignError("must name an operand", got=self.holds, where=f"{where}.holds")
        if self.kind == "dram":
            positive(self.gbyte_s, f"{where}.gbyte_s")
        else:
            positive(self.kib, f"{where}.kib")
            if self.parent is None:
                raise DesignError("must name the level that fills it", where=f"{where}.parent")
            for direction in ("read", "write"):
                if not any(port.direction in (direction, "both") for port in self.ports):
                    raise DesignError(
                        f"must have a port that can {direction}", got=self.ports, where=f"{where}.ports"
                    )
        for port in self.ports:
            positive(port.bits, f"{where}.ports.bits")
        for name, value in (("banks", self.banks), ("copies", self.copies)):
            if value < 1:
                raise DesignError("must be at least 1", got=value, where=f"{where}.{name}")
        if self.split and (len(self.split) != len(self.holds) or not math.isclose(sum(self.split), 1)):
            raise DesignError("must be one share for each operand it holds, adding up to 1", got=self.split,
                              where=f"{where}.split")  # fmt: skip
        if self.pj_per_bit is not None:
            positive(self.pj_per_bit, f"{where}.pj_per_bit")

    @property
    def bits(self) -> float:
        """Capacity for different data, bits."""
        return self.kib * 8192 / (self.copies if self.replicated else 1)

    @property
    def read_bits(self) -> int:
        """Bits that all its ports together can read in a cycle."""
        return self.copies * sum(port.bits for port in self.ports if port.direction != "write")

    @property
    def write_bits(self) -> int:
        """Bits that all its ports together can write in a cycle."""
        return self.copies * sum(port.bits for port in self.ports if port.direction != "read")

    @property
    def shares_ports(self) -> bool:
        """Whether reads and writes wait for each other."""
        return any(port.direction == "both" for port in self.ports)
