"""Grouped units: products of a sub-group are added exactly, scaled, and only these sums are aligned."""

from __future__ import annotations

from hwsim.datapaths.dot.elements import element
from hwsim.datapaths.dot.rule import Rule
from hwsim.datapaths.dot.verilog.fused import lane_text
from hwsim.datapaths.dot.verilog.parts import decode_text, frame, widths
from hwsim.datapaths.dot.verilog.scales import block_scales
from hwsim.rtl.minifloat import dot_bits, e2m1_dot_text, signed_sum
from hwsim.rtl.unit import fill, join

_GROUPED = """\
// <TITLE>: d = c + sum over <G> groups of <N>: (exact sum of products) * scale_a * scale_b.
// Exponents below are true ones plus <OFFSET>.
module <TOP> (
  input [<A_WIDTH>-1:0] a, input [<B_WIDTH>-1:0] b, input [31:0] c,
  input [<S>*<SB>-1:0] scale_a, input [<S>*<SB>-1:0] scale_b, output [31:0] d
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
      wire signed [<Q>:0] sum;
<DOT>
      wire [<SW>-1:0] factor = factors[<AT> * <SW> +: <SW>];
      assign present[g] = any & (|factor);
      assign negative[g] = sum[<Q>];
      wire [<Q>-1:0] magnitude = (sum[<Q>-1:0] ^ {<Q>{sum[<Q>]}}) + sum[<Q>];
      assign products[g * <P> +: <P>] = magnitude * factor;
      assign exponents[g * <EW> +: <EW>] = scale_exponents[<AT> * <EW> +: <EW>];
      assign candidates[g * <EW> +: <EW>] = present[g] ? exponents[g * <EW> +: <EW>] : <EW>'d0;
    end
  endgenerate

<C_DECODE>
  assign candidates[<G> * <EW> +: <EW>] = |c_significand ? c_exponent : <EW>'d<FLOOR>;
  wire [<EW>-1:0] top;
  <LARGEST> compare (.candidates(candidates), .largest(top));

<TERMS>
  wire not_a_number = (|scale_nan) | c_nan<NAN>;
  assign d = not_a_number ? 32'h7FFFFFFF : <INFINITE> : finite;
endmodule
"""

_ANY_PRODUCT = """\
// Whether any of <N> E2M1 products is not zero.
module any_product<N> (input [<N>*4-1:0] a, input [<N>*4-1:0] b, output any);
  wire [<N>-1:0] nonzero;
  genvar i;
  generate
    for (i = 0; i < <N>; i = i + 1) begin : lane
      assign nonzero[i] = (|a[4 * i +: 3]) & (|b[4 * i +: 3]);
    end
  endgenerate
  assign any = |nonzero;
endmodule
"""

_E2M1_DOT = """\
      e2m1_dot<N> dot (.a(a[<A_SUB> * g +: <A_SUB>]), .b(b[<A_SUB> * g +: <A_SUB>]), .p(sum));
      // a group of zero products has no say in the exponent; one that cancels to zero has
      wire any;
      any_product<N> find (.a(a[<A_SUB> * g +: <A_SUB>]), .b(b[<A_SUB> * g +: <A_SUB>]), .any(any));"""

_FIXED_CALL = """\
      // a group of zero products has no say in the exponent; one that cancels to zero has
      wire any;
      wire infinite_plus, infinite_minus, group_nan;
      <MODULE> dot (
        .a(a[<A_SUB> * g +: <A_SUB>]), .b(b[<B_SUB> * g +: <B_SUB>]), .p(sum), .any(any),
        .plus(infinite_plus), .minus(infinite_minus), .nan(group_nan)
      );
      wire empty = ~(|factors[<AT> * <SW> +: <SW>]);
      assign plus[g] = infinite_plus;
      assign minus[g] = infinite_minus;
      // infinity times a scale of zero
      assign nan[g] = group_nan | ((infinite_plus | infinite_minus) & empty);"""

_FIXED = """\
// Exact sum of <N> products of a <A_NAME> and a <B_NAME> code, in steps of the smallest product; special codes aside.
module <TOP> (
  input [<N>*<A_BITS>-1:0] a, input [<N>*<B_BITS>-1:0] b,
  output signed [<Q>:0] p, output any, output plus, output minus, output nan
);
  wire [<N>*<F>-1:0] magnitudes;
  wire [<N>-1:0] negative, nonzero, infinite, nans;
  genvar i;
  generate
    for (i = 0; i < <N>; i = i + 1) begin : lane
      wire [<LP>-1:0] magnitude;
      wire [<E>:0] exponent;
      <LANE> multiply (
        .a(a[<A_BITS> * i +: <A_BITS>]), .b(b[<B_BITS> * i +: <B_BITS>]), .magnitude(magnitude),
        .negative(negative[i]), .exponent(exponent), .nonzero(nonzero[i]), .infinite(infinite[i]), .nan(nans[i])
      );
      wire [<E>:0] places = exponent - 2'd2; // fields are at least 1
      wire [<F>-1:0] wide = magnitude;
      assign magnitudes[<F> * i +: <F>] = wide << places;
    end
  endgenerate
  <SUM> add (.terms(magnitudes), .negative(negative), .total(p));
  assign any = |nonzero;
  assign plus = |(infinite & ~negative);
  assign minus = |(infinite & negative);
  assign nan = |nans;
endmodule
"""


