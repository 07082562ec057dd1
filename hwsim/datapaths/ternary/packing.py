"""Memory layouts of ternary weights: base-3 bytes, and I2_S, TL1 and TL2 of bitnet.cpp.

Each layout is a frozen value with `pack`, `unpack` and `bits_per_weight`; scales are stored elsewhere. I2_S, TL1 and
TL2 follow the converter and the kernels of github.com/microsoft/BitNet byte for byte, tiling included, so that a file
written for those kernels can be read. TL2's padding at the end of a tensor is left out: it depends on the model's
file, not on the weights.

Weights are int8 -1, 0, 1. ``packed`` arrays are uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Base3:
    """Five weights a byte: ``sum (w_i + 1) 3^(4-i)``, w_0 first; a short last byte is filled with zero weights."""

    bits_per_weight: float = 1.6

    def pack(self, w: NDArray[np.int8]) -> NDArray[np.uint8]:
        """``[..., K]`` -> ``[..., ceil(K / 5)]``."""
        digits = _checked(w) + 1
        missing = -digits.shape[-1] % 5
        digits = np.concatenate([digits, np.ones((*digits.shape[:-1], missing), digits.dtype)], axis=-1)
        packed = digits.reshape(*digits.shape[:-1], -1, 5) @ np.array([81, 27, 9, 3, 1])
        return np.asarray(packed, np.uint8)

    def unpack(self, packed: NDArray[np.uint8], k: int) -> NDArray[np.int8]:
        """``[..., ceil(k / 5)]`` -> ``[..., k]``; bytes above 242 are no code."""
        if packed.size and int(packed.max()) > 242:
            raise ArgumentError("a base-3 byte must be at most 242", got=int(packed.max()), where="unpack")
        digits = packed[..., None] // np.array([81, 27, 9, 3, 1], np.uint8) % 3
        return (digits.astype(np.int8) - 1).reshape(*packed.shape[:-1], -1)[..., :k]


@dataclass(frozen=True, slots=True)
class I2S:
    """Two bits a weight, ``w + 1``; 128 weights are 32 bytes, byte j holds j, j+32, j+64, j+96, high bits first.

    The layout of the x86 kernels that work on one row at a time.
    """

    bits_per_weight: float = 2.0

    def pack(self, w: NDArray[np.int8]) -> NDArray[np.uint8]:
        """``[..., K]`` -> ``[..., K / 4]``; K is a multiple of 128."""
        codes = (_checked(w) + 1).astype(np.uint8)
        _must_divide(128, codes.shape[-1], "K")
        quarters = codes.reshape(*codes.shape[:-1], -1, 4, 32)
        packed = quarters[..., 0, :] << 6 | quarters[..., 1, :] << 4 | quarters[..., 2, :] << 2 | quarters[..., 3, :]
        return np.asarray(packed.reshape(*codes.shape[:-1], -1))

    def unpack(self, packed: NDArray[np.uint8], k: int) -> NDArray[np.int8]:
        """``[..., k / 4]`` -> ``[..., k]``; code 3 is none."""
        blocks = packed.reshape(*packed.shape[:-1], -1, 1, 32)
        codes = blocks >> np.array([6, 4, 2, 0], np.uint8)[:, None] & 3
        if (codes == 3).any():
            raise ArgumentError("an I2_S code must be 0, 1 or 2", got=3, where="unpack")
        return (codes.astype(np.int8) - 1).reshape(*packed.shape[:-1], k)


@dataclass(frozen=True, slots=True)
class TL1:
    """Two weights a nibble, ``3 w_0 + w_1 + 4`` (0..8); a byte holds four neighbours of a row, the first on top.

    Bytes are ordered by tiles of `rows` × `columns`, in them by `inner` rows × ``256 / inner`` columns, then by 16
    rows, by 4 columns, and last by the row.

    Args:
        rows, columns, inner: BM, BK and bm of the kernel; inner 32 or 64.
    """

    rows: int = 256
    columns: int = 128
    inner: int = 32

    @property
    def bits_per_weight(self) -> float:
        """2: nine of sixteen codes are used."""
        return 2.0

    def pack(self, w: NDArray[np.int8]) -> NDArray[np.uint8]:
        """``[M, K]`` -> ``[M K / 4]``; M is a multiple of rows, K of columns."""
        w = _checked(w)
        nibbles: NDArray[np.uint8] = (3 * w[:, 0::2] + w[:, 1::2] + 4).astype(np.uint8)
        ordered = self._tiles(nibbles[:, 0::2] << 4 | nibbles[:, 1::2]).transpose(0, 4, 1, 5, 2, 6, 3)
        return np.ascontiguousarray(ordered).reshape(-1)

    def unpack(self, packed: NDArray[np.uint8], m: int, k: int) -> NDArray[np.int8]:
        """``[m k / 4]`` -> ``[m, k]``."""
        by = 256 // self.inner
        outer = m // self.rows, k // self.columns, self.rows // self.inner, self.columns // by
        tiles = packed.reshape(*outer, self.inner // 16, by // 4, 16).transpose(0, 2, 4, 6, 1, 3, 5)
        return _from_nibbles(tiles.reshape(m, k // 4))

    def _tiles(self, quads: NDArray[Any]) -> NDArray[np.uint8]:
        """``[M, K / 4]`` -> ``[M/BM, BM/bm, bm/16, 16, K/BK, BK/by, by/4]``."""
        m, quads_per_row = quads.shape
        _must_divide(self.rows, m, "M")
        _must_divide(self.columns, 4 * quads_per_row, "K")
        by = 256 // self.inner
        return quads.reshape(
            m // self.rows,
            self.rows // self.inner,
            self.inner // 16,
            16,
            4 * quads_per_row // self.columns,
            self.columns // by,
            by // 4,
        )


@dataclass(frozen=True, slots=True)
class TL2:
    """Three weights a nibble, ``|9 w_0 + 3 w_1 + w_2|`` (0..13), and a sign bit beside it; 5/3 bits a weight.

    First all nibbles: tiles of `rows` × `columns`, in them 32 rows × 6 columns, then a byte a row (the first group on
    top) with rows 8..15 and 16..23 exchanged. Then the signs, 1 for a negative sum: by 32 rows × 24 columns, 16
    little-endian words; bit 15 - (2 g + h) of word r is the sign of group g of row 16 h + r. Columns beyond the last
    multiple of `columns` follow as pairs, ``3 w_0 + w_1 + 4``, by 32 rows × 32 columns, in it 32 rows × 4 columns.

    Args:
        rows, columns: BM and BK of the kernel; rows a multiple of 32, columns of 24.
    """

    rows: int = 256
    columns: int = 96

    @property
    def bits_per_weight(self) -> float:
        """5/3, where K is a multiple of columns."""
        return 5 / 3

    def pack(self, w: NDArray[np.int8]) -> NDArray[np.uint8]:
        """``[M, K]`` -> bytes; M is a multiple of rows, K modulo columns of 32."""
        w = _checked(w)
        m, k = w.shape
        threes = self._threes(m, k)
        sums = 9 * w[:, 0:threes:3] + 3 * w[:, 1:threes:3] + w[:, 2:threes:3]
        nibbles = np.abs(sums).astype(np.uint8)
        values = self._order(nibbles[:, 0::2] << 4 | nibbles[:, 1::2], self.columns, 6)
        signs = (sums < 0).reshape(m // self.rows, self.rows // 32, 2, 16, threes // self.columns, -1, 8)
        signs = signs.transpose(0, 4, 1, 5, 3, 6, 2).reshape(-1, 16)  # one word: group, then half, from the top
        words = np.packbits(signs, axis=-1).reshape(-1, 2)[:, ::-1]
        rest = 3 * w[:, threes::2] + w[:, threes + 1 :: 2] + 4
        pairs = self._order((rest[:, 0::2] << 4 | rest[:, 1::2]).astype(np.uint8), 32, 4)
        return np.concatenate([values, words.reshape(-1), pairs])

    def unpack(self, packed: NDArray[np.uint8], m: int, k: int) -> NDArray[np.int8]:
        """The weights ``[m, k]`` of `pack`'s bytes."""
        threes = self._threes(m, k)
        ends = m * threes // 6, m * threes // 6 + m * threes // 24
        quads = self._restore(packed[: ends[0]], m, threes, self.columns, 6)
        magnitude = np.stack([quads >> 4, quads & 15], axis=-1).reshape(m, -1).astype(np.int8)
        if magnitude.size and int(magnitude.max()) > 13:
            raise ArgumentError("a TL2 index must be at most 13", got=int(magnitude.max()), where="unpack")
        bits = np.unpackbits(packed[ends[0] : ends[1]].reshape(-1, 2)[:, ::-1].copy(), axis=-1)
        bits = bits.reshape(m // self.rows, threes // self.columns, self.rows // 32, self.columns // 24, 16, 8, 2)
        signs = bits.transpose(0, 2, 6, 4, 1, 3, 5).reshape(m, -1)
        sums = np.where(signs == 1, -magnitude, magnitude)
        first = (sums + 4 + 9) // 9 - 1
        second = (sums - 9 * first + 1 + 3) // 3 - 1
        weights = np.stack([first, second, sums - 9 * first - 3 * second], axis=-1).reshape(m, threes)
        pairs = _from_nibbles(self._restore(packed[ends[1] :], m, k - threes, 32, 4))
        return np.concatenate([weights.astype(np.int8), pairs], axis=1)

    def _threes(self, m: int, k: int) -> int:
        """Columns that are stored in threes."""
        _must_divide(self.rows, m, "M")
        threes = k - k % self.columns
        _must_divide(32, k - threes, f"K modulo {self.columns}")
        return threes

    def _order(self, quads: NDArray[np.uint8], columns: int, by: int) -> NDArray[np.uint8]:
        """Bytes ``[M, K / by]`` in the order of the kernel."""
        m, per_row = quads.shape
        tiles = quads.reshape(m // self.rows, self.rows // 32, 4, 8, per_row * by // columns, columns // by)
        return np.ascontiguousarray(tiles.transpose(0, 4, 1, 5, 2, 3)[..., [0, 2, 1, 3], :]).reshape(-1)

    def _restore(self, packed: NDArray[np.uint8], m: int, k: int, columns: int, by: int) -> NDArray[np.uint8]:
        tiles = packed.reshape(m // self.rows, k // columns, self.rows // 32, columns // by, 4, 8)[
            ..., [0, 2, 1, 3], :
        ]
        return tiles.transpose(0, 2, 4, 5, 1, 3).reshape(m, k // by)


def _from_nibbles(quads: NDArray[np.uint8]) -> NDArray[np.int8]:
    """``[M, K / 4]`` bytes of two pairs -> ``[M, K]``."""
    pairs = np.stack([quads >> 4, quads & 15], axis=-1)
    if pairs.size and int(pairs.max()) > 8:
        raise ArgumentError("the code of a pair must be at most 8", got=int(pairs.max()), where="unpack")
    digits = np.stack([pairs // 3, pairs % 3], axis=-1).astype(np.int8) - 1
    return digits.reshape(len(quads), -1)


def _checked(w: NDArray[Any]) -> NDArray[np.int8]:
    w = np.asarray(w)
    if w.dtype != np.int8 or (w.size and (int(w.min()) < -1 or int(w.max()) > 1)):
        raise ArgumentError("weights must be int8 -1, 0 or 1", got=w.dtype.name, where="pack")
    return w


def _must_divide(unit: int, size: int, what: str) -> None:
    if size % unit:
        raise ArgumentError(f"{what} must be a multiple of {unit}", got=size, where="pack")
