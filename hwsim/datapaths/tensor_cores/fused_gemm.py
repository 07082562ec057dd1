"""Matrix products of the units that cut every product (T-FDPA, ST-FDPA), fast and bit-equal to `general.fused`.

A group of L products and c is cut at ``2^(emax - F)``, so emax of every element comes first. Per row, group and tile:

1. The largest exponent sum in 16-bit lanes. A zero operand carries an exponent so low that its product never decides.
2. Products in float32, exact as significands have at most 11 bits each, times ``2^(F - emax)``: exact, or below one.
   Conversion to int32 truncates, which is the unit's cut. At most 16 products below 2^27 each (32 below 2^15 where F
   is 13) share an int32; such sums and c are added in float64, exact below 2^53.
3. Scaling back by a power of two, and truncation as a mask of float64's low bits, or rounding to float16's 11 bits.

Elements with special operands or scales, a special c, an emax that float32 cannot scale by, or a result that is
subnormal or overflows go through `general.fused`, one by one. Groups of 4 are padded to 8 with zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.tensor_cores import general, words
from hwsim.datapaths.tensor_cores.words import Bool, Int
from hwsim.jit import njit

J = 128
"""Columns of a tile."""

ROWS = 256
"""Rows of a whose running sums of a tile stay in a second-level cache."""

NONE = -8192
"""Exponent of a zero operand."""

LOWEST = -4000
"""Below it lies every exponent sum with a zero operand, and above it every other."""

CARED = -20000
"""In place of an exponent sum: the column has gone through `general.fused`."""

STEP = 8
"""Products written out in one expression; groups are padded to a multiple."""


@njit
def look_up(
    start: Int, stop: Int, codes: Any, significand_of: Any, exponent_of: Any, significands: Any, exponents: Any
) -> None:
    """Rows start..stop of codes as significands and exponents, by table."""
    for r in range(start, stop):
        for k in range(codes.shape[1]):
            significands[r, k] = significand_of[codes[r, k]]
            exponents[r, k] = exponent_of[codes[r, k]]


@njit(inline="always")
def power_of_two(e: Int) -> Any:
    """``2^e`` as float64, for normal numbers."""
    return np.int64(np.int64(e + 1023) << 52).view(np.float64)


@njit
def prepare(
    start: Int,
    stop: Int,
    sig: Any,
    exp: Any,
    group: Int,
    mantissa: Int,
    scale_exp: Any,
    values: Any,
    exponents: Any,
    scales: Any,
) -> None:
    """Rows start..stop of an operand as ``[groups, R, W]`` float32 values and exponents, and ``[groups, R]`` scales.

    Padding and special elements count as zeros here; the scale of a group with specials is an exponent that no sum
    reaches (words.INF_E), as is that of NaN. Without block scales (`scale_exp` of another shape) the rest are 0.
    """
    groups, rows, width = values.shape
    scaled = scale_exp.shape[0] == rows and scale_exp.shape[1] == groups
    for r in range(start, stop):
        for g in range(groups):
            scale = np.int64(scale_exp[r, g]) if scaled else np.int64(0)
            for w in range(width):
                value = np.float32(0)
                e: Int = NONE
                if w < group:
                    s, x = np.int64(sig[r, g * group + w]), np.int64(exp[r, g * group + w])
                    if x >= words.INF_E:
                        scale = np.int64(words.INF_E)
                    elif s != 0:
                        value, e = np.float32(np.float64(s) * power_of_two(x - mantissa)), x
                values[g, r, w] = value
                exponents[g, r, w] = e
            scales[g, r] = scale


@njit
def panels(
    start: Int,
    stop: Int,
    values: Any,
    exponents: Any,
    scales: Any,
    out_values: Any,
    out_exponents: Any,
    out_scales: Any,
) -> None:
    """Tiles start..stop of b, columns innermost: ``[tiles, groups, W, J]``; zeros beyond the last column."""
    groups, rows, width = values.shape
    for t in range(start, stop):
        first = t * J
        count = min(J, rows - first)
        for g in range(groups):
            for j in range(J):
                out_scales[t, g, j] = scales[g, first + j] if j < count else 0
            for w in range(width):
                for j in range(count):
                    out_values[t, g, w, j] = values[g, first + j, w]
                    out_exponents[t, g, w, j] = exponents[g, first + j, w]
                for j in range(count, J):
                    out_values[t, g, w, j] = np.float32(0)
                    out_exponents[t, g, w, j] = NONE


@njit(inline="always")
def to_half(value: Any) -> Any:
    """A float64 rounded to float16's numbers, to nearest even, kept in float64."""
    size = abs(value)
    bits = np.float64(value).view(np.int64)
    bits = (bits + np.int64((1 << 41) - 1) + ((bits >> np.int64(42)) & np.int64(1))) & np.int64(-(1 << 42))
    normal = np.int64(bits).view(np.float64)
    magic = np.float64(1.5 * 2.0**28)  # its last place is 2^-24, the distance of float16's subnormals
    small = (value + magic) - magic
    if size < 2.0**-14:
        return small
    if size < 65520.0:
        return normal
    return value * np.inf  # NaN stays NaN


