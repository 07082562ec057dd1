"""What a plan costs, with the prices left open: counts by the kind of price that each of them is charged at.

Counts of products are those of `hwsim.evaluation.product_events`, all products of a unit at once, so that a column of
machines that share a plan is charged for what the ledger of each of them is. What a cycle costs whatever happens in
it is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.evaluation.product_events import Counted, Known, clocked_bits, joined, known, logic_events

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Plan, Product
    from hwsim.datapaths.base import Datapath
    from hwsim.evaluation.prices import MachinePrices

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """Charges at one kind of price.

    Attributes:
        events: how many, float64 ``[charges]``.
        base: what the price is multiplied with: fJ of logic at the library's node, else 1; float64 ``[charges]``.
    """

    events: NDArray[np.float64]
    base: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Charges of a plan by kind of price.

    Attributes:
        logic: energies of logic in fJ, at the library's node and supply.
        edges: cycles of clocked flip-flops.
        pipeline: for each unit of the policy, cycles of its position in the array: edges of a single flip-flop.
        cuts: for each kind of vector work, its elements: edges of a single flip-flop between stages.
        moved: by level, bits read, bits written, and bits on its wires.
        dram_bits: read from and written to the DRAM, both.
    """

    logic: Counts
    edges: Counts
    pipeline: Mapping[Datapath, Counts]
    cuts: Mapping[str, Counts]
    moved: Mapping[str, tuple[Counts, Counts, Counts]]
    dram_read_bits: int
    dram_write_bits: int


@dataclass(frozen=True, slots=True)
class _Products:
    """Work of several products of one unit, int64 ``[products]``, named as in `hwsim.arch.plan.Product`."""

    updates: Column
    a_reads: Column
    a_loads: Column
    b_loads: Column
    array_cycles: Column


class Tallies:
    """Tallies of plans of one policy in one order of the array; keeps what is known of its products as columns.

    Args:
        prices: of any machine with this policy, order, and kind of vector unit.
        counted: what is known of each product, by its place among the products of the workload.
        fidelity: of the units' energies.
    """

    def __init__(self, prices: MachinePrices, counted: Mapping[int, Counted], fidelity: str) -> None:
        self.prices, self.counted, self.fidelity = prices, counted, fidelity
        self._units = {one.key: one.datapath for one in prices.machine.policy.numerics}
        self._known: dict[tuple[str, tuple[int, ...]], Known] = {}

    def of(self, plan: Plan, machine: Accelerator) -> Tally:
        """The charges of a plan on `machine`.

        Raises:
            ArgumentError: counts are missing that the fidelity needs. UnknownName: a coefficient is missing.
            MissingView: a unit has no price.
        """
        logic: list[tuple[Any, Any]] = []
        edges: list[Column] = []
        stages: dict[Datapath, list[Column]] = {}
        by_numerics: dict[str, list[Product]] = {}
        elements: dict[str, list[int]] = {}
        moved: dict[str, list[tuple[int, int]]] = {memory.name: [] for memory in machine.memories}
        for step in plan.steps:
            for product in step.products:
                by_numerics.setdefault(product.numerics_key, []).append(product)
            for work in step.vector:
                elements.setdefault(work.kind, []).append(work.elements)
            for row in step.traffic:
                moved[row.level].append((row.read_bits, row.written_bits))
        for key, products in by_numerics.items():
            unit, worked = self._units[key], _worked(products)
            for _, count, _, price in logic_events(worked, unit, self._columns(key, products)):
                logic.append((count, price))
            edges.append(clocked_bits(worked, unit, machine.array))
            stages.setdefault(unit, []).append(worked.array_cycles)
        for kind, counts in elements.items():
            logic.append((np.array(counts), self.prices.vector_fj(kind).value))
        return Tally(
            _counts(logic),
            _counts([(one, 1.0) for one in edges]),
            {unit: _counts([(one, 1.0) for one in each]) for unit, each in stages.items()},
            {kind: _counts([(np.array(counts), 1.0)]) for kind, counts in elements.items()},
            {name: _moved(rows) for name, rows in moved.items()},
            plan.dram_read_bits,
            plan.dram_write_bits,
        )

    def _columns(self, key: str, products: Sequence[Product]) -> Known:
        """What is known of some products of one numerics."""
        records = tuple(-1 if one.record is None else one.record for one in products)
        if (key, records) not in self._known:
            unit, array = self._units[key], self.prices.machine.array
            self._known[key, records] = joined([
                known(unit, self.counted.get(record, Counted()), self.fidelity, self.prices.coefficients, array,
                      one.layer)
                for record, one in zip(records, products, strict=True)
            ])  # fmt: skip
        return self._known[key, records]


def _worked(products: Sequence[Product]) -> _Products:
    table = np.array(
        [(one.updates, one.a_reads, one.a_loads, one.b_loads, one.array_cycles) for one in products], np.int64
    )
    return _Products(*np.ascontiguousarray(table.T))


def _moved(rows: list[tuple[int, int]]) -> tuple[Counts, Counts, Counts]:
    """Bits read, written, and on the wires, of each row of traffic."""
    read, written = np.array(rows, np.int64).reshape(-1, 2).T
    return _counts([(read, 1.0)]), _counts([(written, 1.0)]), _counts([(read + written, 1.0)])


def _counts(columns: list[tuple[Any, Any]]) -> Counts:
    """Events and bases of some columns, one behind the other."""
    if not columns:
        return Counts(np.empty(0), np.empty(0))
    events = [np.asarray(count, np.float64) for count, _ in columns]
    bases = [np.broadcast_to(np.asarray(base, np.float64), one.shape) for (_, base), one in zip(columns, events,
             strict=True)]  # fmt: skip
    return Counts(np.concatenate(events), np.concatenate(bases))
