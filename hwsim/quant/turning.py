"""A matrix with its axes exchanged, in memory: what a second contraction reads.

Tile by tile, so that reads and writes both stay in cache; torch's and numpy's copies walk one of the two with the
stride of a whole row, at a third of the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit, parallel_rows

TILE = 32


def turned(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 ``[..., M, K]`` contiguous -> ``[..., K, M]`` contiguous."""
    out = np.empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), np.float32)
    if x.size == 0:
        return out
    source = x.reshape(-1, *x.shape[-2:])
    target = out.reshape(source.shape[0], x.shape[-1], x.shape[-2])
    strips = -(-x.shape[-1] // TILE)
    grain = max(1, (1 << 15) // max(1, TILE * x.shape[-2]))
    for index in range(len(source)):
        parallel_rows(_turn, strips, source[index], target[index], grain=grain)
    return out


@njit
def _turn(begin: int, end: int, source: Any, target: Any) -> None:
    rows, columns = source.shape
    for strip in range(begin, end):
        left, right = strip * TILE, min(columns, (strip + 1) * TILE)
        for top in range(0, rows, TILE):
            bottom = min(rows, top + TILE)
            for column in range(left, right):
                for row in range(top, bottom):
                    target[column, row] = source[row, column]
