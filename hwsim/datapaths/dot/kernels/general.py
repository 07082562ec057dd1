"""Fused and grouped units in int64, one dot product at a time: what the fast products fall back to and must equal.

Decides nothing that `reference` does not, and holds for every unit of these alignments. Operands come split into
significands and exponents (`elements`). No width overflows, as `Dot` bounds what a sum may take. The addition of c
outside a unit is one correctly rounded float32 addition, which Numba neither fuses nor reorders (no ``fastmath``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels.words import (
    INF_E,
    NAN_E,
    RNE_FP16,
    Bool,
    Cut,
    Int,
    Split,
    added,
    rounded,
    special_word,
    split_word,
    toward_zero,
)
from hwsim.jit import njit


@njit
def chain_fused(
    start: Int, stop: Int, columns: Int, paired: Bool, operands: Split, c: Any, cut: Cut, out: Any
) -> None:
    """Words out ``[R, columns]`` of c ``[R, columns]`` plus the dot products of rows start..stop, T- and ST-FDPA.

    Row r meets row r of b where `paired` (columns = 1), else every row of b. Groups are chained through c, k
    ascending. With ``cut.outside`` > 0 a chain starts from zero every so many elements and its end is added outside
    the unit.
    """
    length, outside = operands.a_sig.shape[1], cut.outside
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            total = np.int64(c[i, column])
            word = np.int64(0) if outside else total
            for first in range(0, length, cut.group):
                last = first + cut.group
                word = fused(operands, i, j, first, word, cut)
                if outside and (last % outside == 0 or last == length):
                    total, word = added(total, word, cut.rounding), np.int64(0)
            out[i, column] = total if outside else word


@njit
def chain_grouped(
    start: Int,
    stop: Int,
    columns: Int,
    paired: Bool,
    a_fixed: Any,
    a_exp: Any,
    b_fixed: Any,
    b_exp: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    c: Any,
    group: Int,
    sub: Int,
    block: Int,
    unit: Int,
    fraction: Int,
    e_zero: Int,
    rounding: Int,
    outside: Int,
    out: Any,
) -> None:
    """`chain_fused` for GST-FDPA."""
    length = a_fixed.shape[1]
    for i in range(start, stop):
        for column in range(columns):
            j = i if paired else column
            total = np.int64(c[i, column])
            word = np.int64(0) if outside else total
            for first in range(0, length, group):
                last = first + group
                word = grouped(
                    a_fixed, a_exp, i, b_fixed, b_exp, j, first, last, sub, block, sa_sig, sa_exp, sb_sig, sb_exp,
                    unit, word, fraction, e_zero, rounding,
                )  # fmt: skip
                if outside and (last % outside == 0 or last == length):
                    total, word = added(total, word, rounding), np.int64(0)
            out[i, column] = total if outside else word


@njit
def fused(operands: Split, i: Int, j: Int, first: Int, c: Int, cut: Cut) -> Int:
    """The word of c plus the group that begins at `first`, of row i of a and row j of b.

    T-FDPA, and ST-FDPA of elements that have taken their scales in (`fused_layout.take_in`).
    """
    a_sig, a_exp, b_sig, b_exp = operands
    fraction, rounding = cut.fraction, cut.rounding
    c_sig, c_e = split_word(c, rounding)
    positive, negative, nan = c_e == INF_E and c_sig > 0, c_e == INF_E and c_sig < 0, c_e == NAN_E
    emax = c_e if c_sig else cut.e_zero
    for k in range(first, first + cut.group):
        product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
        ea, eb = np.int64(a_exp[i, k]), np.int64(b_exp[j, k])
        if ea >= INF_E or eb >= INF_E:
            if ea == NAN_E or eb == NAN_E or product == 0:
                nan = True
            elif product > 0:
                positive = True
            else:
                negative = True
        elif product:
            emax = max(emax, ea + eb)
    if positive or negative or nan:
        return special_word(positive, negative, nan, rounding)
    emax = max(emax, cut.e_zero)
    total = toward_zero(c_sig, c_e - (10 if rounding == RNE_FP16 else 23) - emax + fraction)
    for k in range(first, first + cut.group):
        product = np.int64(a_sig[i, k]) * np.int64(b_sig[j, k])
        if product:
            e = np.int64(a_exp[i, k]) + np.int64(b_exp[j, k])
            total += toward_zero(product, e - cut.point - emax + fraction)
    return rounded(total, emax - fraction, rounding)


@njit
def grouped(
    a_fixed: Any,
    a_exp: Any,
    i: Int,
    b_fixed: Any,
    b_exp: Any,
    j: Int,
    first: Int,
    last: Int,
    sub: Int,
    block: Int,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    unit: Int,
    c: Int,
    fraction: Int,
    e_zero: Int,
    rounding: Int,
) -> Int:
    """GST-FDPA: sub-groups of `sub` products are added exactly.

    Args:
        a_fixed, b_fixed: elements as integers of their formats' smallest step; of specials only the sign counts.
        a_exp, b_exp: exponents, to tell specials; of another shape where a format has none.
        unit: exponent of one unit of a product times scales' significands.
    """
    c_sig, c_e = split_word(c, rounding)
    positive, negative, nan = c_e == INF_E and c_sig > 0, c_e == INF_E and c_sig < 0, c_e == NAN_E
    a_special, b_special = a_exp.shape == a_fixed.shape, b_exp.shape == b_fixed.shape
    count = (last - first) // sub
    sums = np.empty(count, np.int64)
    exponents = np.empty(count, np.int64)
    emax = c_e if c_sig else e_zero
    for g in range(count):
        start = first + sub * g
        s = start // block
        if sa_exp[i, s] == NAN_E or sb_exp[j, s] == NAN_E:
            nan = True
        scale = np.int64(sa_sig[i, s]) * np.int64(sb_sig[j, s])
        total: Int = 0
        some: Bool = False
        for k in range(start, start + sub):
            product = np.int64(a_fixed[i, k]) * np.int64(b_fixed[j, k])
            ea = np.int64(a_exp[i, k]) if a_special else np.int64(0)
            eb = np.int64(b_exp[j, k]) if b_special else np.int64(0)
            if ea >= INF_E or eb >= INF_E:
                if ea == NAN_E or eb == NAN_E or product == 0 or scale == 0:
                    nan = True
                elif product > 0:
                    positive = True
                else:
                    negative = True
            total += product
            some |= product != 0
        e = np.int64(sa_exp[i, s]) + np.int64(sb_exp[j, s])
        sums[g] = total * scale
        exponents[g] = e if some and scale else e_zero
        emax = max(emax, exponents[g])
    if positive or negative or nan:
        return special_word(positive, negative, nan, rounding)
    total = toward_zero(c_sig, c_e - (10 if rounding == RNE_FP16 else 23) - emax + fraction)
    for g in range(count):
        total += toward_zero(sums[g], exponents[g] + unit - emax + fraction)
    return rounded(total, emax - fraction, rounding)
