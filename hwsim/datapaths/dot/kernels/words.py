"""Words and signs: the integer steps that every kernel of the tensor cores shares.

The same steps as `reference`, on int64. Shifts right are clamped to 63, so that a term far below the cut is zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hwsim.jit import njit

Int: TypeAlias = Any
"""An integer of compiled code: int64, or what numpy makes of it in plain Python."""
Bool: TypeAlias = Any

INF_E, NAN_E = 20000, 30000  # elements.INF and elements.NAN, as literals of the machine code
RZ_FP32, RZ_E8M13, RNE_FP16, RNE_FP32 = range(4)


class Split(NamedTuple):
    """Significands and exponents ``[rows, K]`` of a and of b, as kernels take them."""

    a_sig: Any
    a_exp: Any
    b_sig: Any
    b_exp: Any


class Cut(NamedTuple):
    """What a unit does to a group of products and c.

    Args:
        group: products that are added together.
        width: elements that a group takes in memory (`fused_layout.padded`).
        fraction: bits kept below the largest exponent.
        term: bits of an aligned product.
        point: fraction bits of a product.
        e_zero: exponent of a zero term.
        rounding: `RZ_FP32` and its kin.
        outside: elements after which a sum leaves the unit, a multiple of the group; 0 for never.
    """

    group: int
    width: int
    fraction: int
    term: int
    point: int
    e_zero: int
    rounding: int
    outside: int


@njit
def bit_length(magnitude: Int) -> Int:
    """Bits of a non-negative int64."""
    bits = 0
    for step in (32, 16, 8, 4, 2, 1):
        if magnitude >> step:
            magnitude >>= step
            bits += step
    return bits + magnitude


@njit
def toward_zero(value: Int, shift: Int) -> Int:
    """``value * 2^shift``, the magnitude truncated."""
    magnitude = abs(value)
    magnitude = magnitude << shift if shift >= 0 else magnitude >> min(-shift, 63)
    return -magnitude if value < 0 else magnitude


@njit
def down(value: Int, shift: Int) -> Int:
    """``value * 2^shift``, rounded toward minus infinity."""
    return value << shift if shift >= 0 else value >> min(-shift, 63)


@njit
def rounded(total: Int, unit: Int, rounding: Int) -> Int:
    """The word of ``total * 2^unit``; see `reference.rounded`."""
    fraction, stored, least, infinity = 23, 23, -126, 0x7F800000
    if rounding == RZ_E8M13:
        fraction = 13
    elif rounding == RNE_FP16:
        fraction, stored, least, infinity = 10, 10, -14, 0x7C00
    magnitude = abs(total)
    if magnitude == 0:
        return 0
    e = max(bit_length(magnitude) - 1 + unit, least)
    if e > 200:
        word = infinity
    else:
        shift = unit - (e - fraction)
        kept = toward_zero(magnitude, shift)
        if rounding >= RNE_FP16 and shift < 0 and shift > -63:
            rest, half = magnitude - (kept << -shift), 1 << (-shift - 1)
            if rest > half or (rest == half and kept & 1):
                kept += 1
        word = min(((e - least) << stored) + (kept << (stored - fraction)), infinity)
    if total < 0 and (word or rounding == RNE_FP32):
        word |= infinity + (1 << stored)
    return word


@njit
def split_word(word: Int, rounding: Int) -> tuple[Int, Int]:
    """Significand and exponent of c, float32 or float16; 23 or 10 fraction bits."""
    if rounding == RNE_FP16:
        field, mantissa, one, bias, negative = word >> 10 & 31, word & 1023, 1024, 15, word >> 15 & 1
        special = field == 31
    else:
        field, mantissa, one, bias, negative = word >> 23 & 255, word & 0x7FFFFF, 1 << 23, 127, word >> 31 & 1
        special = field == 255
    significand = mantissa + one if field else mantissa
    e = max(field, 1) - bias
    if special:
        e = INF_E if mantissa == 0 else NAN_E
    return (-significand if negative else significand), e


@njit
def special_word(positive: bool, negative: bool, nan: bool, rounding: Int) -> Int:
    """The word of a sum that holds infinities or a NaN."""
    if nan or (positive and negative):
        return 0x7FFF if rounding == RNE_FP16 else 0x7FFFFFFF
    word = 0x7C00 if rounding == RNE_FP16 else 0x7F800000
    if negative:
        word |= 0x8000 if rounding == RNE_FP16 else 0x80000000
    return word


@njit
def specials_of(
    a_sig: Any, a_exp: Any, i: Int, b_sig: Any, b_exp: Any, j: Int, first: Int, last: Int
) -> tuple[Bool, Bool, Bool]:
    """Whether the products first..last hold +Inf, -Inf, NaN."""
    positive = negative = nan = False
    for k in range(first, last):
        ea, eb = a_exp[i, k], b_exp[j, k]
        if ea >= INF_E or eb >= INF_E:
            sign = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
            if ea == NAN_E or eb == NAN_E or sign == 0:
                nan = True
            elif sign > 0:
                positive = True
            else:
                negative = True
    return positive, negative, nan


@njit
def word_float(word: Int) -> Any:
    """The float32 of a word."""
    return np.uint32(word).view(np.float32)


@njit
def float_word(value: Any) -> Int:
    """The word of a float32; every NaN becomes the canonical one."""
    if value != value:
        return 0x7FFFFFFF
    return np.int64(np.float32(value).view(np.uint32))


@njit
def half_of(word: Int) -> Int:
    """The float16 word of a float32 word that holds a float16's number."""
    significand, e = split_word(word, RNE_FP32)
    if e >= INF_E:
        return special_word(significand > 0, significand < 0, e == NAN_E, RNE_FP16)
    half = rounded(significand, e - 23, RNE_FP16)
    return 0x8000 if word == 0x80000000 else half


@njit
def float_of_half(word: Int) -> Int:
    """The float32 word of a float16 word."""
    significand, e = split_word(word, RNE_FP16)
    if e >= INF_E:
        return special_word(significand > 0, significand < 0, e == NAN_E, RNE_FP32)
    return rounded(significand, e - 10, RNE_FP32)


@njit
def added(x: Int, y: Int, rounding: Int) -> Int:
    """The words' sum outside the unit, rounded to nearest even in float16 or float32."""
    if rounding != RNE_FP16:
        return float_word(word_float(x) + word_float(y))
    x_sig, x_e = split_word(x, rounding)
    y_sig, y_e = split_word(y, rounding)
    if x_e >= INF_E or y_e >= INF_E:
        positive = (x_e == INF_E and x_sig > 0) or (y_e == INF_E and y_sig > 0)
        negative = (x_e == INF_E and x_sig < 0) or (y_e == INF_E and y_sig < 0)
        return special_word(positive, negative, x_e == NAN_E or y_e == NAN_E, rounding)
    return rounded((x_sig << (x_e + 14)) + (y_sig << (y_e + 14)), -24, rounding)
