"""A bit-serial multiply-accumulate unit: weights arrive a bit a cycle, so that their precision is time.

A machine takes it by `datapath = { file = "docs/bit_serial.py:BitSerial", a_bits = 8, b_bits = 4, group = 8 }`.

In a cycle `group` activations, each kept or dropped by one bit of its weight, are added; the sum of a group builds up
from the sign bit down (s <= 2 s + p), and joins the accumulator with the last bit. The bits are those of an exact
integer unit. What differs is everything else: `cycles_per_step`, the stream that a circuit sees, its gates and price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.words import changes, flips
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, values_of, wrapped
from hwsim.datapaths.streams import masked, ordered, products_of
from hwsim.datapaths.unscaled import Unscaled
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import runs
from hwsim.rtl.unit import Port, Unit, Values, fill, to_signed, to_words, uniform_and_edges

TABLE = Path(__file__).with_name("bit_serial.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/bit_serial.py:BitSerial --out FOLDER``."""


@dataclass(frozen=True)
class BitSerial(Unscaled):
    """Activations in parallel, weights in series.

    Args:
        a_bits: width of activations, 2 to 8.
        b_bits: width of weights and cycles of a step, 2 to 8.
        group: products of a step, 2 to 32.
        acc_bits: width of the accumulator, which wraps, 8 to 32.
    """

    a_bits: int = 8
    b_bits: int = 4
    group: int = 8
    acc_bits: int = 24

    family: ClassVar[str] = "bit_serial"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 2, 8)
        check_range(self, "b_bits", 2, 8)
        check_range(self, "group", 2, 32)
        check_range(self, "acc_bits", 8, 32)

    @property
    def name(self) -> str:
        """``bit_serial8x4.g8.acc24``."""
        return f"bit_serial{self.a_bits}x{self.b_bits}.g{self.group}.acc{self.acc_bits}"

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

    @property
    def lanes(self) -> int:
        """`group`."""
        return self.group

    def cycles_per_step(self, additions: float | None = None) -> float:
        """A bit of the weights a cycle."""
        return float(self.b_bits)

    @property
    def plane_bits(self) -> int:
        """Of a sum of activations under one bit of their weights."""
        return self.a_bits + (self.group - 1).bit_length()

    @property
    def partial_bits(self) -> int:
        """Of a group's sum under all bits."""
        return self.plane_bits + self.b_bits

    @property
    def held_bits(self) -> int:
        """Of the register of a partial sum, which is doubled when it is read: its top bit would never be."""
        return self.partial_bits - 1

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.b_bits, True, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = (x.astype(np.int64) * w).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        return wrapping_matmul(x, w, start, self.acc_bits, True)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """Sums of groups, as they join the accumulator."""
        return products_of(self._activations(a, "a"), self._weights(b, "b"), self.group)

    def stream(
        self,
        dataflow: str,
        budget: int,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[Any] | None,
        scale_b: NDArray[Any] | None,
    ) -> Stream:
        """Cycles: bits of the weights from the sign down at port b; accumulator and partial sum before each."""
        steps = ordered(self, dataflow, max(budget // self.b_bits, 2), a, b, scale_a, scale_b)
        bit = np.arange(self.b_bits)[::-1].astype(np.uint64)
        planes = steps.b[:, None] >> bit[:, None] & np.uint64(1)
        x = values_of(steps.a, self.a_bits, True)
        sums = (x[:, None] * planes.astype(np.int64)).sum(-1) * np.where(np.arange(self.b_bits) == 0, -1, 1)
        partial = np.zeros_like(sums)
        for cycle in range(self.b_bits):
            partial[:, cycle] = sums[:, cycle] + (2 * partial[:, cycle - 1] if cycle else 0)
        held = masked(np.concatenate([[0], partial.reshape(-1)[:-1]]), self.held_bits)
        begins = np.arange(steps.steps * self.b_bits) % self.b_bits == 0
        ends = np.roll(begins, -1)
        return Stream(
            a=np.repeat(steps.a, self.b_bits, 0),
            b=planes.reshape(-1, self.group),
            scale_a=np.repeat(steps.scale_a, self.b_bits, 0),
            scale_b=np.repeat(steps.scale_b, self.b_bits, 0),
            before=np.stack([np.repeat(steps.before[:, 0], self.b_bits), held], 1),
            first=np.repeat(steps.first, self.b_bits) & begins,
            last=np.repeat(steps.last, self.b_bits) & ends,
            tables=steps.tables,
        )

    def register_flips(self, stream: Stream) -> tuple[float, float]:
        """A cycle's, at the accumulator's input and in both registers."""
        return 0.0, flips(stream.before)

    @property
    def gates(self) -> Gates:
        """An adder of masked activations, a partial sum, an accumulator."""
        return SerialGates(self)

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return SerialPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Units of several widths and groups."""
        return Calibration(designs, arithmetics, lambda: iter(()))


_UNIT = """\
// <G> activations of <A> bits, masked by a bit of their weights each; `begin_` marks the sign, `end_` the last bit.
module <TOP> (
  input clk, input clear, input begin_, input end_, input [<G>*<A>-1:0] a, input [<G>-1:0] w,
  output reg [<ACC>-1:0] acc
);
<TERMS>
  wire signed [<P>-1:0] plane = <SUM>;
  reg signed [<S>-2:0] partial;
  wire signed [<S>-1:0] wide = plane;
  wire signed [<S>-1:0] next = begin_ ? -wide : {partial, 1'b0} + wide;
  wire signed [<ACC>-1:0] addend = next;
  wire [<ACC>-1:0] held = clear ? <ACC>'d0 : acc;
  always @(posedge clk) begin
    partial <= next;
    acc <= end_ ? held + addend : held;
  end
endmodule
"""


@dataclass(frozen=True)
class SerialGates(Gates):
    """One circuit."""

    unit: BitSerial

    def circuits(self) -> Mapping[str, Unit]:
        """Registers of accumulator and partial sum."""
        unit, top = self.unit, self.unit.name.replace(".", "_")
        a_bits, group = unit.a_bits, unit.group
        terms = [
            f"  wire signed [{a_bits - 1}:0] t{i} = a[{a_bits * i} +: {a_bits}] & {{{a_bits}{{w[{i}]}}}};"
            for i in range(group)
        ]
        text = fill(
            _UNIT, TOP=top, G=group, A=a_bits, ACC=unit.acc_bits, P=unit.plane_bits, S=unit.partial_bits,
            TERMS="\n".join(terms), SUM=" + ".join(f"t{i}" for i in range(group)),
        )  # fmt: skip
        a, w = Port("a", a_bits, group), Port("w", 1, group)
        flags = Port("clear", 1), Port("begin_", 1), Port("end_", 1)
        acc, partial = Port("acc", unit.acc_bits), Port("partial", unit.held_bits)
        edges = uniform_and_edges(a, w)

        def golden(values: Values) -> Values:
            planes = (to_signed(values["a"], a_bits) * values["w"].astype(np.int64)).sum(1)
            out, held, sums = np.zeros((2, len(planes)), np.int64), 0, 0
            for row, plane in enumerate(planes.tolist()):
                sums = -plane if values["begin_"][row] else 2 * sums + plane
                sums = (sums + (1 << unit.partial_bits - 1)) % (1 << unit.partial_bits) - (1 << unit.partial_bits - 1)
                held = (0 if values["clear"][row] else held) + (sums if values["end_"][row] else 0)
                held %= 1 << unit.acc_bits
                out[:, row] = held, sums
            return {"acc": to_words(out[0], unit.acc_bits), "partial": to_words(out[1], unit.held_bits)}

        def operands(rng: np.random.Generator, n: int) -> Values:
            begins = np.arange(n) % unit.b_bits == 0
            clear = runs(rng, n)["clear"].astype(bool) & begins
            ends = np.roll(begins, -1)
            marks = {"clear": clear, "begin_": begins, "end_": ends}
            return {name: flag.astype(np.uint64) for name, flag in marks.items()} | edges(rng, n)

        return {"unit": Unit(top, text, (*flags, a, w), (acc,), golden, operands, (acc, partial), 1, unit.family)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """A bit of the weights a cycle."""
        begins = np.arange(stream.steps) % self.unit.b_bits == 0
        marks = {"clear": stream.first, "begin_": begins, "end_": np.roll(begins, -1)}
        ports = {name: flag.astype(np.uint64) for name, flag in marks.items()} | {"a": stream.a, "w": stream.b}
        return Driven(ports, {"acc": stream.before[:, 0], "partial": stream.before[:, 1]})


@dataclass(frozen=True)
class SerialPrice(Price):
    """Of a whole unit."""

    unit: BitSerial

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(("a", "b", "masked", "turned"), "products")

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``bit_serial``."""
        return "bit_serial"

    @property
    def registers(self) -> Registers:
        """Elements of a group, and both sums."""
        unit = self.unit
        operands = 0.5 * unit.group * (unit.a_bits + unit.b_bits)
        return Registers(
            unit.group * unit.a_bits, unit.group * unit.b_bits, unit.acc_bits + unit.held_bits, 0, operands
        )

    def blocks(self, held: Coefficients) -> Blocks:
        """One block: synthesis sees one circuit."""
        whole = area(held.with_table(self.table), "bit_serial", sizes(self.unit))
        return (Component("products", whole, None),), ()

    def update_flips(self, stream: Stream) -> Features:
        """Of one cycle: at the operands, in the masked terms, in both sums."""
        unit = self.unit
        terms = stream.a * stream.b
        plane = (values_of(stream.a, unit.a_bits, True) * stream.b.astype(np.int64)).sum(1)
        return {
            "a": flips(stream.a),
            "b": flips(stream.b) * unit.a_bits,
            "masked": flips(terms) * (unit.group - 1).bit_length(),
            "turned": changes(stream.b),
            "plane": flips(masked(plane, unit.plane_bits)),
            "partial": flips(stream.before[:, 1]),
            "sum": flips(stream.before[:, 0]),
            "sums_by_width": changes(stream.before[:, 0]) * unit.acc_bits,
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """Half of the masked bits, as many again in their sum, and a signed accumulation of partial sums."""
        unit = self.unit
        return WidthFlips(
            0.5 * unit.group * (unit.a_bits + 1) + unit.group * unit.a_bits, 0.5 * unit.acc_bits + unit.partial_bits
        )


def sizes(unit: BitSerial) -> Features:
    """What the area of a unit is linear in."""
    return {
        "masks": unit.group * unit.a_bits,
        "additions": (unit.group - 1) * unit.plane_bits,
        "partial": unit.partial_bits,
        "accumulator": unit.acc_bits,
    }


def designs(quick: bool) -> Iterator[Design]:
    """Units of several widths and groups."""
    for a_bits in (4, 6, 8):
        for group in (2, 4, 8, 16):
            for b_bits, acc in ((2, 20), (4, 24), (8, 28)):
                unit = BitSerial(a_bits, b_bits, group, acc)
                circuit = unit.gates.circuits()["unit"]
                yield Design("bit_serial", circuit.top, sizes(unit), circuit.verilog, acc + unit.held_bits)


def arithmetics() -> Iterator[Arithmetic]:
    """Units on integers of their own widths."""
    base = BitSerial()
    for a, b, group in ((8, 8, 8), (8, 4, 8), (8, 2, 16), (4, 4, 8), (4, 4, 4), (6, 4, 16)):
        unit = replace(base, a_bits=a, b_bits=b, group=group)
        yield Arithmetic(quant.get(f"int{a}.channel"), quant.get(f"int{b}.channel"), unit)
