"""NVIDIA's units in int64, one dot product at a time: what the fast products fall back to and must equal.

Decides nothing that `reference` does not. Operands come split into significands and exponents (`elements`). No width
overflows: a product has at most 22 bits and is aligned to at most 42. The addition of c outside a unit is one
correctly rounded float32 addition, which Numba neither fuses nor reorders (no ``fastmath``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.tensor_cores.words import (
    INF_E,
    NAN_E,
    RNE_FP16,
    RZ_FP32,
    Bool,
    Int,
    added,
    rounded,
    special_word,
    specials_of,
    split_word,
    toward_zero,
)
from hwsim.jit import njit


@njit
def chain_fused(
    start: Int,
    stop: Int,
    columns: Int,
    paired: Bool,
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_exp: Any,
    sb_exp: Any,
    c: Any,
    group: Int,
    block: Int,
    fraction: Int,
    point: Int,
    e_zero: Int,
    rounding: Int,
    outside: Int,
    out: Any,
) -> None:
    """Words out ``[R, columns]`` of c ``[R, columns]`` plus the dot products of rows start..stop, T- and ST-FDPA.

    Row r meets row r of b where `paired` (columns = 1), else every row of b. Groups are chained through c, k
    ascending. With `outside` > 0 a chain starts from zero every `outside` elements and its end is added outside the
    unit.
    """
    length = a_sig.shape[1]
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            total = np.int64(c[i, column])
            word = np.int64(0) if outside else total
            for first in range(0, length, group):
                last = first + group
                scale: Int = 0
                if block:
                    scale = np.int64(sa_exp[i, first // block]) + np.int64(sb_exp[j, first // block])
                word = fused(
                    a_sig, a_exp, i, b_sig, b_exp, j, first, last, scale, word, fraction, point, e_zero, rounding
                )
                if outside and (last % outside == 0 or last == length):
                    total, word = added(total, word, rounding), np.int64(0)
            out[i, column] = total if outside else word


@njit
def chain_grouped(
    start: Int,
    stop: Int,
    columns: Int,
    paired: Bool,
    a_sig: Any,
    b_sig: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    c: Any,
    block: Int,
    scale_point: Int,
    fraction: Int,
    e_zero: Int,
    outside: Int,
    out: Any,
) -> None:
    """`chain_fused` for GST-FDPA."""
    length = a_sig.shape[1]
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            total = np.int64(c[i, column])
            word = np.int64(0) if outside else total
            for first in range(0, length, 64):
                word = grouped(
                    a_sig,
                    i,
                    b_sig,
                    j,
                    first,
                    block,
                    sa_sig,
                    sa_exp,
                    sb_sig,
                    sb_exp,
                    scale_point,
                    word,
                    fraction,
                    e_zero,
                )
                if outside and ((first + 64) % outside == 0 or first + 64 == length):
                    total, word = added(total, word, RZ_FP32), np.int64(0)
            out[i, column] = total if outside else word


@njit
def fused(
    a_sig: Any,
    a_exp: Any,
    i: Int,
    b_sig: Any,
    b_exp: Any,
    j: Int,
    first: Int,
    last: Int,
    scale: Int,
    c: Int,
    fraction: Int,
    point: Int,
    e_zero: Int,
    rounding: Int,
) -> Int:
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
    i: Int,
    b_sig: Any,
    j: Int,
    first: Int,
    block: Int,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    scale_point: Int,
    c: Int,
    fraction: Int,
    e_zero: Int,
) -> Int:
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
        total: Int = 0
        some: Bool = False
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
