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

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.integer import wrapping_matmul
from hwsim.datapaths.operands import check_matmul, check_no_scales, integer_range, integer_values
from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Pann(Datapath):
    """An adder for inputs of `bits_x` bits, built for `additions` additions an element on average.

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
        if not 2 <= self.bits_x <= 16:
            raise ArgumentError("bits_x must lie in 2..16", got=self.bits_x, where="pann")
        if not 0 < self.additions < float("inf"):
            raise ArgumentError("additions must be positive", got=self.additions, where="pann")
        if not 2 <= self.acc_bits <= 64:
            raise ArgumentError("acc_bits must lie in 2..64", got=self.acc_bits, where="pann")

    @property
    def name(self) -> str:
        """``pann.int6.add1.17.acc32``."""
        return f"pann.{self.a_format}.add{self.additions:g}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<bits_x>`` or ``uint<bits_x>``."""
        return f"{'' if self.signed else 'u'}int{self.bits_x}"

    @property
    def b_format(self) -> str:
        """``int8``: how weights are read from uint8 codes; wider integers come as values."""
        return "int8"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def spec(self) -> dict[str, Any]:
        """The table of this unit's fields."""
        return {
            "family": self.family,
            "bits_x": self.bits_x,
            "additions": self.additions,
            "acc_bits": self.acc_bits,
            "signed": self.signed,
        }

    def count_additions(self, w: NDArray[Any]) -> NDArray[np.int64]:
        """Additions ``[...]`` that dot products with weights ``[..., K]`` take, the last subtraction aside."""
        counts: NDArray[np.int64] = np.abs(self._weights(w, "count_additions.w").astype(np.int64))
        return np.asarray(counts.sum(-1))

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``c + a . b``: sums of both signs apart, then their difference.

        Args:
            a: codes or values ``[..., K]``.
            b: weight integers ``[..., K]``, uint8 int8 codes or a signed array of up to 32 bits.
            c: integers ``[...]`` that the positive accumulator starts from.

        Returns:
            two's complement of `acc_bits`, int32, or int64 above 32 bits.
        """
        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, self.bits_x, self.signed, "dot.a").astype(np.int64)
        w = self._weights(b, "dot.b").astype(np.int64)
        if x.ndim == 0 or w.ndim == 0 or x.shape[-1] != w.shape[-1]:
            raise ArgumentError("dot needs a and b [..., K] with one K", got=(x.shape, w.shape), where="dot")
        unused = np.int64(64 - self.acc_bits)
        positive = (x * np.maximum(w, 0)).sum(-1) + (0 if c is None else np.asarray(c, np.int64))
        negative = (x * np.maximum(-w, 0)).sum(-1)
        total = np.asarray(positive - negative) << unused >> unused
        return total.astype(np.int32 if self.acc_bits <= 32 else np.int64)

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> ``[M, N]``, equal to `dot` on each row pair."""
        check_no_scales(scale_a, scale_b, self.family)
        x = integer_values(a, self.bits_x, self.signed, "matmul.a")
        w = self._weights(b, "matmul.b")
        check_matmul(x, w, c)
        return wrapping_matmul(x, w, None if c is None else np.asarray(c, np.int64), self.acc_bits, True)

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
