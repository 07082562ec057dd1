"""Matrix products of the units that cut every product (T-FDPA, ST-FDPA), fast and bit-equal to `general.fused`.

A group of L products and c is cut at ``2^(emax - F)``, so emax of every element comes first. Per row, group and tile:

1. The largest exponent sum in 16-bit lanes. A zero operand carries an exponent so low that its product never decides.
2. Products in float32, exact as two significands have at most 24 bits, times ``2^(F - emax)``: exact, or below one.
   Conversion to int32 truncates, which is the unit's cut. At most 16 products below 2^27 each, or 4 below 2^29, share
   an int32 (all of them where 13 fraction bits remain and 24 bits hold their sum); such sums and c are added in
   float64, exact below 2^53.
3. Scaling back by a power of two, and truncation as a mask of low bits, or rounding to nearest in float16 or float32.

A group of zeros is passed over where it leaves c as it is, which needs as many fraction bits as results have.

A product below float32's normal numbers may be off, but is below the cut, as emax is at least -100 and F at most 25.

Groups with special operands, a special c, an emax that float32 cannot scale by, or a result that is subnormal or
overflows go through `general.fused`, one by one. Groups are padded with zeros, see `fused_layout.padded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels import general, words
from hwsim.datapaths.dot.kernels.fused_layout import EMPTY, SPECIAL_GROUP
from hwsim.datapaths.dot.kernels.fused_steps import (
    align,
    cut_4,
    cut_8,
    cut_16,
    exponent_of,
    largest_8,
    largest_16,
    needs_care,
)
from hwsim.datapaths.dot.kernels.tiles import ROWS, J, give, leave, nearest_half, take, wide
from hwsim.datapaths.dot.kernels.words import Bool, Cut, Int, Split
from hwsim.jit import njit

CARED = -20000
"""In place of an exponent sum: the column has gone through `general.fused`."""


MOST = 25
"""Fraction bits that float32 can scale by from every emax, and whose results are normal."""

SIXTEEN, FOUR = 27, 29
"""Bits of an aligned product of which an int32 holds the sum of 16, and of 4."""


@njit
def narrow_fits(rounding: Int, group: Int, term: Int) -> Bool:
    """Whether float32 holds the sum of a group and c, which 13 fraction bits will remain of."""
    return rounding == words.RZ_E8M13 and group << term <= 1 << 24


@njit
def redo(
    operands: Split, i: Int, first: Int, count: Int, k: Int, c_bits: Any, cut: Cut, top: Any, redone: Any
) -> None:
    """`general.fused` of the columns that need it, marked as `CARED` in `top`; k: the group's first element."""
    half = cut.rounding == words.RNE_FP16
    for j in range(count):
        magnitude = c_bits[j] & np.int32(0x7FFFFFFF)
        if needs_care(max(exponent_of(magnitude, half, cut.e_zero), np.int32(top[j])), magnitude, top[j]):
            word = np.int64(c_bits[j]) & 0xFFFFFFFF
            if half:
                word = words.half_of(word)
            word = general.fused(operands, i, first + j, k, word, cut)
            redone[j] = words.word_float(words.float_of_half(word) if half else word)
            top[j] = CARED


