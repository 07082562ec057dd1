"""Exact sums, and AMD's units of CDNA1, CDNA2 and CDNA3, one integer or float32 step at a time.

An exact sum needs more than 64 bits and lives in limbs of 32. CDNA2's tree uses float32 additions, each
correctly rounded, which Numba neither fuses nor reorders (no ``fastmath``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels.words import (
    INF_E,
    NAN_E,
    RNE_FP32,
    Bool,
    Int,
    bit_length,
    down,
    float_word,
    rounded,
    special_word,
    specials_of,
    split_word,
    toward_zero,
    word_float,
)
from hwsim.jit import njit

EXACT, FLUSHED, ROUNDED, INTERLEAVED = range(4)

LIMBS = 24  # of 32 bits from 2^-320 on: products of BF16 lie in 2^-266..2^257
BOTTOM = -320


@njit
def chain(
    start: Int,
    stop: Int,
    columns: Int,
    paired: Bool,
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    c: Any,
    group: Int,
    block: Int,
    model: Int,
    fraction: Int,
    point: Int,
    out: Any,
) -> None:
    """Words out ``[R, columns]`` of c plus the dot products of rows start..stop; see `general.chain_fused`."""
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            word = np.int64(c[i, column])
            if model == FLUSHED and (word & 0x7FFFFFFF) < 0x00800000:
                word = np.int64(0)
            for first in range(0, a_sig.shape[1], group):
                last = first + group
                if model == EXACT:
                    word = exact(
                        a_sig, a_exp, i, b_sig, b_exp, j, first, last, sa_sig, sa_exp, sb_sig, sb_exp, block, word,
                        point,
                    )  # fmt: skip
                elif model == FLUSHED:
                    word = flushed(a_sig, a_exp, i, b_sig, b_exp, j, first, last, word, point // 2)
                else:
                    word = rounded_sum(
                        a_sig, a_exp, i, b_sig, b_exp, j, first, last, word, fraction, point, model == INTERLEAVED
                    )
            out[i, column] = word


@njit
def exact(
    a_sig: Any,
    a_exp: Any,
    i: Int,
    b_sig: Any,
    b_exp: Any,
    j: Int,
    first: Int,
    last: Int,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    block: Int,
    c: Int,
    point: Int,
) -> Int:
    """E-FDPA: the exact sum in limbs, rounded once to float32; `block` as in `general.fused`."""
    c_sig, c_e = split_word(c, RNE_FP32)
    positive, negative, nan = c_e == INF_E and c_sig > 0, c_e == INF_E and c_sig < 0, c_e == NAN_E
    limbs = np.zeros(LIMBS, np.int64)
    if c_e < INF_E:
        place = c_e - 23 - BOTTOM
        limbs[place >> 5] += np.int64(c_sig) << (place & 31)
    for k in range(first, last):
        product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
        ea, eb = np.int64(a_exp[i, k]), np.int64(b_exp[j, k])
        e = ea + eb
        if block:
            s = k // block
            product *= np.int64(sa_sig[i, s]) * np.int64(sb_sig[j, s])
            e += np.int64(sa_exp[i, s]) + np.int64(sb_exp[j, s])
            nan |= sa_exp[i, s] == NAN_E or sb_exp[j, s] == NAN_E
        if ea >= INF_E or eb >= INF_E:
            if ea == NAN_E or eb == NAN_E or product == 0:
                nan = True
            elif product > 0:
                positive = True
            else:
                negative = True
        elif product and not nan:
            place = e - point - BOTTOM
            term = product << (place & 31)
            limbs[place >> 5] += term & 0xFFFFFFFF  # in two limbs, so that no number of products fills one
            limbs[(place >> 5) + 1] += term >> 32
    if positive or negative or nan:
        return special_word(positive, negative, nan, RNE_FP32)
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
    a_sig: Any, a_exp: Any, i: Int, b_sig: Any, b_exp: Any, j: Int, first: Int, last: Int, c: Int, mantissa: Int
) -> Int:
    """CDNA2: a tree of float32 additions over 2 or 4 products, then c; every subnormal becomes zero.

    Operands become +0, later values keep their sign, so that -0 can appear.
    """
    if specials_of(a_sig, a_exp, i, b_sig, b_exp, j, first, last)[2]:
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
def cut_sum(
    a_sig: Any,
    a_exp: Any,
    i: Int,
    b_sig: Any,
    b_exp: Any,
    j: Int,
    first: Int,
    last: Int,
    step: Int,
    fraction: Int,
    point: Int,
) -> tuple[Int, Int]:
    """Sum of every `step`-th product, cut below the largest exponent, and that exponent."""
    emax: Int = -999
    for k in range(first, last, step):
        if a_sig[i, k] != 0 and b_sig[j, k] != 0:
            emax = max(emax, np.int64(a_exp[i, k]) + np.int64(b_exp[j, k]))
    total: Int = 0
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
    i: Int,
    b_sig: Any,
    b_exp: Any,
    j: Int,
    first: Int,
    last: Int,
    c: Int,
    fraction: Int,
    point: Int,
    interleaved: bool,
) -> Int:
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
    top: Int = max(bit_length(abs(total)) - 1 + unit, -126)
    cut = max(top - (wide - 1) - unit, 0)
    return rounded(down(total, -cut), unit + cut, RNE_FP32)
