"""A dot unit for 2:4 sparse weights: of four neighbours along K it multiplies two, so two multipliers serve four.

A machine takes it by `datapath = { file = "docs/sparse.py:Sparse", bits = 8, groups = 4, acc_bits = 32 }`.

The port prunes: of each four weights the two of largest magnitude stay, of equals the first. Weights that are 2:4
already pass unchanged, and the unit is then an exact integer unit. In memory a weight that stays takes two bits more,
its place among the four; the circuit reads two weights and two places for every four activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost import pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.words import changes, flips, multiplier_rows
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, Side, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked, products_of
from hwsim.datapaths.unscaled import Unscaled
from hwsim.formats import Format
from hwsim.gates.steps import Stream
from hwsim.quant.sparsity import keep_largest
from hwsim.rtl.accumulator import drawn_runs
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_signed, to_words, uniform_and_edges


@dataclass(frozen=True)
class Sparse(Unscaled):
    """Integers of `bits` bits (2 to 8), `groups` of four elements a cycle (1 to 16), an accumulator that wraps."""

    bits: int = 8
    groups: int = 4
    acc_bits: int = 32

    family: ClassVar[str] = "sparse"

    def __post_init__(self) -> None:
        check_range(self, "bits", 2, 8)
        check_range(self, "groups", 1, 16)
        check_range(self, "acc_bits", 2, 32)

    @property
    def name(self) -> str:
        """``sparse8.g4.acc32``."""
        return f"sparse{self.bits}.g{self.groups}.acc{self.acc_bits}"

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

    @property
    def lanes(self) -> int:
        """Four a group."""
        return 4 * self.groups

    def words(self, codes: NDArray[Any], element: Format, side: Side) -> NDArray[Any]:
        """What the port reads: weights that go are zeros already."""
        read = super().words(codes, element, side)
        if side == "a":
            return read
        return (self._weights(read, "words").astype(np.int64) & ((1 << self.bits) - 1)).astype(np.uint8)

    @property
    def sum_bits(self) -> int:
        """Of the sum of a step's products."""
        return 2 * self.bits + (2 * self.groups - 1).bit_length()

    def stored_bits(self, side: Side, k: int, element_bits: int) -> int:
        """Of each four weights two, with two bits for the place of each."""
        return k * element_bits if side == "a" else -(-k // 4) * 2 * (element_bits + 2)

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        values = integer_values(b, self.bits, True, where)
        short = -values.shape[-1] % 4
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, short)])
        return keep_largest(padded)[..., : values.shape[-1]].astype(np.int16)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = (x.astype(np.int64) * w).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        return wrapping_matmul(x, w, start, self.acc_bits, True)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """Sums of all groups, as they join the accumulator."""
        return products_of(self._activations(a, "a"), self._weights(b, "b"), self.lanes)

    @property
    def gates(self) -> Gates:
        """Selectors, multipliers, an adder of all, an accumulator."""
        return SparseGates(self)

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return SparsePrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Units of several widths and groups."""
        return Calibration(designs, arithmetics, lambda: iter(()))


def kept(words: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Weights that stay and their places among four, ``[steps, 2 groups]`` each, of words ``[steps, 4 groups]``."""
    fours = np.abs(values_of(words, bits, True)).reshape(len(words), -1, 4)
    places = np.sort(np.argsort(-fours, axis=2, kind="stable")[:, :, :2], axis=2)
    values = np.take_along_axis(words.reshape(fours.shape), places, 2)
    return values.reshape(len(words), -1), places.reshape(len(words), -1).astype(np.uint64)


