"""Ternary lookup-table units: weights -1, 0, +1 in groups that index sums of activations built once per group.

Decides keys, table order and the order of addition of the LUT generator of KU Leuven (arXiv 2604.25183 and its
repository ``ternary-lut-dse``). A group of µ weights (w_0 first and most significant) becomes the number
``v = sum (1 - w_i) 3^(µ-1-i)``. With ``border = (3^µ - 1) / 2``, the all-zero group, keys up to the border are stored
as they are; above it the mirrored key ``3^µ - 1 - v`` is stored with a sign flag on top, since that group is the
negated one. So a table holds ``n = border`` sums, entry 0 is ``+x_0 ... +x_{µ-1}``, the last is ``x_{µ-1}`` alone,
and index n, which has no entry, reads as zero.

INT8 activations are summed exactly and accumulated modulo 2^32: any order gives the same bits, so the product runs as
an exact float product on the decoded weights. FP16 and BF16 round in every adder: there the tree is built and read as
in the hardware (`hwsim.datapaths.ternary_fp`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.integer import wrapping_matmul
from hwsim.datapaths.operands import check_matmul, check_no_scales, integer_values
from hwsim.errors import ArgumentError

Activation = Literal["int8"]
Semantics = Literal["ieee", "kul"]


@dataclass(frozen=True, slots=True)
class TernaryLut(Datapath):
    """A core of `luts` lookup tables over `group` activations each, and an accumulator.

    Args:
        group: µ, activations a table, 1 to 7.
        activation: ``"int8"``: exact sums, 32-bit wrapping accumulator.
        luts: L, tables whose fetches are summed before they reach the accumulator, at least 1.
        semantics: ``"ieee"`` or ``"kul"`` floating-point adders; without effect on int8.

    Raises:
        ArgumentError: a field outside its range.
    """

    group: int
    activation: Activation = "int8"
    luts: int = 1
    semantics: Semantics = "ieee"

    family: ClassVar[str] = "ternary_lut"

    def __post_init__(self) -> None:
        if not 1 <= self.group <= 7:
            raise ArgumentError("group must lie in 1..7", got=self.group, where="ternary_lut")
        if self.activation not in ("int8",):
            raise ArgumentError("activation must be 'int8'", got=self.activation, where="ternary_lut")
        if self.luts < 1:
            raise ArgumentError("luts must be at least 1", got=self.luts, where="ternary_lut")
        if self.semantics not in ("ieee", "kul"):
            raise ArgumentError("semantics must be 'ieee' or 'kul'", got=self.semantics, where="ternary_lut")

    @property
    def name(self) -> str:
        """``ternary_lut3.int8.x1``."""
        return f"ternary_lut{self.group}.{self.activation}.x{self.luts}"

    @property
    def a_format(self) -> str:
        """`activation`."""
        return self.activation

    @property
    def b_format(self) -> str:
        """``int2``: what `encode` takes."""
        return "int2"

    @property
    def accumulator_bits(self) -> int:
        """32 for int8."""
        return 32

    @property
    def entries(self) -> int:
        """Sums a table holds, (3^µ - 1) / 2."""
        return int((3**self.group - 1) // 2)

    @property
    def key_bits(self) -> int:
        """Bits of a key: an index 0..entries and the sign flag above it."""
        return self.entries.bit_length() + 1

    def spec(self) -> dict[str, Any]:
        """The table of this unit's fields."""
        return {
            "family": self.family,
            "group": self.group,
            "activation": self.activation,
            "luts": self.luts,
            "semantics": self.semantics,
        }

    def encode(self, w: NDArray[Any]) -> NDArray[Any]:
        """Keys ``[..., ceil(K / group)]`` of ternary weights ``[..., K]``; a short last group is filled with zeros.

        Args:
            w: int8 values -1, 0, 1, or their uint8 int2 codes 3, 0, 1.

        Returns:
            uint8 keys, uint16 where they are wider than 8 bits (group 6 and 7).

        Raises:
            ArgumentError: another value or dtype.
        """
        values = integer_values(w, 2, True, "encode.w")
        if values.ndim == 0 or (values.size and int(values.min()) < -1):
            raise ArgumentError("weights must be -1, 0 or 1 along one axis or more", got=w, where="encode.w")
        return encode_groups(values, self.group)

    def decode(self, keys: NDArray[Any], k: int | None = None) -> NDArray[np.int8]:
        """Weights int8 ``[..., K]`` of keys ``[..., K / group]``; `k` cuts the filling of the last group.

        An index above the last entry reads as zeros, as the multiplexer's default does.
        """
        keys = self._checked_keys(keys, "decode.keys")
        weights: NDArray[np.int8] = key_weights(self.group)[keys].reshape(
            *keys.shape[:-1], keys.shape[-1] * self.group
        )
        return weights if k is None else weights[..., :k]

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``c + a . weights(b)`` through the tables: built, fetched and accumulated group by group.

        Args:
            a: int8 codes or values ``[..., K]``.
            b: keys ``[..., ceil(K / group)]`` from `encode`, broadcast against a.
            c: integers ``[...]``; zero if absent.

        Returns:
            int32 ``[...]``.
        """
        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, 8, True, "dot.a")
        keys = self._checked_keys(b, "dot.b")
        self._check_lengths(x, keys)
        x = _grouped(x, keys.shape[-1], self.group).astype(np.int64)
        tables = np.moveaxis(int_tables(x), -1, 0)  # [indices, ..., groups]
        shape = np.broadcast_shapes(x.shape[:-2], keys.shape[:-1])
        fetched = np.empty((*shape, keys.shape[-1]), np.int64)
        index, negative = np.broadcast_arrays(keys & (1 << (self.key_bits - 1)) - 1, keys >> (self.key_bits - 1))
        index = np.broadcast_to(index, fetched.shape)
        entry = np.take_along_axis(np.broadcast_to(tables, (len(tables), *fetched.shape)), index[None], 0)[0]
        fetched[...] = np.where(np.broadcast_to(negative, fetched.shape) != 0, -entry, entry)
        total = fetched.sum(-1) + (0 if c is None else np.asarray(c, np.int64))
        return np.asarray(total.astype(np.uint64).astype(np.uint32).view(np.int32))

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """a ``[M, K]``, keys b ``[N, ceil(K / group)]``, c ``[M, N]`` -> ``[M, N]``, equal to `dot` on row pairs."""
        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, 8, True, "matmul.a")
        keys = self._checked_keys(b, "matmul.b")
        self._check_lengths(x, keys)
        w = self.decode(keys, x.shape[-1])
        check_matmul(x, w, c)
        return wrapping_matmul(x, w, None if c is None else np.asarray(c, np.int64), 32, True)

    def _checked_keys(self, keys: NDArray[Any], where: str) -> NDArray[Any]:
        keys = np.asarray(keys)
        wanted = np.uint8 if self.key_bits <= 8 else np.uint16
        if keys.dtype != wanted or keys.ndim == 0:
            raise ArgumentError(
                f"keys of group {self.group} must be {wanted.__name__} from encode", got=keys.dtype.name, where=where
            )
        if keys.size and int(keys.max()) >> self.key_bits:
            raise ArgumentError(f"keys must be below {1 << self.key_bits}", got=int(keys.max()), where=where)
        return keys

    def _check_lengths(self, x: NDArray[Any], keys: NDArray[Any]) -> None:
        if x.ndim == 0 or keys.shape[-1] != -(-x.shape[-1] // self.group):
            raise ArgumentError(
                f"keys must number ceil(K / {self.group}) along the last axis",
                got=(x.shape, keys.shape),
                where=self.family,
            )


def encode_groups(values: NDArray[Any], group: int) -> NDArray[Any]:
    """Keys of ternary values ``[..., K]``; see `TernaryLut.encode`."""
    groups = -(-values.shape[-1] // group)
    digits = 1 - _grouped(values, groups, group).astype(np.int32)
    v = np.zeros(digits.shape[:-1], np.int32)
    for i in range(group):
        v = 3 * v + digits[..., i]
    border = (3**group - 1) // 2
    flag = v > border
    keys: NDArray[Any] = np.where(flag, 2 * border - v, v) | flag << border.bit_length()
    return keys.astype(np.uint8 if border.bit_length() < 8 else np.uint16)


@functools.cache
def key_weights(group: int) -> NDArray[np.int8]:
    """Weights int8 ``[2^key_bits, group]`` that each key stands for; zeros where a key has no entry."""
    border = (3**group - 1) // 2
    flag = 1 << border.bit_length()
    table = np.zeros((2 * flag, group), np.int8)
    for v in range(border):
        rest = v
        for i in reversed(range(group)):
            rest, digit = divmod(rest, 3)
            table[v, i] = 1 - digit
    table[flag : flag + border] = -table[:border]
    table.flags.writeable = False
    return table


def int_tables(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tables ``[..., 2^(key_bits - 1)]`` of grouped activations ``[..., group]``, one adder level per activation.

    The sums of a group are those of its tail with x_0 added, passed through, or subtracted; only the first half and
    the middle are kept, as the rest is their mirror image.
    """
    group = x.shape[-1]
    sums = np.zeros((*x.shape[:-1], 1), np.int64)
    for i in reversed(range(group)):
        head = x[..., i : i + 1]
        sums = np.concatenate([sums + head, sums, sums - head], axis=-1)
    border = (3**group - 1) // 2
    table = np.zeros((*x.shape[:-1], 1 << border.bit_length()), np.int64)
    table[..., :border] = sums[..., :border]
    return table


def _grouped(values: NDArray[Any], groups: int, group: int) -> NDArray[Any]:
    """``[..., K]`` -> ``[..., groups, group]``, filled with zeros."""
    missing = groups * group - values.shape[-1]
    if missing:
        values = np.concatenate([values, np.zeros((*values.shape[:-1], missing), values.dtype)], axis=-1)
    return values.reshape(*values.shape[:-1], groups, group)
