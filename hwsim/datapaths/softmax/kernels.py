"""Compiled rows of the softmax unit; `hwsim.datapaths.softmax.bits` defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit
def grouped_rows(
    start: int,
    stop: int,
    codes: NDArray[np.uint8],
    kept: NDArray[np.bool_],
    out: NDArray[np.float32],
    exponentials: NDArray[np.float32],
    sums: NDArray[np.float32],
    bits: int,
    group: int,
) -> None:
    """out[i, j] = exponential of code[i, j] over the grouped sum of row i, 0 where dropped."""
    for i in range(start, stop):
        total = np.float32(0)
        index, held = 0, 0
        for j in range(codes.shape[1]):
            if kept[i, j]:
                index = index << bits | codes[i, j]
                held += 1
                if held == group:
                    total += sums[index]
                    index, held = 0, 0
        for place in range(held - 1, -1, -1):
            total += exponentials[index >> place * bits & ((1 << bits) - 1)]
        for j in range(codes.shape[1]):
            if kept[i, j]:
                out[i, j] = exponentials[codes[i, j]] / total
