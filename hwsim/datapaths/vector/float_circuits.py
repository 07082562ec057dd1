"""Circuits of the floating-point operators of a vector unit; `hwsim.datapaths.vector.floats` defines their bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwsim.datapaths.vector import floats
from hwsim.datapaths.vector.floats import EXP2_BITS, GATE_BITS, Words
from hwsim.errors import UnknownName
from hwsim.rtl.float_adders import WIDTHS, float_adder, float_words
from hwsim.rtl.unit import Port, Unit, Values, edge_words, fill, join, random_words

_LARGER = """\
// The larger of two <FMT> words in the order of their values, infinities and NaN at the ends.
module <TOP> (input [<N>-1:0] a, input [<N>-1:0] b, output [<N>-1:0] y);
  wire [<N>-1:0] a_key = a[<N>-1] ? ~a : {1'b1, a[<N>-2:0]};
  wire [<N>-1:0] b_key = b[<N>-1] ? ~b : {1'b1, b[<N>-2:0]};
  assign y = a_key >= b_key ? a : b;
endmodule
"""

_MULTIPLY = """\
// <W> x <W> unsigned product, a module of its own so that synthesis builds one array.
module significands_<W> (input [<W>-1:0] a, input [<W>-1:0] b, output [2*<W>-1:0] p);
  assign p = a * b;
endmodule

// <FMT> product to nearest, ties to even; subnormal numbers are zero.
module <TOP> (input [<N>-1:0] a, input [<N>-1:0] b, output [<N>-1:0] y);
  localparam E = <E>;
  localparam F = <F>;
  wire [E-1:0] ea = a[E+F-1:F];
  wire [E-1:0] eb = b[E+F-1:F];
  wire zero = ~(|ea) | ~(|eb);
  wire infinite = (&ea) | (&eb);
  wire nan = ((&ea) & (|a[F-1:0])) | ((&eb) & (|b[F-1:0])) | (infinite & zero);
  wire [2*F+1:0] product;
  significands_<W> multiply (.a({1'b1, a[F-1:0]}), .b({1'b1, b[F-1:0]}), .p(product));
  wire high = product[2*F+1];
  wire [2*F+1:0] kept = high ? product : product << 1;
  wire up = kept[F] & ((|kept[F-1:0]) | kept[F+1]);
  // two bits above the exponent: a sign and a carry
  wire signed [E+1:0] exponent = $signed({2'b00, ea}) + $signed({2'b00, eb}) - <BIAS> + $signed({1'b0, high});
  wire signed [E+F+1:0] packed_word = {exponent, kept[2*F:F+1]} + up;
  wire signed [E+1:0] field = packed_word[E+F+1:F];
  wire overflow = field >= <TOP_FIELD>;
  wire underflow = field <= 0;
  wire [E+F-1:0] finite = underflow | zero ? {(E+F){1'b0}}
                        : overflow ? {{E{1'b1}}, {F{1'b0}}} : packed_word[E+F-1:0];
  wire [E+F-1:0] magnitude = infinite ? {{E{1'b1}}, {F{1'b0}}} : finite;
  assign y = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}} : {a[E+F] ^ b[E+F], magnitude};
endmodule
"""

_FIXED = """\
// |x| of <FMT> cut to <WHOLE> bits before and <PART> behind the point; subnormal numbers are zero.
module <TOP> (input [<N>-1:0] x, output [<T>-1:0] fixed, output over);
  wire [<E>-1:0] e = x[<E>+<F>-1:<F>];
  wire [<T>-1:0] word = <WORD>;
  wire signed [<E>:0] distance = $signed({1'b0, <LARGEST>}) - $signed({1'b0, e});
  assign over = distance[<E>];
  wire gone = <GONE>;
  assign fixed = over | gone | ~(|e) ? <T>'d0 : word >> distance[<SHIFT>-1:0];
endmodule
"""

_EXP2 = """\
// 2^-|x| of <FMT>: the whole part of |x| is the exponent, the rest selects from a table.
module <TOP> (input [<N>-1:0] x, output [<N>-1:0] y);
  localparam E = <E>;
  localparam F = <F>;
  wire [<WHOLE>+<PART>-1:0] fixed;
  wire over;
  <FIXED> convert (.x(x), .fixed(fixed), .over(over));
  wire [F+1:0] value; // in [1, 2] with F fraction bits
  <TABLE> look_up (.x(fixed[<PART>-1:0]), .y(value));
  wire signed [E+1:0] exponent = <BIAS> - 1 - $signed({1'b0, fixed[<WHOLE>+<PART>-1:<PART>]});
  wire signed [E+F+1:0] packed_word = {exponent, {F{1'b0}}} + (value - {2'b01, {F{1'b0}}});
  wire signed [E+1:0] field = packed_word[E+F+1:F];
  wire zero = over | field <= 0;
  wire nan = (&x[E+F-1:F]) & (|x[F-1:0]);
  assign y = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}} : {1'b0, zero ? {(E+F){1'b0}} : packed_word[E+F-1:0]};
endmodule
"""

_RECIPROCAL = """\
// 1/x of <FMT> by table; subnormal numbers are zero.
module <TOP> (input [<N>-1:0] x, output [<N>-1:0] y);
  localparam E = <E>;
  localparam F = <F>;
  wire [E-1:0] e = x[E+F-1:F];
  wire [F+1:0] value; // in [1, 2] with F fraction bits
  <TABLE> look_up (.x(x[F-1:0]), .y(value));
  wire signed [E+1:0] exponent = <EXPONENT> - $signed({2'b00, e});
  wire signed [E+F+1:0] packed_word = {exponent, {F{1'b0}}} + (value - {2'b01, {F{1'b0}}});
  wire signed [E+1:0] field = packed_word[E+F+1:F];
  wire nan = (&e) & (|x[F-1:0]);
  wire [E+F-1:0] finite = (&e) | field <= 0 ? {(E+F){1'b0}} : packed_word[E+F-1:0];
  wire [E+F-1:0] magnitude = |e ? finite : {{E{1'b1}}, {F{1'b0}}};
  assign y = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}} : {x[E+F], magnitude};
endmodule
"""

_RSQRT = """\
// 1/sqrt(x) of <FMT> by table; subnormal numbers are zero.
module <TOP> (input [<N>-1:0] x, output [<N>-1:0] y);
  localparam E = <E>;
  localparam F = <F>;
  wire [E-1:0] e = x[E+F-1:F];
  wire odd = ~e[0]; // the bias is odd
  wire [F+1:0] value; // in [1, 2] with F fraction bits
  <TABLE> look_up (.x({odd, x[F-1:0]}), .y(value));
  wire [E+1:0] doubled = <EXPONENT> - {2'b00, e} + odd;
  wire [E+F-1:0] packed_word = {doubled[E:1], {F{1'b0}}} + (value - {2'b01, {F{1'b0}}});
  wire nan = ((&e) & (|x[F-1:0])) | (x[E+F] & (|e));
  wire [E+F-1:0] magnitude = ~(|e) ? {{E{1'b1}}, {F{1'b0}}} : &e ? {(E+F){1'b0}} : packed_word;
  assign y = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}} : {1'b0, magnitude};
endmodule
"""

_GATE = """\
// <FUNCTION>(x) / x of <FMT>: a tail from a table, or 1 less the tail, as a float.
module <TOP> (input [<N>-1:0] x, output [<N>-1:0] y);
  localparam E = <E>;
  localparam F = <F>;
  localparam Q = <Q>; // fraction bits of the value
  wire [<IN>-1:0] fixed;
  wire over;
  <FIXED> convert (.x(x), .fixed(fixed), .over(over));
  wire [Q-1:0] looked_up;
  <TABLE> look_up (.x(fixed), .y(looked_up));
  wire [Q-1:0] tail = over ? {Q{1'b0}} : looked_up;
  wire [Q:0] value = x[E+F] ? {1'b0, tail} : {1'b1, {Q{1'b0}}} - tail;
  reg [<PLACE_BITS>-1:0] zeros; // above the highest bit
  integer i;
  always @* begin
    zeros = 0;
    for (i = 0; i <= Q; i = i + 1)
      if (value[i]) zeros = Q - i;
  end
  wire [Q:0] shifted = value << zeros;
  wire [E-1:0] exponent = <BIAS> - zeros;
  wire nan = (&x[E+F-1:F]) & (|x[F-1:0]);
  assign y = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}}
           : |value ? {1'b0, exponent, <FRACTION>} : {(E+F+1){1'b0}};
endmodule
"""

BINARY = ("max", "add", "mul")
UNARY = ("exp2", "reciprocal", "rsqrt", "gelu_gate", "silu_gate")
UNROOT = (16, 32)
"""Sizes of Hadamard tiles by whose root there is a circuit that divides; of another size the exponent differs."""

_UNROOT = """\
// x / sqrt(<SIZE>), to nearest even, by a product with a constant; subnormal operands and results are zero.
module <TOP> (input [31:0] x, output [31:0] y);
  mul_fp32 product (.a(x), .b(32'h<FACTOR>), .y(y));
endmodule
"""


def unroot_unit(size: int) -> Unit:
    """The circuit of ``x / sqrt(size)`` in fp32, what the last stage of a Hadamard transform does."""
    name, x = f"unroot{size}_fp32", Port("x", 32)
    factor = np.float32(1 / np.sqrt(size)).view(np.uint32)
    text = join(_multiply("mul_fp32", "fp32"), fill(_UNROOT, TOP=name, SIZE=size, FACTOR=f"{int(factor):08X}"))

    def rule(values: Values) -> Values:
        return {"y": floats.multiply(values["x"], np.full(len(values["x"]), factor, np.uint64), "fp32")}

    return Unit(
        name, text, (x,), (Port("y", 32),), rule, lambda rng, n: {"x": _words(rng, x, n, "fp32")}, family="vector"
    )


def float_unit(operator: str, fmt: str) -> Unit:
    """The combinational circuit of an operator of `BINARY` (ports a, b) or `UNARY` (port x), result y (add: sum).

    Raises:
        UnknownName: the operator or the format.
    """
    if fmt not in WIDTHS:
        raise UnknownName("format", fmt, WIDTHS, where="float_unit")
    if operator not in BINARY + UNARY:
        raise UnknownName("operator", operator, BINARY + UNARY, where="float_unit")
    if operator == "add":
        return float_adder(fmt)
    name, bits = f"{operator}_{fmt}", 1 + sum(WIDTHS[fmt])
    out = Port("y", bits)
    if operator in BINARY:
        ports = Port("a", bits), Port("b", bits)
        rule = floats.larger if operator == "max" else floats.multiply

        def pair(values: Values) -> Values:
            return {"y": rule(values["a"], values["b"], fmt)}

        def pairs(rng: np.random.Generator, n: int) -> Values:
            drawn = {port.name: _words(rng, port, n, fmt) for port in ports}
            # exponents that add up to about one: products near overflow and underflow
            exponent, fraction = WIDTHS[fmt]
            mirrored = (
                drawn["a"]
                ^ np.uint64(((1 << exponent) - 1) << fraction)
                ^ random_words(rng, Port("low", fraction + 1), n)
            )
            drawn["b"] = np.where(rng.random(n) < 0.2, mirrored, drawn["b"])
            return drawn

        text = _larger(name, fmt) if operator == "max" else _multiply(name, fmt)
        return Unit(name, text, ports, (out,), pair, pairs, family="vector", parameters={})
    x = Port("x", bits)
    function: Callable[[Words, str], Words] = {
        "exp2": floats.exp2_negative,
        "reciprocal": floats.reciprocal,
        "rsqrt": floats.rsqrt,
        "gelu_gate": lambda words, fmt: floats.gate(words, fmt, "gelu"),
        "silu_gate": lambda words, fmt: floats.gate(words, fmt, "silu"),
    }[operator]
    text = {"exp2": _exp2, "reciprocal": _reciprocal, "rsqrt": _rsqrt}.get(operator, _gate)(name, fmt)
    return Unit(
        name,
        text,
        (x,),
        (out,),
        lambda values: {"y": function(values["x"], fmt)},
        lambda rng, n: {"x": _words(rng, x, n, fmt)},
        family="vector",
    )


def _words(rng: np.random.Generator, port: Port, n: int, fmt: str) -> Words:
    """Numbers of ordinary size and their specials, any bits in a quarter, the ends of the range in an eighth."""
    words = float_words(rng, port, n, fmt)
    kind = rng.integers(0, 8, n)
    words = np.where(kind < 2, random_words(rng, port, n), words)
    return np.where(kind == 2, edge_words(rng, port, n), words)


def _shared(top: str, fmt: str) -> dict[str, object]:
    exponent, fraction = WIDTHS[fmt]
    return {"TOP": top, "FMT": fmt, "N": 1 + exponent + fraction, "E": exponent, "F": fraction}


def _bias(fmt: str) -> int:
    return (1 << (WIDTHS[fmt][0] - 1)) - 1


def _larger(top: str, fmt: str) -> str:
    return fill(_LARGER, TOP=top, FMT=fmt, N=1 + sum(WIDTHS[fmt]))


def _multiply(top: str, fmt: str) -> str:
    exponent, fraction = WIDTHS[fmt]
    text = fill(_MULTIPLY, **_shared(top, fmt), W=fraction + 1, BIAS=_bias(fmt), TOP_FIELD=(1 << exponent) - 1)
    return join(text)


def _fixed(fmt: str, whole: int, part: int) -> tuple[str, str]:
    """Name and text of the module that converts to fixed point."""
    exponent, fraction = WIDTHS[fmt]
    total, top = whole + part, f"fixed_{fmt}_{whole}_{part}"
    up = total - 1 - fraction
    mantissa = f"{{1'b1, x[{fraction - 1}:0]}}"
    word = mantissa if up == 0 else f"{{1'b1, x[{fraction - 1}:0], {up}'d0}}" if up > 0 else (
        f"{{1'b1, x[{fraction - 1}:{-up}]}}"
    )  # fmt: skip
    shift = min(total.bit_length(), exponent)
    gone = f"|distance[{exponent - 1}:{shift}]" if shift < exponent else "1'b0"
    values = _shared(top, fmt) | {
        "WHOLE": whole, "PART": part, "T": total, "WORD": word, "SHIFT": shift, "GONE": gone,
        "LARGEST": f"{exponent}'d{_bias(fmt) + whole - 1}",
    }  # fmt: skip
    return top, fill(_FIXED, **values)


def _exp2(top: str, fmt: str) -> str:
    whole, part = EXP2_BITS[fmt]
    fixed, text = _fixed(fmt, whole, part)
    known = floats.exp2_table(fmt)
    own = fill(
        _EXP2, **_shared(top, fmt), WHOLE=whole, PART=part, FIXED=fixed, TABLE=known.module, BIAS=_bias(fmt)
    )  # fmt: skip
    return join(known.verilog(), text, own)


def _reciprocal(top: str, fmt: str) -> str:
    known = floats.reciprocal_table(fmt)
    return join(
        known.verilog(), fill(_RECIPROCAL, **_shared(top, fmt), TABLE=known.module, EXPONENT=2 * _bias(fmt) - 1)
    )


def _rsqrt(top: str, fmt: str) -> str:
    known = floats.rsqrt_table(fmt)
    return join(known.verilog(), fill(_RSQRT, **_shared(top, fmt), TABLE=known.module, EXPONENT=3 * _bias(fmt) - 2))


def _gate(top: str, fmt: str) -> str:
    function = top.split("_")[0]
    in_bits, out_bits = GATE_BITS[fmt]
    _, fraction = WIDTHS[fmt]
    fixed, text = _fixed(fmt, 3, in_bits - 3)
    known = floats.gate_table(fmt, function)
    low = out_bits - fraction
    kept = f"shifted[{out_bits - 1}:{low}]" if low >= 0 else f"shifted[{out_bits - 1}:0], {-low}'d0"
    own = fill(
        _GATE, **_shared(top, fmt), FUNCTION=function, Q=out_bits, IN=in_bits, FIXED=fixed, TABLE=known.module,
        BIAS=_bias(fmt), PLACE_BITS=out_bits.bit_length(), FRACTION=kept,
    )  # fmt: skip
    return join(known.verilog(), text, own)
