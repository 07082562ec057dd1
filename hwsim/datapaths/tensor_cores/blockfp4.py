"""Matrix products of the NVFP4 and MXFP4 units, fast and bit-equal to `general.grouped`.

The unit adds four exact sums P_g of 16 products, each with a scale, and c, cut at ``2^(emax - 35)``, then truncates once
to float32. Everything before that truncation fits float64, so three tiers do the same work:

1. Operands carry their block scale (6 significant bits), so that float32 sums of 16 products are exact whatever their
   order, fused or not: 16 products are multiples of one unit and below 2^20 of it. Where no term can lose a bit to the
   cut (exponents of a tile within 27 of each other, c within their reach) the sum of all five terms is exact in
   float64, and truncation is a mask of its low 29 bits. Which sub-groups are empty is then of no consequence.
2. Otherwise emax is found per element, terms are scaled to units of ``2^(emax - 35)`` and converted to int64, which is
   the unit's own truncation; the sum stays below 2^49.
3. Elements with NaN scales, a special c, or a result that is subnormal or overflows go through `general.grouped`, one by
   one. So do blocks whose scales are further apart than float32 can hold.

Rejected: int8 dot products (their pairwise instructions are out of reach from here) and one float32 product over all
64 elements (exact only where all scales lie within 2^3 of each other).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.tensor_cores import general
from hwsim.jit import njit

J = 128
"""Columns of a tile: 64 rows of it in float32 fill two thirds of a first-level cache."""

NONE = -2000
"""Exponent of an empty sub-group."""

SPAN = 50
"""Scales may lie so far below the largest of their block; products then stay normal float32 numbers."""

SIGN_29 = -(1 << 29)


@njit
def prepare(
    start: int,
    stop: int,
    fixed: Any,
    scale_sig: Any,
    scale_exp: Any,
    block: int,
    normalise: bool,
    values: Any,
    exponents: Any,
    masks: Any,
    lowest: Any,
    highest: Any,
    wild: Any,
) -> None:
    """Rows start..stop of an operand: values times scales, and per sub-group what decides emax.

    Args:
        fixed: ``[R, K]`` values in halves; K a multiple of 64.
        scale_sig, scale_exp: ``[R, K / block]``.
        normalise: divide a block of 64 by the power of two of its largest scale (E8M0, beyond float32's range).
        values: out, float32 ``[R, K]``.
        exponents, masks: out, int32 ``[R, K / 16]``: exponent of the scale, NONE where empty; which elements are not 0.
        lowest, highest: out, int32 ``[R, K / 64]``: range of the exponents of sub-groups that are not empty.
        wild: out, int32 ``[R, K / 64]``: 1 where a scale is NaN or outside what float32 can hold.
    """
    for r in range(start, stop):
        for q in range(lowest.shape[1]):
            low, high, odd = 10000, NONE, 0
            for g in range(4 * q, 4 * q + 4):
                s = 16 * g // block
                mask = 0
                for k in range(16):
                    if fixed[r, 16 * g + k] != 0:
                        mask |= 1 << k
                e = np.int64(scale_exp[r, s])
                if e >= general.INF_E:
                    odd, mask = 1, 0
                if scale_sig[r, s] == 0:
                    mask = 0
                masks[r, g] = mask
                exponents[r, g] = e if mask else NONE
                if mask:
                    low, high = min(low, e), max(high, e)
            if normalise and high != NONE and high - low > SPAN:
                odd = 1
            lowest[r, q], highest[r, q], wild[r, q] = low, high, odd
            base = high if normalise and high != NONE else 0
            for g in range(4 * q, 4 * q + 4):
                s = 16 * g // block
                factor = np.float32(0)
                if masks[r, g] and not odd:
                    factor = np.float32(np.float64(scale_sig[r, s]) * 2.0 ** (exponents[r, g] - base))
                for k in range(16 * g, 16 * g + 16):
                    values[r, k] = np.float32(fixed[r, k]) * factor


@njit
def panels(
    start: int,
    stop: int,
    values: Any,
    exponents: Any,
    masks: Any,
    lowest: Any,
    highest: Any,
    wild: Any,
    normalise: bool,
    out_values: Any,
    out_exponents: Any,
    out_masks: Any,
    out_range: Any,
    out_wild: Any,
) -> None:
    """Tiles start..stop of b: columns innermost, and exponents relative to one base per tile and block of 64.

    out_range ``[tiles, K / 64, 3]``: least and greatest exponent and the base.
    """
    rows, length = values.shape
    for t in range(start, stop):
        first = t * J
        count = min(J, rows - first)
        for q in range(lowest.shape[1]):
            low, high = 10000, NONE
            for j in range(count):
                low, high = min(low, lowest[first + j, q]), max(high, highest[first + j, q])
            base = high if normalise and high != NONE else 0
            out_range[t, q, 0], out_range[t, q, 1], out_range[t, q, 2], out_range[t, q, 3] = low, high, base, 0
            for j in range(count):
                own = highest[first + j, q] if normalise and highest[first + j, q] != NONE else 0
                odd = wild[first + j, q]
                if normalise and lowest[first + j, q] < base - SPAN:
                    odd = 1
                out_wild[t, q, j] = odd
                out_range[t, q, 3] |= odd
                factor = np.float32(0) if odd else np.float32(2.0 ** (own - base))
                for k in range(64 * q, 64 * q + 64):
                    out_values[t, k, j] = values[first + j, k] * factor
                for g in range(4 * q, 4 * q + 4):
                    out_exponents[t, g, j] = exponents[first + j, g]
                    out_masks[t, g, j] = masks[first + j, g]


@njit(fastmath={"contract"})  # every product and partial sum is exact, so fusing changes no bit
def products(a: Any, b: Any, p: Any) -> None:
    """16 products for each of J columns: a ``[16]``, b ``[16 * J]``, p ``[J]``."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
    a8, a9, a10, a11, a12, a13, a14, a15 = a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]
    for j in range(J):
        p[j] = (
            a0 * b[j]
            + a1 * b[j + J]
            + a2 * b[j + 2 * J]
            + a3 * b[j + 3 * J]
            + a4 * b[j + 4 * J]
            + a5 * b[j + 5 * J]
            + a6 * b[j + 6 * J]
            + a7 * b[j + 7 * J]
            + a8 * b[j + 8 * J]
            + a9 * b[j + 9 * J]
            + a10 * b[j + 10 * J]
            + a11 * b[j + 11 * J]
            + a12 * b[j + 12 * J]
            + a13 * b[j + 13 * J]
            + a14 * b[j + 14 * J]
            + a15 * b[j + 15 * J]
        )


