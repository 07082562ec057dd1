"""Area of a machine: units and registers, memories, the vector unit, and what a layout adds.

Units of different numerics in one machine lie side by side in every position of the array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hwsim.datapaths.pricing import compose
from hwsim.evaluation.energy import charge
from hwsim.evaluation.ledger import Charge, Ledger

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.cost.gates import Logic
    from hwsim.datapaths.base import Datapath
    from hwsim.evaluation.prices import MachinePrices


def area(machine: Accelerator, prices: MachinePrices, synthesized: Mapping[Datapath, Logic] | None = None) -> Ledger:
    """Every charge of a machine's area, µm² at its node.

    Components are ``products``, ``scaling``, ``alignment``, ``accumulation`` and ``tables`` (blocks of the units),
    ``registers``, ``pipeline``, ``vector``, one ``sram.*`` a memory, and ``placement``: what rows of a layout leave
    empty beside the cells of logic.

    Args:
        machine: the design.
        prices: of the machine.
        synthesized: areas of every unit as synthesised: units are then the parts ``logic`` and ``tables``.

    Raises:
        UnknownName: a coefficient is missing. MissingView: a unit has no price.
    """
    charges = logic_charges(machine, prices, synthesized)
    for name, level in prices.levels.items():
        if level.area_um2 is not None:
            charges.append(charge("", level.component, name, "", 1, "memory", level.area_um2))
    fidelity = prices.coefficients.fidelity if synthesized is None else "synthesized"
    return Ledger(charges, "um2", fidelity)


def logic_charges(
    machine: Accelerator, prices: MachinePrices, synthesized: Mapping[Datapath, Logic] | None = None
) -> list[Charge]:
    """The charges of `area` but those of memories, not rounded yet; none depends on a memory."""
    charges = list(_units(machine, prices, synthesized))
    charges.append(charge("", "vector", "vector", "", machine.vector.lanes, "lane", prices.vector_lane_um2))
    if cuts := prices.vector_lane_bits:
        flop = prices.cells(prices.coefficients["flipflop.area"])
        charges.append(charge("", "pipeline", "vector", "", machine.vector.lanes * cuts, "flip-flop", flop))
    logic = sum(one.amount for one in charges)
    charges.append(charge("", "placement", "chip", "", logic, "um2 of cells", prices.placement))
    return charges


def _units(
    machine: Accelerator, prices: MachinePrices, synthesized: Mapping[Datapath, Logic] | None
) -> Iterator[Charge]:
    held, array = prices.coefficients, machine.array
    units, rows = array.units, array.rows * array.count
    for datapath in dict.fromkeys(numerics.datapath for numerics in machine.policy.numerics):
        if synthesized is None:
            made = compose(datapath, held)
            blocks = [(block.part, block.area, units, "unit") for block in made.components]
            blocks += [(block.part, block.area, rows, "row") for block in made.shared]
        else:
            logic = synthesized[datapath]
            blocks = [("logic", logic.unit, units, "unit")]
            if logic.shared is not None:
                blocks.append(("tables", logic.shared, rows, "row"))
        for part, size, count, event in blocks:
            yield charge("", part, "array", "", count, event, prices.cells(size))
        flop = prices.cells(held["flipflop.area"])
        yield charge("", "registers", "array", "", register_bits(datapath, machine), "flip-flop", flop)
        if pipeline := prices.pipeline_bits(datapath):
            yield charge("", "pipeline", "array", "", pipeline * units, "flip-flop", flop)


def register_bits(datapath: Datapath, machine: Accelerator) -> int:
    """Flip-flops that the units of one kind hold, all positions of the array together.

    The operand that stays in place has a second register, so that the next tile loads while this one is used, unless
    the machine overlaps nothing. Tables stand once a row; with inputs in place, in every unit.
    """
    array, held = machine.array, datapath.price.registers
    stays = array.dataflow.stationary if array.overlap != "none" else None
    a = held.a_bits * (1 + (stays == "input"))
    b = held.b_bits * (1 + (stays == "weight"))
    tables = array.units if array.dataflow.stationary == "input" else array.rows * array.count
    return array.units * (a + b + held.sum_bits) + tables * held.table_bits
