"""How operands of the units that cut every product lie in memory for `fused_gemm`.

Values and exponents stand apart, groups outermost, and the columns of b innermost by tiles, so that every loop over
columns runs along memory. Special elements count as zeros here; the scale exponent of their group marks them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.datapaths.dot.kernels import words
from hwsim.datapaths.dot.kernels.tiles import J, power_64
from hwsim.datapaths.dot.kernels.words import Bool, Int
from hwsim.jit import njit

NONE = -8192
"""Exponent of a zero operand."""

EMPTY = -8192
"""In place of a scale's exponent: the group of a row holds only zeros, and neither its elements nor its scale are
special."""

PLAIN, SCALED, SPECIAL = range(3)
"""A tile's group of b: all scale exponents 0; others, and nothing special; some column special."""


def padded(group: int) -> int:
    """Elements that a group takes in memory, filled with zeros: 8, or a multiple of 16.

    `fused_gemm` writes so many products out in one expression.
    """
    return 8 if group <= 8 else -(-group // 16) * 16


@njit
def look_up(
    start: Int, stop: Int, codes: Any, significand_of: Any, exponent_of: Any, significands: Any, exponents: Any
) -> None:
    """Rows start..stop of codes as significands and exponents, by table."""
    for r in range(start, stop):
        for k in range(codes.shape[1]):
            significands[r, k] = significand_of[codes[r, k]]
            exponents[r, k] = exponent_of[codes[r, k]]


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
    reaches (words.INF_E), as is that of NaN; that of a group of zeros is `EMPTY`. Without block scales
    (`scale_exp` of another shape) the rest are 0.
    """
    groups, rows, width = values.shape
    scaled = scale_exp.shape[0] == rows and scale_exp.shape[1] == groups
    for r in range(start, stop):
        for g in range(groups):
            scale = np.int64(scale_exp[r, g]) if scaled else np.int64(0)
            empty: Bool = scale < words.INF_E
            for w in range(width):
                value = np.float32(0)
                e: Int = NONE
                if w < group:
                    s, x = np.int64(sig[r, g * group + w]), np.int64(exp[r, g * group + w])
                    if x >= words.INF_E:
                        scale, empty = np.int64(words.INF_E), False
                    elif s != 0:
                        value, e, empty = np.float32(np.float64(s) * power_64(x - mantissa)), x, False
                values[g, r, w] = value
                exponents[g, r, w] = e
            scales[g, r] = EMPTY if empty else scale


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
    out_kind: Any,
) -> None:
    """Tiles start..stop of b, columns innermost: ``[tiles, groups, W, J]``; zeros beyond the last column.

    Their exponents are 0, so that they do not look like columns that need care. out_kind ``[tiles, groups]``.
    """
    groups, rows, width = values.shape
    for t in range(start, stop):
        first = t * J
        count = min(J, rows - first)
        for g in range(groups):
            kind = PLAIN
            for j in range(J):
                scale = scales[g, first + j] if j < count and scales[g, first + j] != EMPTY else 0
                kind = max(kind, PLAIN if scale == 0 else SCALED if scale < words.INF_E // 2 else SPECIAL)
                out_scales[t, g, j] = scale
            out_kind[t, g] = kind
            for w in range(width):
                for j in range(count):
                    out_values[t, g, w, j] = values[g, first + j, w]
                    out_exponents[t, g, w, j] = exponents[g, first + j, w]
                for j in range(count, J):
                    out_values[t, g, w, j] = np.float32(0)
                    out_exponents[t, g, w, j] = 0
