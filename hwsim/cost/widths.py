"""The fidelity ``pann``: bits that flip in one update of a unit, from its widths alone.

The paper defines multipliers, accumulators and its own add-only unit, of integers (`hwsim.cost.pann`). The rules that
carry it to other units are ours:

- a float product is an unsigned product of significands; each addition of a fused group flips as many bits as a
  product has, and each update of the unit adds one signed accumulation at the width of its window;
- a fetch of a lookup unit flips half an entry and feeds a signed accumulator; a rebuilt table flips each entry once;
- a shifted product flips half of its input bits, and half of its eleven bits in each of three stages of selection;
- an add-only unit with signed inputs sign-extends them to its accumulator, as a signed accumulator does.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log2
from typing import Any, NamedTuple

from hwsim import formats
from hwsim.arch.units import cycles_per_step, lanes
from hwsim.cost import pann
from hwsim.cost.blocks import entry_bits
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError

SHIFTED_BITS, SHIFT_STAGES = 11, 3
"""Of INT4 times a power of two in quarters, and of the exponent codes 1 to 7."""

FLOAT_WINDOW = 24 + 3
"""Of a float32 adder: the significand and three bits below it."""


class Flips(NamedTuple):
    """Bits that flip in one update: in products, in sums; and in one rebuild of a unit's tables."""

    products: float
    sums: float
    table: float = 0.0


@lru_cache(maxsize=256)
def pann_flips(datapath: Datapath, additions: float | None = None) -> Flips:
    """Bits that flip by PANN's formulas and the rules of this module.

    Args:
        datapath: the unit.
        additions: of an element in an add-only unit, its budget if not given; an update is one addition. Of no
            effect on other units.

    Raises:
        ArgumentError: a family that the rules do not cover.
    """
    unit: Any = datapath
    if unit.family == "integer":
        a, b = int(unit.a_bits), int(unit.b_bits)
        sums = pann.accumulator_flips(a, b, unit.accumulator_bits, bool(unit.signed))
        return Flips(pann.multiplier_flips(a, b), sums)
    if unit.family == "pann":
        taken = cycles_per_step(unit, additions)
        extended = 0.5 * (unit.acc_bits - unit.bits_x) if unit.signed else 0.0
        an_element = pann.add_only_flips(unit.bits_x, taken) + extended
        return Flips(0.0, an_element / taken if taken else 0.0)
    if unit.family == "shift":
        product = 0.5 * (4 + 4) + 0.5 * SHIFTED_BITS * SHIFT_STAGES
        if unit.accumulator == "fixed":
            return Flips(product, 0.5 * unit.acc_bits + SHIFTED_BITS)
        return Flips(product, FLOAT_WINDOW + 0.5 * unit.acc_bits)
    if unit.family == "tensor_core":
        a, b = (formats.get(name).mantissa_bits + 1 for name in (unit.a_format, unit.b_format))
        wide, window = lanes(unit), int(unit.row.fraction_bits) + 3
        return Flips(wide * pann.multiplier_flips(a, b), wide * (a + b) + window + 0.5 * unit.accumulator_bits)
    if unit.family == "ternary_lut":
        width = entry_bits(unit)
        fetched = width + ceil(log2(unit.luts))
        entries = float(width * unit.entries * unit.luts)
        return Flips(0.5 * width * unit.luts, 0.5 * unit.accumulator_bits + fetched, entries)
    raise ArgumentError(
        "must be of a family that PANN's formulas cover: integer, pann, shift, tensor_core, ternary_lut",
        got=unit.name,
        where="cost.datapath",
    )
