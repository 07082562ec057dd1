"""A unit that multiplies by adding logarithms (Mitchell, IRE Trans. EC-11, 1962): bits, toggles and gates.

A machine takes it by `datapath = { file = "docs/mitchell.py:Mitchell", bits = 8, acc_bits = 24 }`.

A magnitude 2^k (1 + f) has the logarithm k + f, nearly. The sum of two is read back the same way: 2^(k + k')
(1 + f + f') where the fractions stay below one, else 2^(k + k' + 1) (f + f'). So no product is too large, and none
is too small by more than a ninth (f = f' = 1/2). It has no price: `MissingView` says so where one is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Driven, Gates, check_range
from hwsim.datapaths.operands import integer_start, integer_values, wrapped
from hwsim.datapaths.streams import driven_sum
from hwsim.datapaths.unscaled import Unscaled
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_words, uniform_and_edges


@dataclass(frozen=True)
class Mitchell(Unscaled):
    """Two's complement operands of `bits` bits (2 to 8), an accumulator of `acc_bits` (2 to 32) that wraps."""

    bits: int = 8
    acc_bits: int = 24

    family: ClassVar[str] = "mitchell"

    def __post_init__(self) -> None:
        check_range(self, "bits", 2, 8)
        check_range(self, "acc_bits", 2, 32)

    @property
    def name(self) -> str:
        """``mitchell8.acc24``."""
        return f"mitchell{self.bits}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<bits>``."""
        return f"int{self.bits}"

    @property
    def b_format(self) -> str:
        """``int<bits>``."""
        return f"int{self.bits}"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.bits, True, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = products(x, w).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = np.zeros((len(x), len(w)), np.int64) if start is None else start.astype(np.int64)
        for k in range(x.shape[1]):
            total += products(x[:, None, k], w[None, :, k])
        return wrapped(total, self.acc_bits).astype(np.int32)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """The products, int64 ``[m, n, K]``."""
        return products(self._activations(a, "a")[:, None], self._weights(b, "b")[None])

    @property
    def gates(self) -> Gates:
        """A logarithmic product and an accumulator."""
        return MitchellGates(self)


_POWERS = np.array([0] + [1 << (value.bit_length() - 1) for value in range(1, 129)], np.int64)
"""2^k by magnitude, 0 for 0."""


def products(x: NDArray[Any], w: NDArray[Any]) -> NDArray[np.int64]:
    """Mitchell's products of integers of at most 8 bits, broadcast; fractions are in units of 2^-(k + k')."""
    a, b = np.abs(x.astype(np.int64)), np.abs(w.astype(np.int64))
    one, other = _POWERS[a], _POWERS[b]
    whole, fraction = one * other, (a - one) * other + (b - other) * one
    magnitude = np.where(fraction < whole, whole + fraction, 2 * fraction)
    return np.asarray(np.where((x < 0) ^ (w < 0), -magnitude, magnitude))


_PRODUCT = """\
// Signed <B> x <B> product by Mitchell's logarithms; shifts by one-hot powers.
module <TOP>_product (input signed [<B>-1:0] a, input signed [<B>-1:0] b, output signed [2*<B>-1:0] p);
  wire [<B>-1:0] ma = a[<B>-1] ? -a : a;
  wire [<B>-1:0] mb = b[<B>-1] ? -b : b;
  wire [<B>-1:0] sa = <SMEAR_A>;
  wire [<B>-1:0] sb = <SMEAR_B>;
  wire [<B>-1:0] ka = sa ^ (sa >> 1);
  wire [<B>-1:0] kb = sb ^ (sb >> 1);
  wire [2*<B>-1:0] fa = ma ^ ka;
  wire [2*<B>-1:0] fb = mb ^ kb;
  wire [2*<B>-1:0] pa = ka;
  wire [2*<B>-1:0] whole = <WHOLE>;
  wire [2*<B>-1:0] left = <LEFT>;
  wire [2*<B>-1:0] right = <RIGHT>;
  wire [2*<B>-1:0] fraction = left + right;
  wire [2*<B>-1:0] magnitude = fraction < whole ? whole + fraction : fraction << 1;
  assign p = a[<B>-1] ^ b[<B>-1] ? -magnitude : magnitude;
endmodule
"""

_MAC = """\
// acc <= (clear ? 0 : acc) + a * b.
module <TOP> (input clk, input clear, input [<B>-1:0] a, input [<B>-1:0] b, output [<ACC>-1:0] acc);
  wire [2*<B>-1:0] p;
  <TOP>_product product (.a(a), .b(b), .p(p));
  <ADDER> accumulate (.clk(clk), .clear(clear), .p(p), .acc(acc));
endmodule
"""


@dataclass(frozen=True)
class MitchellGates(Gates):
    """One circuit."""

    unit: Mitchell

    def circuits(self) -> Mapping[str, Unit]:
        """Product and accumulator."""
        unit, bits = self.unit, self.unit.bits
        top, adds = unit.name.replace(".", "_"), accumulator(2 * bits, unit.acc_bits)

        def shifted(word: str, power: str) -> str:
            return " | ".join(f"({{{2 * bits}{{{power}[{i}]}}}} & ({word} << {i}))" for i in range(bits))

        def smeared(word: str) -> str:
            return " | ".join(f"({word} >> {i})" for i in range(bits))

        text = join(
            adds.verilog,
            fill(
                _PRODUCT, TOP=top, B=bits, SMEAR_A=smeared("ma"), SMEAR_B=smeared("mb"), WHOLE=shifted("pa", "kb"),
                LEFT=shifted("fa", "kb"), RIGHT=shifted("fb", "ka"),
            ),
            fill(_MAC, TOP=top, B=bits, ACC=unit.acc_bits, ADDER=adds.top),
        )  # fmt: skip
        clear, a, b, acc = Port("clear", 1), Port("a", bits), Port("b", bits), Port("acc", unit.acc_bits)
        edges = uniform_and_edges(a, b)

        def golden(values: Values) -> Values:
            x, w = codes(values["a"], bits), codes(values["b"], bits)
            out = np.zeros(len(x), np.int64)
            for at, first in cycles_of_runs(values["clear"]):
                out[at] = unit.dot(x[at, None], w[at, None], None if first else out[at - 1])
            return {"acc": to_words(out, unit.acc_bits)}

        return {
            "unit": Unit(
                top, text, (clear, a, b), (acc,), golden,
                lambda rng, n: drawn_runs(rng, n, edges, {"a": bits, "b": bits}), (acc,), 1, "mitchell", unit.spec(),
            )
        }  # fmt: skip

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)
