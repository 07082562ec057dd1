"""A multiply-accumulate unit whose multiplier leaves out its lowest columns: the smallest unit with all five views.

A machine takes it by `datapath = { file = "docs/truncated.py:Truncated", bits = 8, dropped = 6, acc_bits = 24 }`.

Of a two's complement product, partial products of weight below 2^dropped are not built: row i of the array,
a b_i 2^i, keeps the bits of a from dropped - i on. So the error of a row that adds is never positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost import features, pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.words import adder, flips, held_sums, without
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, check_range, driven_sum
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked
from hwsim.datapaths.unscaled import Unscaled
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_words, uniform_and_edges


@dataclass(frozen=True)
class Truncated(Unscaled):
    """Operands of `bits` bits, a product without its `dropped` lowest columns, an accumulator that wraps.

    Args:
        bits: width of both operands, 2 to 8.
        dropped: columns that are left out, 0 to bits - 1.
        acc_bits: width of the accumulator, 2 to 32.
    """

    bits: int = 8
    dropped: int = 4
    acc_bits: int = 24

    family: ClassVar[str] = "truncated"

    def __post_init__(self) -> None:
        check_range(self, "bits", 2, 8)
        check_range(self, "dropped", 0, self.bits - 1)
        check_range(self, "acc_bits", 2, 32)

    # bits

    @property
    def name(self) -> str:
        """``truncated8.d4.acc24``."""
        return f"truncated{self.bits}.d{self.dropped}.acc{self.acc_bits}"

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

    def rows(self, x: NDArray[Any], w: NDArray[Any]) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Pairs whose products add up to what the array makes: a without its low bits, and a bit of b by weight."""
        found = []
        for row in range(self.bits):
            kept = x.astype(np.int32) >> (low := max(self.dropped - row, 0)) << low
            weight = -(1 << row) if row == self.bits - 1 else 1 << row
            found.append((kept, (w.astype(np.int32) >> row & 1) * weight))
        return found

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.bits, True, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = sum((a.astype(np.int64) * b).sum(-1) for a, b in self.rows(x, w))
        return wrapped(total + (0 if start is None else start), self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = None if start is None else start.astype(np.int64)
        for a, b in self.rows(x, w):
            total = wrapping_matmul(a, b, total, self.acc_bits, True).astype(np.int64)
        assert total is not None
        return total.astype(np.int32)

    # toggles

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """The products, int64 ``[m, n, K]``."""
        x, w = self._activations(a, "a")[:, None], self._weights(b, "b")[None]
        return np.asarray(sum(one.astype(np.int64) * other for one, other in self.rows(x, w)))

    # gates and price

    @property
    def gates(self) -> Gates:
        """A truncated array and an accumulator."""
        return TruncatedGates(self)

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return TruncatedPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """What ``hwsim calibrate --unit`` fits them to."""
        return Calibration(designs, arithmetics, lambda: iter(()))


_PRODUCT = """\
// Signed <B> x <B> product without its <D> lowest columns.
module <TOP>_product (input signed [<B>-1:0] a, input signed [<B>-1:0] b, output signed [2*<B>-1:0] p);
<ROWS>
  assign p = <SUM>;
endmodule
"""

_MAC = """\
// acc <= (clear ? 0 : acc) + a * b, the product truncated.
module <TOP> (input clk, input clear, input [<B>-1:0] a, input [<B>-1:0] b, output [<ACC>-1:0] acc);
  wire [2*<B>-1:0] p;
  <TOP>_product product (.a(a), .b(b), .p(p));
  <ADDER> accumulate (.clk(clk), .clear(clear), .p(p), .acc(acc));
endmodule
"""


@dataclass(frozen=True)
class TruncatedGates(Gates):
    """One circuit."""

    unit: Truncated

    def circuits(self) -> Mapping[str, Unit]:
        """Product and accumulator stay apart, so that synthesis does not fuse them."""
        unit, bits = self.unit, self.unit.bits
        top = unit.name.replace(".", "_")
        adds = accumulator(2 * bits, unit.acc_bits)
        rows = []
        for row in range(bits):
            low = max(unit.dropped - row, 0)
            kept = f"{{a[{bits - 1}:{low}], {low}'d0}}" if low else "a"
            rows.append(f"  wire signed [{bits - 1}:0] kept{row} = {kept} & {{{bits}{{b[{row}]}}}};")
            rows.append(f"  wire signed [{2 * bits - 1}:0] row{row} = kept{row};")
        terms = [f"(row{row} <<< {row})" for row in range(bits - 1)]
        text = join(
            adds.verilog,
            fill(
                _PRODUCT, TOP=top, B=bits, D=unit.dropped, ROWS="\n".join(rows),
                SUM=" + ".join(terms) + f" - (row{bits - 1} <<< {bits - 1})",
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
                lambda rng, n: drawn_runs(rng, n, edges, {"a": bits, "b": bits}), (acc,), 1, "truncated", unit.spec(),
            )
        }  # fmt: skip

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)


