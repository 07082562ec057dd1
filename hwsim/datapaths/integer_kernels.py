"""Compiled loops of the integer units; `hwsim.datapaths.integer` says what they compute and when each may run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit

TILE = 256  # columns whose accumulators stay in the first-level cache


@njit
def dot_rows(
    start: int,
    stop: int,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    out: NDArray[np.int64],
    saturate: bool,
    acc_bits: int,
    signed: bool,
    least: int,
    greatest: int,
) -> None:
    """Element by element: out[i] holds the start and receives the result."""
    unused = 64 - acc_bits
    for i in range(start, stop):
        acc = out[i]
        for k in range(a.shape[1]):
            p = a[i, k] * b[i, k]
            if saturate:  # compared before the addition, which could leave 64 bits
                if p > 0:
                    acc = greatest if acc > greatest - p else acc + p
                else:
                    acc = least if acc < least - p else acc + p
            elif signed:
                acc = ((acc + p) << unused) >> unused
            else:
                acc = (acc + p) & greatest
        out[i] = acc


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


@njit
def saturate_narrow(
    start: int,
    stop: int,
    rows: NDArray[np.int64],
    x: NDArray[Any],
    wt: NDArray[Any],
    least: np.int32,
    greatest: np.int32,
    out: NDArray[Any],
) -> None:
    """out[rows] += x[rows] wt in order of k, clamped after each addition; sums fit 32 bits before the clamp."""
    k, n = wt.shape
    acc = np.empty(TILE, np.int32)
    for i in range(start, stop):
        r = rows[i]
        for first in range(0, n, TILE):
            width = min(TILE, n - first)
            for j in range(width):
                acc[j] = out[r, first + j]
            for p in range(k):
                value = np.int32(x[r, p])
                row = wt[p, first : first + width]
                for j in range(width):
                    acc[j] = min(max(np.int32(acc[j] + np.int32(value * np.int32(row[j]))), least), greatest)
            for j in range(width):
                out[r, first + j] = acc[j]


@njit
def saturate_wide(
    start: int,
    stop: int,
    rows: NDArray[np.int64],
    x: NDArray[Any],
    wt: NDArray[Any],
    least: np.int64,
    greatest: np.int64,
    out: NDArray[Any],
) -> None:
    """As `saturate_narrow` in 64-bit lanes; clamps before it adds, as the sum itself may not fit."""
    k, n = wt.shape
    acc = np.empty(TILE, np.int64)
    for i in range(start, stop):
        r = rows[i]
        for first in range(0, n, TILE):
            width = min(TILE, n - first)
            for j in range(width):
                acc[j] = out[r, first + j]
            for p in range(k):
                value = np.int64(x[r, p])
                row = wt[p, first : first + width]
                for j in range(width):
                    add = np.int64(value * np.int64(row[j]))
                    below = least - min(add, np.int64(0))
                    above = greatest - max(add, np.int64(0))
                    acc[j] = min(max(acc[j], below), above) + add
            for j in range(width):
                out[r, first + j] = acc[j]
