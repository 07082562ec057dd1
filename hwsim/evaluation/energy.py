"""Energy of a plan: what each count of it costs, at one of three fidelities of the units' logic.

``pann``: bit flips from operand widths, times the mean energy of a flip.

``trace``: the bits that flip on recorded operands, times coefficients fitted to gates.

``gates``: every gate of the unit's netlist on the recorded operands; registers as in ``trace``.

All three add what formulas of units leave out: flip-flops with their clock and the tree above them, every memory
access of the plan, DRAM with its standby, the wires between memories and array, the vector unit's work, and the
leakage of memories and logic while the run lasts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError
from hwsim.evaluation.ledger import Charge, Ledger
from hwsim.evaluation.product_events import FIDELITIES, Counted, clocked_bits, known, logic_events

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Numerics
    from hwsim.arch.plan import Plan, Product, Step
    from hwsim.cost.quantity import Quantity
    from hwsim.evaluation.prices import MachinePrices


def energy(
    plan: Plan,
    machine: Accelerator,
    prices: MachinePrices,
    counted: Mapping[int, Counted],
    fidelity: str,
    logic_um2: float,
) -> Ledger:
    """Every charge of a run.

    Args:
        plan: what the machine does.
        machine: the design.
        prices: of the machine (`hwsim.evaluation.prices.machine_prices`).
        counted: what is known of each product, by its place among the products of the workload.
        fidelity: ``"pann"``, ``"trace"`` or ``"gates"``.
        logic_um2: area of the machine's logic, which leaks and carries the clock.

    Raises:
        ArgumentError: another fidelity, or one that lacks its counts.
        UnknownName: a coefficient is missing. MissingView: a unit has no price.
    """
    if fidelity not in FIDELITIES:
        raise ArgumentError(f"must be one of {', '.join(FIDELITIES)}", got=fidelity, where="energy.fidelity")
    numerics = {one.key: one for one in machine.policy.numerics}
    charges = [
        Charge(*one[:-1], place)
        for place, step in enumerate(plan.steps)
        for one in _step(step, numerics, prices, counted, fidelity)
    ]
    for component, level, price in prices.per_cycle(logic_um2):
        charges.append(charge("", component, level, "", plan.latency_cycles, "cycle", price))
    return Ledger(charges, "pJ", fidelity)


def _step(
    step: Step, numerics: Mapping[str, Numerics], prices: MachinePrices, counted: Mapping[int, Counted], fidelity: str
) -> Iterator[Charge]:
    """What one step of a plan is charged for, not rounded yet; `numerics` by key, the rest as of `energy`."""
    machine = prices.machine
    for product in step.products:
        one = counted.get(-1 if product.record is None else product.record, Counted())
        yield from _product(product, numerics[product.numerics_key], machine, prices, one, fidelity)
    for work in step.vector:
        price = prices.vector(work.kind)
        yield charge(work.layer, f"vector.{work.kind}", "vector", "", work.elements, "element", price)
        if edges := prices.vector_edges(work.kind) * work.elements:
            yield charge(work.layer, "pipeline", "vector", "", edges, "clock edge of a bit", prices.clock_edge)
    for row in step.traffic:
        yield from _moved(row.layer, row.tensor, row.level, row.read_bits, row.written_bits, prices)


def charge(layer: str, component: str, level: str, tensor: str, count: float, event: str, price: Quantity) -> Charge:
    """`count` events at `price`."""
    return Charge(layer, component, level, tensor, count, event, price, count * price.value)


def _product(
    product: Product, numerics: Numerics, machine: Accelerator, prices: MachinePrices, counted: Counted, fidelity: str
) -> Iterator[Charge]:
    """Logic, registers and clock of one product."""
    unit, layer = numerics.datapath, product.layer
    one = known(unit, counted, fidelity, prices.coefficients, machine.array, layer)
    for part, count, event, price in logic_events(product, unit, one):
        yield charge(layer, part, "array", "", count, event, prices.logic(price))
    clocked = clocked_bits(product, unit, machine.array)
    yield charge(layer, "clock", "array", "", clocked, "clock edge of a bit", prices.clock_edge)
    if pipeline := prices.pipeline_bits(unit):
        edges = product.array_cycles * pipeline
        yield charge(layer, "pipeline", "array", "", edges, "clock edge of a bit", prices.clock_edge)


def _moved(
    layer: str, tensor: str, level: str, read_bits: int, written_bits: int, prices: MachinePrices
) -> Iterator[Charge]:
    """Accesses of one memory, and the wires that its bits cross."""
    memory = prices.levels[level]
    component = memory.component
    if read_bits:
        yield charge(layer, component, level, tensor, read_bits, "bit read", memory.read_pj_per_bit)
    if written_bits:
        yield charge(layer, component, level, tensor, written_bits, "bit written", memory.write_pj_per_bit)
    if memory.wire_pj_per_bit is not None and read_bits + written_bits:
        bits = read_bits + written_bits
        yield charge(layer, "wires", level, tensor, bits, "bit across the chip", memory.wire_pj_per_bit)
