"""Energy of a GEMM on a machine, by component, at one of three fidelities.

``pann``: bit flips from operand widths (`Price.width_flips`), times the mean energy of a flip.

``trace``: the bits that flip on recorded operands (`hwsim.evaluation.counting`), times coefficients. A fitted set has
one for each kind of inner flip of a family (`Price.update_flips`). A composed set prices products in proportion to
flips of their operand registers, integer accumulators by flips at their input and in their register, float units'
alignment and sums in proportion to operand flips. Registers are priced by their own flips.

``gates``: every gate of the unit's netlist on the recorded operands (`hwsim.datapaths.pricing`), as the part
``logic``; registers as in ``trace``.

All add what the formulas leave out: the clock of flip-flops, memory accesses, DRAM and the memories' leakage. The
leakage of logic, wires, clock tree and control are not included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from hwsim.arch import Accelerator, Activity, Numerics
from hwsim.cost.area import MEMORIES, memories
from hwsim.cost.blocks import Registers
from hwsim.cost.coefficients import DEFAULT, Coefficients, load_coefficients
from hwsim.cost.dram import dram_pj_per_bit
from hwsim.cost.memory import Sram
from hwsim.cost.quantity import Breakdown, Quantity, total
from hwsim.cost.technology import SOURCE, energy_factor, scaling_error
from hwsim.cost.toggles import Toggles
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.pricing import compose, update_energy
from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.cost.gates import GateEnergy

FIDELITIES = ("pann", "trace", "gates")


def energy_pj(
    accelerator: Accelerator,
    activity: Activity,
    toggles: Toggles | None = None,
    fidelity: str = "pann",
    coefficients: Coefficients | str = DEFAULT,
    gates: GateEnergy | None = None,
) -> Breakdown:
    """Energy of one GEMM in pJ, by component.

    Parts: blocks of the unit (``products``, ``scaling``, ``alignment``, ``accumulation``, ``tables``, where present;
    for ``gates`` ``logic`` and ``tables``), ``registers`` (flips; in ``pann`` part of the formulas), ``clock``, one
    ``sram.*`` a memory, ``dram``, ``leakage`` of the memories over the GEMM's latency.

    Args:
        accelerator: the machine.
        activity: counts of the GEMM, from `hwsim.timing.activity`.
        toggles: flips of the GEMM in the machine's dataflow; needed for ``trace`` and ``gates``, unused for ``pann``.
        fidelity: ``"pann"``, ``"trace"`` or ``"gates"``.
        coefficients: a set or its name; for ``gates`` one of the library that was simulated.
        gates: energy of the GEMM in the unit's netlist, in the machine's dataflow; needed for ``gates``.

    Raises:
        ArgumentError: another fidelity, no or wrong toggles or gates where needed, unknown node, or a unit that no
            rule composes.
        UnknownName: a coefficient is missing, or the kind of DRAM is unknown.
        DesignError: a memory cannot be made from the table's macros.
    """
    held = load_coefficients(coefficients) if isinstance(coefficients, str) else coefficients
    prices = _prices(accelerator, held)
    numerics = prices.numerics[activity.numerics_key]
    if fidelity == "pann":
        parts = _from_widths(activity, numerics.datapath, held, prices)
    elif fidelity in ("trace", "gates"):
        counted = _given("toggles", toggles, fidelity, accelerator)
        if fidelity == "trace":
            parts = _from_flips(accelerator, activity, numerics, counted, held, prices)
        else:
            parts = _from_gates(activity, numerics, _given("gates", gates, fidelity, accelerator), prices)
        unit = numerics.datapath.price.registers
        parts["registers"] = prices.scaled(
            _register_flips(activity, counted, numerics, unit), held["flipflop.energy.data"]
        )
    else:
        raise ArgumentError(f"must be one of {', '.join(FIDELITIES)}", got=fidelity, where="energy_pj.fidelity")
    parts["clock"] = prices.scaled(
        _clocked_bits(numerics.datapath.price.registers, activity, accelerator, numerics),
        held["flipflop.energy.clock"],
    )
    for name, memory in prices.memories.items():
        parts[f"sram.{name}"] = _accesses(activity, name, memory)
    parts["dram"] = _times(activity.dram_read_bits.total + activity.dram_write_bits.total, prices.dram)
    # 1 mW for one cycle of 1 ns is 1 pJ
    parts["leakage"] = _times(activity.latency_cycles / accelerator.clock_ghz, prices.leakage)
    return Breakdown(parts, fidelity, "pJ")


@dataclass(frozen=True, slots=True)
class _Prices:
    """What does not depend on the GEMM."""

    numerics: dict[str, Numerics]
    memories: dict[str, Sram]
    dram: Quantity
    leakage: Quantity
    factor: float
    error: float
    note: str

    def scaled(self, count: float, price: Quantity, error: float = 0.0) -> Quantity:
        """`count` times a price in fJ at the coefficients' node, as pJ at the machine's."""
        note = f"{price.source}{self.note}"
        return Quantity(
            count * price.value * 1e-3 * self.factor, "pJ", note, price.relative_error + error + self.error
        )


@lru_cache(maxsize=512)
def _prices(accelerator: Accelerator, held: Coefficients) -> _Prices:
    made = memories(accelerator)
    dram = dram_pj_per_bit(accelerator.dram.technology)
    if accelerator.dram.pj_per_bit is not None:
        dram = Quantity(accelerator.dram.pj_per_bit, "pJ/bit", "the machine's own dram_pj_per_bit", 0.0)
    error = scaling_error(held.node_nm, accelerator.node_nm)
    return _Prices(
        {numerics.key: numerics for numerics in accelerator.policy.numerics},
        made,
        dram,
        total(memory.leakage_mw for memory in made.values()),
        energy_factor(held.node_nm, held.voltage, accelerator.node_nm, accelerator.voltage),
        error,
        f"; to {accelerator.node_nm} nm by {SOURCE}" if error else "",
    )


def _from_flips(
    machine: Accelerator,
    activity: Activity,
    numerics: Numerics,
    toggles: Toggles,
    held: Coefficients,
    prices: _Prices,
) -> dict[str, Quantity]:
    """Blocks from counted flips."""
    datapath = numerics.datapath
    if held.fidelity == "fitted":
        update, rebuild = update_energy(datapath, toggles, held)
        priced = {part: prices.scaled(activity.updates, one) for part, one in update.items()}
        if rebuild is not None:
            priced["tables"] = prices.scaled(_rebuilds(activity, datapath), rebuild)
        return priced
    unit = compose(datapath, held)
    a_flips, b_flips = activity.a_loads * toggles.a_element, activity.b_loads * toggles.b_element
    operations = (a_flips + b_flips) / unit.uniform_flips  # as many with uniform operands flip as many bits
    sums = activity.updates * toggles.sum
    parts: dict[str, Quantity] = {}

    def put(name: str, quantity: Quantity) -> None:
        parts[name] = _plus(parts[name], quantity) if name in parts else quantity

    spread = held["multiplier.activity"].relative_error
    for block in unit.components:
        if block.energy is not None:
            put(block.part, prices.scaled(operations, block.energy, spread))
        elif block.part == "accumulation":
            addends = activity.updates * toggles.addend
            put(block.part, prices.scaled(addends, held["accumulator.energy.per_input_flip"]))
            put(block.part, prices.scaled(sums, held["accumulator.energy.per_sum_flip"]))
        else:
            put(block.part, prices.scaled(activity.updates, datapath.price.fetch(machine.dataflow, held)))
    for block in unit.shared:
        rebuilt = activity.a_reads * toggles.a_element / unit.uniform_flips
        put(block.part, prices.scaled(rebuilt, block.energy or block.area, spread))
    return parts


def _from_gates(activity: Activity, numerics: Numerics, gates: GateEnergy, prices: _Prices) -> dict[str, Quantity]:
    """Logic as simulated, every update alike."""
    parts = {"logic": prices.scaled(activity.updates, gates.quantity("update"))}
    if gates.rebuild_fj:
        parts["tables"] = prices.scaled(_rebuilds(activity, numerics.datapath), gates.quantity("rebuild"))
    return parts


def _rebuilds(activity: Activity, datapath: Datapath) -> float:
    """Times that the tables of a lookup unit are built, all rows of the array together."""
    return activity.a_reads / datapath.lanes


def _register_flips(activity: Activity, toggles: Toggles, numerics: Numerics, unit: Registers) -> float:
    """Bits that flip in the registers of operands, scales and sums."""
    a = activity.a_loads * toggles.a_element if unit.a_bits else 0.0  # a lookup unit holds no activations
    b, sums = activity.b_loads * toggles.b_element, activity.updates * toggles.sum
    return a + b + sums + _scale_flips(activity, toggles, numerics)


Counted = TypeVar("Counted", "Toggles", "GateEnergy")


def _given(name: str, record: Counted | None, fidelity: str, accelerator: Accelerator) -> Counted:
    """A record that a fidelity needs, of the machine's dataflow."""
    if record is None:
        raise ArgumentError(f"must be given for the fidelity {fidelity}", where=f"energy_pj.{name}")
    if record.dataflow != accelerator.dataflow:
        raise ArgumentError(
            f"must be counted for the dataflow {accelerator.dataflow}", got=record.dataflow, where=f"energy_pj.{name}"
        )
    return record


