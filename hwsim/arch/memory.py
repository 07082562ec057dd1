"""Memory levels of a machine: what each holds, how wide its ports are, and where it is filled from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwsim.arch.dataflow import Operand
from hwsim.arch.fields import MEMORY, PORT, SRAM_DEVICES, check_record
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
        gbyte_s: bandwidth of a DRAM, 10^9 byte/s; None on chip.
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
    gbyte_s: float | None = None
    pj_per_bit: float | None = None

    def __post_init__(self) -> None:
        where = f"memory.{self.name}"
        if self.kind != "dram" or self.kib != math.inf:
            check_record(MEMORY, self, where)
        else:
            check_record([field for field in MEMORY if field.key != "kib"], self, where)
        for index, port in enumerate(self.ports):
            check_record(PORT, port, f"{where}.ports[{index}]")
        if not self.holds or len(set(self.holds)) != len(self.holds):
            raise DesignError("must name each operand once", got=list(self.holds), where=f"{where}.holds")
        if self.kind == "dram":
            self._check_dram(where)
        else:
            self._check_on_chip(where)
        if self.split and (
            len(self.split) != len(self.holds)
            or not all(0 < share <= 1 for share in self.split)
            or not math.isclose(sum(self.split), 1)
        ):
            raise DesignError(
                "must be one share for each operand it holds, adding up to 1",
                got=list(self.split),
                where=f"{where}.split",
            )

    def _check_dram(self, where: str) -> None:
        if self.gbyte_s is None:
            raise DesignError("must be given for a DRAM", where=f"{where}.gbyte_s")
        if self.parent is not None:
            raise DesignError("must be left out: nothing fills a DRAM", got=self.parent, where=f"{where}.parent")

    def _check_on_chip(self, where: str) -> None:
        if self.parent is None:
            raise DesignError("must name the level that fills it", where=f"{where}.parent")
        if self.gbyte_s is not None:
            raise DesignError("must be left out: ports say it on chip", got=self.gbyte_s, where=f"{where}.gbyte_s")
        if self.technology not in SRAM_DEVICES:
            known = ", ".join(SRAM_DEVICES)
            raise DesignError(f"must be one of {known}", got=self.technology, where=f"{where}.technology")
        for direction in ("read", "write"):
            if not any(port.direction in (direction, "both") for port in self.ports):
                got = [f"{port.bits} {port.direction}" for port in self.ports]
                raise DesignError(f"must have a port that can {direction}", got=got, where=f"{where}.ports")

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

    @property
    def macro_bits(self) -> int:
        """Width of the macros that it is made of: of its widest port."""
        return max(port.bits for port in self.ports)

    @property
    def macro_ports(self) -> str | None:
        """The kind of macro that has its ports: ``"1rw"``, ``"1r1w"``, ``"2rw"``, or None where no macro has."""
        directions = [port.direction for port in self.ports]
        kinds = {(1, 0, 0): "1rw", (0, 1, 1): "1r1w", (2, 0, 0): "2rw"}
        both, reads, writes = (directions.count(one) for one in ("both", "read", "write"))
        return kinds.get((both, reads, writes))
