"""LUQ's multiplier-free unit (arXiv 2112.10769): INT4 times a power of two, a sign flip and an exponent addition.

Operand a is INT4, operand b the logarithmic [1,3,0] format e3m0: a sign, and an exponent code 1..7 for 2^-2 .. 2^4 or
0 for zero. A product is ``±|a| 2^(e - 3)``, at most ten bits in steps of a quarter. The paper adds products in
float32, k ascending; as long as every partial sum stays below 2^22 (24 bits in quarters) that is exact, so the order
does not show and the fast path is an exact integer product. ``fixed`` is the cheaper accumulator that the small
range of products allows: two's complement quarters, wrapping, converted to float32 on leaving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.integer import wrapping_matmul
from hwsim.datapaths.operands import check_matmul, check_no_scales, integer_range, integer_values
from hwsim.errors import ArgumentError

QUARTER = np.float32(0.25)
_QUARTERS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64], np.int8)
_VALUES = np.array([0, 1, 2, 4, 8, 16, 32, 64, -0.0, -1, -2, -4, -8, -16, -32, -64], np.float32) * QUARTER
EXACT_QUARTERS = 1 << 24


@dataclass(frozen=True, slots=True)
class Shift(Datapath):
    """INT4 × e3m0 products and their accumulator.

    Args:
        accumulator: ``"fp32"``: float32, nearest even after each addition. ``"fixed"``: quarters modulo 2^acc_bits.
        acc_bits: width of the fixed accumulator, 10 to 64; 32 for float32.

    Raises:
        ArgumentError: another accumulator, or a width that it cannot have.
    """

    accumulator: Literal["fp32", "fixed"] = "fp32"
    acc_bits: int = 32

    family: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        if self.accumulator not in ("fp32", "fixed"):
            raise ArgumentError("accumulator must be 'fp32' or 'fixed'", got=self.accumulator, where="shift")
        if self.accumulator == "fp32" and self.acc_bits != 32:
            raise ArgumentError("acc_bits of a float32 accumulator must be 32", got=self.acc_bits, where="shift")
        if not 10 <= self.acc_bits <= 64:
            raise ArgumentError("acc_bits must lie in 10..64", got=self.acc_bits, where="shift")

    @property
    def name(self) -> str:
        """``shift.int4xe3m0.fp32``, ``shift.int4xe3m0.fixed20``."""
        width = "" if self.accumulator == "fp32" else self.acc_bits
        return f"shift.int4xe3m0.{self.accumulator}{width}"

    @property
    def a_format(self) -> str:
        """``int4``."""
        return "int4"

    @property
    def b_format(self) -> str:
        """``e3m0``."""
        return "e3m0"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def spec(self) -> dict[str, Any]:
        """The table of this unit's fields."""
        return {"family": self.family, "accumulator": self.accumulator, "acc_bits": self.acc_bits}

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``c + a . b``, k ascending.

        Args:
            a: int4 codes or values ``[..., K]``.
            b: e3m0 codes uint8 ``[..., K]``.
            c: float32 ``[...]``; for a fixed accumulator whole quarters within its range.

        Returns:
            float32 ``[...]``; from a fixed accumulator rounded to nearest even once.
        """
        check_no_scales(scale_a, scale_b, self.family)
        x, codes = integer_values(a, 4, True, "dot.a"), self._codes(b, "dot.b")
        if x.ndim == 0 or codes.ndim == 0 or x.shape[-1] != codes.shape[-1]:
            raise ArgumentError("dot needs a and b [..., K] with one K", got=(x.shape, codes.shape), where="dot")
        shape = np.broadcast_shapes(x.shape[:-1], codes.shape[:-1])
        if self.accumulator == "fixed":
            quarters = (x.astype(np.int64) * _QUARTERS[codes]).sum(-1) + (0 if c is None else self._start_quarters(c))
            unused = np.int64(64 - self.acc_bits)
            return np.asarray(quarters << unused >> unused).astype(np.float32) * QUARTER
        acc = np.zeros(shape, np.float32) if c is None else np.array(np.broadcast_to(_float32(c), shape))
        for k in range(x.shape[-1]):
            acc = acc + x[..., k].astype(np.float32) * _VALUES[codes[..., k]]
        return acc

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> float32 ``[M, N]``, equal to `dot` on each row pair."""
        check_no_scales(scale_a, scale_b, self.family)
        x, codes = integer_values(a, 4, True, "matmul.a"), self._codes(b, "matmul.b")
        check_matmul(x, codes, c)
        if self.accumulator == "fixed":
            start = None if c is None else self._start_quarters(c)
            quarters = wrapping_matmul(x, _QUARTERS[codes], start, self.acc_bits, True)
            return quarters.astype(np.float32) * QUARTER
        if c is None and 8 * 64 * x.shape[1] <= EXACT_QUARTERS:
            return wrapping_matmul(x, _QUARTERS[codes], None, 32, True).astype(np.float32) * QUARTER
        return _ordered_matmul(x, codes, None if c is None else _float32(c))

    def _codes(self, b: NDArray[Any], where: str) -> NDArray[np.uint8]:
        codes = np.asarray(b)
        if codes.dtype != np.uint8 or (codes.size and int(codes.max()) > 15):
            raise ArgumentError("e3m0 operands must be uint8 codes below 16", got=codes.dtype.name, where=where)
        return codes

    def _start_quarters(self, c: NDArray[Any]) -> NDArray[np.int64]:
        quarters = np.asarray(c, np.float64) * 4
        least, greatest = integer_range(self.acc_bits, True)
        if not ((quarters == np.floor(quarters)) & (quarters >= least) & (quarters <= greatest)).all():
            rule = f"c must be whole quarters that fit {self.acc_bits} bits"
            raise ArgumentError(rule, got=np.asarray(c).dtype.name, where="shift.c")
        return quarters.astype(np.int64)


def _ordered_matmul(x: NDArray[Any], codes: NDArray[np.uint8], c: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Float32 sums in order of k, one row of x at a time over all columns."""
    from hwsim.datapaths.shift_kernels import float_rows
    from hwsim.jit import parallel_rows

    out = np.zeros((len(x), len(codes)), np.float32) if c is None else np.array(c, np.float32)
    weights = np.ascontiguousarray(_VALUES[codes].T)
    parallel_rows(float_rows, len(x), np.ascontiguousarray(x, np.float32), weights, out)
    return out


def _float32(c: NDArray[Any]) -> NDArray[np.float32]:
    start = np.asarray(c)
    if start.dtype != np.float32:
        raise ArgumentError("c must be float32", got=start.dtype.name, where="shift.c")
    return start