def chosen(words: NDArray[np.uint64], places: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Activations that meet a weight, ``[steps, 2 groups]``."""
    fours, pairs = words.reshape(len(words), -1, 4), places.reshape(len(places), -1, 2).astype(np.int64)
    return np.take_along_axis(fours, pairs, 2).reshape(len(words), -1)


_UNIT = """\
// acc <= (clear ? 0 : acc) + sum of <N> products: weight i meets the activation at its place among four.
module <TOP> (
  input clk, input clear, input [2*<N>*<B>-1:0] a, input [<N>*<B>-1:0] w, input [<N>*2-1:0] at,
  output reg [<ACC>-1:0] acc
);
<TERMS>
  wire signed [<S>-1:0] sum = <SUM>;
  wire signed [<ACC>-1:0] addend = sum;
  always @(posedge clk) acc <= (clear ? <ACC>'d0 : acc) + addend;
endmodule
"""

_TERM = """\
  wire [<B>-1:0] x<I> = at[<AT>+1] ? (at[<AT>] ? a[<THREE> +: <B>] : a[<TWO> +: <B>])
                                   : (at[<AT>] ? a[<ONE> +: <B>] : a[<NONE> +: <B>]);
  wire signed [2*<B>-1:0] p<I>;
  <MULTIPLIER> product<I> (.a(x<I>), .b(w[<W> +: <B>]), .p(p<I>));
"""


@dataclass(frozen=True)
class SparseGates(Gates):
    """One circuit."""

    unit: Sparse

    def circuits(self) -> Mapping[str, Unit]:
        """Ports of two weights and their places for every four activations."""
        unit, top = self.unit, self.unit.name.replace(".", "_")
        bits, count, product = unit.bits, 2 * unit.groups, multiplier(unit.bits, unit.bits)
        terms = []
        for i in range(count):
            base = 4 * (i // 2) * bits
            terms.append(
                fill(
                    _TERM, I=i, B=bits, AT=2 * i, NONE=base, ONE=base + bits, TWO=base + 2 * bits,
                    THREE=base + 3 * bits, W=i * bits, MULTIPLIER=product.top,
                )
            )  # fmt: skip
        text = fill(
            _UNIT, TOP=top, N=count, B=bits, ACC=unit.acc_bits, S=unit.sum_bits, TERMS="".join(terms),
            SUM=" + ".join(f"p{i}" for i in range(count)),
        )  # fmt: skip
        a, w, at = Port("a", bits, 2 * count), Port("w", bits, count), Port("at", 2, count)
        acc = Port("acc", unit.acc_bits)
        edges = uniform_and_edges(a, w, at)

        def golden(values: Values) -> Values:
            x = to_signed(chosen(values["a"], values["at"]), bits)
            sums = (x * to_signed(values["w"], bits)).sum(1)
            out = np.zeros(len(sums), np.int64)
            for rows, first in cycles_of_runs(values["clear"]):
                out[rows] = wrapped(sums[rows] + (0 if first else out[rows - 1]), unit.acc_bits)
            return {"acc": to_words(out, unit.acc_bits)}

        def operands(rng: np.random.Generator, n: int) -> Values:
            return drawn_runs(rng, n, edges, {})

        ports = (Port("clear", 1), a, w, at)
        verilog = join(product.verilog, text)
        return {"unit": Unit(top, verilog, ports, (acc,), golden, operands, (acc,), 1, unit.family)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """Weights of a step as the two of each four, and their places."""
        values, places = kept(stream.b, self.unit.bits)
        ports = {"clear": stream.first.astype(np.uint64), "a": stream.a, "w": values, "at": places}
        return Driven(ports, {"acc": stream.before})


TABLE = Path(__file__).with_name("sparse.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/sparse.py:Sparse --out FOLDER``."""


@dataclass(frozen=True)
class SparsePrice(Price):
    """Of a whole unit."""

    unit: Sparse

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("a", "b", "places", "chosen", "partials", "carries"), "products"
    )

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``sparse``."""
        return "sparse"

    @property
    def registers(self) -> Registers:
        """Four activations a group, two weights with their places, and the sum."""
        unit = self.unit
        a, b = 4 * unit.groups * unit.bits, 2 * unit.groups * (unit.bits + 2)
        return Registers(a, b, unit.acc_bits, 0, 0.5 * (a + b))

    def blocks(self, held: Coefficients) -> Blocks:
        """One block: synthesis sees one circuit."""
        whole = area(held.with_table(self.table), "sparse", sizes(self.unit))
        return (Component("products", whole, None),), ()

    def update_flips(self, stream: Stream) -> Features:
        """At selectors, in the rows of all multipliers, in the adder of products, in the sum."""
        unit, bits = self.unit, self.unit.bits
        weights, places = kept(stream.b, bits)
        x = chosen(stream.a, places)
        rows = [multiplier_rows(x[:, i], weights[:, i], bits, bits, True) for i in range(2 * unit.groups)]
        products = values_of(x, bits, True) * values_of(weights, bits, True)
        total = masked(products.sum(1), unit.sum_bits)
        return {
            "a": flips(stream.a),
            "b": flips(weights) * bits,
            "places": changes(places) * bits,
            "chosen": flips(x) * bits,
            "partials": sum(row.partials for row in rows),
            "carries": sum(row.carries for row in rows),
            "products": flips(masked(products, 2 * bits)),
            "total": flips(total),
            "held": flips(np.where(stream.first, np.uint64(0), stream.before[:, 0])),
            "total_by_width": changes(total) * unit.acc_bits,
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """PANN's multiplier for each of two in four, their adder, and one accumulation."""
        unit = self.unit
        sums = 2 * unit.groups * unit.bits + pann.accumulator_flips(unit.bits, unit.bits, unit.acc_bits)
        return WidthFlips(2 * unit.groups * pann.multiplier_flips(unit.bits, unit.bits), sums)


def sizes(unit: Sparse) -> Features:
    """What the area of a unit is linear in."""
    count = 2 * unit.groups
    return {
        "selections": count * unit.bits,
        "partial_products": count * unit.bits**2,
        "additions": (count - 1) * unit.sum_bits,
        "accumulator": unit.acc_bits,
    }


def designs(quick: bool) -> Iterator[Design]:
    """Units of several widths and groups."""
    for bits in (3, 4, 5, 6, 8):
        for groups in (1, 2, 4, 8):
            for acc in (20, 32):
                unit = Sparse(bits, groups, acc)
                circuit = unit.gates.circuits()["unit"]
                yield Design("sparse", circuit.top, sizes(unit), circuit.verilog, acc)


def arithmetics() -> Iterator[Arithmetic]:
    """Units on integers of their own width."""
    for bits, groups in ((8, 4), (8, 1), (6, 2), (4, 4), (4, 8)):
        scheme = quant.get(f"int{bits}.channel")
        yield Arithmetic(scheme, scheme, Sparse(bits, groups, 32))
