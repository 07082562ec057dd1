"""LUQ's multiplier-free product, INT4 times a power of two, and a unit that accumulates it.

The logarithmic operand (e3m0: sign, exponent code 1..7, 0 for zero) only shifts: quarters ``±a 2^(e-1)``. With a in
two's complement one conditional negation comes first; in sign and magnitude, as a quantizer may as well store it,
there is none and the product stays in that form: the cheapest product there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Driven, Gates, MissingView, driven_sum
from hwsim.datapaths.shift.bits import Shift
from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, runs
from hwsim.rtl.float_adders import adder_text, leading_zeros
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_words, uniform_and_edges

_TWOS_COMPLEMENT = """\
// INT4 (two's complement) x e3m0 -> two's complement in quarters: a * 2^(e - 1), negated by b's sign.
module <TOP> (input [3:0] a, input [3:0] b, output [10:0] p);
  wire [4:0] signed_a = ({a[3], a} ^ {5{b[3]}}) + b[3];
  wire [10:0] extended = {{6{signed_a[4]}}, signed_a};
  wire [2:0] shift = b[2:0] - 3'd1;
  assign p = (extended << shift) & {11{|b[2:0]}}; // exponent code 0 is zero
endmodule
"""

_SIGN_MAGNITUDE = """\
// INT4 (sign and magnitude, -7..7) x e3m0 -> sign and magnitude in quarters: no adder anywhere.
module <TOP> (input [3:0] a, input [3:0] b, output [9:0] p);
  wire [2:0] shift = {b[2] & (b[1] | b[0]), b[2] ? ~(b[1] ^ b[0]) : b[1] & b[0], ~b[0]}; // e - 1
  wire [8:0] magnitude = {6'd0, a[2:0]} << shift;
  assign p = {a[3] ^ b[3], magnitude & {9{|b[2:0]}}};
endmodule
"""

_TO_FLOAT = """\
// Quarters in two's complement -> float32, exact.
module quarters_to_fp32 (input [10:0] p, output [31:0] word);
  wire negative = p[10];
  wire [9:0] magnitude = (p[9:0] ^ {10{negative}}) + negative; // 512 at most
  wire [3:0] zeros;
  leading_zeros_10 count (.word(magnitude), .zeros(zeros));
  wire [9:0] normal = magnitude << zeros;
  assign word = normal[9] ? {negative, 8'd134 - {4'd0, zeros}, normal[8:0], 14'd0} : 32'd0;
endmodule
"""

_FLOAT_UNIT = """\
// acc <= (clear ? +0 : acc) + a * b in float32, nearest even.
module <TOP> (input clk, input clear, input [3:0] a, input [3:0] b, output reg [31:0] acc);
  wire [10:0] p;
  wire [31:0] term, sum;
  <PRODUCT> product (.a(a), .b(b), .p(p));
  quarters_to_fp32 convert (.p(p), .word(term));
  add_fp32 add (.a(clear ? 32'd0 : acc), .b(term), .sum(sum));
  always @(posedge clk) acc <= sum;
endmodule
"""

_FIXED_UNIT = """\
// acc <= (clear ? 0 : acc) + a * b in quarters, modulo 2^<ACC>.
module <TOP> (input clk, input clear, input [3:0] a, input [3:0] b, output [<ACC>-1:0] acc);
  wire [10:0] p;
  <PRODUCT> product (.a(a), .b(b), .p(p));
  <ACCUMULATOR> accumulate (.clk(clk), .clear(clear), .p(p), .acc(acc));
endmodule
"""

A, B = Port("a", 4), Port("b", 4)


def luq_product(encoding: str = "twos_complement") -> Unit:
    """``p = 4 a b`` of INT4 a and e3m0 b; 11 bits two's complement, or sign and 9 magnitude bits; combinational.

    Raises:
        UnknownName: an encoding that is neither ``"twos_complement"`` nor ``"sign_magnitude"``.
    """
    if encoding not in ("twos_complement", "sign_magnitude"):
        raise UnknownName("encoding", encoding, ("twos_complement", "sign_magnitude"), where="luq_product")
    plain = encoding == "twos_complement"
    top = f"luq_product_{encoding}"

    def golden(values: Values) -> Values:
        a = values["a"].astype(np.uint8)
        if plain:
            return {"p": to_words(_quarters(a, values["b"]), 11)}
        magnitude = _quarters(a & np.uint8(7), values["b"] & np.uint64(7)).astype(np.uint64)
        sign = (values["a"] ^ values["b"]) >> np.uint64(3) & np.uint64(1)
        return {"p": magnitude | sign << np.uint64(9)}

    return Unit(
        top,
        fill(_TWOS_COMPLEMENT if plain else _SIGN_MAGNITUDE, TOP=top),
        (A, B),
        (Port("p", 11 if plain else 10),),
        golden,
        uniform_and_edges(A, B),
        family="luq_product",
        parameters={"encoding": encoding},
    )


def luq_unit(accumulate: str = "fixed", acc_bits: int = 20) -> Unit:
    """Product and accumulator: ``"fixed"`` quarters of 11 to 24 bits, wrapping, or ``"fp32"`` to nearest even.

    Raises:
        UnknownName: another accumulator. ArgumentError: its width.
    """
    if accumulate not in ("fixed", "fp32"):
        raise UnknownName("accumulator", accumulate, ("fixed", "fp32"), where="luq_unit")
    fixed = accumulate == "fixed"
    acc_bits = acc_bits if fixed else 32
    if fixed and not 11 <= acc_bits <= 24:
        raise ArgumentError("acc_bits must be 11..24", got=acc_bits, where="luq_unit")
    datapath = Shift("fixed", acc_bits) if fixed else Shift()
    top = f"luq_unit_fixed{acc_bits}" if fixed else "luq_unit_fp32"
    product = luq_product()
    edges = uniform_and_edges(A, B)
    acc = Port("acc", acc_bits)

    def golden(values: Values) -> Values:
        a, b = values["a"].astype(np.uint8)[:, None], values["b"].astype(np.uint8)[:, None]
        out = np.zeros(len(a), np.float32)
        for rows, first in cycles_of_runs(values["clear"]):
            out[rows] = datapath.dot(a[rows], b[rows], c=None if first else out[rows - 1])
        if fixed:  # float32 holds 24 bits: quarters of the accumulator are exact
            return {"acc": to_words((out * np.float32(4)).astype(np.int64), acc_bits)}
        return {"acc": out.view(np.uint32).astype(np.uint64)}

    if fixed:
        adder = accumulator(11, acc_bits)
        text = join(
            product.verilog,
            adder.verilog,
            fill(_FIXED_UNIT, TOP=top, ACC=acc_bits, PRODUCT=product.top, ACCUMULATOR=adder.top),
        )
    else:
        text = join(
            product.verilog,
            leading_zeros(10),
            _TO_FLOAT,
            adder_text("fp32"),
            fill(_FLOAT_UNIT, TOP=top, PRODUCT=product.top),
        )
    return Unit(
        top,
        text,
        (Port("clear", 1), A, B),
        (acc,),
        golden,
        lambda rng, n: runs(rng, n) | edges(rng, n),
        registers=(acc,),
        latency_cycles=1,
        family="luq_unit",
        parameters={"accumulate": accumulate, "acc_bits": acc_bits},
    )


def _quarters(a: NDArray[np.uint8], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Products in quarters, by the emulator's unit."""
    products = Shift("fixed", 24).dot(a[:, None], b.astype(np.uint8)[:, None])
    return (products * np.float32(4)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ShiftGates(Gates):
    """The circuit of a shift unit: float32, or a fixed accumulator of 11 to 24 bits."""

    unit: Shift

    def circuits(self) -> Mapping[str, Unit]:
        """One."""
        unit = self.unit
        if unit.accumulator == "fixed" and not 11 <= unit.acc_bits <= 24:
            raise MissingView(unit.name, "gates")
        return {"unit": luq_unit(unit.accumulator, unit.acc_bits)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)


FAMILIES: Mapping[str, Callable[..., Unit]] = {"luq_product": luq_product, "luq_unit": luq_unit}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("luq_product", {"encoding": name}) for name in ("twos_complement", "sign_magnitude")),
    *(("luq_unit", {"accumulate": name}) for name in ("fixed", "fp32")),
)
