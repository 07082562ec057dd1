"""Fused groups: every product and c are aligned below the largest exponent, cut, added exactly, truncated once."""

from __future__ import annotations

from hwsim.datapaths.tensor_cores.catalogue import Row
from hwsim.datapaths.tensor_cores.elements import Element, element
from hwsim.rtl.tensor_core.parts import Widths, decode_text, frame
from hwsim.rtl.unit import fill, join

_LANE = """\
// Exact product of two <NAME> codes: magnitude with <FRACTION> fraction bits, sum of the exponent fields.
module <TOP> (
  input [<BITS>-1:0] a, input [<BITS>-1:0] b,
  output [<P>-1:0] magnitude, output negative, output [<E>:0] exponent, output nonzero,
  output infinite, output nan
);
  wire a_negative, b_negative, a_infinite, b_infinite, a_nan, b_nan;
  wire [<M>:0] a_significand, b_significand;
  wire [<E>-1:0] a_exponent, b_exponent;
  decode_<NAME> decode_a (
    .code(a), .negative(a_negative), .significand(a_significand), .exponent(a_exponent),
    .infinite(a_infinite), .nan(a_nan)
  );
  decode_<NAME> decode_b (
    .code(b), .negative(b_negative), .significand(b_significand), .exponent(b_exponent),
    .infinite(b_infinite), .nan(b_nan)
  );
  wire a_zero = a_significand == 0;
  wire b_zero = b_significand == 0;
  assign magnitude = a_significand * b_significand;
  assign negative = a_negative ^ b_negative;
  assign exponent = a_exponent + b_exponent;
  assign nonzero = ~(a_zero | b_zero);
  assign nan = a_nan | b_nan | (a_infinite & b_zero) | (b_infinite & a_zero);
  assign infinite = a_infinite | b_infinite;
endmodule
"""

_FUSED = """\
// <TITLE>: d = c + sum a[k] b[k]<SCALED>, <L> products.
// Exponents below are true ones plus <OFFSET>.
module <TOP> (
  input [<L>*<BITS>-1:0] a, input [<L>*<BITS>-1:0] b, input [31:0] c<SCALE_PORTS>, output [31:0] d
);
  wire [<L>*<P>-1:0] products;
  wire [<L>-1:0] nonzero, infinite, nan;
  wire [<L>:0] negative; // c's on top
  wire [<L>*<EW>-1:0] exponents;
<SCALE_EXPONENT>
  genvar k;
  generate
    for (k = 0; k < <L>; k = k + 1) begin : lane
      wire [<E>:0] exponent;
      <LANE> multiply (
        .a(a[k * <BITS> +: <BITS>]), .b(b[k * <BITS> +: <BITS>]), .magnitude(products[k * <P> +: <P>]),
        .negative(negative[k]), .exponent(exponent), .nonzero(nonzero[k]), .infinite(infinite[k]), .nan(nan[k])
      );
      assign exponents[k * <EW> +: <EW>] = exponent <BASE>;
    end
  endgenerate

<C_DECODE>

  // zero terms do not take part; the largest exponent is at least <E_ZERO>
  wire [<EW>-1:0] top;
  wire [(<L>+1)*<EW>-1:0] candidates;
  generate
    for (k = 0; k < <L>; k = k + 1) begin : present
      assign candidates[k * <EW> +: <EW>] = nonzero[k] ? exponents[k * <EW> +: <EW>] : <EW>'d0;
    end
  endgenerate
  assign candidates[<L> * <EW> +: <EW>] = |c_significand ? c_exponent : <EW>'d<FLOOR>;
  <LARGEST> compare (.candidates(candidates), .largest(top));

<TERMS>
  wire [<L>:0] infinities = {c_infinite, infinite};
  wire minus = |(infinities & negative);
  wire plus = |(infinities & ~negative);
  wire not_a_number = (|nan) | c_nan | (plus & minus)<SCALE_NAN>;
  assign d = not_a_number ? 32'h7FFFFFFF : plus | minus ? {minus, 31'h7F800000} : finite;
endmodule
"""


def fused_text(top: str, title: str, row: Row, form: Element) -> str:
    """Module `top` of a fused unit with the numbers of `row`, which need not be a row of the catalogue."""
    e, m = form.exponent_bits, form.mantissa_bits
    scale = 254 if row.scale else 0
    base = -2 * form.bias - scale  # of the sum of exponent fields
    least = base + 2
    fields = (1 << e) - 1
    greatest = base + 2 * fields + 2 * scale
    term = row.fraction_bits + 2  # products are below 4
    widths = Widths.of(row, least, greatest, row.group + 1, term)
    ew, offset = widths.exponent_bits, widths.offset
    constant = f"{ew}'d{(base + offset) % (1 << ew)}"  # the sum of two exponent fields is at least 2
    lane = f"product_{form.name}"
    shared = frame(top, row, widths, "k", row.group, 2 * m + 2, term)
    scaled = {
        "SCALED": " * scale_a * scale_b" if scale else "",
        "SCALE_PORTS": ", input [7:0] scale_a, input [7:0] scale_b" if scale else "",
        "SCALE_EXPONENT": f"  wire [{ew - 1}:0] base = scale_a + scale_b + {constant};" if scale else "",
        "SCALE_NAN": " | (&scale_a) | (&scale_b)" if scale else "",
        "BASE": "+ base" if scale else f"+ {constant}",
    }
    return join(
        decode_text(element("fp32"), 32),
        decode_text(form, form.word_bits),
        fill(_LANE, TOP=lane, NAME=form.name, BITS=form.word_bits, FRACTION=2 * m, P=2 * m + 2, E=e, M=m),
        shared.modules,
        fill(
            _FUSED,
            TITLE=title,
            TOP=top,
            L=row.group,
            BITS=form.word_bits,
            P=2 * m + 2,
            E=e,
            EW=ew,
            OFFSET=offset,
            E_ZERO=row.e_zero,
            FLOOR=offset + row.e_zero,
            LANE=lane,
            C_DECODE=shared.c_text,
            LARGEST=shared.largest,
            TERMS=shared.terms_text,
            **scaled,
        ),
    )
