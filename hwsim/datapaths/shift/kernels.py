"""Compiled loop of the shift unit's float32 accumulator; `hwsim.datapaths.shift.bits` says when it runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit
def float_rows(
    start: int, stop: int, x: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """out[start:stop] += x weights, k ascending, float32 rounding after each addition; products are exact."""
    for i in range(start, stop):
        acc = out[i]
        for k in range(weights.shape[0]):
            value = x[i, k]
            row = weights[k]
            for j in range(row.size):
                acc[j] += value * row[j]
