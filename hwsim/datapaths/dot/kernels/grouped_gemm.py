"""Matrix products of the NVFP4 and MXFP4 units, fast and bit-equal to `general.grouped`.

The unit adds four exact sums P_g of 16 products, each with a scale, and c, all cut at ``2^(emax - 35)``, and then
truncates to float32. Everything before that truncation fits float64, so three tiers do the same work:

1. Operands carry their block scale (6 significant bits), so that float32 sums of 16 products are exact whatever their
   order, fused or not: all 16 are multiples of one unit and their sum is below 2^20 of it. Where no term can lose a
   bit to the cut (exponents within 27 of each other, c within their reach) the sum of all five terms spans at most
   49 bits, is exact in float64, and truncation is a mask of its low 29 bits. Which sub-groups are empty does not
   matter then.
2. Otherwise emax is found per element, terms are scaled to units of ``2^(emax - 35)`` and converted to int64, which
   is the unit's own truncation; the sum stays below 2^49.
3. Elements with NaN scales, a special c, or a result that is subnormal or overflows go through `general.grouped`, one
   by one. So do blocks whose scales are further apart than float32 can hold.

Rejected: int8 dot products (their pairwise instructions are out of reach from here) and one float32 product over all
64 elements (exact only where all scales lie within 2^3 of each other).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels import general, words
from hwsim.datapaths.dot.kernels.grouped_layout import NONE
from hwsim.datapaths.dot.kernels.tiles import ROWS, J, give, leave, power_32, power_64, take, wide
from hwsim.datapaths.dot.kernels.words import Bool, Int
from hwsim.jit import njit

SIGN_29 = -(1 << 29)


@njit(inline="always")
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


@njit(inline="always")
def reachable(least: Any, limit: Any, c: Any) -> Bool:
    """Whether every element of c is zero or has a magnitude in ``[least, limit)``: outside, a bit could be cut."""
    outside = np.int32(0)
    for j in range(J):
        size = abs(c[j])
        outside |= np.int32(not ((size < limit) & ((size >= least) | (size == np.float32(0)))))
    return outside == 0


@njit(inline="always")
def exact_sums(p0: Any, p1: Any, p2: Any, p3: Any, unit: float, c: Any) -> None:
    """Tier 1, in place."""
    for j in range(J):
        total = (np.float64(p0[j]) + np.float64(p1[j])) + (np.float64(p2[j]) + np.float64(p3[j]))
        total = total * unit + np.float64(c[j]) + 0.0  # + 0.0: the unit never gives -0
        bits = np.float64(total).view(np.int64) & np.int64(SIGN_29)
        c[j] = np.float32(np.int64(bits).view(np.float64))


@njit(inline="always")
def cut_sums(
    p0: Any,
    p1: Any,
    p2: Any,
    p3: Any,
    base: Int,
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
    wild_b: Any,
    c: Any,
    c_bits: Any,
    out: Any,
    bad: Any,
) -> Int:
    """Tier 2. Marks in `bad` what tier 3 must redo, and returns whether there is any."""
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
        up = power_64(35 - emax)
        scaled = power_64(35 - emax + base)
        total = np.int64(np.float64(term) * up)
        total += np.int64(np.float64(p0[j]) * scaled)
        total += np.int64(np.float64(p1[j]) * scaled)
        total += np.int64(np.float64(p2[j]) * scaled)
        total += np.int64(np.float64(p3[j]) * scaled)
        value = np.float64(total) * power_64(emax - 35)
        size = abs(value)
        odd = special | (wild_b[j] != 0) | (size >= 2.0**128) | ((size < 2.0**-126) & (size > 0.0))
        bad[j] = np.int32(odd)
        marked |= np.int32(odd)
        bits = np.float64(value).view(np.int64) & np.int64(SIGN_29)
        out[j] = np.float32(np.int64(bits).view(np.float64))
    return marked


# Every product, sum and scaling by a power of two below is exact in its format, so fusing changes no bit. The one
# rounded addition, of a promoted chain, has no product to fuse with.
@njit(fastmath={"contract"})
def matmul(
    start: Int,
    stop: Int,
    a: Any,
    a_exp: Any,
    a_mask: Any,
    a_bounds: Any,
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
    block: Int,
    scale_point: Int,
    normalise: bool,
    promote: Int,
    out: Any,
) -> None:
    """Rows start..stop of out, float32 ``[M, N]``, which holds c and receives the result.

    With `promote` > 0 a chain starts from zero every `promote` blocks of 64, and its end is added to out in float32,
    rounded to nearest. a and b are flat; the other arrays are those of `prepare` and `panels`.
    """
    wide()
    columns, blocks, rows = b_fixed.shape[0], len(a_bounds), a_fixed.shape[0]
    unit_exponent = -2 - 2 * scale_point  # of an integer P * S
    p = np.empty((4, J), np.float32)
    p0, p1, p2, p3 = p[0], p[1], p[2], p[3]
    new = np.empty(J, np.float32)
    bad = np.zeros(J, np.int32)
    none = np.zeros((1, 1), np.int16)  # E2M1 has no special codes
    held = np.zeros((ROWS, J), np.float32)
    held_bits = held.view(np.int32)
    for r0 in range(start, stop, ROWS):
        r1 = min(r0 + ROWS, stop)
        for t in range(b_range.shape[0]):
            first = t * J
            count = min(J, columns - first)
            take(out, r0, r1, first, count, promote, held)
            for q in range(blocks):
                b_low, b_high, b_base, b_odd = b_range[t, q, 0], b_range[t, q, 1], b_range[t, q, 2], b_range[t, q, 3]
                fresh = q % promote == 0 if promote else q == 0
                panel = (t * blocks + q) * 64 * J
                for i in range(r0, r1):
                    a_low, a_high, a_odd = a_bounds[q, i, 0], a_bounds[q, i, 1], a_bounds[q, i, 2]
                    if a_high == NONE and not fresh and a_odd == 0 and b_odd == 0:
                        continue  # nothing to add to a c that has passed the unit
                    c, c_bits = held[i - r0], held_bits[i - r0]
                    for g in range(4):
                        k = (q * rows + i) * 64 + 16 * g
                        products(a[k : k + 16], b[panel + 16 * g * J : panel + 16 * g * J + 16 * J], p[g])
                    low, high, base = a_low + b_low, a_high + b_high, b_base
                    if normalise and a_high != NONE:
                        base += a_high
                    exact = high - low <= 27 and low >= -90 and high <= 90 and a_odd == 0 and b_odd == 0
                    if exact and reachable(power_32(high - 12), power_32(low + 28), c):
                        exact_sums(p0, p1, p2, p3, power_64(base + unit_exponent), c)
                        continue
                    marked = cut_sums(
                        p0, p1, p2, p3, base + unit_exponent, a_exp[q, i], a_mask[q, i],
                        b_exp[t, q, 0], b_exp[t, q, 1], b_exp[t, q, 2], b_exp[t, q, 3],
                        b_mask[t, q, 0], b_mask[t, q, 1], b_mask[t, q, 2], b_mask[t, q, 3],
                        b_wild[t, q], c, c_bits, new, bad,
                    )  # fmt: skip
                    if marked or a_odd:
                        for j in range(count):
                            if bad[j] or a_odd:
                                word = general.grouped(
                                    a_fixed, none, i, b_fixed, none, first + j, 64 * q, 64 * q + 64, 16, block,
                                    sa_sig, sa_exp, sb_sig, sb_exp, unit_exponent,
                                    np.int64(c_bits[j]) & 0xFFFFFFFF, 35, -139, words.RZ_FP32,
                                )  # fmt: skip
                                new[j] = words.word_float(word)
                    for j in range(J):
                        c[j] = new[j]
                if promote and ((q + 1) % promote == 0 or q + 1 == blocks):
                    leave(out, r0, r1, first, count, False, held)
            give(out, r0, r1, first, count, promote, held)
