"""Ternary lookup-table units: weights -1, 0, +1 in groups that index sums of activations built once per group.

Decides keys, table order and the order of addition of the LUT generator of KU Leuven (arXiv 2604.25183 and its
repository ``ternary-lut-dse``). A group of µ weights (w_0 first and most significant) becomes the number
``v = sum (1 - w_i) 3^(µ-1-i)``. With ``border = (3^µ - 1) / 2``, the all-zero group, keys up to the border are stored
as they are; above it the mirrored key ``3^µ - 1 - v`` is stored with a sign flag on top, since that group is the
negated one. So a table holds ``n = border`` sums, entry 0 is ``+x_0 ... +x_{µ-1}``, the last is ``x_{µ-1}`` alone,
and index n, which has no entry, reads as zero.

INT8 activations are summed exactly and accumulated modulo 2^32: any order gives the same bits, so the product runs as
an exact float product on the decoded weights. FP16 and BF16 round in every adder: there the tree is built and read as
in the hardware (`hwsim.datapaths.ternary.reference`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.datapaths.base import Calibration, Gates, Price, Side, check_choice, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, wrapped
from hwsim.datapaths.streams import exact_sums, ordered, products_of, running_sums
from hwsim.datapaths.ternary.float_product import FloatTables, float_dots, float_matmul
from hwsim.datapaths.ternary.keys import encode_groups, grouped, int_tables, key_weights
from hwsim.datapaths.ternary.reference import BF16, FP16, Semantics
from hwsim.datapaths.unscaled import Call, Unscaled
from hwsim.errors import ArgumentError
from hwsim.formats import Format
from hwsim.gates.steps import Stream

Activation = Literal["int8", "fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class TernaryLut(Unscaled):
    """A core of `luts` lookup tables over `group` activations each, and an accumulator.

    Operand a ``[..., K]``: int8 codes or values; for fp16 and bf16 uint16 codes, or an fp16 array. Operand b: keys
    ``[..., ceil(K / group)]`` from `encode`. Starts are integers, or float32 that are FP16 or BF16 numbers; without
    one the only step of a short dot product is written without an addition, as in the hardware. Results are int32;
    for fp16 and bf16 float32, each an FP16 or BF16 number, NaN always 0x7FC00000.

    Args:
        group: µ, activations a table, 1 to 7.
        activation: ``"int8"``: exact sums, 32-bit wrapping accumulator. ``"fp16"``, ``"bf16"``: every adder and the
            accumulator round to that format.
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
        check_range(self, "group", 1, 7)
        check_choice(self, "activation", "int8", "fp16", "bf16")
        if self.luts < 1:
            raise ArgumentError("luts must be at least 1", got=self.luts, where="ternary_lut")
        check_choice(self, "semantics", "ieee", "kul")

    @property
    def name(self) -> str:
        """``ternary_lut3.int8.x1``, ``ternary_lut3.fp16.x4.kul``."""
        adders = "" if self.activation == "int8" else f".{self.semantics}"
        return f"ternary_lut{self.group}.{self.activation}.x{self.luts}{adders}"

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
        """32 for int8, else 16."""
        return 32 if self.activation == "int8" else 16

    @property
    def entries(self) -> int:
        """Sums a table holds, (3^µ - 1) / 2."""
        return int((3**self.group - 1) // 2)

    @property
    def key_bits(self) -> int:
        """Bits of a key: an index 0..entries and the sign flag above it."""
        return self.entries.bit_length() + 1

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
        from hwsim.datapaths.ternary.kernels import expand_rows
        from hwsim.jit import parallel_rows

        keys = self._weights(keys, "decode.keys")
        groups = keys.shape[-1]
        k = groups * self.group if k is None else k
        if not 0 <= k <= groups * self.group:
            raise ArgumentError(f"k must lie in 0..{groups * self.group}", got=k, where="decode")
        rows = math.prod(keys.shape[:-1])
        out = np.empty((rows, k), np.int8)
        flat = np.ascontiguousarray(keys).reshape(rows, groups)
        parallel_rows(expand_rows, rows, flat, key_weights(self.group), out, grain=64)
        return out.reshape(*keys.shape[:-1], k)

    @property
    def entry_bits(self) -> int:
        """Bits of an entry: a sum of `group` integers; sums of floats keep the format."""
        return 16 if self.activation != "int8" else 8 + (self.group - 1).bit_length()

    @property
    def elements_per_word(self) -> int:
        """A key is a group."""
        return self.group

    @property
    def padding_word(self) -> int:
        """The key of zeros."""
        return int(self.encode(np.zeros(self.group, np.int8))[0])

    @property
    def lanes(self) -> int:
        """The activations of all tables."""
        return self.group * self.luts

    def codes(self, side: Side) -> NDArray[Any]:
        """All activations; of weights 0, 1 and -1."""
        return Unscaled.codes(self, side) if side == "a" else np.array([0, 1, 3], np.uint8)

    def words(self, codes: NDArray[Any], element: Format, side: Side) -> NDArray[Any]:
        """Activations as codes, weights as keys."""
        return self.encode(codes) if side == "b" else Unscaled.words(self, codes, element, side)

    def stored_bits(self, side: Side, k: int, element_bits: int) -> int:
        """Weights are stored as keys."""
        return -(-k // self.group) * self.key_bits if side == "b" else k * element_bits

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64] | None:
        """Sums of what all tables fetch, of integers."""
        if self._float is not None:
            return None
        return products_of(self._activations(a, "addends.a"), self.decode(b, a.shape[1]), self.lanes)

    def sum_words(self, result: NDArray[Any]) -> NDArray[Any]:
        """The 16-bit register of floats, which results widen to float32."""
        return Unscaled.sum_words(self, result) if self._float is None else formats.get(self.a_format).encode(result)

    def running_sums(
        self, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of integers all at once."""
        fetched = self.addends(a, b)
        if fetched is None:
            several = a.shape[1] > self.lanes  # the only step of a short product is written without an addition
            start = np.zeros((len(a), len(b)), np.float32) if several else None
            return running_sums(self, a, b, scale_a, scale_b, start)
        return exact_sums(fetched, self.accumulator_bits)

    def stream(
        self,
        dataflow: str,
        budget: int,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[Any] | None,
        scale_b: NDArray[Any] | None,
    ) -> Stream:
        """With the activations of one table after another."""
        return ordered(self, dataflow, budget, a, b, scale_a, scale_b, tables=True)

    @property
    def gates(self) -> Gates:
        """Table builder, reader and accumulator."""
        from hwsim.datapaths.ternary.verilog.gates import LookupGates

        return LookupGates(self)

    @property
    def price(self) -> Price:
        """Of reader, accumulator and shared tables."""
        from hwsim.datapaths.ternary.cost import LookupPrice

        return LookupPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Tables, readers, and units of several groups."""
        from hwsim.datapaths.ternary.cost import CALIBRATION

        return CALIBRATION

    @property
    def _float(self) -> FloatTables | None:
        if self.activation == "int8":
            return None
        form = FP16 if self.activation == "fp16" else BF16
        return FloatTables(self.group, self.luts, form, self.semantics == "kul")

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        """int8 values, or float32 values of FP16 and BF16 codes."""
        if self._float is None:
            return integer_values(a, 8, True, where)
        codes = np.asarray(a)
        if codes.dtype == np.float16 and self.activation == "fp16":
            codes = codes.view(np.uint16)
        if codes.dtype != np.uint16:
            raise ArgumentError(
                f"{self.activation} activations must be uint16 codes", got=codes.dtype.name, where=where
            )
        return self._float.form.decode(codes)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        keys = np.asarray(b)
        wanted = np.uint8 if self.key_bits <= 8 else np.uint16
        if keys.dtype != wanted or keys.ndim == 0:
            raise ArgumentError(
                f"keys of group {self.group} must be {wanted.__name__} from encode", got=keys.dtype.name, where=where
            )
        if keys.size and int(keys.max()) >> self.key_bits:
            raise ArgumentError(f"keys must be below {1 << self.key_bits}", got=int(keys.max()), where=where)
        return keys

    def _check_lengths(self, x: NDArray[Any], w: NDArray[Any], call: Call) -> None:
        if call == "matmul" and (x.ndim != 2 or w.ndim != 2):
            raise ArgumentError("matmul needs a [M, K] and keys [N, groups]", got=(x.shape, w.shape), where=call)
        if x.ndim == 0 or w.shape[-1] != -(-x.shape[-1] // self.group):
            rule = f"keys must number ceil(K / {self.group}) along the last axis"
            raise ArgumentError(rule, got=(x.shape, w.shape), where=self.family)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[Any]:
        if self._float is None:
            return integer_start(c, where)
        start = np.asarray(c)
        low = np.uint32((1 << (24 - self._float.form.precision)) - 1)
        if start.dtype != np.float32 or (start.view(np.uint32) & low)[np.isfinite(start)].any():
            rule = f"c must be float32 that holds {self.activation} numbers"
            raise ArgumentError(rule, got=start.dtype.name, where=where)
        return start

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        """Through the tables: built, fetched and accumulated group by group."""
        shape = np.broadcast_shapes(x.shape[:-1], w.shape[:-1])
        groups = w.shape[-1]
        x = grouped(x, groups, self.group)
        index, negative = w & (1 << (self.key_bits - 1)) - 1, w >> (self.key_bits - 1)
        if self._float is None:
            tables = int_tables(x.astype(np.int64))
            index = index.reshape(*(1,) * (tables.ndim - index.ndim - 1), *index.shape, 1).astype(np.int64)
            tables = tables.reshape(*(1,) * (index.ndim - tables.ndim), *tables.shape)
            entry = np.take_along_axis(tables, index, -1)[..., 0]
            total = np.where(negative != 0, -entry, entry).sum(-1) + (0 if start is None else start)
            return wrapped(total, 32).astype(np.int32)
        dots = math.prod(shape)
        flat_x = np.broadcast_to(x, (*shape, groups, self.group)).reshape(dots, groups, self.group)
        index, negative = (
            np.broadcast_to(part, (*shape, groups)).reshape(dots, groups) for part in (index, negative)
        )
        held = None if start is None else start.reshape(-1)
        return float_dots(self._float, flat_x, index, negative, held).reshape(shape)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        if self._float is None:
            return wrapping_matmul(x, self.decode(w, x.shape[-1]), start, 32, True)
        return float_matmul(self._float, x, w, start)