@njit
def matmul(
    start: Int,
    stop: Int,
    a: Any,
    a_exponents: Any,
    a_kind: Any,
    b: Any,
    b_exponents: Any,
    b_kind: Any,
    operands: Split,
    cut: Cut,
    out: Any,
) -> None:
    """Rows start..stop of out, float32 ``[M, N]`` (float16's numbers for RNE_FP16): holds c, receives the result.

    With ``cut.outside`` > 0 a chain starts from zero every so many elements and its end is added to out, rounded to
    nearest even. a, b and their exponents are flat, as laid out by `fused_layout`.
    """
    wide()
    group, width, fraction, e_zero, rounding = cut.group, cut.width, cut.fraction, cut.e_zero, cut.rounding
    outside, term = cut.outside // cut.group, cut.term
    rows, columns, groups = operands.a_sig.shape[0], operands.b_sig.shape[0], b_kind.shape[1]
    half, narrow, few = rounding == words.RNE_FP16, narrow_fits(rounding, group, term), term > SIXTEEN
    kept = np.int64(-(1 << (39 if rounding == words.RZ_E8M13 else 29)))
    stays = fraction >= (13 if rounding == words.RZ_E8M13 else 10 if half else 23)  # a c that has passed the unit
    top = np.empty(J, np.int16)
    scale = np.empty(J, np.float32)
    back = np.empty(J, np.float32)
    c_cut = np.empty(J, np.int32)
    totals = np.empty(J, np.float64)
    redone = np.empty(J, np.float32)
    held = np.zeros((ROWS, J), np.float32)
    held_bits = held.view(np.int32)
    for r0 in range(start, stop, ROWS):
        r1 = min(r0 + ROWS, stop)
        for t in range(b_kind.shape[0]):
            first = t * J
            count = min(J, columns - first)
            take(out, r0, r1, first, count, outside, held)
            for g in range(groups):
                panel = (t * groups + g) * width * J
                special = b_kind[t, g] == SPECIAL_GROUP
                fresh = g % outside == 0 if outside else g == 0
                for i in range(r0, r1):
                    if stays and a_kind[g, i] == EMPTY and not special and not fresh:
                        continue
                    c_bits = held_bits[i - r0]
                    k = (g * rows + i) * width
                    if width == 8:
                        largest_8(a_exponents, k, b_exponents, panel, True, top)
                    for w in range(0, width - 8, 16):
                        largest_16(a_exponents, k + w, b_exponents, panel + w * J, w == 0, top)
                    marked = align(top, c_bits, fraction, half, e_zero, scale, back, c_cut)
                    if marked:
                        redo(operands, i, first, count, g * group, c_bits, cut, top, redone)
                    if not narrow:
                        for j in range(J):
                            totals[j] = np.float64(c_cut[j])
                            c_cut[j] = 0
                    if few:
                        for w in range(0, width, 4):
                            cut_4(a, k + w, b, panel + w * J, scale, totals)
                    else:
                        if width == 8:
                            cut_8(a, k, b, panel, scale, c_cut)
                        for w in range(0, width - 8, 16):
                            cut_16(a, k + w, b, panel + w * J, scale, c_cut)
                            if not narrow:
                                for j in range(J):
                                    totals[j] += np.float64(c_cut[j])
                                    c_cut[j] = 0
                        if not narrow and width == 8:
                            for j in range(J):
                                totals[j] += np.float64(c_cut[j])
                    if narrow:
                        for j in range(J):
                            # Below 2^24, so exact in float32; its low 10 bits are beyond 13 fraction bits.
                            bits = np.float32(c_cut[j]).view(np.int32) & np.int32(-1024)
                            value = np.int32(bits).view(np.float32) * back[j]
                            c_bits[j] = np.float32(value).view(np.int32)
                    elif half:
                        for j in range(J):
                            value = np.float32(nearest_half(totals[j] * np.float64(back[j])))
                            c_bits[j] = np.float32(value).view(np.int32)
                    elif rounding == words.RNE_FP32:
                        for j in range(J):
                            value = np.float32(totals[j]) * back[j]
                            c_bits[j] = np.float32(value).view(np.int32)
                    else:
                        for j in range(J):
                            cropped = np.float64(totals[j]).view(np.int64) & kept
                            value = np.float32(np.int64(cropped).view(np.float64)) * back[j]
                            c_bits[j] = np.float32(value).view(np.int32)
                    if marked:
                        for j in range(count):
                            if top[j] == CARED:
                                c_bits[j] = np.float32(redone[j]).view(np.int32)
                if outside and ((g + 1) % outside == 0 or g + 1 == groups):
                    leave(out, r0, r1, first, count, half, held)
            give(out, r0, r1, first, count, outside, held)
