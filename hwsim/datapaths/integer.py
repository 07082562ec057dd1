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

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.operands import check_matmul, check_no_scales, integer_range, integer_values
from hwsim.errors import ArgumentError

Overflow = Literal["wrap", "saturate"]


@dataclass(frozen=True, slots=True)
class Integer(Datapath):
    """A multiplier of ``a_bits`` × ``b_bits`` and an accumulator of ``acc_bits``.

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
        for field in ("a_bits", "b_bits"):
            if not 2 <= getattr(self, field) <= 16:
                raise ArgumentError(f"{field} must lie in 2..16", got=getattr(self, field), where="integer")
        widest = 64 if self.signed else 63  # results are int64
        if not 2 <= self.acc_bits <= widest:
            raise ArgumentError(f"acc_bits must lie in 2..{widest}", got=self.acc_bits, where="integer")
        if self.overflow not in ("wrap", "saturate"):
            raise ArgumentError("overflow must be 'wrap' or 'saturate'", got=self.overflow, where="integer")

    @property
    def name(self) -> str:
        """``int8x4.acc20.saturate``, ``uint4x4.acc16.wrap``."""
        return f"{'' if self.signed else 'u'}int{self.a_bits}x{self.b_bits}.acc{self.acc_bits}.{self.overflow}"

    @property
    def a_format(self) -> str:
        """``int<a_bits>`` or ``uint<a_bits>``."""
        return f"{'' if self.signed else 'u'}int{self.a_bits}"

    @property
    def b_format(self) -> str:
        """``int<b_bits>`` or ``uint<b_bits>``."""
        return f"{'' if self.signed else 'u'}int{self.b_bits}"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def spec(self) -> dict[str, Any]:
        """The table of this unit's fields."""
        return {
            "family": self.family,
            "a_bits": self.a_bits,
            "b_bits": self.b_bits,
            "acc_bits": self.acc_bits,
            "signed": self.signed,
            "overflow": self.overflow,
        }

    @property
    def result_dtype(self) -> type[np.signedinteger[Any]]:
        """int32 where every accumulator value fits it, else int64."""
        return np.int32 if integer_range(self.acc_bits, self.signed)[1] < 1 << 31 else np.int64

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``c + sum_k a[..., k] b[..., k]``, k ascending, wrapped or clamped after each addition.

        Args:
            a, b: codes or values ``[..., K]`` (see `integer_values`), broadcast against each other.
            c: integers ``[...]`` within the accumulator's range; zero if absent.

        Returns:
            `result_dtype` array ``[...]``.
        """
        from hwsim.datapaths.integer_kernels import dot_rows

        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, self.a_bits, self.signed, "dot.a").astype(np.int64)
        w = integer_values(b, self.b_bits, self.signed, "dot.b").astype(np.int64)
        if x.ndim == 0 or w.ndim == 0 or x.shape[-1] != w.shape[-1]:
            raise ArgumentError("dot needs a and b [..., K] with one K", got=(x.shape, w.shape), where="dot")
        x, w = np.broadcast_arrays(x, w)
        start = self._start(c, x.shape[:-1], "dot.c")
        out = np.ascontiguousarray(start.reshape(-1))
        k = x.shape[-1]
        flat = np.ascontiguousarray(x.reshape(out.size, k)), np.ascontiguousarray(w.reshape(out.size, k))
        least, greatest = integer_range(self.acc_bits, self.signed)
        dot_rows(0, out.size, *flat, out, self.overflow == "saturate", self.acc_bits, self.signed, least, greatest)
        return out.reshape(x.shape[:-1]).astype(self.result_dtype)

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> `result_dtype` ``[M, N]``, equal to `dot` on row pairs."""
        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, self.a_bits, self.signed, "matmul.a")
        w = integer_values(b, self.b_bits, self.signed, "matmul.b")
        check_matmul(x, w, c)
        start = None if c is None else self._start(c, (x.shape[0], w.shape[0]), "matmul.c")
        if self.overflow == "saturate":
            return saturating_matmul(x, w, start, self.acc_bits, self.signed)
        return wrapping_matmul(x, w, start, self.acc_bits, self.signed)

    def _start(self, c: NDArray[Any] | None, shape: tuple[int, ...], where: str) -> NDArray[np.int64]:
        """What the accumulators hold before the first product."""
        if c is None:
            return np.zeros(shape, np.int64)
        c = np.asarray(c)
        if c.dtype.kind not in "iu":
            raise ArgumentError("c must hold integers", got=c.dtype.name, where=where)
        least, greatest = integer_range(self.acc_bits, self.signed)
        if c.size and (int(c.min()) < least or int(c.max()) > greatest):
            worst = int(c.min()) if int(c.min()) < least else int(c.max())
            raise ArgumentError(
                f"c must fit the {self.acc_bits}-bit accumulator, [{least}, {greatest}]", got=worst, where=where
            )
        return np.array(np.broadcast_to(c, shape), np.int64)


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
    from hwsim.datapaths.integer_kernels import saturate_narrow, saturate_wide
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
    kernel, lane = (saturate_narrow, np.int32) if narrow else (saturate_wide, np.int64)
    wt = np.ascontiguousarray(w.T, np.int8 if narrow and w.dtype == np.int8 else np.int32)
    xs = np.ascontiguousarray(x, np.int32)
    parallel_rows(kernel, risky.size, risky, xs, wt, lane(least), lane(greatest), out)
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
