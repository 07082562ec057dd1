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

from hwsim.cost import clock_tree, technology
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.evaluation.column_prices import Levels, Own, PartPrices
from hwsim.evaluation.machine_columns import CLOCK, MEMORY, OK, PLAN, Columns, Floats, Machines, Places
from hwsim.evaluation.prices import MachinePrices
from hwsim.evaluation.pricing import additions_by_place, additions_of
from hwsim.evaluation.tally import Counts, Tallies, Tally
from hwsim.timing.planning import Decision
from hwsim.timing.retiming import Retiming, Stages

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.datapaths.base import Datapath
    from hwsim.evaluation.evaluator import Evaluator

SPARE = 1e-12
"""Relative distance of a sum from a power of two within which it is added again, correctly rounded, for its quantum:
the sum of a column is off by some 1e-14."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A decided plan, counted and ready to be timed."""

    retiming: Retiming
    tally: Tally


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of machines without a plan: why they have no values, int8 ``[machines]``, and their prices."""

    status: NDArray[np.int8]
    levels: Levels


class ColumnPricer(PartPrices):
    """Prices columns of machines on one model; keeps the prices of parts that it has met.

    Args:
        evaluator: of the model, for the fidelities ``"pann"`` and ``"trace"``.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        super().__init__()
        self._stages: dict[tuple[object, ...], Stages] = {}
        self._tallies: dict[tuple[str, ...], Tallies] = {}

    def count(self, decision: Decision, machine: Accelerator) -> Counted:
        """A decision of `machine`'s plan, counted for all machines that share it.

        Raises:
            HwsimError: a price that the plan asks for is unknown.
        """
        policy, order, vector = machine.policy, machine.array.dataflow.order, machine.vector
        kind = policy.key, order, vector.precision, vector.softmax
        if kind not in self._tallies:
            prices = MachinePrices(machine, load_coefficients(DEFAULT), {})
            counted = self.evaluator.counted(policy, order)
            self._tallies[kind] = Tallies(prices, counted, self.evaluator.energy_kind)
        tallies, key = self._tallies[kind], (policy.key, machine.output_bits, decision.attach)
        if key not in self._stages:
            work = self.evaluator.work
            by_place = additions_by_place(work, additions_of(tallies.counted))
            self._stages[key] = Stages(work.graph, machine, decision.attach, by_place)
        retiming = Retiming(decision, self._stages[key], machine)
        return Counted(retiming, tallies.of(retiming.plan, machine))

    def check(self, machines: Machines) -> Checked:
        """Which machines have no values, whatever their plan, and why."""
        levels = self.levels(machines)
        highest = self.logic_ghz(machines)[machines.array, machines.vector, machines.technology]
        highest = np.minimum(highest, levels.fastest_ghz[machines.memory, machines.technology])
        clocks = np.array([one.clock_ghz for one in machines.technologies])[machines.technology]
        bad = levels.bad[machines.memory, machines.technology]
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
        logic = self.pricer.logic_um2(self.machines)[self.array, self.vector, self.technology]
        memories = self.table.area_um2[self.memory, self.technology]
        parts = np.concatenate((logic, memories), axis=1)
        quanta = _quanta(parts.sum(axis=1), lambda place: parts[place].tolist())
        own = np.rint(logic / quanta[:, None]).sum(axis=1)
        return (own + np.rint(memories / quanta[:, None]).sum(axis=1)) * quanta, own * quanta

    def cycles(self) -> NDArray[np.int64]:
        """Latency in cycles: equal ports, lanes and bandwidths are timed once."""
        machines, retiming = self.machines, self.counted.retiming
        ports, port = _distinct([_ports(memories, retiming.levels) for memories in machines.memories])
        busy = np.array([retiming.busy(np.array(one, np.int64)) for one in ports])
        lanes = [retiming.vector(one.lanes) for one in machines.vectors]
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
        levels = self.table.standing_mw[self.memory, self.technology] * periods[:, None]
        logic = leak[self.technology] * (logic_um2 * 1e-6 * periods)
        trunk = logic_um2 * 1e-6 * clock_tree.TREE_PF_MM2 * squared[self.technology]
        return np.asarray(cycles[:, None] * np.concatenate((levels, logic[:, None], trunk[:, None]), axis=1))

    def _terms(self) -> list[_Term]:
        """What the plan does, at the machines' prices."""
        machines, made, clocks, own = self.machines, self.counted.tally, self.technology, self.pricer.own
        held, ones = load_coefficients(DEFAULT), tuple(machines.technologies)
        base, count = machines.base, len(ones)
        logic = own("logic", ones, lambda: [
            technology.energy_factor(held.node_nm, held.voltage, one.node_nm, one.voltage) * 1e-3 for one in ones
        ])  # fmt: skip
        edge = own("edge", ones, lambda: [self.pricer.edge_pj(base, one) for one in ones])
        terms = [_term(made.logic, logic, clocks), _term(made.edges, edge, clocks)]
        for unit, counts in made.pipeline.items():

            def stages(unit: Datapath = unit) -> list[float]:
                return [
                    MachinePrices(replace(base, arrays=(one,)), held, {}).pipeline_bits(unit)
                    for one in machines.arrays
                ]

            bits = own("pipeline", (unit, *machines.arrays), stages)
            terms.append(_term(counts, edge, clocks, bits, self.array))
        for kind, counts in made.cuts.items():

            def between(kind: str = kind) -> list[float]:
                return [self.pricer.cuts(base, unit, one, kind) for unit in machines.vectors for one in ones]

            cuts = own(f"cuts {kind}", (base.policy, *machines.vectors, *ones), between)
            terms.append(_term(counts, edge, clocks, cuts, self.vector * count + clocks))
        for level, name in enumerate(self.names):
            for side in range(3):
                prices = own(f"{level} {side}", (self.table,), lambda: self.table.moved_pj[level, side].ravel())  # noqa: B023
                terms.append(_term(made.moved[name][side], prices, self.memory * count + clocks))
        return terms


@dataclass(frozen=True, slots=True)
class _Term:
    """Charges at one kind of price: amounts for each different price, and which of them a machine pays."""

    counts: Counts
    amounts: Floats
    place: Places


def _term(
    counts: Counts, price: Own, places: Places, times: Own | None = None, their_places: Places | None = None
) -> _Term:
    """Charges at the price in some place of a table, of counts times the number in some place of another."""
    if times is None or their_places is None:
        return _Term(counts, counts.events * (counts.base * price.values[:, None]), price.place[places])
    amounts = (counts.events * times.values[:, None])[:, None] * (counts.base * price.values[:, None])
    place = times.place[their_places] * len(price.values) + price.place[places]
    return _Term(counts, amounts.reshape(-1, len(counts.events)), place)


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
