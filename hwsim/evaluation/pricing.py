"""One machine on one workload: plan, then energy and area of what the plan does.

Decides the order: prices of the machine, its area (leakage and the clock's trunk follow from it), the plan that these
prices choose, the charges of that plan. The clock is checked against the slowest unit first, so that no number of an
impossible machine is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwsim import content
from hwsim.arch.nominal import nominal, weighing
from hwsim.arch.units import storage_bits
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation.area import area
from hwsim.evaluation.energy import energy
from hwsim.evaluation.ledger import Ledger
from hwsim.evaluation.prices import MachinePrices, machine_prices
from hwsim.evaluation.product_events import Counted
from hwsim.timing.planning import Decision, carry_out, decide
from hwsim.trace.graph import Graph, graph_of_products

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Policy
    from hwsim.arch.plan import Plan
    from hwsim.cost.gates import Logic
    from hwsim.datapaths.base import Datapath
    from hwsim.quant import Scheme
    from hwsim.timing.wiring import PlanPrices
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


def every_work(workload: Workload) -> Work:
    """All that a workload does, of whatever phase; it must hold its graph, and may hold no product."""
    assert workload.graph is not None, "a workload of several phases is written as a graph"
    return Work(workload.graph, tuple(range(len(workload.gemms))), workload.macs, _tokens(workload.graph), "")


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
    decide_plan: Callable[[], Decision] | None = None,
) -> Priced:
    """Plan, energy and area.

    Args:
        work: the pass.
        machine: the design.
        counted: what is known of the operands of each product, by its place among the products of the workload.
        fidelity: of the units' energies.
        synthesized: areas of units as synthesised.
        decide_plan: gives what `decided` does for this machine, where it may be known.

    Raises:
        HwsimError: the machine cannot run the pass or cannot be clocked so, or a price of it is unknown.
    """
    prices = machine_prices(machine)
    f_max = check_clock(machine, prices)
    made = area(machine, prices, synthesized)
    additions = additions_of(counted)
    decision = decided(work, machine, additions) if decide_plan is None else decide_plan()
    chosen = carry_out(decision, work.graph, machine, additions_by_place(work, additions))
    return Priced(chosen, energy(chosen, machine, prices, counted, fidelity, _logic_um2(made)), made, f_max)


def decided(work: Work, machine: Accelerator, additions: Mapping[int, float]) -> Decision:
    """The plan that the machine's own prices choose, or with ``objective = "nominal"`` those of its nominal machine;
    nothing of it depends on operands but the additions, and machines with one `judge` share it.

    Args:
        work: the pass.
        machine: the design.
        additions: of an element of operand b in an add-only unit, by the product's place in the workload.

    Raises:
        HwsimError: the machine cannot run the pass.
    """
    judging = judge(machine)
    return decide(work.graph, judging, _weights(judging), additions_by_place(work, additions))


def _weights(judging: Accelerator) -> PlanPrices:
    """What the plan of a machine that is its own `judge` is weighed by."""
    machine = weighing(judging) if judging.objective == "nominal" else judging
    prices = machine_prices(machine)
    return prices.for_plan(sum(one.value for _, _, one in prices.per_cycle(_logic_um2(area(machine, prices)))))


def judge(machine: Accelerator) -> Accelerator:
    """The machine on which the plan of `machine` is chosen: itself, or its nominal one."""
    return nominal(machine) if machine.objective == "nominal" else machine


def products_key(work: Work, policy: Policy, additions: Mapping[int, float]) -> str:
    """All that `decided` reads of a work's products: how the operands of each are stored, how its unit is timed.

    Raises:
        DesignError: a layer without a unit.
    """
    units: dict[tuple[object, ...], int] = {}
    products = []
    for place, operator in enumerate(work.graph.operators):
        shape = operator.gemm
        if shape is None or operator.folded:
            continue
        numerics = policy.for_gemm(shape.layer, shape.b_role)
        if numerics is None:
            raise DesignError("a layer in float32 has no unit", where=shape.layer)
        unit, known = numerics.datapath, additions.get(-1 if operator.record is None else operator.record)
        stored = (
            storage_bits(numerics, "activation", shape.batch * shape.m, shape.k),
            storage_bits(numerics, shape.b_role, shape.n, shape.k),
            *(_stored(numerics.scheme(role)) for role in ("activation", shape.b_role)),
        )
        turned = numerics.rotation and numerics.rotation.size, numerics.padded(shape.k)
        one = type(unit).__name__, unit.lanes, unit.cycles_per_step(known), unit.accumulator_bits, stored, turned
        products.append((place, units.setdefault(one, len(units))))
    return content.digest(tuple(products), tuple(units))


def plan_key(products: str, judging: Accelerator) -> tuple[object, ...]:
    """All that `decided` reads: `products_key`, and sizes and prices of a machine that is its own `judge`; on one
    work machines of one key have one decision.

    Raises:
        HwsimError: an unknown price.
    """
    weighed = _weights(judging)
    memories = tuple(content.key(replace(memory, technology="lstp")) if memory.kind != "dram" else content.key(memory)
                     for memory in judging.memories)  # fmt: skip
    return (
        products, content.key(judging.arrays), memories, content.key(judging.vector), judging.output_bits,
        judging.objective, judging.fused, judging.clock_ghz, tuple(weighed.read_pj.items()),
        tuple(weighed.write_pj.items()), weighed.idle_pj_per_cycle,
    )  # fmt: skip


def _stored(scheme: Scheme) -> tuple[object, ...]:
    """What bits of a tensor in a scheme depend on."""
    return scheme.element_format.bits, scheme.granularity, scheme.block, scheme.scale_bits, scheme.tensor_scale


def additions_by_place(work: Work, additions: Mapping[int, float]) -> dict[int, float]:
    """`additions` by place of the operator in the graph, as plans take them."""
    return {
        place: additions[operator.record]
        for place, operator in enumerate(work.graph.operators)
        if operator.record is not None and operator.record in additions
    }


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
