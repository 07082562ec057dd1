"""Compiled loop of the integer units; `hwsim.datapaths.integer.bits` says what it computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit
def dot_rows(
    start: int,
    stop: int,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    out: NDArray[np.int64],
    group: int,
    saturate: bool,
    acc_bits: int,
    signed: bool,
    least: int,
    greatest: int,
) -> None:
    """Group by group of products: out[i] holds the start and receives the result."""
    unused = 64 - acc_bits
    for i in range(start, stop):
        acc = out[i]
        for first in range(0, a.shape[1], group):
            p = np.int64(0)
            for k in range(first, min(first + group, a.shape[1])):
                p += a[i, k] * b[i, k]
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
