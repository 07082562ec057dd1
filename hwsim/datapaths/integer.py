"""Integer multiply-accumulate units: operands of 2 to 16 bits, an accumulator of any width.

Decides what an accumulator does when a sum leaves it. ``wrap`` drops the bits above the width after every addition;
since reduction modulo 2^B commutes with addition, only the last reduction shows, and any order gives the same bits.
``saturate`` clamps after every addition, k ascending from c, so the order is part of the result.

Fast paths. Wrapping: partial sums up to 2^24 (2^53) are exact in float32 (float64) whatever the order or fusion, so
a BLAS product over chunks of K is bit-exact and about as fast as the float product itself. Saturating: where no
prefix of a sum can reach a bound (Cauchy and Schwarz on the two rows), clamping never acts and the wrapping path is
exact; other rows keep the order, vectorised over columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Unscaled, check_choice, check_range
from hwsim.datapaths.operands import integer_name, integer_range, integer_start, integer_values
from hwsim.errors import ArgumentError

Overflow = Literal["wrap", "saturate"]


@dataclass(frozen=True, slots=True)
class Integer(Unscaled):
    """A multiplier of ``a_bits`` × ``b_bits`` and an accumulator of ``acc_bits``.

    Operands are codes or values (see `integer_values`), starts are integers within the accumulator's range, results
    `result_dtype`, wrapped or clamped after each addition.

    Args:
        a_bits, b_bits: operand widths, 2 to 16. Products are exact.
        acc_bits: accumulator width, 2 to 64 (63 if unsigned).
        signed: two's complement operands and accumulator; else all three are unsigned.
        overflow: ``"wrap"`` modulo 2^acc_bits, or ``"saturate"`` after each addition.

    Raises:
        ArgumentError: a width outside its range, or another `overflow`.
    """

    a_bits: int
    b_bits: int
    acc_bits: int
    signed: bool = True
    overflow: Overflow = "wrap"

    family: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 2, 16)
        check_range(self, "b_bits", 2, 16)
        check_range(self, "acc_bits", 2, 64 if self.signed else 63)  # results are int64
        check_choice(self, "overflow", "wrap", "saturate")

    @property
    def name(self) -> str:
        """``int8x4.acc20.saturate``, ``uint4x4.acc16.wrap``."""
        return f"{self.a_format}x{self.b_bits}.acc{self.acc_bits}.{self.overflow}"

    @property
    def a_format(self) -> str:
        """``int<a_bits>`` or ``uint<a_bits>``."""
        return integer_name(self.a_bits, self.signed)

    @property
    def b_format(self) -> str:
        """``int<b_bits>`` or ``uint<b_bits>``."""
        return integer_name(self.b_bits, self.signed)

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    @property
    def result_dtype(self) -> type[np.signedinteger[Any]]:
        """int32 where every accumulator value fits it, else int64."""
        return np.int32 if integer_range(self.acc_bits, self.signed)[1] < 1 << 31 else np.int64

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, self.signed, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.b_bits, self.signed, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        least, greatest = integer_range(self.acc_bits, self.signed)
        start = np.asarray(c)
        words = integer_start(start, where)
        if start.size and (int(start.min()) < least or int(start.max()) > greatest):  # uint64 may leave int64
            worst = int(start.min()) if int(start.min()) < least else int(start.max())
            raise ArgumentError(
                f"c must fit the {self.acc_bits}-bit accumulator, [{least}, {greatest}]", got=worst, where=where
            )
        return words

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        from hwsim.datapaths.integer_kernels import dot_rows

        x, w = np.broadcast_arrays(x, w)
        shape, k = x.shape[:-1], x.shape[-1]
        out = np.zeros(math.prod(shape), np.int64) if start is None else start.flatten()
        flat = (np.ascontiguousarray(side.reshape(out.size, k), np.int64) for side in (x, w))
        least, greatest = integer_range(self.acc_bits, self.signed)
        dot_rows(0, out.size, *flat, out, self.overflow == "saturate", self.acc_bits, self.signed, least, greatest)
        return out.reshape(shape).astype(self.result_dtype)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        product = saturating_matmul if self.overflow == "saturate" else wrapping_matmul
        return product(x, w, start, self.acc_bits, self.signed)


def reference_dot(
    a: list[int], b: list[int], c: int, acc_bits: int, signed: bool = True, overflow: Overflow = "wrap"
) -> int:
    """One dot product in plain integers, the definition that `Integer` is tested against."""
    least, greatest = integer_range(acc_bits, signed)
    acc = c
    for x, w in zip(a, b, strict=True):
        acc += x * w
        if overflow == "saturate":
            acc = max(least, min(greatest, acc))
        else:
            acc = (acc - least) % (1 << acc_bits) + least
    return acc


def wrapping_matmul(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, acc_bits: int, signed: bool
) -> NDArray[Any]:
    """x ``[M, K]`` times w ``[N, K]`` transposed, plus c, modulo 2^acc_bits: int32, int64 where that is too small.

    x and w are integer arrays whose products stay below 2^53.
    """
    from hwsim.datapaths.integer_kernels import fold
    from hwsim.jit import parallel_rows

    (m, k), n = x.shape, w.shape[0]
    narrow = integer_range(acc_bits, signed)[1] < 1 << 31
    product = max(1, _magnitude(x) * _magnitude(w))
    # every partial sum of a chunk is an integer of at most 2^24 (2^53): exact in any order, fused or not
    single = narrow and product * min(k, 256) <= 1 << 24
    real, whole, exact = (np.float32, np.int32, 1 << 24) if single else (np.float64, np.int64, 1 << 53)
    total: NDArray[Any] = np.zeros((m, n), whole) if c is None else c.astype(whole)
    xf: NDArray[Any] = x.astype(real)
    wf: NDArray[Any] = w.astype(real)
    chunk = exact // product
    for first in range(0, k, chunk):
        part = np.matmul(xf[:, first : first + chunk], wf[:, first : first + chunk].T)
        parallel_rows(fold, m, part, total, acc_bits, signed, grain=64)
    return total.astype(np.int32 if narrow else np.int64, copy=False)


def saturating_matmul(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, acc_bits: int, signed: bool
) -> NDArray[Any]:
    """As `wrapping_matmul`, but clamped to the accumulator's range after each addition, k ascending."""
    from hwsim.datapaths.integer_kernels import saturate
    from hwsim.jit import parallel_rows

    least, greatest = integer_range(acc_bits, signed)
    risky = _rows_that_may_clamp(x, w, c, greatest)
    if not risky.size:
        return wrapping_matmul(x, w, c, acc_bits, signed)
    out = wrapping_matmul(x, w, c, acc_bits, signed) if 2 * risky.size < len(x) else None
    if out is None:
        risky = np.arange(len(x))
        out = np.zeros((len(x), len(w)), np.int32 if greatest < 1 << 31 else np.int64)
        if c is not None:
            out[:] = c
    else:
        out[risky] = 0 if c is None else c[risky]
    # in 32-bit lanes an accumulator and a product must add up without overflow; bytes halve the traffic of w
    narrow = greatest + 1 + _magnitude(x) * _magnitude(w) < 1 << 31
    bounds = np.array([least, greatest], np.int32 if narrow else np.int64)
    wt = np.ascontiguousarray(w.T, np.int8 if narrow and w.dtype == np.int8 else np.int32)
    xs = np.ascontiguousarray(x, np.int32)
    parallel_rows(saturate, risky.size, risky, xs, wt, bounds, out)
    return out


def _rows_that_may_clamp(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, greatest: int
) -> NDArray[np.int64]:
    """Rows of x for which some prefix of some sum could leave [-greatest, greatest].

    A prefix is a dot product of shortened rows, so Cauchy and Schwarz bound it by the product of the full norms.
    """
    squares_x = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    squares_w = np.einsum("ij,ij->i", w, w, dtype=np.float64)
    start = 0.0 if c is None or not c.size else float(max(int(c.max()), -int(c.min())))
    reach = np.sqrt(squares_x * squares_w.max(initial=0.0)) * (1 + 1e-9) + start  # 1e-9 covers all float64 rounding
    return np.nonzero(reach > float(greatest) * (1 - 1e-9))[0]


def _magnitude(values: NDArray[Any]) -> int:
    return max(int(values.max()), -int(values.min())) if values.size else 0
