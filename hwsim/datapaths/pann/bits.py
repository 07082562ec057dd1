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

from hwsim.cost.words import flips
from hwsim.datapaths.base import Calibration, Gates, Price, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_name, integer_range, integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked, unsigned
from hwsim.datapaths.unscaled import Unscaled
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream, chosen_rows, places


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
        short = f"{self.additions:g}"
        budget = short if float(short) == self.additions else repr(self.additions)
        return f"pann.{self.a_format}.add{budget}.acc{self.acc_bits}"

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

    def cycles_per_step(self, additions: float | None = None) -> float:
        """One addition a cycle: those of an element, the budget where they are not known.

        A machine spends the mean of |w| over the weights, as if a short queue of inputs stood before every unit;
        units in lock step would wait for the largest weight among them.
        """
        return float(self.additions if additions is None else additions)

    @property
    def timed_by_weights(self) -> bool:
        """A weight of twice the magnitude takes twice the additions."""
        return True

    def mean_additions(self, words: NDArray[Any]) -> float:
        """Mean of |w| over weights ``[N, K]``."""
        return float(self.count_additions(words).mean() / words.shape[1])

    def both_sums(
        self, a: NDArray[Any], b: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
        """Inputs ``[m, K]``, weights ``[n, K]``, and both sums before each element ``[m, n, K, 2]``, the positive one
        first, in words of the accumulators."""
        x = integer_values(a, self.bits_x, self.signed, "sums.a").astype(np.int64)
        w = integer_values(b, 8, True, "sums.b").astype(np.int64)
        parts = np.stack([np.maximum(w, 0), np.maximum(-w, 0)], -1)
        after = (x[:, None, :, None] * parts[None]).cumsum(2)
        before = np.concatenate([np.zeros_like(after[:, :, :1]), after[:, :, :-1]], axis=2)
        return x, w, masked(before, self.acc_bits)

    def stream(
        self,
        dataflow: str,
        budget: int,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[Any] | None,
        scale_b: NDArray[Any] | None,
    ) -> Stream:
        """Every element as often as its weight says; an element of weight 0 is passed over."""
        steps = min(a.shape[1], budget)
        pace = max(float(np.abs(b.view(np.int8)).mean()), 1.0)
        rows_a, rows_b = chosen_rows(len(a), len(b), dataflow, max(int(budget / pace) // steps, 1))
        a, b = a[rows_a][:, :steps], b[rows_b][:, :steps]
        m, n, step = places(len(a), len(b), steps, dataflow)
        x, w, sums = self.both_sums(a, b)
        times = np.abs(w)[n, step]
        repeat = np.repeat(np.arange(len(m)), times)[:budget]
        again = np.arange(len(repeat)) - np.repeat(np.cumsum(times) - times, times)[:budget]
        m, n, step = m[repeat], n[repeat], step[repeat]
        some = w != 0
        least, greatest = some.argmax(1), w.shape[1] - 1 - some[:, ::-1].argmax(1)
        first = (step == least[n]) & (again == 0)
        last = (step == greatest[n]) & (again == times[repeat] - 1)
        side = np.where(w[n, step] > 0, 0, 1)
        before = sums[m, n, step].astype(np.int64)
        before[np.arange(len(m)), side] += again * x[m, step]
        if dataflow == "os":  # the sums of the dot product before, which the subtraction still reads
            ends = np.flatnonzero(last[:-1])
            final = before[ends].copy()
            final[np.arange(len(ends)), side[ends]] += x[m[ends], step[ends]]
            before[ends + 1] = final
        nothing = np.zeros((len(m), 0), np.uint64)
        return Stream(
            a=unsigned(a)[m, step].astype(np.uint64)[:, None],
            b=unsigned(b)[n, step].astype(np.uint64)[:, None],
            scale_a=nothing,
            scale_b=nothing,
            before=masked(before, self.acc_bits),
            first=first,
            last=last,
            tables=np.zeros((0, 1), np.uint64),
        )

    def register_flips(self, stream: Stream) -> tuple[float, float]:
        """An addition's, at the adder's input and in both registers."""
        x = values_of(stream.a[:, 0], self.bits_x, self.signed)
        return flips(masked(x, self.acc_bits)), flips(stream.before)

    @property
    def gates(self) -> Gates:
        """One adder, two registers, a subtractor."""
        from hwsim.datapaths.pann.verilog import AddOnlyGates

        return AddOnlyGates(self)

    @property
    def price(self) -> Price:
        """Of the whole unit."""
        from hwsim.datapaths.pann.cost import AddOnlyPrice

        return AddOnlyPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Units of several widths, with PANN's quantised weights."""
        from hwsim.datapaths.pann.cost import CALIBRATION

        return CALIBRATION

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
