"""Columns of machines that share a plan, and columns of their values.

Machines are the different parts once, and places of them for each machine: a million designs are a few dozen prices
and some columns of whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.arch.parts import Array, VectorUnit

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

OK, CLOCK, MEMORY, PLAN = range(4)
"""Why a design has no values: its clock is above what its units reach, a memory or supply cannot be made, or the
memories hold no tile of some stage."""


@dataclass(frozen=True, slots=True)
class Technology:
    """Clock, node and supply of a machine."""

    clock_ghz: float
    node_nm: int
    voltage: float | None

    def of(self, machine: Accelerator) -> Accelerator:
        """`machine` at this clock, node and supply."""
        return replace(machine, clock_ghz=self.clock_ghz, node_nm=self.node_nm, voltage=self.voltage)


@dataclass(frozen=True, slots=True)
class Machines:
    """Machines that share a plan: the parts, and for each machine the places of its own among them.

    Attributes:
        base: supplies policy, bits of a stored activation, objective and whether the plan is fused.
        arrays, vectors, memories, technologies: the different parts; of one size, but for what a plan does not ask.
        array, vector, memory, technology: intp ``[machines]``.
    """

    base: Accelerator
    arrays: Sequence[Array]
    vectors: Sequence[VectorUnit]
    memories: Sequence[tuple[Memory, ...]]
    technologies: Sequence[Technology]
    array: Places
    vector: Places
    memory: Places
    technology: Places

    def machine(self, place: int) -> Accelerator:
        """One of the machines."""
        return self.made(*(int(part[place]) for part in (self.array, self.vector, self.memory, self.technology)))

    def made(self, array: int, vector: int, memory: int, technology: int) -> Accelerator:
        """The machine of some parts."""
        machine = self.technologies[technology].of(self.base)
        return replace(
            machine, arrays=(self.arrays[array],), vector=self.vectors[vector], memories=self.memories[memory]
        )


@dataclass(frozen=True, slots=True)
class Columns:
    """Values of machines, as `hwsim.evaluation.Evaluation` has them of one; NaN and -1 where `status` is not `OK`.

    `hwsim.evaluation.objectives.Measure.of` reads them as it reads an evaluation.

    Attributes:
        status: int8 ``[machines]``.
        energy_pj, area_um2: float64 ``[machines]``.
        latency_cycles: int64 ``[machines]``.
        latency_s: float64 ``[machines]``.
        dram_read_bits, dram_write_bits, macs, tokens: of every machine.
    """

    status: NDArray[np.int8]
    energy_pj: Floats
    area_um2: Floats
    latency_cycles: NDArray[np.int64]
    latency_s: Floats
    dram_read_bits: int
    dram_write_bits: int
    macs: int
    tokens: int

    @property
    def power_w(self) -> Floats:
        """Mean power over one pass, W."""
        return self.energy_pj * 1e-12 / self.latency_s

    def row(self, place: int) -> Columns:
        """One machine as a column."""
        at = slice(place, place + 1)
        return replace(
            self, status=self.status[at], energy_pj=self.energy_pj[at], area_um2=self.area_um2[at],
            latency_cycles=self.latency_cycles[at], latency_s=self.latency_s[at],
        )  # fmt: skip
