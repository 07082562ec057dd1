"""Integer multiply-accumulate units: operands of 2 to 16 bits, an accumulator of any width.

Decides what an accumulator does when a sum leaves it. ``wrap`` drops the bits above the width after every addition;
since reduction modulo 2^B commutes with addition, only the last reduction shows, and any order gives the same bits.
``saturate`` clamps after every addition, k ascending from c, so the order is part of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Calibration, Gates, Price, check_choice, check_range
from hwsim.datapaths.exact import saturating_matmul, wrapping_matmul
from hwsim.datapaths.operands import integer_name, integer_range, integer_start, integer_values
from hwsim.datapaths.streams import exact_sums, products_of
from hwsim.datapaths.unscaled import Unscaled
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
    def label(self) -> str:
        """``acc20 saturating``: the widths of operands are those of their schemes."""
        return f"acc{self.acc_bits}{' saturating' if self.overflow == 'saturate' else ''}"

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

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """The products, int64 ``[m, n, K]``."""
        return products_of(self._activations(a, "addends.a"), self._weights(b, "addends.b"), 1)

    def running_sums(
        self, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """All at once, as every product is exact."""
        bounds = integer_range(self.acc_bits, self.signed) if self.overflow == "saturate" else None
        return exact_sums(self.addends(a, b), self.acc_bits, bounds)

    @property
    def gates(self) -> Gates:
        """A multiplier and an accumulator."""
        from hwsim.datapaths.integer.verilog import MacGates

        return MacGates(self)

    @property
    def price(self) -> Price:
        """Of a row array and an accumulator."""
        from hwsim.datapaths.integer.cost import MacPrice

        return MacPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Multipliers, accumulators, and units of several widths."""
        from hwsim.datapaths.integer.cost import CALIBRATION

        return CALIBRATION

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
        from hwsim.datapaths.integer.kernels import dot_rows

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
