"""What the price of a circuit depends on: for each family a few sizes, in which area is linear.

Decides the shape of the fitted model, once for both sides: `hwsim.cost.calibrate` fits one coefficient to each
feature, `hwsim.cost.fitted` multiplies the same features by the coefficients. Features are what a block is made of
(partial products, selections of a shifter, bits of adders), so that a fit on some widths holds on others. A learned
regressor was rejected: it needs far more circuits than a synthesis run of minutes makes, and no coefficient of it
would mean anything.

A coefficient is called ``<family>.area.<feature>``; its value is um² for each unit of the feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from hwsim import formats
from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP, Row

Features = Mapping[str, float]

PARTS: Mapping[str, str] = {
    "partial_products": "products", "significands": "products", "exponents": "products", "groups": "products",
    "scales": "scaling", "factors": "scaling", "candidates": "alignment", "selections": "alignment",
    "addends": "accumulation", "normalisation": "accumulation", "constant": "accumulation",
}  # fmt: skip
"""Part of a machine's area that a feature of a whole tensor core belongs to."""


@dataclass(frozen=True, slots=True)
class Window:
    """Widths inside a unit that aligns: bits of exponents, of an aligned term and of the sum's magnitude."""

    exponent: int
    term: int
    magnitude: int


def window(row: Row, element: str) -> Window:
    """The widths that the rule of a tensor core needs (`hwsim.rtl.tensor_core` generates them)."""
    if row.model == "grouped":
        base, span, terms = (
            (-14, 28, row.group // SUB_GROUP) if row.scale == "ue4m3" else (-254, 506, row.group // SUB_GROUP)
        )
        term = row.fraction_bits + (12 if row.scale == "ue4m3" else 10)
    else:
        form, scale = formats.get(element), 254 if row.scale else 0
        base, terms = -2 * form.bias - scale, row.group
        span = 2 * ((1 << form.exponent_bits) - 1) + 2 * scale - 2
        term = row.fraction_bits + 2
    least = min(base + 2, row.e_zero, -126)
    greatest = max(base + 2 + span, 127)
    magnitude = max(((terms + 1) * ((1 << term) - 1)).bit_length(), row.fraction_bits - 125 - row.e_zero)
    return Window((greatest - least).bit_length(), term, magnitude)


def multiplier(a_bits: int, b_bits: int, signed: bool = True, style: str = "array") -> Features:
    """Of a multiplier of integers: partial products and operand bits; Booth's has rows, one for two bits of b."""
    sizes = {"partial_products": float(a_bits * b_bits), "operand_bits": a_bits + b_bits, "constant": 1}
    if style == "booth":
        sizes["rows"] = ((b_bits + 1) // 2 if signed else b_bits // 2 + 1) * (a_bits + (1 if signed else 2))
    return sizes


def accumulator(addend_bits: int, acc_bits: int) -> Features:
    """Of the adder of an accumulator; its register is priced apart."""
    return {"acc_bits": acc_bits, "addend_bits": min(addend_bits, acc_bits), "constant": 1}


def dot(row: Row, element: str) -> tuple[str, Features]:
    """Family and features of a tensor core's unit with the rule `row`."""
    wide = window(row, element)
    terms = (row.group // SUB_GROUP if row.model == "grouped" else row.group) + 1
    shared = {
        "candidates": terms * wide.exponent,
        "selections": terms * wide.term * log2(wide.term),
        "addends": terms * wide.term,
        "normalisation": wide.magnitude * log2(wide.magnitude),
        "constant": 1.0,
    }
    if row.model == "grouped":
        factors = (terms - 1) * 12 * 8 if row.scale == "ue4m3" else 0
        blocks = row.group // (row.block or row.group)
        return "dot.grouped", {"groups": terms - 1, "scales": 16 * blocks, "factors": factors, **shared}
    form = formats.get(element)
    bits = form.mantissa_bits + 1
    own = {
        "partial_products": row.group * bits * bits,
        "significands": row.group * bits,
        "exponents": row.group * form.exponent_bits,
    }
    return "dot.fused", own | shared


def table(additions: int, entry_bits: int) -> Features:
    """Of the adders of a ternary table."""
    return {"sum_bits": additions * entry_bits, "additions": additions}


def table_real(additions: int) -> Features:
    """Of the floating-point adders of a ternary table: a sum and a difference of two numbers share what aligns them,
    so that an adder in a table is smaller than one alone."""
    return {"additions": additions}


def fetch(entries: int, entry_bits: int, luts: int) -> Features:
    """Of one reader of `luts` integer tables: selection, negation, and the sum over the tables, which takes the ones
    that negation adds; a single table needs adders for them, and a table of one entry selects nothing."""
    return {
        "selections": luts * (entries - 1) * entry_bits,
        "entry_bits": luts * entry_bits,
        "increments": entry_bits if luts == 1 else 0,
        "sum_bits": (luts - 1) * (entry_bits + 2),
        "decoders": luts * (entries - 1),
    }


def fetch_real(entries: int, entry_bits: int) -> Features:
    """Of a reader of one table of floats, which negates by one bit; what adds over several tables is priced apart."""
    return {"selections": (entries - 1) * entry_bits, "decoders": entries - 1, "constant": 1}


def add_only(x_bits: int, acc_bits: int) -> Features:
    """Of an add-only unit: one adder, the choice of a sum, and the subtraction at the end."""
    return {"acc_bits": acc_bits, "x_bits": min(x_bits, acc_bits), "constant": 1}
