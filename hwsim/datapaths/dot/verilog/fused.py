"""Fused groups: every product and c are aligned below the largest exponent, cut, added exactly, truncated once."""

from __future__ import annotations

from hwsim.datapaths.dot.elements import element
from hwsim.datapaths.dot.rule import Rule
from hwsim.datapaths.dot.verilog.parts import decode_text, frame, widths
from hwsim.datapaths.dot.verilog.scales import block_scales
from hwsim.rtl.unit import fill, join

_LANE = """\
// Exact product of <WHAT>: magnitude with <FRACTION> fraction bits, sum of the exponent fields.
module <TOP> (
  input [<A_BITS>-1:0] a, input [<B_BITS>-1:0] b,
  output [<P>-1:0] magnitude, output negative, output [<E>:0] exponent, output nonzero,
  output infinite, output nan
);
  wire a_negative, b_negative, a_infinite, b_infinite, a_nan, b_nan;
<NETS>
  decode_<A_NAME> decode_a (
    .code(a), .negative(a_negative), .significand(a_significand), .exponent(a_exponent),
    .infinite(a_infinite), .nan(a_nan)
  );
  decode_<B_NAME> decode_b (
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
  input [<L>*<A_BITS>-1:0] a, input [<L>*<B_BITS>-1:0] b, input [31:0] c<SCALE_PORTS>, output [31:0] d
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
        .a(a[k * <A_BITS> +: <A_BITS>]), .b(b[k * <B_BITS> +: <B_BITS>]), .magnitude(<PRODUCT>),
        .negative(negative[k]), .exponent(exponent), .nonzero(<NONZERO>), .infinite(infinite[k]), .nan(<LANE_NAN>)
      );
<SCALED_LANE>      assign exponents[k * <EW> +: <EW>] = exponent <BASE>;
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

_SCALED_LANE = """\
      wire [<LP>-1:0] magnitude;
      wire present, lane_nan;
      assign products[k * <P> +: <P>] = magnitude * factors[(k / <BLOCK>) * <SW> +: <SW>];
      assign nonzero[k] = present & (|factors[(k / <BLOCK>) * <SW> +: <SW>]);
      // infinity times a scale of zero
      assign nan[k] = lane_nan | (infinite[k] & ~(|factors[(k / <BLOCK>) * <SW> +: <SW>]));
"""

_BLOCKS = """\
  wire [<S>-1:0] scale_nan;
  wire [<S>*<SW>-1:0] factors;  // product of the scales' significands
  wire [<S>*<EW>-1:0] scale_exponents;
  genvar g;
  generate
    for (g = 0; g < <S>; g = g + 1) begin : block
<SCALE>
    end
  endgenerate"""


def fused_text(top: str, title: str, unit: Rule) -> str:
    """Module `top` of a fused unit."""
    form_a, form_b = unit.forms
    wide, form = widths(unit), unit.scale_form
    ew, offset = wide.exponent_bits, wide.offset
    lane_bits = form_a.mantissa_bits + form_b.mantissa_bits + 2
    base = -form_a.bias - form_b.bias - (2 * form.bias if form else 0)  # of the sum of exponent fields
    constant = f"{ew}'d{(base + offset) % (1 << ew)}"  # the sum of two exponent fields is at least 2
    lane, lane_modules = lane_text(unit)
    shared = frame(top, unit, wide, "k")
    scaled = {
        "SCALED": "", "SCALE_PORTS": "", "SCALE_EXPONENT": "", "SCALE_NAN": "", "BASE": f"+ {constant}",
        "PRODUCT": f"products[k * {unit.term_bits} +: {unit.term_bits}]", "NONZERO": "nonzero[k]",
        "LANE_NAN": "nan[k]", "SCALED_LANE": "",
    }  # fmt: skip
    if form is not None and unit.block is not None:
        scales = max(unit.group // unit.block, 1)
        ports = f"[{scales * form.word_bits - 1}:0]"
        scaled |= {"SCALED": " * scale_a * scale_b", "SCALE_PORTS": f", input {ports} scale_a, input {ports} scale_b"}
        if scales == 1 and not form.has_zero and not form.mantissa_bits and form.word_bits == form.exponent_bits:
            nan = " | (&scale_a) | (&scale_b)" if form.specials == "nan" else ""
            exponents = f"  wire [{ew - 1}:0] base = scale_a + scale_b + {constant};"
            scaled |= {"SCALE_EXPONENT": exponents, "SCALE_NAN": nan, "BASE": "+ base"}
        else:
            text, factor_bits = block_scales(form, ew, base + offset)
            every = min(unit.block, unit.group)
            numbers = {"SW": factor_bits, "BLOCK": every}
            scaled |= {
                "SCALE_EXPONENT": fill(_BLOCKS, S=scales, SW=factor_bits, EW=ew, SCALE=text),
                "SCALE_NAN": " | (|scale_nan)",
                "BASE": f"+ scale_exponents[(k / {every}) * {ew} +: {ew}]",
                "PRODUCT": "magnitude", "NONZERO": "present", "LANE_NAN": "lane_nan",
                "SCALED_LANE": fill(_SCALED_LANE, LP=lane_bits, P=unit.term_bits, **numbers),
            }  # fmt: skip
    return join(
        decode_text(element("fp32"), 32),
        lane_modules,
        shared.modules,
        fill(
            _FUSED,
            TITLE=title,
            TOP=top,
            L=unit.group,
            A_BITS=form_a.word_bits,
            B_BITS=form_b.word_bits,
            P=unit.term_bits,
            E=max(form_a.exponent_bits, form_b.exponent_bits),
            EW=ew,
            OFFSET=offset,
            E_ZERO=str(unit.e_zero),
            FLOOR=offset + (unit.e_zero or 0),
            LANE=lane,
            C_DECODE=shared.c_text,
            LARGEST=shared.largest,
            TERMS=shared.terms_text,
            **scaled,
        ),
    )


def lane_text(unit: Rule) -> tuple[str, str]:
    """Name and text of the module that multiplies two codes, and of those that decode them."""
    form_a, form_b = unit.forms
    same = unit.a == unit.b
    lane = f"product_{unit.a}" if same else f"product_{unit.a}_{unit.b}"
    text = fill(
        _LANE,
        TOP=lane,
        WHAT=f"two {unit.a} codes" if same else f"a {unit.a} and a {unit.b} code",
        A_NAME=unit.a,
        B_NAME=unit.b,
        A_BITS=form_a.word_bits,
        B_BITS=form_b.word_bits,
        NETS=_nets(unit),
        FRACTION=form_a.mantissa_bits + form_b.mantissa_bits,
        P=form_a.mantissa_bits + form_b.mantissa_bits + 2,
        E=max(form_a.exponent_bits, form_b.exponent_bits),
    )
    formed = dict.fromkeys((form_a, form_b))
    return lane, join(*(decode_text(one, one.word_bits) for one in formed), text)


def _nets(unit: Rule) -> str:
    """Declarations of significands and exponents; one line for both sides where their widths are one."""
    a, b = unit.forms
    lines = []
    for name, one, other in (
        ("significand", a.mantissa_bits, b.mantissa_bits),
        ("exponent", a.exponent_bits - 1, b.exponent_bits - 1),
    ):
        if one == other:
            lines.append(f"  wire [{one}:0] a_{name}, b_{name};")
        else:
            lines += [f"  wire [{one}:0] a_{name};", f"  wire [{other}:0] b_{name};"]
    return "\n".join(lines)
