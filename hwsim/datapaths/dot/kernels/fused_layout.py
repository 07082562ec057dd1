"""How operands of the units that cut every product lie in memory for `fused_gemm`.

Elements have taken their scales in, so that no product has any. Values and exponents stand apart, groups outermost,
and the columns of b innermost by tiles, so that every loop over columns runs along memory. A group with a special
element has exponents that mark it.
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

SPECIAL = 12000
"""Exponent of every element of a group whose dot products `general.fused` computes: above all others, whatever it
meets."""

EMPTY, PLAIN, SPECIAL_GROUP = range(3)
"""A group of a row: all zeros; numbers; `SPECIAL`."""


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
def take_in(
    start: Int,
    stop: Int,
    sig: Any,
    exp: Any,
    scale_sig: Any,
    scale_exp: Any,
    block: Int,
    scaled_sig: Any,
    scaled_exp: Any,
) -> None:
    """Rows start..stop of an operand whose elements have taken their block's scale in: significands multiplied,
    exponents added. NaN of a scale is that of all its elements; an infinity stays one, unless its scale is zero."""
    for r in range(start, stop):
        for k in range(sig.shape[1]):
            s, x, shared = k // block, np.int64(exp[r, k]), np.int64(scale_exp[r, k // block])
            scaled_sig[r, k] = np.int64(sig[r, k]) * np.int64(scale_sig[r, s])
            scaled_exp[r, k] = shared if shared >= words.INF_E else x if x >= words.INF_E else x + shared


@njit
def prepare(
    start: Int, stop: Int, sig: Any, exp: Any, group: Int, mantissa: Int, values: Any, exponents: Any, kinds: Any
) -> None:
    """Rows start..stop of an operand as ``[groups, R, W]`` float32 values and exponents, and ``[groups, R]`` kinds.

    A group is `SPECIAL_GROUP` if it holds a special, or a number that is not one of float32; its values then are
    zeros, as padding is.
    """
    groups, _, width = values.shape
    for r in range(start, stop):
        for g in range(groups):
            empty: Bool = True
            special: Bool = False
            for w in range(width):
                value = np.float32(0)
                e: Int = NONE
                if w < group:
                    s, x = np.int64(sig[r, g * group + w]), np.int64(exp[r, g * group + w])
                    if x >= words.INF_E:
                        special = True
                    elif s != 0:
                        exact = np.float64(s) * power_64(x - mantissa)
                        value, e, empty = np.float32(exact), x, False
                        special |= np.float64(value) != exact
                values[g, r, w] = value
                exponents[g, r, w] = e
            kinds[g, r] = SPECIAL_GROUP if special else EMPTY if empty else PLAIN
            if special:
                for w in range(width):
                    values[g, r, w] = np.float32(0)
                    exponents[g, r, w] = SPECIAL


@njit
def panels(
    start: Int,
    stop: Int,
    values: Any,
    exponents: Any,
    kinds: Any,
    out_values: Any,
    out_exponents: Any,
    out_kinds: Any,
) -> None:
    """Tiles start..stop of b, columns innermost: ``[tiles, groups, W, J]``; zeros beyond the last column.

    Their exponents are 0, so that they do not look like columns that need care. out_kinds ``[tiles, groups]`` is the
    greatest of the columns.
    """
    groups, rows, width = values.shape
    for t in range(start, stop):
        first = t * J
        count = min(J, rows - first)
        for g in range(groups):
            kind: Int = EMPTY
            for j in range(count):
                kind = max(kind, np.int64(kinds[g, first + j]))
            out_kinds[t, g] = kind
            for w in range(width):
                for j in range(count):
                    out_values[t, g, w, j] = values[g, first + j, w]
                    out_exponents[t, g, w, j] = exponents[g, first + j, w]
                for j in range(count, J):
                    out_values[t, g, w, j] = np.float32(0)
                    out_exponents[t, g, w, j] = 0
