"""Every unit as one integer kernel: slower than the specialised ones, and what they fall back to.

Decides nothing that `hwsim.datapaths.tensor_cores.reference` does not: the same steps on int64, with operands split into
significands and exponents beforehand (`elements`). All shifts are bounded by masks of the exponents, so no width
overflows: a product has at most 22 bits and is cut to at most 36. Only the exact sum of CDNA1 needs more than 64 bits;
it lives in limbs of 32. Two models use float32 operations: CDNA2's tree and the addition of c outside the unit, each a
single correctly rounded addition that Numba neither fuses nor reorders (no ``fastmath``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import njit

INF_E, NAN_E = 20000, 30000  # elements.INF and elements.NAN, as literals of the machine code
FUSED, GROUPED, EXACT, FLUSHED, ROUNDED, INTERLEAVED = range(6)
RZ_FP32, RZ_E8M13, RNE_FP16, RNE_FP32 = range(4)
NAN_WORDS = (0x7FFFFFFF, 0x7FFFFFFF, 0x7FFF, 0x7FFFFFFF)

LIMBS = 24  # of 32 bits from 2^-320 on: products of BF16 lie in 2^-266..2^257
BOTTOM = -320


@njit
def bit_length(magnitude: int) -> int:
    """Bits of a non-negative int64."""
    bits = 0
    for step in (32, 16, 8, 4, 2, 1):
        if magnitude >> step:
            magnitude >>= step
            bits += step
    return bits + magnitude


@njit
def toward_zero(value: int, shift: int) -> int:
    """``value * 2^shift``, the magnitude truncated."""
    magnitude = abs(value)
    magnitude = magnitude << shift if shift >= 0 else magnitude >> min(-shift, 63)
    return -magnitude if value < 0 else magnitude


@njit
def down(value: int, shift: int) -> int:
    """``value * 2^shift``, rounded toward minus infinity."""
    return value << shift if shift >= 0 else value >> min(-shift, 63)


@njit
def rounded(total: int, unit: int, rounding: int) -> int:
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
def split_word(word: int, rounding: int) -> tuple[int, int]:
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
def special_word(positive: bool, negative: bool, nan: bool, rounding: int) -> int:
    """The word of a sum that holds infinities or a NaN."""
    if nan or (positive and negative):
        return 0x7FFF if rounding == RNE_FP16 else 0x7FFFFFFF
    word = 0x7C00 if rounding == RNE_FP16 else 0x7F800000
    if negative:
        word |= 0x8000 if rounding == RNE_FP16 else 0x80000000
    return word


@njit
def specials_of(
    a_sig: Any, a_exp: Any, i: int, b_sig: Any, b_exp: Any, j: int, first: int, last: int
) -> tuple[bool, bool, bool]:
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
def fused(
    a_sig: Any,
    a_exp: Any,
    i: int,
    b_sig: Any,
    b_exp: Any,
    j: int,
    first: int,
    last: int,
    scale: int,
    c: int,
    fraction: int,
    point: int,
    e_zero: int,
    rounding: int,
) -> int:
    """T-FDPA and ST-FDPA; `scale` is the exponent of the block scales, `point` the fraction bits of a product."""
    positive, negative, nan = specials_of(a_sig, a_exp, i, b_sig, b_exp, j, first, last)
    c_sig, c_e = split_word(c, rounding)
    if scale >= NAN_E // 2 or c_e == NAN_E:
        nan = True
    if c_e == INF_E:
        positive, negative = positive or c_sig > 0, negative or c_sig < 0
    if positive or negative or nan:
        return special_word(positive, negative, nan, rounding)
    c_point = 10 if rounding == RNE_FP16 else 23
    emax = c_e if c_sig else e_zero
    for k in range(first, last):
        if a_sig[i, k] != 0 and b_sig[j, k] != 0:
            emax = max(emax, np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]) + scale)
    emax = max(emax, e_zero)
    total = toward_zero(c_sig, c_e - c_point - emax + fraction)
    for k in range(first, last):
        product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
        if product:
            e = np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]) + scale
            total += toward_zero(product, e - point - emax + fraction)
    return rounded(total, emax - fraction, rounding)


@njit
def grouped(
    a_sig: Any,
    i: int,
    b_sig: Any,
    j: int,
    first: int,
    block: int,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    scale_point: int,
    c: int,
    fraction: int,
    e_zero: int,
) -> int:
    """GST-FDPA over 64 products of E2M1; the significands are the values in halves (``2 a``), all at point 1."""
    c_sig, c_e = split_word(c, RZ_FP32)
    sums = np.empty(4, np.int64)
    exponents = np.empty(4, np.int64)
    emax = c_e if c_sig else e_zero
    nan = c_e == NAN_E
    for g in range(4):
        start = first + 16 * g
        s = start // block
        if sa_exp[i, s] == NAN_E or sb_exp[j, s] == NAN_E:
            nan = True
        total, some = 0, False
        for k in range(start, start + 16):
            product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
            total += product
            some |= product != 0
        scale = np.int64(sa_sig[i, s]) * np.int64(sb_sig[j, s])
        e = np.int64(sa_exp[i, s]) + np.int64(sb_exp[j, s])
        sums[g] = total * scale
        exponents[g] = e if some and scale else e_zero
        emax = max(emax, exponents[g])
    if nan or c_e == INF_E:
        return special_word(c_sig > 0, c_sig < 0, nan, RZ_FP32)
    total = toward_zero(c_sig, c_e - 23 - emax + fraction)
    for g in range(4):
        total += toward_zero(sums[g], exponents[g] - 2 - 2 * scale_point - emax + fraction)
    return rounded(total, emax - fraction, RZ_FP32)


@njit
def exact(
    a_sig: Any, a_exp: Any, i: int, b_sig: Any, b_exp: Any, j: int, first: int, last: int, c: int, point: int
) -> int:
    """E-FDPA: the exact sum in limbs, rounded once to float32."""
    positive, negative, nan = specials_of(a_sig, a_exp, i, b_sig, b_exp, j, first, last)
    c_sig, c_e = split_word(c, RNE_FP32)
    if c_e == INF_E:
        positive, negative = positive or c_sig > 0, negative or c_sig < 0
    if positive or negative or nan or c_e == NAN_E:
        return special_word(positive, negative, nan or c_e == NAN_E, RNE_FP32)
    limbs = np.zeros(LIMBS, np.int64)
    place = c_e - 23 - BOTTOM
    limbs[place >> 5] += np.int64(c_sig) << (place & 31)
    for k in range(first, last):
        place = np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]) - point - BOTTOM
        limbs[place >> 5] += (np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])) << (place & 31)
    sign = 1
    for _ in range(2):  # a second time for the magnitude of a negative sum
        for n in range(LIMBS - 1):
            limbs[n + 1] += limbs[n] >> 32
            limbs[n] &= 0xFFFFFFFF
        if limbs[LIMBS - 1] >= 0:
            break
        sign = -1
        for n in range(LIMBS):
            limbs[n] = -limbs[n]
    top = LIMBS - 1
    while top > 1 and limbs[top] == 0:
        top -= 1
    total = limbs[top] << 28 | limbs[top - 1] >> 4  # the top limb is below 2^32, so at least 29 bits are kept
    rest = limbs[top - 1] & 15
    for n in range(top - 1):
        rest |= limbs[n]
    return rounded(sign * (total << 1 | (rest != 0)), BOTTOM + 32 * (top - 1) + 3, RNE_FP32)


@njit
def normal_or_zero(value: Any, smallest: Any) -> Any:
    """`value`, or zero with its sign where it is below the normal numbers."""
    return value * np.float32(0) if abs(value) < smallest else value


@njit
def flushed(
    a_sig: Any, a_exp: Any, i: int, b_sig: Any, b_exp: Any, j: int, first: int, last: int, c: int, mantissa: int
) -> int:
    """CDNA2: a tree of float32 additions over 2 or 4 products, then c; every subnormal becomes zero.

    Operands become +0, later values keep their sign, so that -0 can appear.
    """
    positive, negative, nan = specials_of(a_sig, a_exp, i, b_sig, b_exp, j, first, last)
    if nan:
        return 0x7FFFFFFF
    smallest, one = np.float32(2.0**-126), 1 << mantissa
    sums = np.zeros(4, np.float32)
    for k in range(first, last):
        x = np.int64(a_sig[i, k]) if abs(a_sig[i, k]) >= one else 0
        y = np.int64(b_sig[j, k]) if abs(b_sig[j, k]) >= one else 0
        special = a_exp[i, k] >= INF_E or b_exp[j, k] >= INF_E
        if special and (x == 0 or y == 0):
            return 0x7FFFFFFF
        word = rounded(x * y, np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]) - 2 * mantissa, RNE_FP32)
        if special:
            word = 0x7F800000 | (0x80000000 if x * y < 0 else 0)
        elif x * y == 0 and (x < 0) != (y < 0):
            word = 0x80000000
        sums[k - first] = normal_or_zero(word_float(word), smallest)
    if last - first == 4:
        sums[0] = normal_or_zero(sums[0] + sums[1], smallest)
        sums[1] = normal_or_zero(sums[2] + sums[3], smallest)
    sums[0] = normal_or_zero(sums[0] + sums[1], smallest)
    return float_word(normal_or_zero(word_float(c) + sums[0], smallest))


@njit
def word_float(word: int) -> Any:
    """The float32 of a word."""
    return np.uint32(word).view(np.float32)


@njit
def float_word(value: Any) -> int:
    """The word of a float32; every NaN becomes the canonical one."""
    if value != value:
        return 0x7FFFFFFF
    return np.int64(np.float32(value).view(np.uint32))


@njit
def half_of(word: int) -> int:
    """The float16 word of a float32 word that holds a float16's number."""
    significand, e = split_word(word, RNE_FP32)
    if e >= INF_E:
        return special_word(significand > 0, significand < 0, e == NAN_E, RNE_FP16)
    half = rounded(significand, e - 23, RNE_FP16)
    return 0x8000 if word == 0x80000000 else half