def _from_widths(activity: Activity, datapath: Datapath, held: Coefficients, prices: _Prices) -> dict[str, Quantity]:
    """Blocks from PANN's formulas."""
    products, accumulation, tables = datapath.price.width_flips(activity.updates / activity.macs)
    price = held["pann.energy_per_flip"]
    parts = {
        "products": prices.scaled(activity.updates * products, price),
        "accumulation": prices.scaled(activity.updates * accumulation, price),
    }
    if tables:
        parts["tables"] = prices.scaled(_rebuilds(activity, datapath) * tables, price)
    return parts


def _scale_flips(activity: Activity, toggles: Toggles, numerics: Numerics) -> float:
    block = numerics.datapath.block
    if block is None:
        return 0.0
    return (activity.a_loads * toggles.a_scale + activity.b_loads * toggles.b_scale) / block


def _clocked_bits(unit: Registers, activity: Activity, machine: Accelerator, numerics: Numerics) -> float:
    """Flip-flop clock edges: streaming registers and sums every cycle of the array, others when they load."""
    cycles = activity.array_cycles
    wide = numerics.datapath.lanes
    tables = unit.table_bits * activity.a_reads / wide
    if machine.dataflow == "ws":
        return cycles * (unit.a_bits + unit.sum_bits) + activity.b_loads / wide * unit.b_bits + tables
    if machine.dataflow == "is":
        return cycles * (unit.b_bits + unit.sum_bits) + activity.a_loads / wide * unit.a_bits + tables
    return cycles * (unit.a_bits + unit.b_bits + unit.sum_bits) + tables


def _accesses(activity: Activity, name: str, memory: Sram) -> Quantity:
    """Energy of one memory: the array's accesses, and the other end of each DRAM transfer."""
    at = MEMORIES.index(name)
    read = _times(activity.sram_read_bits[at], memory.read_pj_per_bit)
    return _plus(read, _times(activity.sram_write_bits[at], memory.write_pj_per_bit))


def _times(count: float, price: Quantity) -> Quantity:
    return price.scaled(count).with_unit("pJ")


def _plus(one: Quantity, other: Quantity) -> Quantity:
    return total((one, other))
