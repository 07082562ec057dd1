"""Compiled loops over contiguous rows; each row, and each output of a product, is computed alone and in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwsim.jit import njit
from hwsim.ordered import functions

COLUMNS = 32
"""Outputs of a product that one row computes at a time: a panel of b."""


def _mapped(function: Any) -> Callable[..., None]:
    @njit
    def kernel(start: int, stop: int, x: Any, out: Any) -> None:
        for i in range(start, stop):
            out[i] = function(np.float64(x[i]))

    return kernel  # type: ignore[no-any-return]


exp, expm1, log, log1p = (_mapped(f) for f in (functions.exp, functions.expm1, functions.log, functions.log1p))
sin, cos, tanh = (_mapped(f) for f in (functions.sin, functions.cos, functions.tanh))
sigmoid, erf, softplus = (_mapped(f) for f in (functions.sigmoid, functions.erf, functions.softplus))
gelu, gelu_tanh = (_mapped(f) for f in (functions.gelu, functions.gelu_tanh))


@njit
def power(start: int, stop: int, x: Any, y: Any, out: Any) -> None:
    """out = x^y, element by element."""
    for i in range(start, stop):
        out[i] = functions.power(np.float64(x[i]), np.float64(y[i]))


@njit(inline="always")
def total(row: Any, centre: Any, squared: Any) -> Any:
    """The sum of ``row - centre``, or of its squares, in float64: eight sums of every eighth element, joined two by
    two, then what is left over."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = row.size - row.size % 8
    for j in range(0, whole, 8):
        d0, d1, d2, d3 = row[j] - centre, row[j + 1] - centre, row[j + 2] - centre, row[j + 3] - centre
        d4, d5, d6, d7 = row[j + 4] - centre, row[j + 5] - centre, row[j + 6] - centre, row[j + 7] - centre
        s0 += d0 * d0 if squared else d0
        s1 += d1 * d1 if squared else d1
        s2 += d2 * d2 if squared else d2
        s3 += d3 * d3 if squared else d3
        s4 += d4 * d4 if squared else d4
        s5 += d5 * d5 if squared else d5
        s6 += d6 * d6 if squared else d6
        s7 += d7 * d7 if squared else d7
    rest = 0.0
    for j in range(whole, row.size):
        d = row[j] - centre
        rest += d * d if squared else d
    return (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))) + rest


@njit
def sums(start: int, stop: int, x: Any, centres: Any, squared: bool, out: Any) -> None:
    """`total` of each row of x ``[rows, n]``, float64 `out` ``[rows]``."""
    for i in range(start, stop):
        out[i] = total(x[i], centres[i], squared)


@njit
def softmax(start: int, stop: int, x: Any, logarithm: bool, out: Any) -> None:
    """Softmax of each row of x ``[rows, n]``, or its logarithm."""
    n = x.shape[1]
    powers = np.empty(n, np.float64)
    for i in range(start, stop):
        row = x[i]
        top = np.float64(row[0])
        for j in range(n):
            value = np.float64(row[j])
            top = value if value > top or value != value else top
        for j in range(n):
            powers[j] = functions.exp(np.float64(row[j]) - top)
        share = total(powers, 0.0, False)
        if logarithm:
            share = functions.log(share)
            for j in range(n):
                out[i, j] = (np.float64(row[j]) - top) - share
        else:
            for j in range(n):
                out[i, j] = powers[j] / share


@njit
def layer_norm(start: int, stop: int, x: Any, weight: Any, bias: Any, eps: float, out: Any, moments: Any) -> None:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` of each row of x ``[rows, n]``; `moments` ``[rows, 2]``
    float64: mean and reciprocal of the root. Weight and bias have n elements, or none."""
    n = x.shape[1]
    for i in range(start, stop):
        row = x[i]
        mean = total(row, 0.0, False) / n
        scale = 1.0 / np.sqrt(total(row, mean, True) / n + eps)
        moments[i, 0], moments[i, 1] = mean, scale
        for j in range(n):
            value = (np.float64(row[j]) - mean) * scale
            value = value * weight[j] if weight.size else value
            out[i, j] = value + bias[j] if bias.size else value


@njit(inline="always")
def _products(start: int, stop: int, a: Any, panels: Any, out: Any) -> None:
    """Rows of ``a @ b.T``: a ``[M, K]`` float64, panels ``[N / COLUMNS, K, COLUMNS]`` float64 of b, zeros behind.
    Sums in float64, k ascending from zero, rounded to the type of out ``[M, N]``."""
    tiles, k, _ = panels.shape
    n = out.shape[1]
    p = np.empty(COLUMNS, np.float64)
    whole = k - k % 8
    for t in range(tiles):
        panel = panels[t].reshape(-1)
        first = t * COLUMNS
        count = min(COLUMNS, n - first)
        for i in range(start, stop):
            row = a[i]
            for j in range(COLUMNS):
                p[j] = 0.0
            for q in range(0, whole, 8):
                b = panel[q * COLUMNS : (q + 8) * COLUMNS]
                a0, a1, a2, a3 = row[q], row[q + 1], row[q + 2], row[q + 3]
                a4, a5, a6, a7 = row[q + 4], row[q + 5], row[q + 6], row[q + 7]
                for j in range(COLUMNS):
                    p[j] = (
                        p[j]
                        + a0 * b[j]
                        + a1 * b[j + COLUMNS]
                        + a2 * b[j + 2 * COLUMNS]
                        + a3 * b[j + 3 * COLUMNS]
                        + a4 * b[j + 4 * COLUMNS]
                        + a5 * b[j + 5 * COLUMNS]
                        + a6 * b[j + 6 * COLUMNS]
                        + a7 * b[j + 7 * COLUMNS]
                    )
            for q in range(whole, k):
                b = panel[q * COLUMNS : (q + 1) * COLUMNS]
                for j in range(COLUMNS):
                    p[j] += row[q] * b[j]
            for j in range(count):
                out[i, first + j] = p[j]


@njit(
    fastmath={"contract"}
)  # products of float32 numbers are exact in float64: fusing them with a sum changes no bit
def products_of_singles(start: int, stop: int, a: Any, panels: Any, out: Any) -> None:
    """`_products` of numbers that are float32."""
    _products(start, stop, a, panels, out)


@njit
def products_of_doubles(start: int, stop: int, a: Any, panels: Any, out: Any) -> None:
    """`_products` of any numbers. Not one function compiled twice: Numba's cache does not tell the two apart."""
    _products(start, stop, a, panels, out)
