"""Floating-point operators of a vector unit, in words: largest, product, 2^-|x|, reciprocal, reciprocal root, gates.

Words of fp16, bf16 or fp32, sign on top. As vector units do, the products and functions take subnormal numbers for
zero and give zero where the result would be subnormal; sums are IEEE 754 (`hwsim.rtl.float_adders`). NaN results are
the quiet NaN with a clear sign. Functions come from `hwsim.datapaths.vector.tables`; all arithmetic here is integer,
so that each line is a line of the circuit (`hwsim.datapaths.vector.float_circuits`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector.tables import Table, table
from hwsim.rtl.float_adders import WIDTHS

Words = NDArray[Any]
"""uint64 words."""
Ints = NDArray[Any]
"""int64 numbers."""

EXP2_BITS = {"fp16": (5, 12), "bf16": (7, 10), "fp32": (7, 24)}
"""Whole and fraction bits of the exponent that 2^-|x| reads; a larger |x| gives 0."""

GATE_BITS = {"fp16": (10, 12), "bf16": (8, 8), "fp32": (12, 14)}
"""Argument bits (of |x| / 8) and value bits of the tail that GELU and SiLU multiply by."""

SEGMENTS = {"fp16": 5, "bf16": 4, "fp32": 6}


def exp2_table(fmt: str) -> Table:
    """``2^(1-f)``."""
    return table("exp2", EXP2_BITS[fmt][1], WIDTHS[fmt][1], SEGMENTS[fmt], fmt == "fp32")


def reciprocal_table(fmt: str) -> Table:
    """``2/(1+f)``."""
    fraction = WIDTHS[fmt][1]
    return table("reciprocal", fraction, fraction, SEGMENTS[fmt] + (fmt == "fp32"), fmt == "fp32")


def rsqrt_table(fmt: str) -> Table:
    """``2/sqrt``, the lowest bit of the exponent on top of the fraction."""
    fraction = WIDTHS[fmt][1]
    return table("rsqrt", fraction + 1, fraction, SEGMENTS[fmt] + 1, fmt == "fp32")


def gate_table(fmt: str, function: str) -> Table:
    """Tail of the normal (``"gelu"``) or the logistic (``"silu"``) distribution at 8 f."""
    in_bits, out_bits = GATE_BITS[fmt]
    return table(function, in_bits, out_bits, SEGMENTS[fmt] + 1)


def larger(a: Words, b: Words, fmt: str) -> Words:
    """The larger of two words in the order -NaN, -Inf, ..., -0, +0, ..., Inf, NaN."""
    return np.where(_key(a, fmt) >= _key(b, fmt), a, b)


def _key(words: Words, fmt: str) -> Ints:
    exponent, fraction = WIDTHS[fmt]
    top = np.uint64(1 << (exponent + fraction))
    flipped = np.where(words & top != 0, ~words & np.uint64(2 * int(top) - 1), words | top)
    return flipped.astype(np.int64)


def multiply(a: Words, b: Words, fmt: str) -> Words:
    """``a b`` to nearest, ties to even; subnormal operands count as zero, subnormal results become zero.

    Whether a result is subnormal is decided after rounding.
    """
    exponent, fraction = WIDTHS[fmt]
    bias, top = (1 << (exponent - 1)) - 1, (1 << exponent) - 1
    sign = (a ^ b) >> np.uint64(exponent + fraction) & np.uint64(1)
    (ea, ma), (eb, mb) = _parts(a, fmt), _parts(b, fmt)
    product = (ma | 1 << fraction).astype(np.uint64) * (mb | 1 << fraction).astype(np.uint64)
    high = (product >> np.uint64(2 * fraction + 1)).astype(np.int64)  # in [1, 4): one place right where at least 2
    kept = np.where(high == 1, product, product << np.uint64(1))  # 2 fraction + 2 bits, the highest set
    below = kept & np.uint64((1 << (fraction + 1)) - 1)
    half = np.uint64(1 << fraction)
    mantissa = (kept >> np.uint64(fraction + 1)).astype(np.int64)
    up = (below > half) | ((below == half) & (mantissa & 1 == 1))
    packed = (ea + eb - bias + high << fraction) + (mantissa & (1 << fraction) - 1) + up
    zero_a, zero_b = ea == 0, eb == 0
    infinite = (ea == top) | (eb == top)
    nan = _is_nan(a, fmt) | _is_nan(b, fmt) | (infinite & (zero_a | zero_b))
    packed = np.where(packed >> fraction >= top, top << fraction, packed)
    packed = np.where((packed >> fraction <= 0) | zero_a | zero_b, 0, packed)
    packed = np.where(infinite, top << fraction, packed)
    return np.where(nan, _quiet(fmt), packed.astype(np.uint64) | sign << np.uint64(exponent + fraction))


def exp2_negative(x: Words, fmt: str) -> Words:
    """``2^-|x|``: the exponential of a softmax, whose arguments are never positive."""
    exponent, fraction = WIDTHS[fmt]
    bias = (1 << (exponent - 1)) - 1
    whole, part = EXP2_BITS[fmt]
    fixed, over = _fixed(x, fmt, whole, part)
    y = exp2_table(fmt).value(fixed & ((1 << part) - 1))
    packed = (bias - 1 - (fixed >> part) << fraction) + y - (1 << fraction)
    packed = np.where(over | (packed >> fraction <= 0), 0, packed)
    return np.where(_is_nan(x, fmt), _quiet(fmt), packed.astype(np.uint64))


def reciprocal(x: Words, fmt: str) -> Words:
    """``1/x`` by table; 1/0 is an infinity, and 1/Inf and what would be subnormal are zero."""
    exponent, fraction = WIDTHS[fmt]
    bias, top = (1 << (exponent - 1)) - 1, (1 << exponent) - 1
    e, m = _parts(x, fmt)
    y = reciprocal_table(fmt).value(m)
    packed = (2 * bias - 1 - e << fraction) + y - (1 << fraction)
    packed = np.where(packed >> fraction <= 0, 0, packed)
    packed = np.where(e == 0, top << fraction, packed)
    packed = np.where(e == top, 0, packed)
    signed = packed.astype(np.uint64) | x & np.uint64(1 << (exponent + fraction))
    return np.where(_is_nan(x, fmt), _quiet(fmt), signed)


def rsqrt(x: Words, fmt: str) -> Words:
    """``1/sqrt(x)`` by table; of zero +Inf, of a negative number NaN."""
    exponent, fraction = WIDTHS[fmt]
    bias, top = (1 << (exponent - 1)) - 1, (1 << exponent) - 1
    e, m = _parts(x, fmt)
    odd = (e & 1) ^ 1  # the bias is odd
    y = rsqrt_table(fmt).value(odd << fraction | m)
    packed = (3 * bias - 2 - e + odd >> 1 << fraction) + y - (1 << fraction)
    packed = np.where(e == top, 0, packed)
    packed = np.where(e == 0, top << fraction, packed)
    negative = (x >> np.uint64(exponent + fraction) & np.uint64(1) == 1) & (e != 0)
    return np.where(_is_nan(x, fmt) | negative, _quiet(fmt), packed.astype(np.uint64))


def gate(x: Words, fmt: str, function: str) -> Words:
    """What GELU or SiLU multiply x by: the normal or the logistic distribution at x, by table, cut to the format.

    Beyond |x| = 8 the tail is zero.
    """
    exponent, fraction = WIDTHS[fmt]
    bias = (1 << (exponent - 1)) - 1
    in_bits, out_bits = GATE_BITS[fmt]
    fixed, over = _fixed(x, fmt, 3, in_bits - 3)
    tail = np.where(over, 0, gate_table(fmt, function).value(fixed))
    negative = x >> np.uint64(exponent + fraction) & np.uint64(1) == 1
    value = np.where(negative, tail, (1 << out_bits) - tail)
    place = np.zeros_like(value)  # of the highest bit
    for bit in range(out_bits + 1):
        place = np.where(value >> bit & 1 == 1, bit, place)
    shifted = value << (out_bits - place)  # the highest bit at out_bits
    mantissa = shifted << (fraction - out_bits) if fraction >= out_bits else shifted >> (out_bits - fraction)
    packed = (bias + place - out_bits << fraction) + (mantissa & ((1 << fraction) - 1))
    packed = np.where(value == 0, 0, packed)
    return np.where(_is_nan(x, fmt), _quiet(fmt), packed.astype(np.uint64))


def _parts(words: Words, fmt: str) -> tuple[Ints, Ints]:
    exponent, fraction = WIDTHS[fmt]
    e = (words >> np.uint64(fraction)).astype(np.int64) & ((1 << exponent) - 1)
    return e, words.astype(np.int64) & ((1 << fraction) - 1)


def _fixed(words: Words, fmt: str, whole: int, part: int) -> tuple[Ints, NDArray[np.bool_]]:
    """``|x|`` cut to `whole` and `part` bits, and whether it does not fit."""
    exponent, fraction = WIDTHS[fmt]
    bias = (1 << (exponent - 1)) - 1
    e, m = _parts(words, fmt)
    mantissa = m | 1 << fraction
    up = whole + part - 1 - fraction
    word = mantissa << up if up >= 0 else mantissa >> -up
    distance = bias + whole - 1 - e
    over = distance < 0
    fixed = np.where(e == 0, 0, word >> np.clip(distance, 0, 63))
    return np.where(over, 0, fixed), over


def _is_nan(words: Words, fmt: str) -> NDArray[Any]:
    exponent, _ = WIDTHS[fmt]
    e, m = _parts(words, fmt)
    return np.asarray((e == (1 << exponent) - 1) & (m != 0))


def _quiet(fmt: str) -> np.uint64:
    exponent, fraction = WIDTHS[fmt]
    return np.uint64((((1 << exponent) - 1) << fraction) | 1 << (fraction - 1))
