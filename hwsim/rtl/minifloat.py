"""E2M1 products as exact fixed-point numbers, and sums of 16 of them.

An E2M1 code is s 2^(E-1) (1 + M/2), or s M/2 for E = 0: one or two significant bits behind a shift of at most two.
So a product is a 2 x 2 bit multiplication of significands and a shift by 0 to 4, a whole number of quarters up to
36 * 4 = 144. A 64-entry table and a 4 x 4 bit multiplier of decoded integers are 3 to 20 % larger. Sixteen products
add up exactly in 13 bits: this is what the tensor core keeps inside one scale block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_words, uniform_and_edges

E2M1_MAGNITUDE = """\
// E2M1 x E2M1 -> sign and magnitude in units of 1/4: (2a) * (2b), exact, at most 144.
module e2m1_magnitude (input [3:0] a, input [3:0] b, output [7:0] magnitude, output negative);
  // significand {normal, M} in units of 1/2: 2 or 3, below 1 it is M alone
  wire [1:0] a_significand = {a[2] | a[1], a[0]};
  wire [1:0] b_significand = {b[2] | b[1], b[0]};
  // exponent max(E, 1) - 1: 0, 1 or 2
  wire [1:0] a_exponent = {a[2] & a[1], a[2] & ~a[1]};
  wire [1:0] b_exponent = {b[2] & b[1], b[2] & ~b[1]};
  wire [3:0] product = a_significand * b_significand;
  wire [5:0] shifted = product << a_exponent;
  assign magnitude = shifted << b_exponent;
  assign negative = a[3] ^ b[3];
endmodule
"""

_PRODUCT = """\
// E2M1 x E2M1 -> two's complement in units of 1/4.
module e2m1_product (input [3:0] a, input [3:0] b, output [8:0] p);
  wire [7:0] magnitude;
  wire negative;
  e2m1_magnitude multiply (.a(a), .b(b), .magnitude(magnitude), .negative(negative));
  assign p = ({1'b0, magnitude} ^ {9{negative}}) + negative;
endmodule
"""

_SIGNED_SUM = """\
// Sum of <COUNT> terms of <IN> bits (<KIND>), each negated where its bit of `negative` is set; <OUT> bits hold it.
// -t = ~t + 1: the ones are terms of the same sum, which costs less than an incrementer a term.
module <TOP> (input [<COUNT>*<IN>-1:0] terms, input [<COUNT>-1:0] negative, output signed [<OUT>-1:0] total);
<TERMS>
  assign total = <SUM>;
endmodule
"""

_DOT = """\
// Exact dot product of <COUNT> pairs of E2M1 codes, in units of 1/4.
module <TOP> (input [<COUNT>*4-1:0] a, input [<COUNT>*4-1:0] b, output [<OUT>-1:0] p);
  wire [<COUNT>*8-1:0] magnitudes;
  wire [<COUNT>-1:0] negative;
  genvar i;
  generate
    for (i = 0; i < <COUNT>; i = i + 1) begin : lane
      e2m1_magnitude multiply (
        .a(a[4 * i +: 4]), .b(b[4 * i +: 4]), .magnitude(magnitudes[8 * i +: 8]), .negative(negative[i])
      );
    end
  endgenerate
  <SUM> sum (.terms(magnitudes), .negative(negative), .total(p));
endmodule
"""

A, B = Port("a", 4), Port("b", 4)


def e2m1_product() -> Unit:
    """``p = 4 a b`` of two E2M1 codes, 9 bits two's complement; combinational."""
    p = Port("p", 9)
    text = join(E2M1_MAGNITUDE, _PRODUCT)

    def golden(values: Values) -> Values:
        return {"p": to_words(_halves(values["a"]) * _halves(values["b"]), p.bits)}

    return Unit("e2m1_product", text, (A, B), (p,), golden, uniform_and_edges(A, B), family="e2m1_product")


def e2m1_dot(count: int = 16) -> Unit:
    """``p = 4 sum a b`` of `count` pairs of E2M1 codes, exact; combinational.

    Raises:
        ArgumentError: count outside 2..64.
    """
    if not 2 <= count <= 64:
        raise ArgumentError("count must be 2..64", got=count, where="e2m1_dot")
    a, b, p = Port("a", 4, count), Port("b", 4, count), Port("p", dot_bits(count))

    def golden(values: Values) -> Values:
        return {"p": to_words((_halves(values["a"]) * _halves(values["b"])).sum(axis=1), p.bits)}

    return Unit(
        f"e2m1_dot{count}",
        e2m1_dot_text(count),
        (a, b),
        (p,),
        golden,
        uniform_and_edges(a, b),
        family="e2m1_dot",
        parameters={"count": count},
    )


def dot_bits(count: int) -> int:
    """Bits of an exact sum of `count` E2M1 products in quarters."""
    return (144 * count).bit_length() + 1


def e2m1_dot_text(count: int) -> str:
    """Modules of ``e2m1_dot<count>``, for units that contain it."""
    bits = dot_bits(count)
    name, adder = signed_sum(count, 8, bits)
    return join(E2M1_MAGNITUDE, adder, fill(_DOT, TOP=f"e2m1_dot{count}", COUNT=count, OUT=bits, SUM=name))


def signed_sum(count: int, in_bits: int, out_bits: int, signed: bool = False) -> tuple[str, str]:
    """Name and text of a module that adds `count` terms, each negated by a bit of its own, in one carry-save tree.

    Terms are magnitudes, or two's complement where `signed`.
    """
    top = f"sum_{count}{'s' if signed else 'u'}{in_bits}"
    terms = []
    for i in range(count):
        term = f"terms[{in_bits * i} +: {in_bits}]"
        above = f"terms[{in_bits * i + in_bits - 1}]" if signed else "1'b0"
        terms.append(f"  wire signed [{in_bits}:0] t{i} = {{{above}, {term}}} ^ {{{in_bits + 1}{{negative[{i}]}}}};")
    parts = [f"t{i}" for i in range(count)] + [f"$signed({{1'b0, negative[{i}]}})" for i in range(count)]
    lines = [" + ".join(parts[start : start + 4]) for start in range(0, len(parts), 4)]
    text = fill(
        _SIGNED_SUM,
        TOP=top,
        KIND="two's complement" if signed else "magnitudes",
        COUNT=count,
        IN=in_bits,
        OUT=out_bits,
        TERMS="\n".join(terms),
        SUM="\n    + ".join(lines),
    )
    return top, text


def _halves(codes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Twice the value of E2M1 codes, by the catalogue's table."""
    return (2 * formats.get("e2m1").values).astype(np.int64)[codes.astype(np.int64)]