@njit
def float_of_half(word: int) -> int:
    """The float32 word of a float16 word."""
    significand, e = split_word(word, RNE_FP16)
    if e >= INF_E:
        return special_word(significand > 0, significand < 0, e == NAN_E, RNE_FP32)
    return rounded(significand, e - 10, RNE_FP32)


@njit
def cut_sum(
    a_sig: Any,
    a_exp: Any,
    i: int,
    b_sig: Any,
    b_exp: Any,
    j: int,
    first: int,
    last: int,
    step: int,
    fraction: int,
    point: int,
) -> tuple[int, int]:
    """Sum of every `step`-th product, cut below the largest exponent, and that exponent."""
    emax = -999
    for k in range(first, last, step):
        if a_sig[i, k] != 0 and b_sig[j, k] != 0:
            emax = max(emax, np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]))
    total = 0
    for k in range(first, last, step):
        product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
        if product:
            e = np.int64(a_exp[i, k]) + np.int64(b_exp[j, k])
            total += toward_zero(product, e - point - emax + fraction)
    return total, emax


@njit
def rounded_sum(
    a_sig: Any,
    a_exp: Any,
    i: int,
    b_sig: Any,
    b_exp: Any,
    j: int,
    first: int,
    last: int,
    c: int,
    fraction: int,
    point: int,
    interleaved: bool,
) -> int:
    """TR-FDPA and GTR-FDPA; see `reference.rounded_sum`."""
    positive, negative, nan = specials_of(a_sig, a_exp, i, b_sig, b_exp, j, first, last)
    c_sig, c_e = split_word(c, RNE_FP32)
    if c_e == NAN_E:
        nan = True
    if c_e == INF_E:
        positive, negative = positive or c_sig > 0, negative or c_sig < 0
    if not interleaved:
        for k in range(first, last):
            product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
            e = np.int64(a_exp[i, k]) + np.int64(b_exp[j, k])
            if product and e < INF_E // 2 and bit_length(abs(product)) - 1 + e - point >= 128:
                positive, negative = positive or product > 0, negative or product < 0
    if positive or negative or nan:
        return special_word(positive, negative, nan, RNE_FP32)
    if interleaved:
        even, e_even = cut_sum(a_sig, a_exp, i, b_sig, b_exp, j, first, last, 2, fraction, point)
        odd, e_odd = cut_sum(a_sig, a_exp, i, b_sig, b_exp, j, first + 1, last, 2, fraction, point)
        e_dot = max(e_even, e_odd)
        dot = down(even, e_even - e_dot) + down(odd, e_odd - e_dot)
    else:
        dot, e_dot = cut_sum(a_sig, a_exp, i, b_sig, b_exp, j, first, last, 1, fraction, point)
    emax = max(e_dot, c_e)
    wide = fraction + 8
    total = down(c_sig, c_e - emax + fraction - 23) << 8
    if interleaved and c_e < emax - fraction - 1:
        total = 0
    total += down(dot, 8 + e_dot - emax)
    unit = emax - wide
    e = max(bit_length(abs(total)) - 1 + unit, -126)
    cut = max(e - (wide - 1) - unit, 0)
    return rounded(down(total, -cut), unit + cut, RNE_FP32)


