"""The Hadamard transform that spreads outliers over a tile before quantization.

A tile ``t`` of `size` neighbours along the last axis becomes ``(t * signs) H / sqrt(size)``, H the Sylvester matrix
and `signs` a fixed vector of +1 and -1: the random Hadamard transform of NVIDIA's NVFP4 training recipe (arXiv
2509.25149, TransformerEngine), size 16. It is orthogonal, so a product over the axis keeps its value when both
operands use it.

The order of additions is fixed: float32 butterflies over neighbours 1, 2, 4, ... apart, then one multiplication by
``1 / sqrt(size)``. A product with the matrix was rejected: its order of additions belongs to a BLAS library, and it
is not faster. On bfloat16 data of moderate range every sum is exact, and the order decides nothing.

Tiles of 16 and more go through `lanes.butterflies_16`, which makes the stages up to 8 apart in one vector; the stages
beyond run over neighbouring vectors. Smaller tiles go element by element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.lanes import LANES, butterflies_16
from hwsim.quant.layout import float32_array

NVIDIA_SIGNS = (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1)
"""The one sign vector of all layers and steps, TransformerEngine."""

_GRAIN = 1 << 14
"""Elements worth a thread."""


def hadamard(
    x: ArrayLike, size: int = 16, signs: str | ArrayLike | None = "nvidia", *, inverse: bool = False
) -> NDArray[np.float32]:
    """Transform tiles of `size` elements along the last axis.

    Args:
        x: float32; its last axis a multiple of `size`.
        size: a power of two, at most 4096.
        signs: ``"nvidia"`` (size 16 only), a vector of +1 and -1, or None for all +1.
        inverse: undo the transform, up to rounding: ``(t H / sqrt(size)) * signs``.

    Returns:
        float32, the shape of `x`.

    Raises:
        ArgumentError: a size that is no power of two or does not divide the axis, or other signs.

    >>> hadamard([1.0] + [0.0] * 15).tolist() == [0.25] * 16
    True
    """
    if not 1 <= size <= 4096 or size & (size - 1):
        raise ArgumentError("size must be a power of two from 1 to 4096", got=size)
    array = np.ascontiguousarray(float32_array(x))
    if array.ndim == 0 or array.shape[-1] % size:
        raise ArgumentError(f"the last axis must be a multiple of {size}", got=np.shape(x))
    vector = sign_vector(size, signs)
    result = np.empty_like(array)
    ones, scale = np.ones(size, dtype=np.float32), np.float32(1 / np.sqrt(size))
    # the sum times 1 / sqrt(size) is rounded once; times a sign is exact, before or after it
    before, after = (ones, vector * scale) if inverse else (vector, ones * scale)
    tiles = array.size // size
    kernel = _tiles if size >= LANES else _small_tiles
    parallel_rows(kernel, tiles, array.reshape(-1), result.reshape(-1), before, after, grain=max(1, _GRAIN // size))
    return result


def sign_vector(size: int, signs: str | ArrayLike | None) -> NDArray[np.float32]:
    """The signs of a tile of `size` as float32; see `hadamard`."""
    if signs is None:
        return np.ones(size, dtype=np.float32)
    if isinstance(signs, str):
        if signs != "nvidia":
            raise ArgumentError('signs must be "nvidia", a vector of +1 and -1, or None', got=signs)
        if size != len(NVIDIA_SIGNS):
            raise ArgumentError('signs "nvidia" need size 16', got=size)
        return np.array(NVIDIA_SIGNS, dtype=np.float32)
    vector = np.asarray(signs, dtype=np.float32)
    if vector.shape != (size,) or not np.all(np.abs(vector) == 1):
        raise ArgumentError(f"signs must be {size} values of +1 or -1", got=np.asarray(signs).tolist())
    return np.ascontiguousarray(vector)


@njit
def _tiles(begin: int, end: int, source: Any, target: Any, before: Any, after: Any) -> None:
    size = before.size
    ones = np.ones(size, np.float32)
    last = after if size == LANES else ones
    for at in range(begin * size, end * size, size):
        for place in range(0, size, LANES):
            butterflies_16(source, target, at + place, before, last, place)
        if size == LANES:
            continue
        apart = LANES
        while apart < size:
            for start in range(at, at + size, 2 * apart):
                low, high = target[start : start + apart], target[start + apart : start + 2 * apart]
                for lane in range(apart):
                    first, second = low[lane], high[lane]
                    low[lane] = first + second
                    high[lane] = first - second
            apart *= 2
        tile = target[at : at + size]
        for place in range(size):
            tile[place] *= after[place]


@njit
def _small_tiles(begin: int, end: int, source: Any, target: Any, before: Any, after: Any) -> None:
    size = before.size
    tile = np.empty(size, dtype=np.float32)
    for at in range(begin * size, end * size, size):
        for place in range(size):
            tile[place] = source[at + place] * before[place]
        apart = 1
        while apart < size:
            for start in range(0, size, 2 * apart):
                for low in range(start, start + apart):
                    first, second = tile[low], tile[low + apart]
                    tile[low] = first + second
                    tile[low + apart] = first - second
            apart *= 2
        for place in range(size):
            target[at + place] = tile[place] * after[place]