@njit(inline="always")
def largest(a: Any, k: Int, b: Any, place: Int, width: Int, top: Any) -> None:
    """top ``[J]``: the largest sum of exponents over a group."""
    for w in range(0, width, STEP):
        x0, x1, x2, x3 = a[k + w], a[k + w + 1], a[k + w + 2], a[k + w + 3]
        x4, x5, x6, x7 = a[k + w + 4], a[k + w + 5], a[k + w + 6], a[k + w + 7]
        p = b[place + w * J : place + (w + STEP) * J]
        for j in range(J):
            low = max(
                max(np.int16(x0 + p[j]), np.int16(x1 + p[j + J])),
                max(np.int16(x2 + p[j + 2 * J]), np.int16(x3 + p[j + 3 * J])),
            )
            high = max(
                max(np.int16(x4 + p[j + 4 * J]), np.int16(x5 + p[j + 5 * J])),
                max(np.int16(x6 + p[j + 6 * J]), np.int16(x7 + p[j + 7 * J])),
            )
            here = max(low, high)
            top[j] = here if w == 0 else max(top[j], here)


@njit(inline="always")
def cut_products(a: Any, k: Int, b: Any, place: Int, scale: Any, sums: Any) -> None:
    """Add STEP products, each truncated to the unit of the cut, to sums ``[J]``, int32."""
    x0, x1, x2, x3 = a[k], a[k + 1], a[k + 2], a[k + 3]
    x4, x5, x6, x7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    p = b[place : place + STEP * J]
    for j in range(J):
        s = scale[j]
        total = np.int32((x0 * p[j]) * s)
        total += np.int32((x1 * p[j + J]) * s)
        total += np.int32((x2 * p[j + 2 * J]) * s)
        total += np.int32((x3 * p[j + 3 * J]) * s)
        total += np.int32((x4 * p[j + 4 * J]) * s)
        total += np.int32((x5 * p[j + 5 * J]) * s)
        total += np.int32((x6 * p[j + 6 * J]) * s)
        total += np.int32((x7 * p[j + 7 * J]) * s)
        sums[j] += total


@njit(inline="always")
def align(
    top: Any,
    scale_a: Int,
    scale_b: Any,
    c: Any,
    c_bits: Any,
    fraction: Int,
    e_zero: Int,
    least_e: Int,
    scale: Any,
    back: Any,
    c_cut: Any,
) -> Int:
    """Factors of products, ``2^(fraction - emax)`` with block scales, and of the result; c in units of the cut.

    Returns whether some column needs `general.fused`: see `needs_care`.
    """
    marked = np.int32(0)
    for j in range(J):
        magnitude = c_bits[j] & np.int32(0x7FFFFFFF)
        e = max((magnitude >> np.int32(23)) - np.int32(127), np.int32(least_e))
        e = np.int32(e_zero) if magnitude == 0 else e
        blocks = np.int32(scale_a) + scale_b[j]
        e = max(e, np.int32(top[j]) + blocks)
        marked |= np.int32(needs_care(e, magnitude, top[j]))
        e = max(e, np.int32(-101))  # further down all terms are zero, or the column needs care
        power = max(np.int32(fraction) - e + blocks, np.int32(-126))  # lower, every product is below one in any case
        scale[j] = np.int32((power + np.int32(127)) << np.int32(23)).view(np.float32)
        c_cut[j] = np.int32(c[j] * np.int32((np.int32(fraction + 127) - e) << np.int32(23)).view(np.float32))
        back[j] = np.int32((e - np.int32(fraction - 127)) << np.int32(23)).view(np.float32)
    return marked


