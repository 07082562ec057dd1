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
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from hwsim.datapaths import pricing
from hwsim.errors import ArgumentError
from hwsim.evaluation.ledger import Charge, Ledger

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Numerics
    from hwsim.arch.plan import Plan, Product, Step
    from hwsim.cost.coefficients import Coefficients
    from hwsim.cost.gates import GateEnergy
    from hwsim.cost.quantity import Quantity
    from hwsim.cost.toggles import Toggles
    from hwsim.datapaths.base import Datapath
    from hwsim.evaluation.prices import MachinePrices

FIDELITIES = ("pann", "trace", "gates")


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of the operands of one product: flips, gates, additions; None where it was not measured."""

    toggles: Toggles | None = None
    gates: GateEnergy | None = None
    additions: float | None = None


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
        for one in step_charges(step, numerics, prices, counted, fidelity)
    ]
    for component, level, price in prices.per_cycle(logic_um2):
        charges.append(charge("", component, level, "", plan.latency_cycles, "cycle", price))
    return Ledger(charges, "pJ", fidelity)


def step_charges(
    step: Step, numerics: Mapping[str, Numerics], prices: MachinePrices, counted: Mapping[int, Counted], fidelity: str
) -> Iterator[Charge]:
    """What one step of a plan is charged for, not rounded yet; `numerics` by key, the rest as of `energy`."""
    machine = prices.machine
    for product in step.products:
        known = counted.get(-1 if product.record is None else product.record, Counted())
        yield from _product(product, numerics[product.numerics_key], machine, prices, known, fidelity)
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
    product: Product, numerics: Numerics, machine: Accelerator, prices: MachinePrices, known: Counted, fidelity: str
) -> Iterator[Charge]:
    """Logic, registers and clock of one product."""
    unit, held, layer = numerics.datapath, prices.coefficients, product.layer
    registers = unit.price.registers
    rebuilds = product.a_reads / unit.lanes if registers.table_bits else 0.0

    def put(part: str, count: float, event: str, price: Quantity) -> Charge:
        return charge(layer, part, "array", "", count, event, prices.logic(price))

    if fidelity == "pann":
        flips = unit.price.width_flips(known.additions)
        each = held["pann.energy_per_flip"]
        yield put("products", product.updates * flips.products, "flip by widths", each)
        yield put("accumulation", product.updates * flips.sums, "flip by widths", each)
        if flips.table:
            yield put("tables", rebuilds * flips.table, "flip by widths", each)
    else:
        toggles = _known(known.toggles, "toggles", machine, layer)
        if fidelity == "trace":
            update, rebuild = _updates(unit, _Same(toggles), _Same(held))
            for part, price in update.items():
                yield put(part, product.updates, "update", price)
            if rebuild is not None:
                yield put("tables", rebuilds, "rebuild", rebuild)
        else:
            gates = _known(known.gates, "gates", machine, layer)
            yield put("logic", product.updates, "update", gates.quantity("update"))
            if gates.rebuild_fj:
                yield put("tables", rebuilds, "rebuild", gates.quantity("rebuild"))
        flipped = _register_flips(product, toggles, numerics)
        yield put("registers", flipped, "flip", held["flipflop.energy.data"])
    clocked = _clocked_bits(product, numerics, machine)
    yield charge(layer, "clock", "array", "", clocked, "clock edge of a bit", prices.clock_edge)
    if pipeline := prices.pipeline_bits(unit):
        edges = product.array_cycles * pipeline
        yield charge(layer, "pipeline", "array", "", edges, "clock edge of a bit", prices.clock_edge)


class _Same:
    """A record that is told apart as an object: the same one is met in every plan, and has no hash of its own."""

    __slots__ = ("record",)

    def __init__(self, record: Toggles | Coefficients) -> None:
        self.record = record

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.record is self.record


@lru_cache(maxsize=4096)
def _updates(unit: Datapath, toggles: _Same, held: _Same) -> tuple[Mapping[str, Quantity], Quantity | None]:
    """`hwsim.datapaths.pricing.update_energy`."""
    return pricing.update_energy(unit, cast("Toggles", toggles.record), cast("Coefficients", held.record))


Record = TypeVar("Record", "Toggles", "GateEnergy")


def _known(record: Record | None, name: str, machine: Accelerator, layer: str) -> Record:
    """A record that a fidelity needs, counted in the machine's dataflow."""
    if record is None:
        raise ArgumentError(f"{name} of every product must be known for this fidelity", where=f"energy.{layer}")
    if record.dataflow != machine.array.dataflow.order:
        raise ArgumentError(
            f"{name} must be counted in the order of {machine.array.dataflow.name}",
            got=record.dataflow,
            where=f"energy.{layer}",
        )
    return record


def _register_flips(product: Product, toggles: Toggles, numerics: Numerics) -> float:
    """Bits that flip in the registers of operands, scales and sums."""
    unit = numerics.datapath
    # a unit that reads its activations from a shared table holds none
    a = product.a_loads * toggles.a_element if unit.price.registers.a_bits else 0.0
    flips = a + product.b_loads * toggles.b_element + product.updates * toggles.sum
    if unit.block is not None:
        flips += (product.a_loads * toggles.a_scale + product.b_loads * toggles.b_scale) / unit.block
    return flips


def _clocked_bits(product: Product, numerics: Numerics, machine: Accelerator) -> float:
    """Clock edges of flip-flops: streaming registers and sums every cycle of the array, others when they load."""
    unit = numerics.datapath
    registers, cycles, wide = unit.price.registers, product.array_cycles, unit.lanes
    tables = registers.table_bits * product.a_reads / wide
    stays = machine.array.dataflow.stationary
    a = product.a_loads / wide * registers.a_bits if stays == "input" else cycles * registers.a_bits
    b = product.b_loads / wide * registers.b_bits if stays == "weight" else cycles * registers.b_bits
    return a + b + cycles * registers.sum_bits + tables


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
