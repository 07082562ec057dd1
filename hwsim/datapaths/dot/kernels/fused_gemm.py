"""Matrix products of the units that cut every product (T-FDPA, ST-FDPA), fast and bit-equal to `general.fused`.

A group of L products and c is cut at ``2^(emax - F)``, so emax of every element comes first. Per row, group and tile:

1. The largest exponent sum in 16-bit lanes. A zero operand carries an exponent so low that its product never decides.
2. Products in float32, exact as significands have at most 11 bits each, times ``2^(F - emax)``: exact, or below one.
   Conversion to int32 truncates, which is the unit's cut. At most 16 products below 2^27 each (32 below 2^15 where F
   is 13) share an int32; such sums and c are added in float64, exact below 2^53.
3. Scaling back by a power of two, and truncation as a mask of float64's low bits, or rounding to float16's 11 bits.

Elements with special operands or scales, a special c, an emax that float32 cannot scale by, or a result that is
subnormal or overflows go through `general.fused`, one by one. Groups are padded with zeros, see
`fused_layout.padded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels import general, words
from hwsim.datapaths.dot.kernels.fused_layout import EMPTY, PLAIN, SPECIAL
from hwsim.datapaths.dot.kernels.fused_steps import (
    align,
    align_scaled,
    cut_8,
    cut_16,
    exponent_of,
    largest_8,
    largest_16,
    needs_care,
)
from hwsim.datapaths.dot.kernels.tiles import ROWS, J, give, leave, nearest_half, take, wide
from hwsim.datapaths.dot.kernels.words import Int
from hwsim.jit import njit

CARED = -20000
"""In place of an exponent sum: the column has gone through `general.fused`."""


@njit
def redo(
    i: Int,
    g: Int,
    first: Int,
    count: Int,
    scale_a: Int,
    scale_b: Any,
    scaled: bool,
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    group: Int,
    fraction: Int,
    point: Int,
    e_zero: Int,
    rounding: Int,
    c_bits: Any,
    top: Any,
    redone: Any,
) -> None:
    """`general.fused` of the columns that need it, marked as `CARED` in `top`."""
    half = rounding == words.RNE_FP16
    for j in range(count):
        magnitude = c_bits[j] & np.int32(0x7FFFFFFF)
        blocks = np.int32(scale_a) + scale_b[j]
        e = max(exponent_of(magnitude, half, e_zero), np.int32(top[j]) + blocks)
        if needs_care(e, magnitude, top[j]):
            word = np.int64(c_bits[j]) & 0xFFFFFFFF
            if half:
                word = words.half_of(word)
            word = general.fused(
                a_sig, a_exp, i, b_sig, b_exp, first + j, g * group, (g + 1) * group, sa_sig, sa_exp, sb_sig, sb_exp,
                group if scaled else 0, word, fraction, point, e_zero, rounding,
            )  # fmt: skip
            redone[j] = words.word_float(words.float_of_half(word) if half else word)
            top[j] = CARED


@njit
def matmul(
    start: Int,
    stop: Int,
    a: Any,
    a_exponents: Any,
    a_scale: Any,
    b: Any,
    b_exponents: Any,
    b_scale: Any,
    b_kind: Any,
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    group: Int,
    width: Int,
    fraction: Int,
    point: Int,
    e_zero: Int,
    rounding: Int,
    outside: Int,
    out: Any,
) -> None:
    """Rows start..stop of out, float32 ``[M, N]`` (float16's numbers for RNE_FP16): holds c, receives the result.

    With `outside` > 0 a chain starts from zero every `outside` groups and its end is added to out, rounded to nearest
    even. a, b and their exponents are flat, as laid out by `fused_layout`.
    """
    wide()
    rows, columns, groups = a_sig.shape[0], b_sig.shape[0], b_scale.shape[1]
    half, narrow = rounding == words.RNE_FP16, rounding == words.RZ_E8M13
    scaled = sa_exp.shape[1] == groups and sa_exp.shape[0] == rows
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
        for t in range(b_scale.shape[0]):
            first = t * J
            count = min(J, columns - first)
            take(out, r0, r1, first, count, outside, held)
            for g in range(groups):
                panel = (t * groups + g) * width * J
                kind = b_kind[t, g]
                fresh = g % outside == 0 if outside else g == 0
                for i in range(r0, r1):
                    if a_scale[g, i] == EMPTY and kind != SPECIAL and not fresh:
                        continue  # nothing to add to a c that has passed the unit
                    c_bits = held_bits[i - r0]
                    k = (g * rows + i) * width
                    if width == 8:
                        largest_8(a_exponents, k, b_exponents, panel, True, top)
                    for w in range(0, width - 8, 16):
                        largest_16(a_exponents, k + w, b_exponents, panel + w * J, w == 0, top)
                    if kind == PLAIN and a_scale[g, i] == 0:
                        marked = align(top, c_bits, fraction, half, e_zero, scale, back, c_cut)
                    else:
                        marked = align_scaled(
                            top, a_scale[g, i], b_scale[t, g], c_bits, fraction, half, e_zero, scale, back, c_cut
                        )
                    if marked:
                        redo(
                            i, g, first, count, a_scale[g, i], b_scale[t, g], scaled, a_sig, a_exp, b_sig, b_exp,
                            sa_sig, sa_exp, sb_sig, sb_exp, group, fraction, point, e_zero, rounding, c_bits, top,
                            redone,
                        )  # fmt: skip
                    if not narrow:
                        for j in range(J):
                            totals[j] = np.float64(c_cut[j])
                            c_cut[j] = 0
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
                            # Below 2^21, so exact in float32; its low 10 bits are beyond 13 fraction bits.
                            bits = np.float32(c_cut[j]).view(np.int32) & np.int32(-1024)
                            value = np.int32(bits).view(np.float32) * back[j]
                            c_bits[j] = np.float32(value).view(np.int32)
                    elif half:
                        for j in range(J):
                            value = np.float32(nearest_half(totals[j] * np.float64(back[j])))
                            c_bits[j] = np.float32(value).view(np.int32)
                    else:
                        for j in range(J):
                            kept = np.float64(totals[j]).view(np.int64) & np.int64(-(1 << 29))
                            value = np.float32(np.int64(kept).view(np.float64)) * back[j]
                            c_bits[j] = np.float32(value).view(np.int32)
                    if marked:
                        for j in range(count):
                            if top[j] == CARED:
                                c_bits[j] = np.float32(redone[j]).view(np.int32)
                if outside and ((g + 1) % outside == 0 or g + 1 == groups):
                    leave(out, r0, r1, first, count, half, held)
            give(out, r0, r1, first, count, outside, held)
