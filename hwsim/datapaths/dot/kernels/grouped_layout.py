"""How operands of the NVFP4 and MXFP4 units lie in memory for `grouped_gemm`.

Elements carry their block scale. E8M0 scales, which float32 cannot all hold, are taken relative to the largest of 64
elements, and in b of the tile; what is further away than `SPAN` is marked and goes through `general.grouped`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels import words
from hwsim.datapaths.dot.kernels.tiles import J
from hwsim.datapaths.dot.kernels.words import Int
from hwsim.jit import njit

NONE = -2000
"""Exponent of an empty sub-group."""

SPAN = 50
"""Scales may lie so far below the largest of their block; products then stay normal float32 numbers."""


@njit
def prepare(
    start: Int,
    stop: Int,
    codes: Any,
    halves: Any,
    scale_sig: Any,
    scale_exp: Any,
    block: Int,
    normalise: bool,
    fixed: Any,
    values: Any,
    exponents: Any,
    masks: Any,
    bounds: Any,
) -> None:
    """Rows start..stop of an operand: values times scales, and per sub-group what decides emax.

    Args:
        codes: ``[R, K]``, K a multiple of 64; `halves`: twice the value of each code, int8 ``[16]``.
        scale_sig, scale_exp: ``[R, K / block]``.
        normalise: divide a block of 64 by the power of two of its largest scale (E8M0, beyond float32's range).
        fixed: out, int8 ``[R, K]``: values in halves.
        values: out, float32 ``[K / 64, R, 64]``: rows of a block side by side, as a stride of K would hit few sets of
            a cache.
        exponents, masks: out, int32 ``[K / 64, R, 4]``: exponent of the scale, NONE where empty; bits of the elements
            that are not zero.
        bounds: out, int32 ``[K / 64, R, 3]``: least and greatest exponent of sub-groups that are not empty, and 1
            where a scale is NaN or outside what float32 can hold.
    """
    for r in range(start, stop):
        for q in range(len(bounds)):
            low: Int = 10000
            high: Int = NONE
            odd = 0
            for g in range(4):
                s = (64 * q + 16 * g) // block
                mask: Int = 0
                for k in range(16):
                    half = halves[codes[r, 64 * q + 16 * g + k]]
                    fixed[r, 64 * q + 16 * g + k] = half
                    mask |= np.int64(half != 0) << k
                e = np.int64(scale_exp[r, s])
                if e >= words.INF_E:
                    odd, mask = 1, 0
                if scale_sig[r, s] == 0:
                    mask = 0
                masks[q, r, g] = mask
                exponents[q, r, g] = e if mask else NONE
                if mask:
                    low, high = min(low, e), max(high, e)
            if normalise and high != NONE and high - low > SPAN:
                odd = 1
            bounds[q, r, 0], bounds[q, r, 1], bounds[q, r, 2] = low, high, odd
            base = high if normalise and high != NONE else 0
            for g in range(4):
                s = (64 * q + 16 * g) // block
                factor = np.float32(0)
                if masks[q, r, g] and not odd:
                    factor = np.float32(np.float64(scale_sig[r, s]) * 2.0 ** (exponents[q, r, g] - base))
                for k in range(16 * g, 16 * g + 16):
                    values[q, r, k] = np.float32(fixed[r, 64 * q + k]) * factor


@njit
def panels(
    start: Int,
    stop: Int,
    values: Any,
    exponents: Any,
    masks: Any,
    bounds: Any,
    normalise: bool,
    out_values: Any,
    out_exponents: Any,
    out_masks: Any,
    out_range: Any,
    out_wild: Any,
) -> None:
    """Tiles start..stop of b, columns innermost: ``[tiles, K / 64, ..., J]``, zero beyond the last column.

    Scales are relative to one base per tile and block of 64. out_range ``[tiles, K / 64, 4]``: least and greatest
    exponent, the base, whether any column is wild.
    """
    rows = values.shape[1]
    for t in range(start, stop):
        first = t * J
        count = min(J, rows - first)
        for q in range(len(bounds)):
            low, high = 10000, NONE
            for j in range(count):
                low, high = min(low, bounds[q, first + j, 0]), max(high, bounds[q, first + j, 1])
            base = high if normalise and high != NONE else 0
            any_odd = 0
            for j in range(count):
                own = bounds[q, first + j, 1] if normalise and bounds[q, first + j, 1] != NONE else 0
                odd = bounds[q, first + j, 2]
                if normalise and bounds[q, first + j, 0] < base - SPAN:
                    odd = 1
                any_odd |= odd
                out_wild[t, q, j] = odd
                factor = np.float32(0) if odd else np.float32(2.0 ** (own - base))
                for k in range(64):
                    out_values[t, q, k, j] = values[q, first + j, k] * factor
                for g in range(4):
                    out_exponents[t, q, g, j] = exponents[q, first + j, g]
                    out_masks[t, q, g, j] = masks[q, first + j, g]
            for j in range(count, J):
                out_wild[t, q, j] = 0
                for k in range(64):
                    out_values[t, q, k, j] = np.float32(0)
                for g in range(4):
                    out_exponents[t, q, g, j] = NONE
                    out_masks[t, q, g, j] = 0
            out_range[t, q, 0], out_range[t, q, 1], out_range[t, q, 2], out_range[t, q, 3] = low, high, base, any_odd
