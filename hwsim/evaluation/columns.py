"""Columns of designs that share a plan: energy, area and latency of them all, without an object for each.

Decides what a column is: machines of one array, one set of memory sizes and one policy, which differ in supply,
clock, pipeline stages, SRAM device, ports, DRAM and vector lanes. Prices are those of `hwsim.evaluation.prices`, made
once for each different part; amounts are rounded to the quantum of the `Ledger` and added as whole numbers, so that
every value equals that of `hwsim.evaluate` to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.arch.clock import logic_f_max, memory_f_max, vector_stages
from hwsim.arch.nominal import nominal, weighing
from hwsim.cost import clock_tree, technology
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.errors import HwsimError
from hwsim.evaluation.area import logic_charges
from hwsim.evaluation.machine_columns import CLOCK, MEMORY, OK, PLAN, Columns, Floats, Machines, Places, Technology
from hwsim.evaluation.prices import LevelPrice, MachinePrices, level_price, machine_prices
from hwsim.evaluation.pricing import additions_by_place, additions_of
from hwsim.evaluation.tally import Counts, Tally, tally
from hwsim.timing.planning import Decision
from hwsim.timing.retiming import Retiming, Stages

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.arch.parts import VectorUnit
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.evaluation.ledger import Charge

SPARE = 1e-12
"""Relative distance of a sum from a power of two within which it is added again, correctly rounded, for its quantum:
the sum of a column is off by some 1e-14."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A decided plan, counted and ready to be timed."""

    retiming: Retiming
    tally: Tally


class Priced:
    """Prices of one set of memories at one technology, and the highest clock of all of them, GHz."""

    __slots__ = ("fastest_ghz", "levels")

    def __init__(self, made: Sequence[tuple[LevelPrice, float]]) -> None:
        self.levels = [level for level, _ in made]
        self.fastest_ghz = min(fastest for _, fastest in made)


Levels = list[list[Priced | None]]
"""Prices of every set of memories at every technology; None where one cannot be made."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of machines without a plan: why they have no values, int8 ``[machines]``, and their prices."""

    status: NDArray[np.int8]
    levels: Levels


