"""One machine on one workload: plan, then energy and area of what the plan does.

Decides the order: prices of the machine, its area (leakage and the clock's trunk follow from it), the plan that these
prices choose, the charges of that plan. The clock is checked against the slowest unit first, so that no number of an
impossible machine is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation.area import area
from hwsim.evaluation.energy import Counted, energy
from hwsim.evaluation.ledger import Ledger
from hwsim.evaluation.prices import MachinePrices, machine_prices
from hwsim.timing import plan
from hwsim.trace.graph import Graph, graph_of_products

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Plan
    from hwsim.cost.gates import Logic
    from hwsim.datapaths.base import Datapath
    from hwsim.trace import Workload


@dataclass(frozen=True, slots=True)
class Work:
    """What one pass of a model is.

    Attributes:
        graph: every operator of the forward pass.
        records: places of its products among those of the workload, in the order of the run; of weights alone none,
            as they are computed once, before any machine runs.
        macs: multiply-accumulates.
        tokens: rows of the model's input.
        note: what had to be assumed, "" if nothing.
    """

    graph: Graph
    records: tuple[int, ...]
    macs: int
    tokens: int
    note: str


@dataclass(frozen=True, slots=True)
class Priced:
    """A machine on a workload, priced."""

    plan: Plan
    energy: Ledger
    area: Ledger
    f_max_ghz: float


def forward_work(workload: Workload, where: str) -> Work:
    """The forward pass of a workload's first batch.

    A workload without a graph, as traces of older versions are, is products alone: each reads its operands from DRAM
    and writes its results there.

    Raises:
        ArgumentError: no forward product.
    """
    records = tuple(place for place, gemm in enumerate(workload.gemms) if gemm.phase == "forward")
    if not records:
        raise ArgumentError("a trace must hold forward GEMMs", got=workload.name, where=where)
    if workload.graph is None:
        graph, note = graph_of_products(workload.gemms), "no operator graph: each product alone, by way of DRAM"
    else:
        graph, note = workload.graph, ""
        held = {one.record for one in graph.operators if one.record is not None and not one.folded}
        records = tuple(record for record in records if record in held)
    macs = sum(workload.gemms[record].macs for record in records)
    return Work(graph, records, macs, _tokens(graph), note)


def _tokens(graph: Graph) -> int:
    """Rows of the input: elements of an integer tensor, else the length of the first axis."""
    inputs = [tensor for tensor in graph.tensors if tensor.source == "input"]
    whole = [tensor.elements for tensor in inputs if tensor.dtype.startswith(("int", "uint"))]
    if whole:
        return max(whole)
    return max((tensor.shape[0] for tensor in inputs if tensor.shape), default=1)


def price(
    work: Work,
    machine: Accelerator,
    counted: Mapping[int, Counted],
    fidelity: str,
    synthesized: Mapping[Datapath, Logic] | None = None,
    chosen: Plan | None = None,
) -> Priced:
    """Plan, energy and area.

    Args:
        work: the pass.
        machine: the design.
        counted: what is known of the operands of each product, by its place among the products of the workload.
        fidelity: of the units' energies.
        synthesized: areas of units as synthesised.
        chosen: what `planned` gave for this machine, where it is known.

    Raises:
        HwsimError: the machine cannot run the pass or cannot be clocked so, or a price of it is unknown.
    """
    prices = machine_prices(machine)
    f_max = check_clock(machine, prices)
    made = area(machine, prices, synthesized)
    if chosen is None:
        chosen = planned(work, machine, additions_of(counted))
    return Priced(chosen, energy(chosen, machine, prices, counted, fidelity, _logic_um2(made)), made, f_max)


def planned(work: Work, machine: Accelerator, additions: Mapping[int, float]) -> Plan:
    """The plan that the machine's own prices choose; nothing of it depends on operands but the additions.

    Args:
        work: the pass.
        machine: the design.
        additions: of an element of operand b in an add-only unit, by the product's place in the workload.

    Raises:
        HwsimError: the machine cannot run the pass.
    """
    prices = machine_prices(machine)
    standing = sum(one.value for _, _, one in prices.per_cycle(_logic_um2(area(machine, prices))))
    by_place = {
        place: additions[operator.record]
        for place, operator in enumerate(work.graph.operators)
        if operator.record is not None and operator.record in additions
    }
    return plan(work.graph, machine, prices.for_plan(standing), by_place)


def additions_of(counted: Mapping[int, Counted]) -> dict[int, float]:
    """Additions of an element of each product that has some."""
    return {record: known.additions for record, known in counted.items() if known.additions is not None}


def _logic_um2(made: Ledger) -> float:
    """Area of everything but memories."""
    sizes = made.breakdown("level").parts
    return sum(sizes[name].value for name in ("array", "vector", "chip") if name in sizes)


def check_clock(machine: Accelerator, prices: MachinePrices) -> float:
    """The highest clock of the machine, GHz, which its own must not exceed.

    Raises:
        DesignError: it does; the message says by how much, and which part is the limit.
    """
    highest = prices.f_max_ghz
    if machine.clock_ghz > highest.value * (1 + 1e-9):
        raise DesignError(
            f"clock must be at most {highest.value:.3g} GHz, which the slowest part reaches with units in "
            f"{machine.array.stages} stages ({highest.source}): it is {machine.clock_ghz / highest.value:.2f} x that",
            got=machine.clock_ghz,
            where=f"{machine.name}.technology.clock_ghz",
        )
    return highest.value