@njit
def exact_sums(p0: Any, p1: Any, p2: Any, p3: Any, unit: float, least: Any, limit: Any, c: Any, out: Any) -> int:
    """Tier 1. Returns how many elements of c lie outside ``[least, limit)``, where a bit could be cut."""
    outside = np.int32(0)
    for j in range(J):
        x = c[j]
        size = abs(x)
        outside += np.int32(not ((size < limit) & ((size >= least) | (size == np.float32(0)))))
        total = (np.float64(p0[j]) + np.float64(p1[j])) + (np.float64(p2[j]) + np.float64(p3[j]))
        total = total * unit + np.float64(x) + 0.0  # + 0.0: the unit never gives -0
        bits = np.float64(total).view(np.int64) & np.int64(SIGN_29)
        out[j] = np.float32(np.int64(bits).view(np.float64))
    return outside


@njit
def cut_sums(
    p0: Any,
    p1: Any,
    p2: Any,
    p3: Any,
    base: int,
    a_exp: Any,
    a_mask: Any,
    e0: Any,
    e1: Any,
    e2: Any,
    e3: Any,
    m0: Any,
    m1: Any,
    m2: Any,
    m3: Any,
    wild_a: int,
    wild_b: Any,
    c: Any,
    c_bits: Any,
    out: Any,
    bad: Any,
) -> int:
    """Tier 2. Marks in `bad` what tier 3 must redo, and returns how many."""
    marked = np.int32(0)
    x0, x1, x2, x3 = a_exp[0], a_exp[1], a_exp[2], a_exp[3]
    y0, y1, y2, y3 = a_mask[0], a_mask[1], a_mask[2], a_mask[3]
    empty = np.int32(-139)
    for j in range(J):
        field = (c_bits[j] >> np.int32(23)) & np.int32(255)
        e = max(field, np.int32(1)) - np.int32(127)
        emax = empty if (c_bits[j] & np.int32(0x7FFFFFFF)) == 0 else e
        emax = max(emax, np.int32(x0 + e0[j]) if (y0 & m0[j]) != 0 else empty)
        emax = max(emax, np.int32(x1 + e1[j]) if (y1 & m1[j]) != 0 else empty)
        emax = max(emax, np.int32(x2 + e2[j]) if (y2 & m2[j]) != 0 else empty)
        emax = max(emax, np.int32(x3 + e3[j]) if (y3 & m3[j]) != 0 else empty)
        special = field == np.int32(255)
        term = np.float32(0) if special else c[j]
        up = np.int64(np.int64(35 + 1023 - emax) << 52).view(np.float64)
        scaled = np.int64(np.int64(35 + 1023 - emax + base) << 52).view(np.float64)
        total = np.int64(np.float64(term) * up)
        total += np.int64(np.float64(p0[j]) * scaled)
        total += np.int64(np.float64(p1[j]) * scaled)
        total += np.int64(np.float64(p2[j]) * scaled)
        total += np.int64(np.float64(p3[j]) * scaled)
        value = np.float64(total) * np.int64(np.int64(emax - 35 + 1023) << 52).view(np.float64)
        size = abs(value)
        odd = special | (wild_b[j] != 0) | (size >= 2.0**128) | ((size < 2.0**-126) & (size > 0.0))
        bad[j] = odd
        marked += np.int32(odd)
        bits = np.float64(value).view(np.int64) & np.int64(SIGN_29)
        out[j] = np.float32(np.int64(bits).view(np.float64))
    return J if wild_a else marked