def grouped_text(top: str, title: str, unit: Rule) -> str:
    """Module `top` of a unit that adds sub-groups exactly."""
    form, wide = unit.scale_form, widths(unit)
    form_a, form_b = unit.forms
    assert form is not None
    assert unit.block is not None
    sub, groups, scales = unit.sub_group, unit.terms, max(unit.group // unit.block, 1)
    ew, offset = wide.exponent_bits, wide.offset
    scale, factor_bits = block_scales(form, ew, offset - 2 * form.bias)
    at = f"(g * {scales} / {groups})"
    largest = (sub * form_a.fixed_max * form_b.fixed_max).bit_length()
    shared = frame(top, unit, wide, "g")
    numbers = {"A_SUB": sub * form_a.word_bits}
    if unit.a == unit.b == "e2m1":
        assert dot_bits(sub) == largest + 1
        modules = join(e2m1_dot_text(sub), fill(_ANY_PRODUCT, N=sub))
        call, nets, nan, infinite = fill(_E2M1_DOT, N=sub, **numbers), "", "", "c_infinite ? c"
    else:
        name = f"fixed_dot{sub}_{unit.a}_{unit.b}"
        modules = _fixed_text(name, unit, largest)
        call = fill(
            _FIXED_CALL, MODULE=name, B_SUB=sub * form_b.word_bits, AT=at, SW=factor_bits, **numbers
        )  # fmt: skip
        nets = (
            f"  wire [{groups - 1}:0] plus, minus, nan;\n"
            "  wire any_plus = (|plus) | (c_infinite & ~c[31]);\n"
            "  wire any_minus = (|minus) | (c_infinite & c[31]);\n"
        )
        nan = " | (|nan) | (any_plus & any_minus)"
        infinite = "any_plus | any_minus ? {any_minus, 31'h7F800000}"
    text = fill(
        _GROUPED,
        TITLE=title,
        TOP=top,
        N=sub,
        G=groups,
        S=scales,
        SB=form.word_bits,
        SW=factor_bits,
        P=unit.term_bits,
        Q=largest,
        EW=ew,
        A_WIDTH=unit.group * form_a.word_bits,
        B_WIDTH=unit.group * form_b.word_bits,
        OFFSET=offset,
        FLOOR=offset + (unit.e_zero or 0),
        SCALE=scale,
        AT=at,
        DOT=call,
        FACTOR_TEXT=f", in 1/{1 << (2 * form.mantissa_bits)}" if form.mantissa_bits else ": 1",
        C_DECODE=shared.c_text,
        LARGEST=shared.largest,
        TERMS=shared.terms_text,
        NAN=nan,
        INFINITE=infinite,
    )
    if nets:  # declared before the groups drive them; c's own follow where c is decoded
        first, *rest = nets.split("\n", 1)
        text = text.replace(
            "  wire [" + str(groups) + ":0] negative;", first + "\n  wire [" + str(groups) + ":0] negative;"
        )
        text = text.replace("  wire not_a_number", rest[0] + "  wire not_a_number")
    return join(decode_text(element("fp32"), 32), modules, shared.modules, text)


def _fixed_text(name: str, unit: Rule, largest: int) -> str:
    """Modules of an exact sum of a sub-group of any two formats."""
    form_a, form_b = unit.forms
    width = (form_a.fixed_max * form_b.fixed_max).bit_length()
    adder, adder_text = signed_sum(unit.sub_group, width, largest + 1)
    lane, lane_modules = lane_text(unit)
    return join(
        lane_modules,
        adder_text,
        fill(
            _FIXED,
            TOP=name,
            N=unit.sub_group,
            A_NAME=unit.a,
            B_NAME=unit.b,
            A_BITS=form_a.word_bits,
            B_BITS=form_b.word_bits,
            Q=largest,
            F=width,
            LP=form_a.mantissa_bits + form_b.mantissa_bits + 2,
            E=max(form_a.exponent_bits, form_b.exponent_bits),
            LANE=lane,
            SUM=adder,
        ),
    )