class ColumnPricer:
    """Prices columns of machines on one model; keeps the prices of parts that it has met.

    Args:
        evaluator: of the model, for the fidelities ``"pann"`` and ``"trace"``.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._levels: dict[tuple[Memory, Technology], tuple[LevelPrice, float] | None] = {}
        self._clocks: dict[tuple[object, ...], float] = {}
        self._logic: dict[tuple[object, ...], Floats] = {}
        self._stages: dict[tuple[object, ...], Stages] = {}
        self._edges: dict[Technology, float] = {}
        self._cuts: dict[tuple[object, ...], float] = {}

    def count(self, decision: Decision, machine: Accelerator) -> Counted:
        """A decision of `machine`'s plan, counted for all machines that share it.

        Raises:
            HwsimError: a price that the plan asks for is unknown.
        """
        work, kind = self.evaluator.work, self.evaluator.energy_kind
        key = machine.policy.key, machine.output_bits, decision.attach
        counted = self.evaluator.counted(machine.policy, machine.array.dataflow.order)
        if key not in self._stages:
            by_place = additions_by_place(work, additions_of(counted))
            self._stages[key] = Stages(work.graph, machine, decision.attach, by_place)
        retiming = Retiming(decision, self._stages[key], machine)
        levels = machine_prices(weighing(nominal(machine)))  # of them only the names are asked for
        return Counted(retiming, tally(retiming.plan, machine, levels, counted, kind))

    def check(self, machines: Machines) -> Checked:
        """Which machines have no values, whatever their plan, and why."""
        levels = self._level_table(machines)
        highest = self._logic_ghz(machines)[machines.array, machines.vector, machines.technology]
        fastest = np.array([[math.inf if one is None else one.fastest_ghz for one in row] for row in levels])
        highest = np.minimum(highest, fastest[machines.memory, machines.technology])
        clocks = np.array([one.clock_ghz for one in machines.technologies])[machines.technology]
        bad = np.array([[one is None for one in row] for row in levels])[machines.memory, machines.technology]
        status = np.where(bad, MEMORY, np.where(clocks > highest * (1 + 1e-9), CLOCK, OK)).astype(np.int8)
        return Checked(status, levels)

    def price(self, machines: Machines, checked: Checked, counted: Counted | None) -> Columns:
        """Values of machines that share a plan.

        Args:
            machines: at least one.
            checked: of `check`.
            counted: what `count` gave for one of them, None where they have no plan.
        """
        work, count, status = self.evaluator.work, len(machines.array), checked.status
        kept = np.flatnonzero(status == OK)
        if counted is None:
            status, kept = np.where(status == OK, PLAN, status).astype(np.int8), kept[:0]
        energy, area = np.full(count, np.nan), np.full(count, np.nan)
        cycles, seconds = np.full(count, -1, np.int64), np.full(count, np.nan)
        read_bits = write_bits = 0
        if counted is not None and len(kept):
            column = _Column(self, machines, kept, checked.levels, counted)
            area[kept], logic_um2 = column.area()
            cycles[kept] = column.cycles()
            energy[kept] = column.energy(cycles[kept], logic_um2)
            clocks = np.array([one.clock_ghz for one in machines.technologies])
            seconds[kept] = cycles[kept] / (clocks[machines.technology[kept]] * 1e9)
            read_bits, write_bits = counted.tally.dram_read_bits, counted.tally.dram_write_bits
        return Columns(status, energy, area, cycles, seconds, read_bits, write_bits, work.macs, work.tokens)

    def _logic_ghz(self, machines: Machines) -> Floats:
        """The highest clock of units and vector unit, ``[arrays, vectors, technologies]``; below 0 if not known."""
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

    def _level_table(self, machines: Machines) -> Levels:
        table: Levels = []
        for memories in machines.memories:
            row: list[Priced | None] = []
            for one in machines.technologies:
                made = tuple(self._level(machines, memory, one) for memory in memories)
                row.append(None if None in made else Priced(made))  # type: ignore[arg-type]
            table.append(row)
        return table

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

    def logic_um2(self, machine: Accelerator) -> Floats:
        """Amounts of the area of logic, not rounded, the last for the vector unit and for the layout."""
        cuts = vector_stages(machine)
        key = machine.policy.key, machine.array, machine.vector, machine.node_nm, cuts
        if key not in self._logic:
            charges: list[Charge] = logic_charges(machine, MachinePrices(machine, load_coefficients(DEFAULT), {}))
            self._logic[key] = np.array([one.amount for one in charges])
        return self._logic[key]


class _Column:
    """The machines of a column that can be made, on the way to their values."""

    def __init__(
        self, pricer: ColumnPricer, machines: Machines, kept: Places,
        levels: Levels, counted: Counted,
    ) -> None:  # fmt: skip
        self.pricer, self.machines, self.counted = pricer, machines, counted
        self.array, self.vector = machines.array[kept], machines.vector[kept]
        self.memory, self.technology = machines.memory[kept], machines.technology[kept]
        self.table, self.names = levels, [memory.name for memory in machines.memories[0]]

    def area(self) -> tuple[Floats, Floats]:
        """µm² of each machine, and of its logic alone."""
        made, places = _joined(self.array, self.vector, self.technology)
        rows = [
            self.pricer.logic_um2(self.machines.made(array, vector, 0, technology))
            for array, vector, technology in made
        ]
        amounts = np.zeros((len(rows), max(map(len, rows))))
        for row, into in zip(rows, amounts, strict=True):
            into[: len(row)] = row
        logic, memories = amounts[places], self._of_levels(_area)
        parts = np.concatenate((logic, memories), axis=1)
        quanta = _quanta(parts.sum(axis=1), lambda place: parts[place].tolist())
        own = np.rint(logic / quanta[:, None]).sum(axis=1)
        return (own + np.rint(memories / quanta[:, None]).sum(axis=1)) * quanta, own * quanta

    def cycles(self) -> NDArray[np.int64]:
        """Latency in cycles: equal ports, lanes and bandwidths are timed once."""
        machines, retiming = self.machines, self.counted.retiming
        ports, port = _distinct([_ports(memories, retiming.levels) for memories in machines.memories])
        busy = np.array([retiming.busy(np.array(one, np.int64)) for one in ports])
        lanes = [retiming.vector(replace(retiming.machine, vector=one)) for one in machines.vectors]
        bandwidth = np.array([
            next(memory.gbyte_s or 0.0 for memory in memories if memory.kind == "dram") for memories in
            machines.memories
        ])  # fmt: skip
        clocks = np.array([one.clock_ghz for one in machines.technologies])
        pace, rate = np.unique(bandwidth[self.memory] * 8 / clocks[self.technology], return_inverse=True)
        made, places = _joined(np.asarray(port)[self.memory], self.vector, rate)
        found = retiming.latency(pace[made[:, 2]], busy[made[:, 0]], np.array(lanes)[made[:, 1]])
        return np.asarray(found[places])

    def energy(self, cycles: NDArray[np.int64], logic_um2: Floats) -> Floats:
        """pJ of each machine."""
        standing = self._standing(cycles, logic_um2)
        terms = [term for term in self._terms() if len(term.counts.events)]
        total = standing.sum(axis=1)
        for term in terms:
            total += term.amounts.sum(axis=1)[term.place]
        quanta = _quanta(
            total,
            lambda at: [
                *standing[at].tolist(),
                *(one for term in terms for one in term.amounts[term.place[at]].tolist()),
            ],
        )
        whole = np.rint(standing / quanta[:, None]).sum(axis=1)
        for quantum in np.unique(quanta):
            at = quanta == quantum
            for term in terms:
                whole[at] += np.rint(term.amounts / quantum).sum(axis=1)[term.place[at]]
        return np.asarray(whole * quanta)

    def _standing(self, cycles: NDArray[np.int64], logic_um2: Floats) -> Floats:
        """pJ of what a cycle costs whatever happens in it: levels, leakage of logic, the clock's trunk; in the order
        and with the roundings of `MachinePrices.per_cycle`."""
        ones = self.machines.technologies
        periods = np.array([1 / one.clock_ghz for one in ones])[self.technology]
        leak = np.array([technology.leakage_mw_per_mm2(one.node_nm, "low", one.voltage).value for one in ones])
        squared = np.array([technology.supply(one.node_nm, one.voltage) ** 2 for one in ones])
        levels = self._of_levels(_milliwatts) * periods[:, None]
        logic = leak[self.technology] * (logic_um2 * 1e-6 * periods)
        trunk = logic_um2 * 1e-6 * clock_tree.TREE_PF_MM2 * squared[self.technology]
        return np.asarray(cycles[:, None] * np.concatenate((levels, logic[:, None], trunk[:, None]), axis=1))

    def _terms(self) -> list[_Term]:
        """What the plan does, at the machines' prices."""
        machines, made, clocks = self.machines, self.counted.tally, self.technology
        held = load_coefficients(DEFAULT)
        logic = [
            technology.energy_factor(held.node_nm, held.voltage, one.node_nm, one.voltage) * 1e-3
            for one in machines.technologies
        ]
        edge = _Own([self.pricer.edge_pj(machines.base, one) for one in machines.technologies], clocks)
        terms = [_term(made.logic, _Own(logic, clocks)), _term(made.edges, edge)]
        for unit, counts in made.pipeline.items():
            bits = [
                MachinePrices(replace(machines.base, arrays=(one,)), held, {}).pipeline_bits(unit)
                for one in machines.arrays
            ]
            terms.append(_term(counts, edge, _Own(bits, self.array)))
        count = len(machines.technologies)
        for kind, counts in made.cuts.items():
            cuts = [
                self.pricer.cuts(machines.base, unit, one, kind)
                for unit in machines.vectors
                for one in machines.technologies
            ]
            terms.append(_term(counts, edge, _Own(cuts, self.vector * count + clocks)))
        for level, name in enumerate(self.names):
            for side, price in enumerate((_read, _written, _wire)):
                prices = self._level_values(price, level).ravel()
                terms.append(_term(made.moved[name][side], _Own(prices, self.memory * count + clocks)))
        return terms

    def _of_levels(self, of: Callable[[LevelPrice], float]) -> Floats:
        """A number of every level for each machine, ``[machines, levels]``."""
        table = np.stack([self._level_values(of, level) for level in range(len(self.names))], axis=-1)
        return np.asarray(table[self.memory, self.technology])

    def _level_values(self, of: Callable[[LevelPrice], float], level: int) -> Floats:
        """A number of a level, ``[memories, technologies]``; NaN where it cannot be made."""
        return np.array([[math.nan if one is None else of(one.levels[level]) for one in row] for row in self.table])


