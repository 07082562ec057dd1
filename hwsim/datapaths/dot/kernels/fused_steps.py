"""The steps of a fused group over one tile of columns: largest exponents, alignment, products cut and summed.

Every loop runs over the `J` columns of a tile and is written so that it becomes vector instructions: no branch, no
function call, lanes of one width. The products of 8 or 16 elements stand in one expression: a loop over them inside
the loop over columns would keep it from that, and one outside would pass over the sums for each. Quarters shared by
inlined functions were tried and rejected: the whole product takes 1.5 to 2.9 times as long, measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels.tiles import J, power_32
from hwsim.datapaths.dot.kernels.words import Bool, Int
from hwsim.jit import njit

HIGHEST = 100
"""Between it and its negative lies emax wherever no column needs care."""

LOWEST = -4000
"""Below it lies every exponent sum with a zero operand, and above it every other."""


@njit(inline="always")
def largest_8(a: Any, k: Int, b: Any, place: Int, fresh: bool, top: Any) -> None:
    """The largest of 8 sums of exponents for each column, into top ``[J]``, or of what top holds if not `fresh`."""
    x0, x1, x2, x3 = a[k + 0], a[k + 1], a[k + 2], a[k + 3]
    x4, x5, x6, x7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    p = b[place : place + 8 * J]
    for j in range(J):
        top0 = max(
            max(np.int16(x0 + p[j]), np.int16(x1 + p[j + 1 * J])),
            max(np.int16(x2 + p[j + 2 * J]), np.int16(x3 + p[j + 3 * J])),
        )
        top1 = max(
            max(np.int16(x4 + p[j + 4 * J]), np.int16(x5 + p[j + 5 * J])),
            max(np.int16(x6 + p[j + 6 * J]), np.int16(x7 + p[j + 7 * J])),
        )
        here = max(top0, top1)
        before = top[j]  # read in any case: AVX2 has no reads of 16 bits that depend on a condition
        most = max(before, here)
        top[j] = here if fresh else most


@njit(inline="always")
def largest_16(a: Any, k: Int, b: Any, place: Int, fresh: bool, top: Any) -> None:
    """The largest of 16 sums of exponents for each column, into top ``[J]``, or of what top holds if not `fresh`."""
    x0, x1, x2, x3 = a[k + 0], a[k + 1], a[k + 2], a[k + 3]
    x4, x5, x6, x7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    x8, x9, x10, x11 = a[k + 8], a[k + 9], a[k + 10], a[k + 11]
    x12, x13, x14, x15 = a[k + 12], a[k + 13], a[k + 14], a[k + 15]
    p = b[place : place + 16 * J]
    for j in range(J):
        top0 = max(
            max(np.int16(x0 + p[j]), np.int16(x1 + p[j + 1 * J])),
            max(np.int16(x2 + p[j + 2 * J]), np.int16(x3 + p[j + 3 * J])),
        )
        top1 = max(
            max(np.int16(x4 + p[j + 4 * J]), np.int16(x5 + p[j + 5 * J])),
            max(np.int16(x6 + p[j + 6 * J]), np.int16(x7 + p[j + 7 * J])),
        )
        top2 = max(
            max(np.int16(x8 + p[j + 8 * J]), np.int16(x9 + p[j + 9 * J])),
            max(np.int16(x10 + p[j + 10 * J]), np.int16(x11 + p[j + 11 * J])),
        )
        top3 = max(
            max(np.int16(x12 + p[j + 12 * J]), np.int16(x13 + p[j + 13 * J])),
            max(np.int16(x14 + p[j + 14 * J]), np.int16(x15 + p[j + 15 * J])),
        )
        here = max(max(top0, top1), max(top2, top3))
        before = top[j]  # read in any case: AVX2 has no reads of 16 bits that depend on a condition
        most = max(before, here)
        top[j] = here if fresh else most


@njit(inline="always")
def cut_8(a: Any, k: Int, b: Any, place: Int, scale: Any, sums: Any) -> None:
    """Add 8 products, each truncated to the unit of the cut, to sums ``[J]``, int32."""
    x0, x1, x2, x3 = a[k + 0], a[k + 1], a[k + 2], a[k + 3]
    x4, x5, x6, x7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    p = b[place : place + 8 * J]
    for j in range(J):
        s = scale[j]
        total = np.int32((x0 * p[j]) * s)
        total += np.int32((x1 * p[j + 1 * J]) * s)
        total += np.int32((x2 * p[j + 2 * J]) * s)
        total += np.int32((x3 * p[j + 3 * J]) * s)
        total += np.int32((x4 * p[j + 4 * J]) * s)
        total += np.int32((x5 * p[j + 5 * J]) * s)
        total += np.int32((x6 * p[j + 6 * J]) * s)
        total += np.int32((x7 * p[j + 7 * J]) * s)
        sums[j] += total


@njit(inline="always")
def cut_16(a: Any, k: Int, b: Any, place: Int, scale: Any, sums: Any) -> None:
    """Add 16 products, each truncated to the unit of the cut, to sums ``[J]``, int32."""
    x0, x1, x2, x3 = a[k + 0], a[k + 1], a[k + 2], a[k + 3]
    x4, x5, x6, x7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    x8, x9, x10, x11 = a[k + 8], a[k + 9], a[k + 10], a[k + 11]
    x12, x13, x14, x15 = a[k + 12], a[k + 13], a[k + 14], a[k + 15]
    p = b[place : place + 16 * J]
    for j in range(J):
        s = scale[j]
        total = np.int32((x0 * p[j]) * s)
        total += np.int32((x1 * p[j + 1 * J]) * s)
        total += np.int32((x2 * p[j + 2 * J]) * s)
        total += np.int32((x3 * p[j + 3 * J]) * s)
        total += np.int32((x4 * p[j + 4 * J]) * s)
        total += np.int32((x5 * p[j + 5 * J]) * s)
        total += np.int32((x6 * p[j + 6 * J]) * s)
        total += np.int32((x7 * p[j + 7 * J]) * s)
        total += np.int32((x8 * p[j + 8 * J]) * s)
        total += np.int32((x9 * p[j + 9 * J]) * s)
        total += np.int32((x10 * p[j + 10 * J]) * s)
        total += np.int32((x11 * p[j + 11 * J]) * s)
        total += np.int32((x12 * p[j + 12 * J]) * s)
        total += np.int32((x13 * p[j + 13 * J]) * s)
        total += np.int32((x14 * p[j + 14 * J]) * s)
        total += np.int32((x15 * p[j + 15 * J]) * s)
        sums[j] += total


@njit(inline="always")
def cut_4(a: Any, k: Int, b: Any, place: Int, scale: Any, totals: Any) -> None:
    """Add 4 products, each truncated to the unit of the cut, to totals ``[J]``, float64."""
    x0, x1, x2, x3 = a[k + 0], a[k + 1], a[k + 2], a[k + 3]
    p = b[place : place + 4 * J]
    for j in range(J):
        s = scale[j]
        left = np.int32(np.int32((x0 * p[j]) * s) + np.int32((x1 * p[j + 1 * J]) * s))
        right = np.int32(np.int32((x2 * p[j + 2 * J]) * s) + np.int32((x3 * p[j + 3 * J]) * s))
        totals[j] += np.float64(np.int32(left + right))


@njit(inline="always")
def exponent_of(magnitude: Any, half: bool, e_zero: Int) -> Any:
    """Exponent of c, given without its sign; of a float32 zero or subnormal some number below the line of care."""
    e = np.int32(np.int32(magnitude >> np.int32(23)) - np.int32(127))
    if half:
        e = np.int32(max(e, np.int32(-14)))
        e = np.int32(e_zero) if magnitude == 0 else e
    return e


@njit(inline="always")
def needs_care(e: Any, magnitude: Any, top: Any) -> Bool:
    """Whether emax lies where float32 factors or results would not be normal; specials have exponents far above."""
    return (e > np.int32(HIGHEST)) | ((e < np.int32(-HIGHEST)) & ((magnitude != 0) | (top >= np.int16(LOWEST))))


@njit(inline="always")
def align(
    top: Any,
    c_bits: Any,
    fraction: Int,
    half: bool,
    e_zero: Int,
    scale: Any,
    back: Any,
    c_cut: Any,
) -> Bool:
    """Factors of products, ``2^(fraction - emax)``, and of the result; c in units of the cut.

    Returns whether some column may need `general.fused`: see `needs_care`.
    """
    high, low = np.int32(0), np.int32(0)
    for j in range(J):
        magnitude = np.int32(c_bits[j] & np.int32(0x7FFFFFFF))
        e = np.int32(max(exponent_of(magnitude, half, e_zero), np.int32(top[j])))
        high, low = np.int32(max(high, e)), np.int32(min(low, e))
        e = np.int32(max(e, np.int32(-HIGHEST - 1)))  # further down all terms are zero, or the column needs care
        factor = power_32(np.int32(np.int32(fraction) - e))
        scale[j] = factor
        c_cut[j] = np.int32(np.int32(c_bits[j]).view(np.float32) * factor)
        back[j] = power_32(np.int32(e - np.int32(fraction)))
    return high > HIGHEST or low < -HIGHEST
