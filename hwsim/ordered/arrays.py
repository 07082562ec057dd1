"""Functions, sums and products of NumPy arrays, in the order of `hwsim.ordered.kernels`.

Arrays are float32 or float64, of any shape; work is in float64, and a result has the type of x, rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import parallel_rows
from hwsim.ordered import kernels

Floats = NDArray[Any]
GRAIN = 1 << 13
"""Elements worth a thread."""


def apply(kernel: Callable[..., None], x: Floats) -> Floats:
    """One of the functions of `kernels` of each element."""
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    parallel_rows(kernel, flat.size, flat, out, grain=GRAIN)
    return out.reshape(x.shape)


def power(x: Floats, y: Floats) -> Floats:
    """x^y of two arrays of one shape and type."""
    out = np.empty(x.size, x.dtype)
    flat = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(y).reshape(-1)
    parallel_rows(kernels.power, x.size, *flat, out, grain=GRAIN)
    return out.reshape(x.shape)


def sums(rows: Floats, centres: NDArray[np.float64] | None = None, squared: bool = False) -> NDArray[np.float64]:
    """The sum of each row of ``[rows, n]``, or of the squares of its distances to that row's centre; float64."""
    out = np.empty(len(rows), np.float64)
    around = np.zeros(len(rows)) if centres is None else centres
    rows = np.ascontiguousarray(rows)
    parallel_rows(kernels.sums, len(rows), rows, around, squared, out, grain=_grain(rows))
    return out


def softmax(rows: Floats, logarithm: bool = False) -> Floats:
    """Softmax of each row of ``[rows, n]``, or its logarithm."""
    rows = np.ascontiguousarray(rows)
    out = np.empty_like(rows)
    if rows.shape[1]:
        parallel_rows(kernels.softmax, len(rows), rows, logarithm, out, grain=_grain(rows))
    return out


def layer_norm(
    rows: Floats, weight: Floats | None, bias: Floats | None, eps: float
) -> tuple[Floats, NDArray[np.float64]]:
    """Each row of ``[rows, n]`` normalised, and ``[rows, 2]``: means, and reciprocals of deviations."""
    rows = np.ascontiguousarray(rows)
    out, moments = np.empty_like(rows), np.empty((len(rows), 2))
    parts = (np.zeros(0) if one is None else np.ascontiguousarray(one, np.float64) for one in (weight, bias))
    parallel_rows(kernels.layer_norm, len(rows), rows, *parts, eps, out, moments, grain=_grain(rows))
    return out, moments


def products(a: Floats, b: Floats, dtype: Any = None) -> Floats:
    """``a @ b.T`` of a ``[M, K]`` and b ``[N, K]``: summed in float64, k ascending, rounded once to `dtype` (a's)."""
    out = np.empty((len(a), len(b)), dtype or a.dtype)
    n, k = b.shape
    tiles = -(-n // kernels.COLUMNS)
    held = np.zeros((tiles * kernels.COLUMNS, k))
    held[:n] = b
    panels = np.ascontiguousarray(held.reshape(tiles, kernels.COLUMNS, k).transpose(0, 2, 1))
    single = a.dtype == np.float32 and b.dtype == np.float32
    kernel = kernels.products_of_singles if single else kernels.products_of_doubles
    work = max(1, n * k)
    parallel_rows(kernel, len(a), np.ascontiguousarray(a, np.float64), panels, out, grain=1 + (1 << 18) // work)
    return out


def _grain(rows: Floats) -> int:
    return 1 + GRAIN // max(1, int(rows.shape[1]))