class _Own:
    """A number of each machine: the different ones, and the place of each machine's among them."""

    __slots__ = ("place", "values")

    def __init__(self, table: Sequence[float] | Floats, places: Places) -> None:
        self.values, code = np.unique(np.asarray(table, np.float64), return_inverse=True)
        self.place = code[places]


@dataclass(frozen=True, slots=True)
class _Term:
    """Charges at one kind of price: amounts for each different price, and which of them a machine pays."""

    counts: Counts
    amounts: Floats
    place: Places


def _term(counts: Counts, price: _Own, times: _Own | None = None) -> _Term:
    """Charges at a price of each machine, of counts times a number of each machine."""
    if times is None:
        return _Term(counts, counts.events * (counts.base * price.values[:, None]), price.place)
    amounts = (counts.events * times.values[:, None])[:, None] * (counts.base * price.values[:, None])
    return _Term(counts, amounts.reshape(-1, len(counts.events)), times.place * len(price.values) + price.place)


def _quanta(totals: Floats, amounts: Callable[[int], list[float]]) -> Floats:
    """The quantum of each machine's ledger (`hwsim.evaluation.ledger`): a power of two by the sum of its amounts,
    which is added correctly rounded where it decides."""
    parts, exponents = np.frexp(np.where(totals == 0, 1.0, totals))
    for place in np.flatnonzero((parts < 0.5 * (1 + SPARE)) | (parts > 1 - SPARE)):
        _, exponents[place] = math.frexp(math.fsum(amounts(int(place))) or 1.0)
    return np.asarray(np.ldexp(1.0, exponents - 52))


