"""The shape of a unit's price: its blocks, its registers, and the bits that flip by widths alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwsim.cost.quantity import Quantity


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


Blocks = tuple[tuple[Component, ...], tuple[Component, ...]]
"""Blocks of every unit, and blocks that a row of the array shares."""


class Registers(NamedTuple):
    """Bits that a unit holds.

    Args:
        a_bits: operand register of side a, all lanes, with scale bytes.
        b_bits: the same for side b.
        sum_bits: register of the running sum; an add-only unit holds a sum of each sign.
        table_bits: registers of tables that a row shares; 0 without.
        uniform_flips: operand bits that flip in one operation if operands are uniform.
    """

    a_bits: int
    b_bits: int
    sum_bits: int
    table_bits: int
    uniform_flips: float


class WidthFlips(NamedTuple):
    """Bits that flip in one update by widths alone: in products, in sums; and in one rebuild of a unit's tables."""

    products: float
    sums: float
    table: float = 0.0