@njit
def matmul(
    start: int,
    stop: int,
    a: Any,
    a_exp: Any,
    a_mask: Any,
    a_low: Any,
    a_high: Any,
    a_wild: Any,
    b: Any,
    b_exp: Any,
    b_mask: Any,
    b_range: Any,
    b_wild: Any,
    a_fixed: Any,
    b_fixed: Any,
    sa_sig: Any,
    sa_exp: Any,
    sb_sig: Any,
    sb_exp: Any,
    block: int,
    scale_point: int,
    normalise: bool,
    depth: int,
    promoted: bool,
    out: Any,
) -> None:
    """Rows start..stop of out, float32 ``[M, N]``, which holds c and receives the result.

    `depth` blocks of 64 are chained for a row before the next row. With `promoted` each such chain starts from zero and
    its end is added to out in float32, rounded to nearest.
    """
    columns, blocks = b_fixed.shape[0], a_low.shape[1]
    unit_exponent = -2 - 2 * scale_point  # of an integer P * S
    p = np.empty((4, J), np.float32)
    p0, p1, p2, p3 = p[0], p[1], p[2], p[3]
    held = np.empty((2, J), np.float32)
    held_bits = held.view(np.int32)
    bad = np.zeros(J, np.bool_)
    for t in range(b.shape[0]):
        first = t * J
        count = min(J, columns - first)
        for q0 in range(0, blocks, depth):
            last = min(q0 + depth, blocks)
            for i in range(start, stop):
                c, new = held[0], held[1]
                c_bits = held_bits[0]
                for j in range(J):
                    c[j] = np.float32(0)
                if not promoted:
                    for j in range(count):
                        c[j] = out[i, first + j]
                for q in range(q0, last):
                    if a_high[i, q] == NONE and q > 0 and a_wild[i, q] == 0 and b_range[t, q, 3] == 0:
                        continue  # nothing to add to a c that has passed the unit
                    for g in range(4):
                        k = 64 * q + 16 * g
                        products(a[i, k : k + 16], b[t, k : k + 16].reshape(16 * J), p[g])
                    low = a_low[i, q] + b_range[t, q, 0]
                    high = a_high[i, q] + b_range[t, q, 1]
                    base = b_range[t, q, 2]
                    if normalise and a_high[i, q] != NONE:
                        base += a_high[i, q]
                    outside = 1
                    if high - low <= 27 and low >= -90 and high <= 90 and a_wild[i, q] == 0 and b_range[t, q, 3] == 0:
                        outside = exact_sums(
                            p0, p1, p2, p3, 2.0 ** (base + unit_exponent), np.float32(2.0 ** (high - 12)),
                            np.float32(2.0 ** (low + 28)), c, new,
                        )  # fmt: skip
                    if outside:
                        marked = cut_sums(
                            p0, p1, p2, p3, base + unit_exponent, a_exp[i, 4 * q : 4 * q + 4], a_mask[i, 4 * q : 4 * q + 4],
                            b_exp[t, 4 * q], b_exp[t, 4 * q + 1], b_exp[t, 4 * q + 2], b_exp[t, 4 * q + 3],
                            b_mask[t, 4 * q], b_mask[t, 4 * q + 1], b_mask[t, 4 * q + 2], b_mask[t, 4 * q + 3],
                            a_wild[i, q], b_wild[t, q], c, c_bits, new, bad,
                        )  # fmt: skip
                        if marked:
                            for j in range(count):
                                if bad[j] or a_wild[i, q]:
                                    word = general.grouped(
                                        a_fixed, i, b_fixed, first + j, 64 * q, block, sa_sig, sa_exp, sb_sig, sb_exp,
                                        scale_point, np.int64(c_bits[j]) & 0xFFFFFFFF, 35, -139,
                                    )  # fmt: skip
                                    new[j] = general.word_float(word)
                    for j in range(J):
                        c[j] = new[j]
                if promoted:
                    for j in range(count):
                        total = out[i, first + j] + c[j]
                        out[i, first + j] = general.word_float(0x7FFFFFFF) if total != total else total
                else:
                    for j in range(count):
                        out[i, first + j] = c[j]
