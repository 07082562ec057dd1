"""Area of a machine: units and registers from their composition, memories from their table.

Wires, clock tree, control, and the vector unit are not included; a layout adds them. Units of different numerics in
one machine lie side by side in every position of the array.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.arch import Accelerator
from hwsim.cost.blocks import Registers
from hwsim.cost.coefficients import DEFAULT, Coefficients, load_coefficients
from hwsim.cost.gates import Logic
from hwsim.cost.memory import Sram, sram
from hwsim.cost.quantity import Breakdown, Quantity
from hwsim.cost.technology import SOURCE, area_factor, scaling_error
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.pricing import compose

MEMORIES = ("activation", "weight", "output")


def area_um2(
    accelerator: Accelerator,
    coefficients: Coefficients | str = DEFAULT,
    synthesized: Mapping[Datapath, Logic] | None = None,
) -> Breakdown:
    """Area in um² at the machine's node, by component.

    Parts are ``products``, ``scaling``, ``alignment``, ``accumulation`` and ``tables`` (blocks of the units, where
    present), ``registers``, and one ``sram.*`` for each memory. The fidelity is that of the coefficients.

    Args:
        accelerator: the machine.
        coefficients: a set or its name.
        synthesized: areas of every unit of the machine as synthesised to the library of `coefficients`
            (`hwsim.datapaths.pricing.unit_logic`): units are then the parts ``logic`` and ``tables``, and the
            fidelity is ``synthesized``.

    Raises:
        ArgumentError: the node is unknown, or no rule composes a unit of the machine.
        UnknownName: a coefficient is missing.
        DesignError: a memory cannot be made from the table's macros.
    """
    held = load_coefficients(coefficients) if isinstance(coefficients, str) else coefficients
    units = accelerator.rows * accelerator.cols
    sums: dict[str, list[tuple[Quantity, int]]] = {}
    for datapath in dict.fromkeys(numerics.datapath for numerics in accelerator.policy.numerics):
        if synthesized is None:
            unit = compose(datapath, held)
            for block in unit.components:
                sums.setdefault(block.part, []).append((block.area, units))
            for block in unit.shared:
                sums.setdefault(block.part, []).append((block.area, accelerator.rows))
        else:
            logic = synthesized[datapath]
            sums.setdefault("logic", []).append((logic.unit, units))
            if logic.shared is not None:
                sums.setdefault("tables", []).append((logic.shared, accelerator.rows))
        bits = register_bits(datapath.price.registers, accelerator)
        sums.setdefault("registers", []).append((held["flipflop.area"], bits))
    factor = area_factor(held.node_nm, accelerator.node_nm)
    error = scaling_error(held.node_nm, accelerator.node_nm)
    parts = {name: _part(members, factor, error, accelerator.node_nm) for name, members in sums.items()}
    for name, memory in memories(accelerator).items():
        parts[f"sram.{name}"] = memory.area_um2
    return Breakdown(parts, held.fidelity if synthesized is None else "synthesized", "um2")


def memories(accelerator: Accelerator) -> dict[str, Sram]:
    """The three memories of a machine."""
    return {
        name: sram(
            kib,
            accelerator.port_bits,
            accelerator.node_nm,
            accelerator.voltage,
            f"{accelerator.name}.memory.{name}_kib",
        )
        for name, kib in zip(MEMORIES, accelerator.sram_kib, strict=True)
    }


def register_bits(unit: Registers, accelerator: Accelerator) -> int:
    """Flip-flops that the units of one kind hold, all positions of the array together.

    The operand that stays in place has a second register, so that the next tile loads while this one is used, unless
    the machine overlaps nothing. Tables stand once a row; with inputs in place, in every unit.
    """
    stays_twice = 0 if accelerator.overlap == "none" else 1
    a = unit.a_bits * (1 + stays_twice * (accelerator.dataflow == "is"))
    b = unit.b_bits * (1 + stays_twice * (accelerator.dataflow == "ws"))
    units = accelerator.rows * accelerator.cols
    tables = units if accelerator.dataflow == "is" else accelerator.rows
    return units * (a + b + unit.sum_bits) + tables * unit.table_bits


def _part(members: list[tuple[Quantity, int]], factor: float, error: float, node_nm: int) -> Quantity:
    """The scaled sum of (area, count); its source is the largest member's."""
    value = sum(area.value * count for area, count in members)
    spread = sum(area.value * count * area.relative_error for area, count in members)
    largest, _ = max(members, key=lambda member: member[0].value * member[1])
    source = largest.source if not error else f"{largest.source}; to {node_nm} nm by {SOURCE}"
    return Quantity(value * factor, "um2", source, (spread / value if value else 0.0) + error)
