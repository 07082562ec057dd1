"""Prices of the parts of machines as tables, each made once: what columns of designs are looked up in.

Parts are told apart as objects: a sweep has the same few again and again, and to compare them by value would cost
more than the columns do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsim.arch.clock import logic_f_max, memory_f_max, vector_stages
from hwsim.cost import technology
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.errors import HwsimError
from hwsim.evaluation.area import logic_charges
from hwsim.evaluation.machine_columns import Floats, Machines, Technology
from hwsim.evaluation.prices import LevelPrice, MachinePrices, level_price

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.arch.parts import VectorUnit
    from hwsim.evaluation.ledger import Charge

V = TypeVar("V")

KNOWN = 4096
"""Tables of prices that a column's parts share, kept of each kind."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Prices of every set of memories at every technology, float64 ``[memories, technologies]``, with the levels in
    front or behind; NaN where one cannot be made.

    Attributes:
        fastest_ghz: the highest clock of all memories, infinite where one cannot be made.
        bad: where one cannot be made.
        area_um2, standing_mw: ``[memories, technologies, levels]``.
        moved_pj: of a bit read, written and on the wires, ``[levels, 3, memories, technologies]``.
    """

    fastest_ghz: Floats
    bad: NDArray[np.bool_]
    area_um2: Floats
    standing_mw: Floats
    moved_pj: Floats


class _Known(Generic[V]):
    """Values by the parts that they were made of, which are told apart as objects: sweeps have the same few again
    and again, and to compare them costs more than the columns."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], tuple[tuple[object, ...], V]] = {}

    def get(self, parts: tuple[object, ...], make: Callable[[], V], *names: str) -> V:
        """The value of `parts`, made if it is new; `names` are compared by value."""
        key = *map(id, parts), *names
        if key not in self._found:
            self._found[key] = parts, make()
            if len(self._found) > KNOWN:
                del self._found[next(iter(self._found))]
        return self._found[key][1]


class Own:
    """A table of numbers: the different ones, and the place of each among them."""

    __slots__ = ("place", "values")

    def __init__(self, table: Sequence[float] | Floats) -> None:
        self.values, self.place = np.unique(np.asarray(table, np.float64), return_inverse=True)