def _joined(*places: Places) -> tuple[Places, Places]:
    """The different rows of some columns of places, and which of them each machine has."""
    sizes = [int(one.max()) + 1 for one in places]
    flat = np.ravel_multi_index(places, sizes)
    made, inverse = np.unique(flat, return_inverse=True)
    return np.stack(np.unravel_index(made, sizes), axis=1), inverse


def _distinct(values: list[tuple[object, ...]]) -> tuple[list[tuple[object, ...]], list[int]]:
    known: dict[tuple[object, ...], int] = {}
    places = [known.setdefault(value, len(known)) for value in values]
    return list(known), places


def _ports(memories: tuple[Memory, ...], names: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    by_name = {memory.name: memory for memory in memories}
    return tuple(
        (one.read_bits, one.write_bits, one.copies * sum(port.bits for port in one.ports))
        for one in (by_name[name] for name in names)
    )


def _area(level: LevelPrice) -> float:
    return 0.0 if level.area_um2 is None else level.area_um2.value


def _milliwatts(level: LevelPrice) -> float:
    return level.standing_mw.value


def _read(level: LevelPrice) -> float:
    return level.read_pj_per_bit.value


def _written(level: LevelPrice) -> float:
    return level.write_pj_per_bit.value


def _wire(level: LevelPrice) -> float:
    return 0.0 if level.wire_pj_per_bit is None else level.wire_pj_per_bit.value
