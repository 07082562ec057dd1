"""A unit that multiplies by adding logarithms (Mitchell, IRE Trans. EC-11, 1962), in all five views.

A machine takes it by `datapath = { file = "docs/mitchell.py:Mitchell", a_bits = 8, b_bits = 8, acc_bits = 24 }`.

A magnitude 2^k (1 + f) has the logarithm k + f, nearly. The sum of two is read back the same way: 2^(k + k')
(1 + f + f') where the fractions stay below one, else 2^(k + k' + 1) (f + f'). So no product is too large, and none
is too small by more than a ninth (f = f' = 1/2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost import features, pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.words import adder, changes, flips, held_sums, without
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, check_range, driven_sum
from hwsim.datapaths.operands import integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked
from hwsim.datapaths.unscaled import Unscaled
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_words, uniform_and_edges


@dataclass(frozen=True)
class Mitchell(Unscaled):
    """Two's complement operands of `a_bits` and `b_bits` (3 to 8), and an accumulator of `acc_bits` (2 to 32)."""

    a_bits: int = 8
    b_bits: int = 8
    acc_bits: int = 24

    family: ClassVar[str] = "mitchell"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 3, 8)
        check_range(self, "b_bits", 3, 8)
        check_range(self, "acc_bits", 2, 32)

    @property
    def name(self) -> str:
        """``mitchell8x8.acc24``."""
        return f"mitchell{self.a_bits}x{self.b_bits}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<a_bits>``."""
        return f"int{self.a_bits}"

    @property
    def b_format(self) -> str:
        """``int<b_bits>``."""
        return f"int{self.b_bits}"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.b_bits, True, where)

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

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return MitchellPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Products of every width."""
        return Calibration(designs, arithmetics, lambda: iter(()))


_POWERS = np.array([0] + [1 << (value.bit_length() - 1) for value in range(1, 129)], np.int64)
"""2^k by magnitude, 0 for 0."""


class Parts(NamedTuple):
    """What is inside of a product, int64: powers 2^k of both operands, their product 2^(k + k'), the fractions times
    the other's power, and the signed product."""

    power_a: NDArray[np.int64]
    power_b: NDArray[np.int64]
    whole: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    product: NDArray[np.int64]


def parts(x: NDArray[Any], w: NDArray[Any]) -> Parts:
    """Of integers of at most 8 bits, broadcast; fractions are in units of 2^-(k + k')."""
    a, b = np.abs(x.astype(np.int64)), np.abs(w.astype(np.int64))
    one, other = _POWERS[a], _POWERS[b]
    whole, left, right = one * other, (a - one) * other, (b - other) * one
    magnitude = np.where(left + right < whole, whole + left + right, 2 * (left + right))
    return Parts(one, other, whole, left, right, np.asarray(np.where((x < 0) ^ (w < 0), -magnitude, magnitude)))


def products(x: NDArray[Any], w: NDArray[Any]) -> NDArray[np.int64]:
    """Mitchell's products of integers of at most 8 bits, broadcast."""
    return parts(x, w).product


_PRODUCT = """\
// Signed <A> x <B> product by Mitchell's logarithms; shifts by one-hot powers.
module <TOP>_product (input signed [<A>-1:0] a, input signed [<B>-1:0] b, output signed [<P>-1:0] p);
  wire [<A>-1:0] ma = a[<A>-1] ? -a : a;
  wire [<B>-1:0] mb = b[<B>-1] ? -b : b;
  wire [<A>-1:0] sa = <SMEAR_A>;
  wire [<B>-1:0] sb = <SMEAR_B>;
  wire [<A>-1:0] ka = sa ^ (sa >> 1);
  wire [<B>-1:0] kb = sb ^ (sb >> 1);
  wire [<P>-1:0] fa = ma ^ ka;
  wire [<P>-1:0] fb = mb ^ kb;
  wire [<P>-1:0] pa = ka;
  wire [<P>-1:0] whole = <WHOLE>;
  wire [<P>-1:0] left = <LEFT>;
  wire [<P>-1:0] right = <RIGHT>;
  wire [<P>-1:0] fraction = left + right;
  wire [<P>-1:0] magnitude = fraction < whole ? whole + fraction : fraction << 1;
  assign p = a[<A>-1] ^ b[<B>-1] ? -magnitude : magnitude;
endmodule
"""

_MAC = """\
// acc <= (clear ? 0 : acc) + a * b.
module <TOP> (input clk, input clear, input [<A>-1:0] a, input [<B>-1:0] b, output [<ACC>-1:0] acc);
  wire [<P>-1:0] p;
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
        unit, a_bits, b_bits = self.unit, self.unit.a_bits, self.unit.b_bits
        wide = a_bits + b_bits
        top, adds = unit.name.replace(".", "_"), accumulator(wide, unit.acc_bits)

        def shifted(word: str, power: str, bits: int) -> str:
            return " | ".join(f"({{{wide}{{{power}[{i}]}}}} & ({word} << {i}))" for i in range(bits))

        def smeared(word: str, bits: int) -> str:
            return " | ".join(f"({word} >> {i})" for i in range(bits))

        text = join(
            adds.verilog,
            fill(
                _PRODUCT, TOP=top, A=a_bits, B=b_bits, P=wide, SMEAR_A=smeared("ma", a_bits),
                SMEAR_B=smeared("mb", b_bits), WHOLE=shifted("pa", "kb", b_bits), LEFT=shifted("fa", "kb", b_bits),
                RIGHT=shifted("fb", "ka", a_bits),
            ),
            fill(_MAC, TOP=top, A=a_bits, B=b_bits, P=wide, ACC=unit.acc_bits, ADDER=adds.top),
        )  # fmt: skip
        clear, a, b, acc = Port("clear", 1), Port("a", a_bits), Port("b", b_bits), Port("acc", unit.acc_bits)
        edges = uniform_and_edges(a, b)

        def golden(values: Values) -> Values:
            x, w = codes(values["a"], a_bits), codes(values["b"], b_bits)
            out = np.zeros(len(x), np.int64)
            for at, first in cycles_of_runs(values["clear"]):
                out[at] = unit.dot(x[at, None], w[at, None], None if first else out[at - 1])
            return {"acc": to_words(out, unit.acc_bits)}

        return {
            "unit": Unit(
                top, text, (clear, a, b), (acc,), golden,
                lambda rng, n: drawn_runs(rng, n, edges, {"a": a_bits, "b": b_bits}), (acc,), 1, unit.family,
            )
        }  # fmt: skip

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)


TABLE = Path(__file__).with_name("mitchell.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/mitchell.py:Mitchell --out FOLDER``."""


@dataclass(frozen=True)
class MitchellPrice(Price):
    """A logarithmic product by coefficients of its own, and the accumulator of integer units."""

    unit: Mitchell

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("a", "b", "signs", "powers", "wholes", "fractions", "sums", "products"), "products"
    )

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``mitchell``."""
        return "mitchell"

    @property
    def registers(self) -> Registers:
        """An element of each operand, and the sum."""
        unit = self.unit
        return Registers(unit.a_bits, unit.b_bits, unit.acc_bits, 0, 0.5 * (unit.a_bits + unit.b_bits))

    def blocks(self, held: Coefficients) -> Blocks:
        """Product and accumulation."""
        unit = self.unit
        product = area(held.with_table(self.table), "mitchell", sizes(unit))
        adds = area(held, "accumulator.signed.wrap", features.accumulator(unit.a_bits + unit.b_bits, unit.acc_bits))
        return (Component("products", product, None), Component("accumulation", adds, None)), ()

    def update_flips(self, stream: Stream) -> Features:
        """Of operands, powers, fractions and the product, and in the adder."""
        unit, wide = self.unit, self.unit.a_bits + self.unit.b_bits
        x = values_of(stream.a[:, 0], unit.a_bits, True)
        w = values_of(stream.b[:, 0], unit.b_bits, True)
        found = parts(x, w)
        signs = np.stack([x < 0, w < 0, found.product < 0], 1).astype(np.uint64)
        sums = adder(held_sums(stream), masked(found.product, unit.acc_bits), unit.acc_bits, wide)
        return {
            "a": flips(stream.a),
            "b": flips(stream.b),
            "signs": flips(signs) * wide,
            "powers": changes(found.power_a) * unit.b_bits + changes(found.power_b) * unit.a_bits,
            "wholes": flips(masked(found.whole, wide)),
            "fractions": flips(masked(found.left, wide)) + flips(masked(found.right, wide)),
            "sums": flips(masked(found.left + found.right, wide)),
            "products": flips(masked(found.product, wide)),
            **without(sums, "addend"),
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """Half of the bits of shifted fractions and sums in place of PANN's array; the accumulator is PANN's."""
        unit = self.unit
        sums = pann.accumulator_flips(unit.a_bits, unit.b_bits, unit.acc_bits)
        return WidthFlips(2.5 * (unit.a_bits + unit.b_bits), sums)


def sizes(unit: Mitchell) -> Features:
    """What the area of a product is linear in: gates of shifts by one-hot powers, and bits of words."""
    return {"shifts": unit.a_bits * unit.b_bits, "words": unit.a_bits + unit.b_bits, "constant": 1}


def designs(quick: bool) -> Iterator[Design]:
    """Products of many pairs of widths."""
    for a_bits in range(3, 9):
        for b_bits in range(3, a_bits + 1):
            unit = Mitchell(a_bits, b_bits)
            circuit = unit.gates.circuits()["unit"]
            yield Design("mitchell", f"{circuit.top}_product", sizes(unit), circuit.verilog)


def arithmetics() -> Iterator[Arithmetic]:
    """Units on integers of their own widths."""
    for a_bits, b_bits, acc in ((4, 4, 16), (5, 5, 16), (6, 6, 20), (7, 7, 24), (8, 8, 24), (8, 4, 20)):
        schemes = (quant.get(f"int{bits}.channel") for bits in (a_bits, b_bits))
        yield Arithmetic(*schemes, Mitchell(a_bits, b_bits, acc))