class PartPrices:
    """Prices of parts that were met, kept."""

    def __init__(self) -> None:
        self._levels: dict[tuple[Memory, Technology], tuple[LevelPrice, float] | None] = {}
        self._tables, self._logic, self._terms = _Known[Levels](), _Known[Floats](), _Known[Own]()
        self._clocks: dict[tuple[object, ...], float] = {}
        self._highest = _Known[Floats]()
        self._areas: dict[tuple[object, ...], Floats] = {}
        self._edges: dict[Technology, float] = {}
        self._cuts: dict[tuple[object, ...], float] = {}
        self._cut: dict[tuple[object, ...], int] = {}

    def logic_ghz(self, machines: Machines) -> Floats:
        """The highest clock of units and vector unit, ``[arrays, vectors, technologies]``; below 0 if not known."""
        parts = machines.base.policy, *machines.arrays, *machines.vectors, *machines.technologies
        return self._highest.get(parts, lambda: self._clock_table(machines))

    def _clock_table(self, machines: Machines) -> Floats:
        found = np.empty((len(machines.arrays), len(machines.vectors), len(machines.technologies)))
        for array, vector, place in np.ndindex(*found.shape):
            shape, unit, one = machines.arrays[array], machines.vectors[vector], machines.technologies[place]
            key = machines.base.policy.key, shape.stages, unit.precision, unit.softmax, one.node_nm, one.voltage
            if key not in self._clocks:
                try:
                    self._clocks[key] = logic_f_max(machines.made(array, vector, 0, place)).value
                except HwsimError:
                    self._clocks[key] = -math.inf
            found[array, vector, place] = self._clocks[key]
        return found

    def levels(self, machines: Machines) -> Levels:
        """Prices of the machines' memories."""
        parts = *(memory for memories in machines.memories for memory in memories), *machines.technologies
        return self._tables.get(parts, lambda: self._level_table(machines))

    def _level_table(self, machines: Machines) -> Levels:
        shape = len(machines.memories), len(machines.technologies)
        count = len(machines.memories[0])
        made = Levels(
            np.full(shape, np.inf), np.zeros(shape, np.bool_), np.full((*shape, count), np.nan),
            np.full((*shape, count), np.nan), np.full((count, 3, *shape), np.nan),
        )  # fmt: skip
        for row, memories in enumerate(machines.memories):
            for column, one in enumerate(machines.technologies):
                known = [self._level(machines, memory, one) for memory in memories]
                for level, found in enumerate(known):
                    if found is None:
                        made.bad[row, column] = True
                        continue
                    price = found[0]
                    made.area_um2[row, column, level] = _area(price)
                    made.standing_mw[row, column, level] = price.standing_mw.value
                    made.moved_pj[level, :, row, column] = (
                        price.read_pj_per_bit.value, price.write_pj_per_bit.value, _wire(price),
                    )  # fmt: skip
                if not made.bad[row, column]:
                    made.fastest_ghz[row, column] = min(found[1] for found in known if found is not None)
        return made

    def _level(self, machines: Machines, memory: Memory, one: Technology) -> tuple[LevelPrice, float] | None:
        key = memory, one
        if key not in self._levels:
            machine = one.of(machines.base)
            try:
                technology.supply(one.node_nm, one.voltage)
                fastest = memory_f_max(machine, memory).value if memory.kind == "sram" else math.inf
                self._levels[key] = level_price(machine, memory), fastest
            except HwsimError:
                self._levels[key] = None
        return self._levels[key]

    def edge_pj(self, base: Accelerator, one: Technology) -> float:
        """pJ of a clock edge of a flip-flop (`MachinePrices.clock_edge`)."""
        if one not in self._edges:
            self._edges[one] = MachinePrices(one.of(base), load_coefficients(DEFAULT), {}).clock_edge.value
        return self._edges[one]

    def cuts(self, base: Accelerator, unit: VectorUnit, one: Technology, kind: str) -> float:
        """Clock edges between the stages of a vector unit for an element (`MachinePrices.vector_edges`)."""
        key = base.policy.key, unit, one, kind
        if key not in self._cuts:
            machine = replace(one.of(base), vector=unit)
            self._cuts[key] = MachinePrices(machine, load_coefficients(DEFAULT), {}).vector_edges(kind)
        return self._cuts[key]

    def logic_um2(self, machines: Machines) -> Floats:
        """Amounts of the area of logic, not rounded, filled up with zeros, the last for the vector unit and for the
        layout: float64 ``[arrays, vectors, technologies, amounts]``."""
        parts = machines.base.policy, *machines.arrays, *machines.vectors, *machines.technologies
        return self._logic.get(parts, lambda: self._logic_table(machines))

    def _logic_table(self, machines: Machines) -> Floats:
        shape = len(machines.arrays), len(machines.vectors), len(machines.technologies)
        known: dict[tuple[int, int, int, int], Floats] = {}
        rows = []
        for array, vector, place in np.ndindex(shape):
            key = array, vector, machines.technologies[place].node_nm, self._vector_stages(machines, vector, place)
            if key not in known:
                known[key] = self._logic_um2(machines.made(array, vector, 0, place))
            rows.append(known[key])
        amounts = np.zeros((len(rows), max(map(len, rows))))
        for row, into in zip(rows, amounts, strict=True):
            into[: len(row)] = row
        return amounts.reshape(*shape, -1)

    def _vector_stages(self, machines: Machines, vector: int, place: int) -> int:
        """`vector_stages`, which ask for no array."""
        key = machines.base.policy.key, machines.vectors[vector], machines.technologies[place]
        if key not in self._cut:
            self._cut[key] = vector_stages(machines.made(0, vector, 0, place))
        return self._cut[key]

    def _logic_um2(self, machine: Accelerator) -> Floats:
        cuts = vector_stages(machine)
        key = machine.policy.key, machine.array, machine.vector, machine.node_nm, cuts
        if key not in self._areas:
            charges: list[Charge] = logic_charges(machine, MachinePrices(machine, load_coefficients(DEFAULT), {}))
            self._areas[key] = np.array([one.amount for one in charges])
        return self._areas[key]

    def own(self, what: str, parts: tuple[object, ...], make: Callable[[], Sequence[float] | Floats]) -> Own:
        """The different values of a table that follows from some parts."""
        return self._terms.get(parts, lambda: Own(make()), what)


def _area(level: LevelPrice) -> float:
    return 0.0 if level.area_um2 is None else level.area_um2.value


def _wire(level: LevelPrice) -> float:
    return 0.0 if level.wire_pj_per_bit is None else level.wire_pj_per_bit.value
