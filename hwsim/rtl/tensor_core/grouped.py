"""Grouped units: products of 16 elements are added exactly, scaled, and only these sums are aligned."""

from __future__ import annotations

from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP, Row
from hwsim.datapaths.tensor_cores.elements import element
from hwsim.rtl.minifloat import dot_bits, e2m1_dot_text
from hwsim.rtl.tensor_core.parts import Widths, decode_text, frame
from hwsim.rtl.unit import fill, join

_GROUPED = """\
// <TITLE>: d = c + sum over <G> groups of 16: (exact sum of products) * scale_a * scale_b.
// Exponents below are true ones plus <OFFSET>.
module <TOP> (
  input [255:0] a, input [255:0] b, input [31:0] c,
  input [<S>*8-1:0] scale_a, input [<S>*8-1:0] scale_b, output [31:0] d
);
  wire [<S>-1:0] scale_nan;
  wire [<S>*<SW>-1:0] factors;  // product of the scales' significands<FACTOR_TEXT>
  wire [<S>*<EW>-1:0] scale_exponents;
  genvar g;
  generate
    for (g = 0; g < <S>; g = g + 1) begin : block
<SCALE>
    end
  endgenerate

  wire [<G>:0] negative; // c's on top
  wire [<G>-1:0] present;
  wire [<G>*<P>-1:0] products;
  wire [(<G>+1)*<EW>-1:0] exponents, candidates;
  generate
    for (g = 0; g < <G>; g = g + 1) begin : group
      wire signed [12:0] sum;
      e2m1_dot16 dot (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .p(sum));
      // a group of zero products has no say in the exponent; one that cancels to zero has
      wire any;
      any_product16 find (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .any(any));
      wire [<SW>-1:0] factor = factors[(g * <S> / <G>) * <SW> +: <SW>];
      assign present[g] = any & (|factor);
      assign negative[g] = sum[12];
      wire [11:0] magnitude = (sum[11:0] ^ {12{sum[12]}}) + sum[12];
      assign products[g * <P> +: <P>] = magnitude * factor;
      assign exponents[g * <EW> +: <EW>] = scale_exponents[(g * <S> / <G>) * <EW> +: <EW>];
      assign candidates[g * <EW> +: <EW>] = present[g] ? exponents[g * <EW> +: <EW>] : <EW>'d0;
    end
  endgenerate

<C_DECODE>
  assign candidates[<G> * <EW> +: <EW>] = |c_significand ? c_exponent : <EW>'d<FLOOR>;
  wire [<EW>-1:0] top;
  <LARGEST> compare (.candidates(candidates), .largest(top));

<TERMS>
  wire not_a_number = (|scale_nan) | c_nan;
  assign d = not_a_number ? 32'h7FFFFFFF : c_infinite ? c : finite;
endmodule
"""

_ANY_PRODUCT = """\
// Whether any of 16 E2M1 products is not zero.
module any_product16 (input [63:0] a, input [63:0] b, output any);
  wire [15:0] nonzero;
  genvar i;
  generate
    for (i = 0; i < 16; i = i + 1) begin : lane
      assign nonzero[i] = (|a[4 * i +: 3]) & (|b[4 * i +: 3]);
    end
  endgenerate
  assign any = |nonzero;
endmodule
"""

# The sign of a UE4M3 byte is ignored; its subnormals keep the exponent 1 - 7 and are not normalised.
_SCALE_UE4M3 = """\
      wire [6:0] x = scale_a[8 * g +: 7];
      wire [6:0] y = scale_b[8 * g +: 7];
      assign scale_nan[g] = (&x) | (&y);
      assign factors[g * 8 +: 8] = {|x[6:3], x[2:0]} * {|y[6:3], y[2:0]};
      wire [3:0] x_exponent = {x[6:4], x[3] | ~(|x[6:3])};
      wire [3:0] y_exponent = {y[6:4], y[3] | ~(|y[6:3])};
      assign scale_exponents[g * <EW> +: <EW>] = x_exponent + y_exponent + <EW>'d<BASE>;"""

_SCALE_E8M0 = """\
      wire [7:0] x = scale_a[8 * g +: 8];
      wire [7:0] y = scale_b[8 * g +: 8];
      assign scale_nan[g] = (&x) | (&y);
      assign factors[g] = 1'b1; // powers of two
      assign scale_exponents[g * <EW> +: <EW>] = x + y<BASE>;"""


def grouped_text(top: str, title: str, row: Row) -> str:
    """Module `top` of a unit that adds groups exactly, with the numbers of `row` and at most 64 products."""
    assert row.block is not None
    groups, scales = row.group // SUB_GROUP, row.group // row.block
    small = row.scale == "ue4m3"
    base = -14 if small else -254
    factor_bits = 8 if small else 1
    least, greatest = (base + 2, base + 30) if small else (base, base + 2 * 254)
    product = 12 + factor_bits if small else 12
    fraction = 2 + (6 if small else 0)  # E2M1 products are quarters, the significands of UE4M3 eighths
    # a term has the integer bits of its product and F bits of fraction
    term = row.fraction_bits + product - fraction
    widths = Widths.of(row, least, greatest, groups + 1, term)
    ew, offset = widths.exponent_bits, widths.offset
    shared = frame(top, row, widths, "g", groups, product, term)
    if small:
        scale = fill(_SCALE_UE4M3, EW=ew, BASE=base + offset)
    else:
        scale = fill(_SCALE_E8M0, EW=ew, BASE=f" + {ew}'d{base + offset}" if base + offset else "")
    assert dot_bits(SUB_GROUP) == 13
    return join(
        decode_text(element("fp32"), 32),
        e2m1_dot_text(SUB_GROUP),
        _ANY_PRODUCT,
        shared.modules,
        fill(
            _GROUPED,
            TITLE=title,
            TOP=top,
            G=groups,
            S=scales,
            SW=factor_bits,
            P=product,
            EW=ew,
            OFFSET=offset,
            FLOOR=offset + row.e_zero,
            SCALE=scale,
            FACTOR_TEXT=", in 1/64" if small else ": 1",
            C_DECODE=shared.c_text,
            LARGEST=shared.largest,
            TERMS=shared.terms_text,
        ),
    )