@njit(inline="always")
def needs_care(e: Any, magnitude: Any, top: Any) -> Bool:
    """Whether emax lies where float32 factors or results would not be normal; specials have exponents far above."""
    return (e > np.int32(100)) | ((e < np.int32(-100)) & ((magnitude != 0) | (top >= np.int16(LOWEST))))


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
    a_sig: Any,
    a_exp: Any,
    b_sig: Any,
    b_exp: Any,
    sa_exp: Any,
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
    even. a, b and their exponents are flat, as laid out by `prepare` and `panels`.
    """
    rows, columns, groups = a_sig.shape[0], b_sig.shape[0], b_scale.shape[1]
    half, narrow = rounding == words.RNE_FP16, rounding == words.RZ_E8M13
    run = 4 if fraction == 13 else 2  # steps of products that share an int32
    least_e = -14 if half else -126
    scaled = sa_exp.shape[1] == groups and sa_exp.shape[0] == rows
    top = np.empty(J, np.int16)
    scale = np.empty(J, np.float32)
    back = np.empty(J, np.float32)
    c_cut = np.empty(J, np.int32)
    sums = np.empty(J, np.int32)
    totals = np.empty(J, np.float64)
    redone = np.empty(J, np.float32)
    held = np.zeros((ROWS, J), np.float32)
    held_bits = held.view(np.int32)
    for r0 in range(start, stop, ROWS):
        r1 = min(r0 + ROWS, stop)
        for t in range(b_scale.shape[0]):
            first = t * J
            count = min(J, columns - first)
            for r in range(r1 - r0):
                for j in range(count):
                    held[r, j] = np.float32(0) if outside else out[r0 + r, first + j]
            for g in range(groups):
                panel = (t * groups + g) * width * J
                for i in range(r0, r1):
                    c, c_bits = held[i - r0], held_bits[i - r0]
                    k = (g * rows + i) * width
                    largest(a_exponents, k, b_exponents, panel, width, top)
                    marked = align(
                        top, a_scale[g, i], b_scale[t, g], c, c_bits, fraction, e_zero, least_e, scale, back, c_cut
                    )
                    if marked:
                        for j in range(count):
                            magnitude = c_bits[j] & np.int32(0x7FFFFFFF)
                            e = max((magnitude >> np.int32(23)) - 127, least_e) if magnitude else e_zero
                            e = max(e, np.int64(top[j]) + np.int64(a_scale[g, i]) + np.int64(b_scale[t, g, j]))
                            redone[j] = c[j]
                            if needs_care(e, magnitude, top[j]):
                                blocks = np.int64(0)
                                if scaled:
                                    blocks = np.int64(sa_exp[i, g]) + np.int64(sb_exp[first + j, g])
                                word = np.int64(c_bits[j]) & 0xFFFFFFFF
                                if half:
                                    word = words.half_of(word)
                                word = general.fused(
                                    a_sig, a_exp, i, b_sig, b_exp, first + j, g * group, (g + 1) * group, blocks,
                                    word, fraction, point, e_zero, rounding,
                                )  # fmt: skip
                                redone[j] = words.word_float(words.float_of_half(word) if half else word)
                                top[j] = CARED
                    if not narrow:
                        for j in range(J):
                            totals[j] = np.float64(c_cut[j])
                    target = c_cut if narrow else sums
                    for w in range(0, width, STEP):
                        if not narrow and w // STEP % run == 0:
                            for j in range(J):
                                sums[j] = 0
                        cut_products(a, k + w, b, panel + w * J, scale, target)
                        if not narrow and (w // STEP % run == run - 1 or w + STEP == width):
                            for j in range(J):
                                totals[j] += np.float64(sums[j])
                    if narrow:
                        for j in range(J):
                            # Below 2^21, so exact in float32; its low 10 bits are beyond 13 fraction bits.
                            bits = np.float32(c_cut[j]).view(np.int32) & np.int32(-1024)
                            c[j] = np.int32(bits).view(np.float32) * back[j]
                    elif half:
                        for j in range(J):
                            c[j] = np.float32(to_half(totals[j] * np.float64(back[j])))
                    else:
                        for j in range(J):
                            kept = np.float64(totals[j]).view(np.int64) & np.int64(-(1 << 29))
                            c[j] = np.float32(np.int64(kept).view(np.float64)) * back[j]
                    if marked:
                        for j in range(count):
                            if top[j] == CARED:
                                c[j] = redone[j]
                if outside and ((g + 1) % outside == 0 or g + 1 == groups):
                    for r in range(r1 - r0):
                        for j in range(count):
                            if half:
                                total = np.float32(
                                    to_half(np.float64(out[r0 + r, first + j]) + np.float64(held[r, j]))
                                )
                            else:
                                total = out[r0 + r, first + j] + held[r, j]
                            out[r0 + r, first + j] = words.word_float(0x7FFFFFFF) if total != total else total
                            held[r, j] = np.float32(0)
            if not outside:
                for r in range(r1 - r0):
                    for j in range(count):
                        out[r0 + r, first + j] = held[r, j]