TABLE = Path(__file__).with_name("truncated.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/truncated.py:Truncated --out FOLDER``."""


@dataclass(frozen=True)
class TruncatedPrice(Price):
    """A truncated array by coefficients of its own, and the accumulator of integer units."""

    unit: Truncated

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(("a", "b", "rows", "product", "product_by_rows"), "products")

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``truncated``."""
        return "truncated"

    @property
    def registers(self) -> Registers:
        """An element of each operand, and the sum."""
        return Registers(self.unit.bits, self.unit.bits, self.unit.acc_bits, 0, float(self.unit.bits))

    def blocks(self, held: Coefficients) -> Blocks:
        """Product and accumulation."""
        array = area(held.with_table(self.table), "truncated", sizes(self.unit.bits, self.unit.dropped))
        adds = area(held, "accumulator.signed.wrap", features.accumulator(2 * self.unit.bits, self.unit.acc_bits))
        return (Component("products", array, None), Component("accumulation", adds, None)), ()

    def update_flips(self, stream: Stream) -> Features:
        """Of operands, of the rows that are added, of the product, and in the adder."""
        unit = self.unit
        x, w = (values_of(words[:, 0], unit.bits, True) for words in (stream.a, stream.b))
        rows = [masked(np.asarray(a.astype(np.int64) * b), 2 * unit.bits) for a, b in unit.rows(x, w)]
        product = masked(np.sum([row.view(np.int64) for row in rows], axis=0), 2 * unit.bits)
        signed = product.view(np.int64) << 64 - 2 * unit.bits >> 64 - 2 * unit.bits
        sums = adder(held_sums(stream), masked(signed, unit.acc_bits), unit.acc_bits, 2 * unit.bits)
        return {
            "a": flips(stream.a) * unit.bits,
            "b": flips(stream.b) * unit.bits,
            "rows": sum(map(flips, rows)),
            "product": flips(product),
            "product_by_rows": flips(product) * unit.bits,
            **without(sums, "addend"),
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """PANN's formulas of a whole array, in proportion to the cells that are built."""
        bits = self.unit.bits
        kept = sizes(bits, self.unit.dropped)["partial_products"] / bits**2
        return WidthFlips(
            pann.multiplier_flips(bits, bits) * kept, pann.accumulator_flips(bits, bits, self.unit.acc_bits)
        )


def sizes(bits: int, dropped: int) -> Features:
    """What the area of a truncated array is linear in: cells that are built, and operand bits."""
    return {"partial_products": bits**2 - dropped * (dropped + 1) / 2, "operand_bits": 2 * bits, "constant": 1}


def designs(quick: bool) -> Iterator[Design]:
    """Products of every width and depth of truncation."""
    for bits in range(3, 9):
        for dropped in range(0, bits, 1 if bits < 7 else 2):
            circuit = Truncated(bits, dropped).gates.circuits()["unit"]
            yield Design("truncated", f"{circuit.top}_product", sizes(bits, dropped), circuit.verilog)


def arithmetics() -> Iterator[Arithmetic]:
    """Units on integers of their own width."""
    for bits, dropped, acc in ((4, 0, 16), (4, 3, 16), (6, 2, 20), (6, 5, 20), (8, 0, 24), (8, 4, 24), (8, 7, 24)):
        scheme = quant.get(f"int{bits}.channel")
        yield Arithmetic(scheme, scheme, Truncated(bits, dropped, acc))
