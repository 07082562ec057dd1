"""A dot unit for mixed 3- and 4-bit data types after BitMoD (Chen et al., HPCA 2025, arXiv 2411.11745).

A machine takes it by `datapath = { file = "docs/bitmod.py:Bitmod", bits = 4, group = 16 }`, on int8 weights.

A weight is a small float whose code of minus zero stands for a special value, one of four that each group chooses
for itself: +-5 or +-8 beside E2M1, +-3 or +-6 beside {0, 1, 2, 4}. A group also has a scale of 8 bits, relative to
that of its channel. The port takes int8 weights of a channel and casts them so: of the four special values the one
with the least squared error, the group's largest magnitude on the grid's. A group is multiplied at once and exactly,
its sum times the scale is rounded to the units of the port, ties up, and added.

The paper's unit takes FP16 activations and serves weights serially, two terms a cycle; here activations are integers
and a product takes one cycle. In a group that is cut short by the end of K, places that do not exist hold no scale
bits: a single weight has a scale of four, and no choice of special value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
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
from hwsim.cost.words import flips, multiplier_rows
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, Side, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked
from hwsim.datapaths.unscaled import Unscaled
from hwsim.formats import Format
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import drawn_runs
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_signed, to_words, uniform_and_edges

MAGNITUDES = {3: (0, 1, 2, 4), 4: (0, 1, 2, 3, 4, 6, 8, 12)}
"""Of the codes without a sign, by bits of a weight; E2M1 in halves."""
SPECIALS = {3: (3, -3, 6, -6), 4: (10, -10, 16, -16)}
"""Values of the code of minus zero, in the same units."""
POINT = {3: 3, 4: 4}
"""Fraction bits of a group's scale: 127 on the smallest largest magnitude fits 8 bits."""
TABLE = Path(__file__).with_name("bitmod.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/bitmod.py:Bitmod --out FOLDER``."""


@cache
def grids(bits: int) -> NDArray[np.int64]:
    """Values by special value and code, ``[4, 2^bits]``."""
    plus = np.array(MAGNITUDES[bits])
    found = np.tile(np.concatenate([plus, -plus]), (4, 1))
    found[:, 1 << bits - 1] = SPECIALS[bits]
    return found


def cast(values: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Words of groups ``[n, elements]`` of int8 values: a code each, and in the upper half of the first three the
    scale (4 + 4 bits) and the special value."""
    count, point = values.shape[1], POINT[bits]
    best = np.full(len(values), np.inf)
    words = np.zeros(values.shape, np.uint8)
    for special, grid in enumerate(grids(bits)[: 4 if count > 2 else 1]):
        scale = np.abs(values).max(1) * (1 << point) / np.abs(grid).max()
        scale = (
            np.clip(np.floor(scale / 16 + 0.5), 1, 15) * 16 if count == 1 else np.clip(np.floor(scale + 0.5), 1, 255)
        )
        distance = np.abs((values[..., None] << point) - scale.astype(np.int64)[:, None, None] * grid)
        codes = distance.argmin(2)
        error = (np.take_along_axis(distance, codes[..., None], 2)[..., 0].astype(np.float64) ** 2).sum(1)
        made = codes.astype(np.uint8)
        for place, nibble in enumerate((scale // 16, scale % 16, np.full(len(values), special))[:count]):
            made[:, place] |= nibble.astype(np.uint8) << 4
        words = np.where((error < best)[:, None], made, words)
        best = np.minimum(error, best)
    return words


@dataclass(frozen=True)
class Bitmod(Unscaled):
    """Activations of `a_bits`, weights of `bits` in groups.

    Args:
        a_bits: width of activations, 4 to 8.
        bits: of a weight, 3 or 4.
        group: weights that share a scale and a special value, 4 to 32; products of a cycle.
        acc_bits: width of the accumulator, which wraps, 8 to 32.
    """

    a_bits: int = 8
    bits: int = 4
    group: int = 16
    acc_bits: int = 28

    family: ClassVar[str] = "bitmod"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 4, 8)
        check_range(self, "bits", 3, 4)
        check_range(self, "group", 4, 32)
        check_range(self, "acc_bits", 8, 32)

    # bits

    @property
    def name(self) -> str:
        """``bitmod8x4.g16.acc28``."""
        return f"bitmod{self.a_bits}x{self.bits}.g{self.group}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<a_bits>``."""
        return f"int{self.a_bits}"

    @property
    def b_format(self) -> str:
        """``int8``: what the port casts."""
        return "int8"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    @property
    def lanes(self) -> int:
        """A group."""
        return self.group

    @property
    def value_bits(self) -> int:
        """Of a decoded weight."""
        return {3: 4, 4: 6}[self.bits]

    @property
    def sum_bits(self) -> int:
        """Of a group's sum before its scale."""
        return self.a_bits + self.value_bits + (self.group - 1).bit_length()

    def words(self, codes: NDArray[Any], element: Format, side: Side) -> NDArray[Any]:
        """Activations as they are; weights ``[..., K]`` cast to bytes of `cast`, group by group."""
        if side == "a":
            return super().words(codes, element, side)
        values = element.decode(codes).astype(np.int64)
        rows = values.reshape(-1, values.shape[-1])
        whole = rows.shape[1] // self.group * self.group
        parts = [cast(rows[:, :whole].reshape(-1, self.group), self.bits).reshape(len(rows), whole)]
        if whole < rows.shape[1]:
            parts.append(cast(rows[:, whole:], self.bits))
        return np.concatenate(parts, 1).reshape(values.shape)

    def stored_bits(self, side: Side, k: int, element_bits: int) -> int:
        """A weight's code, and 10 bits a group."""
        return k * element_bits if side == "a" else k * self.bits + -(-k // self.group) * 10

    def decoded(self, words: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Values on the grid ``[..., groups, group]`` and scales ``[..., groups]`` of words ``[..., K]``."""
        short = -words.shape[-1] % self.group
        padded = np.pad(words.astype(np.int64), [(0, 0)] * (words.ndim - 1) + [(0, short)])
        groups = padded.reshape(*words.shape[:-1], -1, self.group)
        upper = groups >> 4
        values = grids(self.bits)[upper[..., 2, None] & 3, groups & (1 << self.bits) - 1]
        return values, upper[..., 0] << 4 | upper[..., 1]

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        words = integer_values(b, 8, False, where)
        values, scales = self.decoded(words)
        every = values * scales[..., None]
        return every.reshape(*every.shape[:-2], -1)[..., : words.shape[-1]].astype(np.int32)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _rounded(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums of groups in units of the port."""
        point = POINT[self.bits]
        return np.asarray(sums + (1 << point - 1) >> point)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        products = x.astype(np.int64) * w
        short = [(0, 0)] * (products.ndim - 1) + [(0, -products.shape[-1] % self.group)]
        sums = np.pad(products, short).reshape(*products.shape[:-1], -1, self.group).sum(-1)
        total = self._rounded(sums).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = np.zeros((len(x), len(w)), np.int64) if start is None else start.astype(np.int64)
        for first in range(0, x.shape[1], self.group):
            at = slice(first, first + self.group)
            total += self._rounded(wrapping_matmul(x[:, at], w[:, at], None, 32, True).astype(np.int64))
        return wrapped(total, self.acc_bits).astype(np.int32)

    # toggles

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """Rounded sums of groups, int64 ``[m, n, groups]``."""
        x, w = self._activations(a, "a").astype(np.int64), self._weights(b, "b").astype(np.int64)
        short = [(0, 0), (0, -x.shape[1] % self.group)]
        x, w = (np.pad(side, short).reshape(len(side), -1, self.group) for side in (x, w))
        return self._rounded(np.einsum("mgk,ngk->mng", x, w))

    # gates and price

    @property
    def gates(self) -> Gates:
        """Decoders, multipliers, an adder, a scale, an accumulator."""
        return BitmodGates(self)

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return BitmodPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Units of several widths and groups."""
        return Calibration(designs, arithmetics, lambda: iter(()))


_UNIT = """\
// acc <= (clear ? 0 : acc) + round(scale * sum of <G> products / 2^<F>); minus zero stands for the special value.
module <TOP> (
  input clk, input clear, input [<G>*<A>-1:0] a, input [<G>*<B>-1:0] w, input [7:0] scale, input [1:0] special,
  output reg [<ACC>-1:0] acc
);
  wire signed [<V>-1:0] chosen = special[1] ? (special[0] ? <S3> : <S2>) : (special[0] ? <S1> : <S0>);
<TERMS>
  wire signed [<S>-1:0] sum = <SUM>;
  wire signed [8:0] factor = {1'b0, scale};
  wire signed [<S>+8:0] scaled = sum * factor;
  wire signed [<S>+9:0] rounded = scaled + <HALF>;
  wire signed [<ACC>-1:0] addend = rounded >>> <F>;
  always @(posedge clk) acc <= (clear ? <ACC>'d0 : acc) + addend;
endmodule
"""

_TERM = """\
  wire [<B>-1:0] c<I> = w[<W> +: <B>];
  wire signed [<V>-1:0] m<I> = <MAGNITUDE>;
  wire signed [<V>-1:0] v<I> = !c<I>[<B>-1] ? m<I> : c<I>[<B>-2:0] == 0 ? chosen : -m<I>;
  wire signed [<A>+<V>-1:0] p<I>;
  <MULTIPLIER> product<I> (.a(a[<AT> +: <A>]), .b(v<I>), .p(p<I>));
"""


@dataclass(frozen=True)
class BitmodGates(Gates):
    """One circuit."""

    unit: Bitmod

    def circuits(self) -> Mapping[str, Unit]:
        """Ports of activations, codes, the group's scale and its special value."""
        unit, top = self.unit, self.unit.name.replace(".", "_")
        bits, value, product = unit.bits, unit.value_bits, multiplier(unit.a_bits, unit.value_bits)
        terms = []
        for i in range(unit.group):
            magnitude = "0"
            for code, size in enumerate(MAGNITUDES[bits][1:], 1):
                magnitude = f"c{i}[{bits - 2}:0] == {code} ? {size} : ({magnitude})"
            terms.append(
                fill(
                    _TERM, I=i, A=unit.a_bits, B=bits, V=value, W=i * bits, AT=i * unit.a_bits, MAGNITUDE=magnitude,
                    MULTIPLIER=product.top,
                )
            )  # fmt: skip
        text = fill(
            _UNIT, TOP=top, G=unit.group, A=unit.a_bits, B=bits, V=value, S=unit.sum_bits, ACC=unit.acc_bits,
            F=POINT[bits], HALF=1 << POINT[bits] - 1, TERMS="".join(terms),
            SUM=" + ".join(f"p{i}" for i in range(unit.group)),
            **{f"S{i}": one for i, one in enumerate(SPECIALS[bits])},
        )  # fmt: skip
        a, w = Port("a", unit.a_bits, unit.group), Port("w", bits, unit.group)
        scale, special, acc = Port("scale", 8), Port("special", 2), Port("acc", unit.acc_bits)
        edges = uniform_and_edges(a, w, scale, special)

        def golden(values: Values) -> Values:
            x = to_signed(values["a"], unit.a_bits)
            weights = grids(bits)[values["special"].astype(np.int64)[:, None], values["w"].astype(np.int64)]
            sums = unit._rounded((x * weights).sum(1) * values["scale"].astype(np.int64))
            out = np.zeros(len(sums), np.int64)
            for rows, first in cycles_of_runs(values["clear"]):
                out[rows] = wrapped(sums[rows] + (0 if first else out[rows - 1]), unit.acc_bits)
            return {"acc": to_words(out, unit.acc_bits)}

        def operands(rng: np.random.Generator, n: int) -> Values:
            return drawn_runs(rng, n, edges, {})

        ports = (Port("clear", 1), a, w, scale, special)
        verilog = join(product.verilog, text)
        return {"unit": Unit(top, verilog, ports, (acc,), golden, operands, (acc,), 1, unit.family)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """A group a cycle, its scale and special value from the upper halves of its words."""
        upper, lower = stream.b >> np.uint64(4), stream.b & np.uint64((1 << self.unit.bits) - 1)
        ports = {
            "clear": stream.first.astype(np.uint64),
            "a": stream.a,
            "w": lower,
            "scale": upper[:, 0] << np.uint64(4) | upper[:, 1],
            "special": upper[:, 2] & np.uint64(3),
        }
        return Driven(ports, {"acc": stream.before})


@dataclass(frozen=True)
class BitmodPrice(Price):
    """Of a whole unit."""

    unit: Bitmod

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("a", "b", "values", "partials", "carries", "products"), "products"
    ) | dict.fromkeys(("scale", "scaled"), "scaling")

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``bitmod``."""
        return "bitmod"

    @property
    def registers(self) -> Registers:
        """A group of each operand with the group's 10 bits, and the sum."""
        unit = self.unit
        a, b = unit.group * unit.a_bits, unit.group * unit.bits + 10
        return Registers(a, b, unit.acc_bits, 0, 0.5 * (a + b))

    def blocks(self, held: Coefficients) -> Blocks:
        """One block: synthesis sees one circuit."""
        whole = area(held.with_table(self.table), "bitmod", sizes(self.unit))
        return (Component("products", whole, None),), ()

    def update_flips(self, stream: Stream) -> Features:
        """At decoders, in the rows of all multipliers, in the adder, at the scale, in the sum."""
        unit = self.unit
        values, scales = (side[:, 0] for side in unit.decoded(stream.b))
        narrow, wide = sorted((unit.a_bits, unit.value_bits))
        weights = masked(values, unit.value_bits)
        swap = unit.a_bits > unit.value_bits
        rows = [
            multiplier_rows(*((w, x) if swap else (x, w)), narrow, wide, True)
            for x, w in zip(stream.a.T, weights.T, strict=True)
        ]
        products = values_of(stream.a, unit.a_bits, True) * values
        total = products.sum(1)
        scaled = unit._rounded(total * scales)
        return {
            "a": flips(stream.a) * wide,
            "b": flips(stream.b & np.uint64((1 << unit.bits) - 1)),
            "values": flips(weights) * narrow,
            "partials": sum(row.partials for row in rows),
            "carries": sum(row.carries for row in rows),
            "products": flips(masked(products, unit.a_bits + unit.value_bits)),
            "total": flips(masked(total, unit.sum_bits)),
            "scale": flips(scales.astype(np.uint64)) * unit.sum_bits,
            "scaled": flips(masked(total, unit.sum_bits)) * 8,
            "held": flips(np.where(stream.first, np.uint64(0), stream.before[:, 0])),
            "addend": flips(masked(scaled, unit.acc_bits)),
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """PANN's multiplier for each product and for the scale, an adder of the group, and one accumulation."""
        unit = self.unit
        products = unit.group * pann.multiplier_flips(unit.a_bits, unit.value_bits)
        sums = unit.group * unit.sum_bits / 2 + pann.accumulator_flips(unit.a_bits, unit.value_bits, unit.acc_bits)
        return WidthFlips(products + pann.multiplier_flips(unit.sum_bits, 9), sums)


def sizes(unit: Bitmod) -> Features:
    """What the area of a unit is linear in."""
    return {
        "decoders": unit.group * unit.value_bits,
        "partial_products": unit.group * unit.a_bits * unit.value_bits,
        "additions": (unit.group - 1) * unit.sum_bits,
        "scaling": unit.sum_bits * 8,
        "accumulator": unit.acc_bits,
    }


def designs(quick: bool) -> Iterator[Design]:
    """Units of several widths and groups."""
    for a_bits in (4, 6, 8):
        for bits in (3, 4):
            for group in (4, 8, 16, 32):
                for acc in (20, 28):
                    unit = Bitmod(a_bits, bits, group, acc)
                    circuit = unit.gates.circuits()["unit"]
                    yield Design("bitmod", circuit.top, sizes(unit), circuit.verilog, acc)


def arithmetics() -> Iterator[Arithmetic]:
    """Units on integers."""
    for a_bits, bits, group in ((8, 4, 16), (8, 3, 16), (8, 4, 4), (6, 4, 8), (4, 3, 32)):
        activation = quant.get(f"int{a_bits}.channel")
        yield Arithmetic(activation, quant.get("int8.channel"), Bitmod(a_bits, bits, group))
