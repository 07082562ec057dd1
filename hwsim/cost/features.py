"""What the price of a circuit depends on: a few sizes, in which area is linear.

Decides the shape of the fitted model, once for both sides: a calibration fits one coefficient to each feature, a
price multiplies the same features by the coefficients. Features are what a block is made of (partial products,
selections of a shifter, bits of adders), so that a fit on some widths holds on others. A learned regressor was
rejected: it needs far more circuits than a synthesis run of minutes makes, and no coefficient of it would mean
anything. Features of whole units stand with their families; here are those of blocks that several have.

A coefficient is called ``<family>.area.<feature>``; its value is um² for each unit of the feature.
"""

from __future__ import annotations

from collections.abc import Mapping

Features = Mapping[str, float]


def multiplier(a_bits: int, b_bits: int, signed: bool = True, style: str = "array") -> Features:
    """Of a multiplier of integers: partial products and operand bits; Booth's has rows, one for two bits of b."""
    sizes = {"partial_products": float(a_bits * b_bits), "operand_bits": a_bits + b_bits, "constant": 1}
    if style == "booth":
        sizes["rows"] = ((b_bits + 1) // 2 if signed else b_bits // 2 + 1) * (a_bits + (1 if signed else 2))
    return sizes


def accumulator(addend_bits: int, acc_bits: int) -> Features:
    """Of the adder of an accumulator; its register is priced apart."""
    return {"acc_bits": acc_bits, "addend_bits": min(addend_bits, acc_bits), "constant": 1}
