"""The shape of a unit: blocks with a price, and the storage that every rule of pricing agrees on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from hwsim import formats
from hwsim.arch.units import lanes
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.base import Datapath


@dataclass(frozen=True, slots=True)
class Component:
    """A block of a unit.

    Args:
        part: ``"products"``, ``"scaling"``, ``"alignment"``, ``"accumulation"`` or ``"tables"``.
        area: um2.
        energy: fJ of one operation of the unit with uniform operands; None where flips or fetches are priced instead.
    """

    part: str
    area: Quantity
    energy: Quantity | None


@dataclass(frozen=True, slots=True)
class Composition:
    """A unit: its blocks, and its registers in bits.

    Args:
        components: blocks in every unit.
        shared: blocks that a row of the array shares.
        a_bits: operand register of side a, all lanes, with scale bytes.
        b_bits: the same for side b.
        sum_bits: register of the running sum.
        table_bits: registers of shared tables; 0 without.
        uniform_flips: operand bits that flip in one operation if operands are uniform.
    """

    components: tuple[Component, ...]
    shared: tuple[Component, ...]
    a_bits: int
    b_bits: int
    sum_bits: int
    table_bits: int
    uniform_flips: float


class Storage(NamedTuple):
    """Bits of a unit's registers, as in `Composition`."""

    a_bits: int
    b_bits: int
    sum_bits: int
    table_bits: int
    uniform_flips: float


def storage(datapath: Datapath) -> Storage:
    """Registers of a unit. An add-only unit holds a sum of each sign.

    Raises:
        ArgumentError: a family that multiplies no matrices, such as softmax.
    """
    unit: Any = datapath
    wide = lanes(unit)
    if unit.family == "integer":
        return Storage(unit.a_bits, unit.b_bits, unit.acc_bits, 0, 0.5 * (unit.a_bits + unit.b_bits))
    if unit.family == "pann":
        weight = formats.get(unit.b_format).bits
        return Storage(unit.bits_x, weight, 2 * unit.acc_bits, 0, 0.5 * unit.bits_x)
    if unit.family == "shift":
        a, b = formats.get(unit.a_format).bits, formats.get(unit.b_format).bits
        return Storage(a, b, unit.acc_bits, 0, 0.5 * (a + b))
    if unit.family == "tensor_core":
        a, b = formats.get(unit.a_format).bits * wide, formats.get(unit.b_format).bits * wide
        scales = 8 * wide // unit.row.block if unit.row.block else 0
        return Storage(a + scales, b + scales, unit.accumulator_bits, 0, 0.5 * (a + b))
    operand = formats.get(unit.a_format)
    return Storage(
        a_bits=0,  # activations reach the units as table entries, broadcast along a row
        b_bits=unit.key_bits * unit.luts,
        sum_bits=unit.accumulator_bits,
        table_bits=unit.entries * entry_bits(unit) * unit.luts,
        uniform_flips=0.5 * operand.bits * wide,
    )


def entry_bits(unit: Any) -> int:
    """Bits of an entry of a lookup unit's table: a sum of `group` integers; sums of floats keep the format."""
    operand = formats.get(unit.a_format)
    return operand.bits + ((unit.group - 1).bit_length() if operand.is_integer else 0)
