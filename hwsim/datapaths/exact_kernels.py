"""Compiled loops of exact integer products; `hwsim.datapaths.exact` says when each may run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit

TILE = 256  # columns whose accumulators stay in the first-level cache


@njit
def fold(start: int, stop: int, part: NDArray[Any], total: NDArray[Any], acc_bits: int, signed: bool) -> None:
    """total = (total + part) modulo 2^acc_bits, where part holds integers as floats."""
    unused = 64 - acc_bits
    mask = (np.int64(1) << acc_bits) - 1
    for i in range(start, stop):
        row, add = total[i], part[i]
        if signed:
            for j in range(part.shape[1]):
                row[j] = ((row[j] + np.int64(add[j])) << unused) >> unused
        else:
            for j in range(part.shape[1]):
                row[j] = (row[j] + np.int64(add[j])) & mask


@njit(inline="always")
def _add_narrow(acc: Any, value: Any, row: Any, least: Any, greatest: Any) -> None:
    """acc += value * row in 32-bit lanes, clamped; accumulator and product add up within 32 bits."""
    factor = np.int32(value)
    for j in range(row.size):
        acc[j] = min(max(np.int32(acc[j] + np.int32(factor * np.int32(row[j]))), least), greatest)


@njit(inline="always")
def _add_wide(acc: Any, value: Any, row: Any, least: Any, greatest: Any) -> None:
    """The same in 64-bit lanes; clamps before it adds, as the sum itself may not fit."""
    factor = np.int64(value)
    for j in range(row.size):
        add = np.int64(factor * np.int64(row[j]))
        below = least - min(add, np.int64(0))
        above = greatest - max(add, np.int64(0))
        acc[j] = min(max(acc[j], below), above) + add


@njit
def saturate(
    start: int,
    stop: int,
    rows: NDArray[np.int64],
    x: NDArray[Any],
    wt: NDArray[Any],
    bounds: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """out[rows] += x[rows] wt in order of k, clamped to `bounds` after each addition.

    The dtype of `bounds` is that of the lanes: int32 only where an accumulator and a product add up within 32 bits.
    """
    k, n = wt.shape
    acc = np.empty(TILE, bounds.dtype)
    least, greatest = bounds[0], bounds[1]
    for i in range(start, stop):
        r = rows[i]
        for first in range(0, n, TILE):
            width = min(TILE, n - first)
            for j in range(width):
                acc[j] = out[r, first + j]
            for p in range(k):
                row = wt[p, first : first + width]
                if acc.itemsize == 4:  # a constant of each compilation
                    _add_narrow(acc, x[r, p], row, least, greatest)
                else:
                    _add_wide(acc, x[r, p], row, least, greatest)
            for j in range(width):
                out[r, first + j] = acc[j]


@njit
def saturate_groups(
    start: int,
    stop: int,
    rows: NDArray[np.int64],
    x: NDArray[Any],
    wt: NDArray[Any],
    group: int,
    bounds: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """As `saturate`, clamped after each addition of `group` products, whose exact sum fits the lanes."""
    k, n = wt.shape
    acc, part = np.empty(TILE, bounds.dtype), np.empty(TILE, bounds.dtype)
    least, greatest = bounds[0], bounds[1]
    for i in range(start, stop):
        r = rows[i]
        for first in range(0, n, TILE):
            width = min(TILE, n - first)
            for j in range(width):
                acc[j] = out[r, first + j]
            for begin in range(0, k, group):
                part[:width] = 0
                for p in range(begin, min(begin + group, k)):
                    row = wt[p, first : first + width]
                    for j in range(width):
                        part[j] += x[r, p] * np.int64(row[j])
                if acc.itemsize == 4:  # a constant of each compilation
                    _add_narrow(acc, 1, part[:width], least, greatest)
                else:
                    _add_wide(acc, 1, part[:width], least, greatest)
            for j in range(width):
                out[r, first + j] = acc[j]
