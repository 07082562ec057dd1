"""The Hadamard transform that spreads outliers over a tile before quantization.

A tile ``t`` of `size` neighbours along the last axis becomes ``(t * signs) H / sqrt(size)``, H the Sylvester matrix
and `signs` a fixed vector of +1 and -1: the random Hadamard transform of NVIDIA's NVFP4 training recipe (arXiv
2509.25149, TransformerEngine), size 16. It is orthogonal, so a product over the axis keeps its value when both
operands use it.

The order of additions is fixed: float32 butterflies over neighbours 1, 2, 4, ... apart, then one multiplication by
``1 / sqrt(size)``. A product with the matrix was rejected: its order of additions belongs to a BLAS library. On
bfloat16 data of moderate range every sum is exact, and the order decides nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows

NVIDIA_SIGNS = (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1)
"""The one sign vector of all layers and steps, TransformerEngine."""

_GRAIN = 1 << 10


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
    array = np.ascontiguousarray(np.asarray(x), dtype=np.float32)
    if array.ndim == 0 or array.shape[-1] % size:
        raise ArgumentError(f"the last axis must be a multiple of {size}", got=np.shape(x))
    vector = _sign_vector(size, signs)
    result = np.empty_like(array)
    scale = np.float32(1 / np.sqrt(size))
    tiles = array.size // size
    parallel_rows(
        _tiles, tiles, array.reshape(tiles, size), result.reshape(tiles, size), vector, scale, inverse, grain=_GRAIN
    )
    return result


def _sign_vector(size: int, signs: str | ArrayLike | None) -> NDArray[np.float32]:
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
def _tiles(begin: int, end: int, source: Any, target: Any, signs: Any, scale: Any, inverse: bool) -> None:
    size = source.shape[1]
    tile = np.empty(size, dtype=np.float32)
    for row in range(begin, end):
        for column in range(size):
            tile[column] = source[row, column] if inverse else source[row, column] * signs[column]
        apart = 1
        while apart < size:
            for start in range(0, size, 2 * apart):
                for low in range(start, start + apart):
                    first, second = tile[low], tile[low + apart]
                    tile[low] = first + second
                    tile[low + apart] = first - second
            apart *= 2
        for column in range(size):
            value = tile[column] * scale
            target[row, column] = value * signs[column] if inverse else value
