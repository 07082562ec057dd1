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

from hwsim.datapaths.base import Calibration, Gates, Price, check_choice, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_range, integer_values, wrapped
from hwsim.datapaths.streams import exact_sums, products_of
from hwsim.datapaths.unscaled import Unscaled
from hwsim.errors import ArgumentError

QUARTER = np.float32(0.25)
_QUARTERS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64], np.int8)
_VALUES = np.array([0, 1, 2, 4, 8, 16, 32, 64, -0.0, -1, -2, -4, -8, -16, -32, -64], np.float32) * QUARTER
EXACT_QUARTERS = 1 << 24


@dataclass(frozen=True, slots=True)
class Shift(Unscaled):
    """INT4 × e3m0 products and their accumulator.

    Operand a: int4 codes or values. Operand b: uint8 e3m0 codes. Starts are float32; for a fixed accumulator whole
    quarters within its range. Results are float32, from a fixed accumulator rounded to nearest even once.

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
        check_choice(self, "accumulator", "fp32", "fixed")
        if self.accumulator == "fp32" and self.acc_bits != 32:
            raise ArgumentError("acc_bits of a float32 accumulator must be 32", got=self.acc_bits, where="shift")
        check_range(self, "acc_bits", 10, 64)

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

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64] | None:
        """Quarters at a fixed accumulator; a float32 sum takes no integers."""
        if self.accumulator == "fp32":
            return None
        return products_of(self._activations(a, "addends.a"), _QUARTERS[self._weights(b, "addends.b")], 1)

    def sum_words(self, result: NDArray[Any]) -> NDArray[Any]:
        """Quarters of a fixed accumulator; they are exact in float32 up to 24 bits."""
        if self.accumulator == "fp32":
            return Unscaled.sum_words(self, result)
        return (result * np.float32(4)).astype(np.int64).view(np.uint64)

    def running_sums(
        self, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Of a fixed accumulator all at once."""
        quarters = self.addends(a, b)
        # `super()` does not know this class, which slots have made anew
        return (
            Unscaled.running_sums(self, a, b, scale_a, scale_b)
            if quarters is None
            else exact_sums(quarters, self.acc_bits)
        )

    @property
    def gates(self) -> Gates:
        """A shifter, and an adder of integers or of float32."""
        from hwsim.datapaths.shift.verilog import ShiftGates

        return ShiftGates(self)

    @property
    def price(self) -> Price:
        """Of both."""
        from hwsim.datapaths.shift.cost import ShiftPrice

        return ShiftPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """The product, the float32 unit, and fixed units of several widths."""
        from hwsim.datapaths.shift.cost import CALIBRATION

        return CALIBRATION

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, 4, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[np.uint8]:
        codes = np.asarray(b)
        if codes.dtype != np.uint8 or (codes.size and int(codes.max()) > 15):
            raise ArgumentError("e3m0 operands must be uint8 codes below 16", got=codes.dtype.name, where=where)
        return codes

    def _start(self, c: NDArray[Any], where: str) -> NDArray[Any]:
        """Float32, or quarters as int64."""
        start = np.asarray(c)
        if self.accumulator == "fp32":
            if start.dtype != np.float32:
                raise ArgumentError("c must be float32", got=start.dtype.name, where=where)
            return start
        quarters = start.astype(np.float64) * 4
        least, greatest = integer_range(self.acc_bits, True)
        if not ((quarters == np.floor(quarters)) & (quarters >= least) & (quarters <= greatest)).all():
            rule = f"c must be whole quarters that fit {self.acc_bits} bits"
            raise ArgumentError(rule, got=start.dtype.name, where=where)
        return quarters.astype(np.int64)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        if self.accumulator == "fixed":
            quarters = (x.astype(np.int64) * _QUARTERS[w]).sum(-1) + (0 if start is None else start)
            return wrapped(quarters, self.acc_bits).astype(np.float32) * QUARTER
        shape = np.broadcast_shapes(x.shape[:-1], w.shape[:-1])
        acc = np.zeros(shape, np.float32) if start is None else np.array(start)
        for k in range(x.shape[-1]):
            acc = acc + x[..., k].astype(np.float32) * _VALUES[w[..., k]]
        return acc

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        if self.accumulator == "fixed":
            quarters = wrapping_matmul(x, _QUARTERS[w], start, self.acc_bits, True)
            return quarters.astype(np.float32) * QUARTER
        if start is None and 8 * 64 * x.shape[1] <= EXACT_QUARTERS:
            return wrapping_matmul(x, _QUARTERS[w], None, 32, True).astype(np.float32) * QUARTER
        return _ordered_matmul(x, w, start)


def _ordered_matmul(x: NDArray[Any], codes: NDArray[np.uint8], c: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Float32 sums in order of k, one row of x at a time over all columns."""
    from hwsim.datapaths.shift.kernels import float_rows
    from hwsim.jit import parallel_rows

    out = np.zeros((len(x), len(codes)), np.float32) if c is None else np.array(c, np.float32)
    weights = np.ascontiguousarray(_VALUES[codes].T)
    parallel_rows(float_rows, len(x), np.ascontiguousarray(x, np.float32), weights, out)
    return out
