"""The add-only unit of PANN (Spingarn Eliezer et al., arXiv 2202.02783): a weight is a number of additions.

A weight integer w adds its input |w| times. Positive weights add into one accumulator, negative ones into another, so
that neither sees a sign flip, and one subtraction ends the dot product. All three work modulo 2^acc_bits; hence the
bits are those of the integer dot product, which is how the fast path computes them. What the unit changes is the
number of additions, and with it the power: ``(R + 1/2) bits_x`` bit flips an element at R additions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Unscaled, check_range
from hwsim.datapaths.integer import wrapping_matmul
from hwsim.datapaths.operands import integer_name, integer_range, integer_start, integer_values, wrapped
from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Pann(Unscaled):
    """An adder for inputs of `bits_x` bits, built for `additions` additions an element on average.

    Operand a: codes or values of `bits_x` bits. Operand b: weight integers, uint8 int8 codes or a signed array of up
    to 32 bits. The positive accumulator starts from the integers c. Results are two's complement of `acc_bits`,
    int32 or, above 32 bits, int64.

    Args:
        bits_x: input width, 2 to 16.
        additions: R > 0, the budget that weights are quantized to (`hwsim.quant.quantize_additions`). It does not
            change a bit of the result.
        acc_bits: width of both accumulators, 2 to 64.
        signed: two's complement inputs; else they are unsigned, as after a ReLU, which spares the sign extension.

    Raises:
        ArgumentError: a field outside its range.
    """

    bits_x: int
    additions: float
    acc_bits: int = 32
    signed: bool = True

    family: ClassVar[str] = "pann"

    def __post_init__(self) -> None:
        check_range(self, "bits_x", 2, 16)
        if not 0 < self.additions < float("inf"):
            raise ArgumentError("additions must be positive", got=self.additions, where="pann")
        check_range(self, "acc_bits", 2, 64)

    @property
    def name(self) -> str:
        """``pann.int6.add1.17.acc32``."""
        return f"pann.{self.a_format}.add{self.additions:g}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<bits_x>`` or ``uint<bits_x>``."""
        return integer_name(self.bits_x, self.signed)

    @property
    def b_format(self) -> str:
        """``int8``: how weights are read from uint8 codes; wider integers come as values."""
        return "int8"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def count_additions(self, w: NDArray[Any]) -> NDArray[np.int64]:
        """Additions ``[...]`` that dot products with weights ``[..., K]`` take, the last subtraction aside."""
        counts: NDArray[np.int64] = np.abs(self._weights(w, "count_additions.w").astype(np.int64))
        return np.asarray(counts.sum(-1))

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.bits_x, self.signed, where)

    def _weights(self, w: NDArray[Any], where: str) -> NDArray[Any]:
        w = np.asarray(w)
        if w.dtype == np.uint8:
            return w.view(np.int8)
        if w.dtype.kind != "i":
            raise ArgumentError("weights must be signed integers or uint8 codes", got=w.dtype.name, where=where)
        least, greatest = integer_range(32, True)
        if w.size and (int(w.min()) < -greatest or int(w.max()) > greatest):
            raise ArgumentError(f"weights must lie in [{least + 1}, {greatest}]", got=w.dtype.name, where=where)
        return w

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        x, w = x.astype(np.int64), w.astype(np.int64)
        positive = (x * np.maximum(w, 0)).sum(-1) + (0 if start is None else start)
        negative = (x * np.maximum(-w, 0)).sum(-1)
        return wrapped(positive - negative, self.acc_bits).astype(np.int32 if self.acc_bits <= 32 else np.int64)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        return wrapping_matmul(x, w, start, self.acc_bits, True)


def reference_dot(x: list[int], w: list[int], c: int, acc_bits: int) -> int:
    """One dot product by additions alone, as the unit makes them."""
    modulus = 1 << acc_bits
    positive, negative = c % modulus, 0
    for value, count in zip(x, w, strict=True):
        for _ in range(abs(count)):
            if count > 0:
                positive = (positive + value) % modulus
            else:
                negative = (negative + value) % modulus
    total = (positive - negative) % modulus
    return total - modulus if total >= modulus // 2 else total
