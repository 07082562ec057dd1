"""How the blocks of a tensor lie: rows along the axis, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.formats.inputs import real_array
from hwsim.quant.scheme import Scheme

GRAIN = 1 << 14
"""Elements worth a thread."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A tensor as a matrix [rows, length] whose rows run along `axis`; blocks of `block` elements never leave a row.

    Args:
        shape: the tensor's shape.
        axis: not negative.
        rows: product of all other axes.
        length: elements along the axis.
        block: elements of a row that share a scale.
        height: rows that share it: 16 for square blocks, all for one scale a tensor.
        plane: rows of one matrix of the last two axes, which a square block does not leave.
    """

    shape: tuple[int, ...]
    axis: int
    rows: int
    length: int
    block: int
    height: int
    plane: int

    @property
    def blocks(self) -> int:
        """Blocks of a row."""
        return -(-self.length // self.block)

    @property
    def moved(self) -> tuple[int, ...]:
        """The shape with the axis last."""
        return (*self.shape[: self.axis], *self.shape[self.axis + 1 :], self.length)

    def to_rows(self, x: NDArray) -> NDArray:
        """The matrix, contiguous; a view where the tensor allows it."""
        moved = np.moveaxis(x.reshape(self.shape), self.axis, -1)
        return np.ascontiguousarray(moved).reshape(self.rows, self.length)

    def from_rows(self, matrix: NDArray, shape: tuple[int, ...] | None = None) -> NDArray:
        """The tensor of a matrix [rows, columns], contiguous."""
        moved = matrix.reshape((*self.moved[:-1], matrix.shape[1]))
        tensor = np.ascontiguousarray(np.moveaxis(moved, -1, self.axis))
        return tensor if shape is None else tensor.reshape(shape)


def layout(tensor: tuple[int, ...], scheme: Scheme, axis: int) -> Layout:
    """The layout under `scheme` of a tensor of this shape.

    Raises:
        ArgumentError: no such axis; square blocks on less than two axes or along another than the last.
    """
    shape = tensor or (1,)
    if not -len(shape) <= axis < len(shape):
        raise ArgumentError(f"axis must name one of {len(shape)} axes", got=axis, where="axis")
    axis %= len(shape)
    length = shape[axis]
    rows = int(np.prod([size for at, size in enumerate(shape) if at != axis], dtype=np.int64))
    block, height, plane = scheme.block or max(length, 1), 1, max(rows, 1)
    if scheme.granularity == "tensor":
        height = max(rows, 1)
    if scheme.granularity == "block2d":
        if len(tensor) < 2 or axis != len(shape) - 1:
            raise ArgumentError(
                "square blocks must lie on the last two axes of a matrix", got=(tensor, axis), where="axis"
            )
        height, plane = block, max(shape[-2], 1)
    return Layout(shape, axis, rows, length, block, height, plane)


def float32_array(x: ArrayLike) -> NDArray[np.float32]:
    """`x` as float32, which schemes start from: other floats and whole numbers are rounded to it. Torch's tensors
    too, of any type and with gradients.

    Raises:
        ArgumentError: not real numbers.
    """
    array = real_array(x, "x must be an array of real numbers", "x")
    if array.dtype != np.float32:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    return array


def scale_array(scales: NDArray, where: Layout, scheme: Scheme) -> NDArray:
    """Scales of all blocks, in the shape that `Quantized` documents."""
    if scheme.granularity == "tensor":
        return scales.reshape(-1)[:1].reshape(()) if scales.size else np.ones((), scales.dtype)
    if scheme.granularity == "block2d":
        return scales.reshape(*where.shape[:-2], -(-where.shape[-2] // where.height), where.blocks)
    return where.from_rows(scales.reshape(where.rows, where.blocks))


def flat_scales(scales: NDArray, where: Layout, scheme: Scheme) -> NDArray:
    """The inverse of `scale_array`: one scale a block."""
    if scheme.granularity in ("tensor", "block2d"):
        return scales.reshape(-1)
    return np.ascontiguousarray(np.moveaxis(scales, where.axis, -1)).reshape(-1)


def split_evenly(where: Layout) -> Layout:
    """The same blocks in more, shorter rows, where there are too few rows to share among threads; in longer ones
    where short rows cost more than their elements."""
    rows, length, block = where.rows, where.length, where.block
    whole = where.height == where.rows and where.plane == where.rows and block == length
    if whole:  # one scale a tensor: any shape does
        while rows < 64 and length % 2 == 0 and length > 1 << 12:
            rows, length = rows * 2, length // 2
        return replace(where, rows=rows, length=length, block=length, height=rows, plane=rows)
    if where.height == 1 and block < length and length % block == 0:
        blocks = length // block
        while rows < 64 and blocks % 2 == 0 and blocks * block > 1 << 12:
            rows, blocks = rows * 2, blocks // 2
        while rows >= 128 and rows % 2 == 0 and blocks * block < 1 << 10:
            rows, blocks = rows // 2, blocks * 2
        return replace(where, rows=rows, length=blocks * block, plane=max(rows, 1))
    return where


def grain(length: int) -> int:
    """Rows of `length` elements that are worth a thread."""
    return max(1, GRAIN // max(1, length))
