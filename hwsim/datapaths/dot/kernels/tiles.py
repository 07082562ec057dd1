"""What the fast products share: tiles of columns, the running sums of a block of rows, powers of two by their bits.

A product visits tiles of `J` columns of b; in each, blocks of `ROWS` rows of a; in each, the fused groups along K. So
a panel of b stays in a first-level cache while the rows pass, and their sums in a second-level one.

Memory that vector instructions stream over starts at a multiple of `LINE` bytes: numpy promises 16, and a vector of
64 bytes that crosses a cache line is read twice (a third of the time of the products, measured).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwsim.datapaths.dot.kernels import words
from hwsim.datapaths.dot.kernels.words import Int
from hwsim.jit import intrinsic, njit, types

J = 128
"""Columns of a tile."""

ROWS = 256
"""Rows of a whose running sums of a tile stay in a second-level cache."""

LINE = 64
"""Bytes of a cache line, and of the longest vector."""


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An uninitialised C-ordered array that starts at a multiple of `LINE`."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = np.empty(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(kind).reshape(shape)


def _wide(context: Any) -> Any:
    """In a kernel: have its loops use the longest vectors of the processor. LLVM prefers half of AVX-512's, as the
    clock of the first processors that had them fell; results of lanes do not depend on how many there are."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        set.add(build.function.attributes, '"prefer-vector-width"="512"')  # llvmlite knows no attribute with a value
        return compiler.get_dummy_value()

    return types.void(), generate


wide: Any = intrinsic(_wide)


@njit(inline="always")
def power_32(e: Int) -> Any:
    """``2^e`` as float32, for normal numbers; e int32. ``2.0 ** e`` would call a function."""
    return np.int32(np.int32(e + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(inline="always")
def power_64(e: Int) -> Any:
    """``2^e`` as float64, for normal numbers."""
    return np.int64(np.int64(e + 1023) << 52).view(np.float64)


@njit(inline="always")
def nearest_half(value: Any) -> Any:
    """A float64 rounded to float16's numbers, to nearest even, kept in float64."""
    size = abs(value)
    bits = np.float64(value).view(np.int64)
    bits = (bits + np.int64((1 << 41) - 1) + ((bits >> np.int64(42)) & np.int64(1))) & np.int64(-(1 << 42))
    normal = np.int64(bits).view(np.float64)
    magic = np.float64(1.5 * 2.0**28)  # its last place is 2^-24, the distance of float16's subnormals
    small = (value + magic) - magic
    if size < 2.0**-14:
        return small
    if size < 65520.0:
        return normal
    return value * np.inf  # NaN stays NaN


@njit
def take(out: Any, r0: Int, r1: Int, first: Int, count: Int, outside: Int, held: Any) -> None:
    """Start the sums of rows r0..r1 and `count` columns: from out, or from zero where chains end outside the unit."""
    for r in range(r1 - r0):
        for j in range(count):
            held[r, j] = np.float32(0) if outside else out[r0 + r, first + j]


@njit
def give(out: Any, r0: Int, r1: Int, first: Int, count: Int, outside: Int, held: Any) -> None:
    """Write the sums back, unless `leave` has done so."""
    if not outside:
        for r in range(r1 - r0):
            for j in range(count):
                out[r0 + r, first + j] = held[r, j]


@njit
def leave(out: Any, r0: Int, r1: Int, first: Int, count: Int, half: bool, held: Any) -> None:
    """Add the ends of chains to out, rounded to nearest even in float32 or float16, and start from zero again."""
    for r in range(r1 - r0):
        for j in range(count):
            if half:
                total = np.float32(nearest_half(np.float64(out[r0 + r, first + j]) + np.float64(held[r, j])))
            else:
                total = out[r0 + r, first + j] + held[r, j]
            out[r0 + r, first + j] = words.word_float(0x7FFFFFFF) if total != total else total
            held[r, j] = np.float32(0)