@njit
def added(x: int, y: int, rounding: int) -> int:
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


@njit
def chain(
    start: int,
    stop: int,
    columns: int,
    paired: bool,
    model: int,
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    c: Any,
    group: int,
    fraction: int,
    point: int,
    scale_point: int,
    block: int,
    e_zero: int,
    rounding: int,
    outside: int,
    out: Any,
) -> None:
    """Words out ``[R, columns]`` of c ``[R, columns]`` plus the dot products of rows start..stop.

    Row r meets row r of b where `paired` (columns = 1), else every row of b. Groups are chained through c in ascending
    k. With `outside` > 0 a new chain starts from zero every `outside` elements and its end is added outside the unit.
    """
    length = a_sig.shape[1]
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            total = np.int64(c[i, column])
            if model == FLUSHED and (total & 0x7FFFFFFF) < 0x00800000:
                total = np.int64(0)
            word = np.int64(0) if outside else total
            for first in range(0, length, group):
                last = first + group
                if model == FUSED:
                    scale = 0
                    if block:
                        s = first // block
                        scale = np.int64(sa_exp[i, s]) + np.int64(sb_exp[j, s])
                    word = fused(
                        a_sig, a_exp, i, b_sig, b_exp, j, first, last, scale, word, fraction, point, e_zero, rounding
                    )
                elif model == GROUPED:
                    word = grouped(
                        a_sig, i, b_sig, j, first, block, sa_sig, sa_exp, sb_sig, sb_exp, scale_point, word, fraction,
                        e_zero,
                    )  # fmt: skip
                elif model == EXACT:
                    word = exact(a_sig, a_exp, i, b_sig, b_exp, j, first, last, word, point)
                elif model == FLUSHED:
                    word = flushed(a_sig, a_exp, i, b_sig, b_exp, j, first, last, word, point // 2)
                else:
                    word = rounded_sum(
                        a_sig, a_exp, i, b_sig, b_exp, j, first, last, word, fraction, point, model == INTERLEAVED
                    )
                if outside and (last % outside == 0 or last == length):
                    total, word = added(total, word, rounding), np.int64(0)
            out[i, column] = total if outside else word
