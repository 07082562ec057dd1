"""A matrix with its axes exchanged, in memory: what a second contraction reads, also rotated and quantized.

Squares of 16 x 16 go through vector registers, where a rotation and the maxima of blocks cost nothing beside the
loads: the butterflies run between rows before these become columns. torch's and numpy's copies walk one of the two
matrices with the stride of a whole row, at a third of the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.catalog import get
from hwsim.quant.engine import ceiling, fake_quantize, is_fused
from hwsim.quant.lanes import LANES, butterflies_16, largest_of_16
from hwsim.quant.rotation import hadamard, sign_vector
from hwsim.quant.scheme import Scheme
from hwsim.quant.square_lanes import turn_16, turn_rotated_16

STRIP = 64
"""Columns that are turned together."""

_GRAIN = 1 << 15


def turned(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 ``[..., M, K]`` contiguous -> ``[..., K, M]`` contiguous."""
    out = np.empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), np.float32)
    if x.size == 0:
        return out
    rows, columns = x.shape[-2:]
    source = x.reshape(-1, rows * columns)
    target = out.reshape(-1, rows * columns)
    for index in range(len(source)):
        parallel_rows(_turn, -(-columns // STRIP), source[index], target[index], rows, columns, grain=_grain(rows))
    return out


def fake_quantize_turned(
    x: NDArray[np.float32], scheme: str | Scheme, signs: str | ArrayLike | None, seed: int | None = None
) -> NDArray[np.float32]:
    """``fake_quantize(hadamard(turned(x), 16, signs), scheme, seed=seed)`` bit for bit, in two passes over memory.

    Args:
        x: float32 ``[M, K]`` contiguous, M a multiple of 16.
        scheme: a scheme.
        signs: of the rotation along M, see `hadamard`.
        seed: of stochastic rounding.

    Returns:
        float32 ``[K, M]``.

    Raises:
        ArgumentError: as the two functions.
    """
    scheme = get(scheme)
    rows, columns = x.shape
    if rows % LANES:
        raise ArgumentError(f"M must be a multiple of {LANES}", got=x.shape)
    if not is_fused(scheme) or scheme.granularity != "block" or scheme.block != LANES or x.size == 0:
        return fake_quantize(hadamard(turned(x), LANES, signs), scheme, seed=seed)
    out = np.empty((columns, rows), np.float32)
    maxima = np.empty((columns, rows // LANES), np.uint32)
    parallel_rows(
        _turn_rotated, -(-columns // STRIP), x.reshape(-1), out.reshape(-1), out.view(np.uint32).reshape(-1), rows,
        columns, sign_vector(LANES, signs), np.float32(0.25), ceiling(scheme), maxima, grain=_grain(rows),
    )  # fmt: skip
    return fake_quantize(out, scheme, seed=seed, out=out, maxima=maxima)


def _grain(rows: int) -> int:
    return max(1, _GRAIN // max(1, STRIP * rows))


@njit
def _turn(begin: int, end: int, source: Any, target: Any, rows: int, columns: int) -> None:
    for left in range(begin * STRIP, min(columns, end * STRIP), STRIP):
        right = min(columns, left + STRIP)
        whole = left + (right - left) // LANES * LANES
        for top in range(0, rows // LANES * LANES, LANES):
            for column in range(left, whole, LANES):
                turn_16(source, top * columns + column, columns, target, column * rows + top, rows)
        for column in range(left, right):
            for row in range(rows // LANES * LANES if column < whole else 0, rows):
                target[column * rows + row] = source[row * columns + column]


@njit
def _turn_rotated(
    begin: int,
    end: int,
    source: Any,
    target: Any,
    bits: Any,
    rows: int,
    columns: int,
    signs: Any,
    unit: Any,
    ceiling: Any,
    maxima: Any,
) -> None:
    largest, units = np.empty(LANES, np.uint32), np.full(LANES, unit)
    for left in range(begin * STRIP, min(columns, end * STRIP), STRIP):
        right = min(columns, left + STRIP)
        whole = left + (right - left) // LANES * LANES
        for top in range(0, rows, LANES):
            for column in range(left, whole, LANES):
                turn_rotated_16(
                    source, top * columns + column, columns, target, column * rows + top, rows, signs, unit, ceiling,
                    largest, 0,
                )  # fmt: skip
                for lane in range(LANES):
                    maxima[column + lane, top // LANES] = largest[lane]
            for column in range(whole, right):
                at = column * rows + top
                for row in range(LANES):
                    target[at + row] = source[(top + row) * columns + column]
                butterflies_16(target, target, at, signs, units, 0)
                maxima[column, top // LANES] = largest_of_16(bits, at, ceiling)
