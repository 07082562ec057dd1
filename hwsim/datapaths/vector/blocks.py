"""Block formats from float32, in words: largest magnitude, scale, elements; MXFP4, MXFP8 (E4M3) and NVFP4.

MX: the scale is the exponent of the largest magnitude less that of the element's largest number (OCP MX 1.0, 6.3);
elements are rounded to nearest even and saturate. NVFP4, one level: the scale is the largest magnitude over 6,
rounded to E4M3; an element is the exact quotient by it, rounded once. Inputs are finite; infinities and NaN saturate.
Subnormal inputs count as zero. Circuits: `hwsim.datapaths.vector.block_circuits`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[Any]
"""uint64 words."""
Ints = NDArray[Any]
"""int64 numbers."""

THRESHOLDS = (1, 3, 5, 7, 10, 14, 20)
"""Between neighbouring magnitudes 0, 1/2, 1, 3/2, 2, 3, 4, 6 of E2M1, in quarters."""

ELEMENT_EXPONENT = {"e2m1": 2, "e4m3": 8}
"""Exponent of the largest number of an element."""


def larger_magnitude(a: Words, b: Words) -> Words:
    """The larger of two magnitudes; a is one already (31 bits), b a float32 word."""
    return np.asarray(np.maximum(a, b & np.uint64(0x7FFFFFFF)))


def mx_scale(largest: Words, element: str) -> Words:
    """E8M0 byte of a block whose largest magnitude is the float32 word `largest`."""
    exponent = (largest >> np.uint64(23)).astype(np.int64) & 255
    return np.asarray(np.maximum(exponent - ELEMENT_EXPONENT[element], 0), np.uint64)


def mx_e2m1(x: Words, scale: Words) -> Words:
    """E2M1 code of ``x / 2^(scale - 127)``."""
    quarters, sticky = _aligned(x, scale.astype(np.int64), 2)
    return _e2m1(x, quarters, sticky, np.full(len(x), 1, np.int64))


def mx_e4m3(x: Words, scale: Words) -> Words:
    """E4M3 code of ``x / 2^(scale - 127)``; at most 448."""
    e = (x >> np.uint64(23)).astype(np.int64) & 255
    mantissa = x.astype(np.int64) & (1 << 23) - 1 | np.where(e > 0, 1 << 23, 0)
    exponent = e - scale.astype(np.int64) + 7  # E4M3's field, if it is at least 1
    down = np.clip(1 - exponent, 0, 5)  # below: subnormal
    # 4 bits, the half bit and the rest
    kept, rest = mantissa >> 20 + down, mantissa & (np.int64(1) << 20 + down) - 1
    half = np.int64(1) << 19 + down
    up = (rest > half) | ((rest == half) & (kept & 1 == 1))
    code = (np.maximum(exponent, 1) - 1 << 3) + kept + up
    code = np.where((code > 0x7E) | (exponent > 15), 0x7E, code)
    code = np.where(e == 0, 0, code)
    return code.astype(np.uint64) | (x >> np.uint64(24) & np.uint64(0x80))


def nvfp4_scale(largest: Words) -> Words:
    """E4M3 byte of ``largest / 6``, rounded to nearest even, at most 448."""
    e = (largest >> np.uint64(23)).astype(np.int64) & 255
    mantissa = largest.astype(np.int64) & (1 << 23) - 1 | np.where(e > 0, 1 << 23, 0)
    high, sticky = mantissa >> 16, mantissa & 0xFFFF != 0  # 128..255 is 1..2
    wide = high >= 192  # 1.5 and more: the quotient by 3/2 is at least 1
    divisor = np.where(wide, 12, 6)
    quotient = high // divisor  # 16..31: four bits and the half bit
    sticky = sticky | (high % divisor != 0)
    exponent = e - 127 - 3 + wide + 7
    down = np.clip(1 - exponent, 0, 6)
    # below 1 the code is subnormal: bits that leave join the rest
    joined = quotient << 1 | sticky
    lost = joined & (np.int64(1) << down) - 1 != 0
    kept = joined >> down
    kept = kept & ~np.int64(1) | (kept & 1 | lost)
    mantissa4, half, rest = kept >> 2, kept >> 1 & 1, kept & 1
    up = (half == 1) & ((rest == 1) | (mantissa4 & 1 == 1))
    code = (np.maximum(exponent, 1) - 1 << 3) + mantissa4 + up
    code = np.where((code > 0x7E) | (exponent > 15), 0x7E, code)
    return np.where(e == 0, 0, code).astype(np.uint64)


def nvfp4_e2m1(x: Words, scale: Words) -> Words:
    """E2M1 code of x over the E4M3 number `scale` (not negative), rounded once; with scale 0 the code is 0."""
    field, fraction = scale.astype(np.int64) >> 3 & 15, scale.astype(np.int64) & 7
    m = np.where(field > 0, 8 | fraction, fraction)  # the scale is m 2^(field' - 10)
    exponent = np.maximum(field, 1) - 10 + 127
    quarters, sticky = _aligned(x, exponent, 9)
    code = _e2m1(x, quarters, sticky, m)
    return np.where(m == 0, code & np.uint64(8), code)


def round_code(x: Words, bits: int) -> Words:
    """A float32 number to the nearest integer of `bits` bits, ties to even; below 0 it is 0: EXAQ's code."""
    e = (x >> np.uint64(23)).astype(np.int64) & 255
    mantissa = x.astype(np.int64) & (1 << 23) - 1 | 1 << 23
    distance = np.clip(127 + bits - 1 - e, 0, 25)
    word, low = mantissa >> distance, mantissa & (np.int64(1) << distance) - 1
    step = 24 - bits  # fraction bits of the word
    half = np.int64(1) << step - 1
    rest = word & (np.int64(1) << step) - 1
    whole = word >> step
    up = (rest > half) | ((rest == half) & ((low != 0) | (whole & 1 == 1)))
    top = (1 << bits) - 1
    code = np.where(e > 127 + bits - 1, top, np.minimum(whole + up, top))
    return np.where(x >> np.uint64(31) == 1, 0, code).astype(np.uint64)


def _aligned(x: Words, exponent: Ints, whole: int) -> tuple[Ints, NDArray[np.bool_]]:
    """``|x| / 2^(exponent - 127)`` in quarters, cut, and whether anything was cut off.

    At most `whole` + 3 bits: what is larger is returned as all ones.
    """
    e = (x >> np.uint64(23)).astype(np.int64) & 255
    mantissa = x.astype(np.int64) & (1 << 23) - 1 | 1 << 23
    distance = exponent + whole - e  # from the place where the highest bit weighs 2^whole
    over = distance < 0
    bits = whole + 3  # with two behind the point
    room = max(bits - 24, 0)
    word = mantissa << room
    shift = np.clip(distance, 0, bits + 1) + (24 + room - bits)
    kept = word >> shift
    sticky = word & (np.int64(1) << shift) - 1 != 0
    nothing = e == 0
    kept = np.where(over, (1 << bits) - 1, np.where(nothing, 0, kept))
    return kept, np.where(nothing, False, sticky | over)


def _e2m1(x: Words, quarters: Ints, sticky: NDArray[np.bool_], m: Ints) -> Words:
    """How many thresholds lie below; a tie goes to the even code."""
    code = np.zeros(len(x), np.int64)
    for index, threshold in enumerate(THRESHOLDS):
        beyond = quarters > threshold * m
        tie = quarters == threshold * m
        code += beyond | (tie & (sticky | (index % 2 == 1)))
    return (code | (x >> np.uint64(28)).astype(np.int64) & 8).astype(np.uint64)
