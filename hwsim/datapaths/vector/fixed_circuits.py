"""Circuits of the integer operators of a vector unit; `hwsim.datapaths.vector.fixed` defines their bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hwsim.datapaths.vector import fixed
from hwsim.datapaths.vector.fixed import Ints
from hwsim.errors import UnknownName
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words, uniform_and_edges

_SATURATE = """\
// `value` as <OUT> bits; what does not fit stays at the end of the range.
module saturate_<IN>to<OUT> (input signed [<IN>-1:0] value, output [<OUT>-1:0] y);
  wire fits = value[<IN>-1:<LOW>] == {(<EXTRA>){value[<IN>-1]}};
  assign y = fits ? value[<OUT>-1:0] : {value[<IN>-1], {(<OUT>-1){~value[<IN>-1]}}};
endmodule
"""

_REQUANTIZE = """\
// A 32-bit sum times m / 2^k, nearest, halves up, to <OUT> bits.
module <TOP> (input signed [31:0] acc, <M_PORT>input [5:0] k, output [<OUT>-1:0] y);
<PRODUCT>
  // the bit below the last one that stays is the rounding
  wire signed [<W>:0] doubled = {product, 1'b0};
  wire signed [<W>:0] moved = doubled >>> k;
  wire signed [<W>-1:0] result = $signed(moved[<W>:1]) + $signed({1'b0, moved[0]});
  saturate_<W>to<OUT> clamp (.value(result), .y(y));
endmodule
"""

_PRODUCT = """\
// Product of a signed 32-bit number and an unsigned one of <M> bits.
module scale_32x<M> (input signed [31:0] a, input [<M>-1:0] m, output signed [<W>-1:0] p);
  assign p = a * $signed({1'b0, m});
endmodule
"""

_EXP2 = """\
// 2^-((largest - x) m / 256) in units of 2^-12.
module <TOP> (input signed [7:0] x, input signed [7:0] largest, input [7:0] m, output [12:0] p);
  wire [7:0] below = largest - x; // never negative
  wire [15:0] t = below * m;
  wire [<V>-1:0] value;
  <TABLE> look_up (.x(t[7:2]), .y(value));
  wire [<V>+2:0] wide = {value, 3'b000};
  wire [<V>+2:0] moved = wide >> t[11:8];
  assign p = |t[15:12] ? 13'd0 : moved[12:0];
endmodule
"""

_PLACE = """\
// Number of the highest bit of a 24-bit word, and the word moved up to it.
module normalize_24 (input [23:0] word, output reg [4:0] place, output [23:0] moved);
  integer i;
  reg [4:0] zeros;
  always @* begin
    place = 5'd0;
    zeros = 5'd23;
    for (i = 0; i < 24; i = i + 1)
      if (word[i]) begin
        place = i;
        zeros = 23 - i;
      end
  end
  assign moved = word << zeros;
endmodule
"""

_RECIPROCAL = """\
// 1 / total = r / 2^(place + 9).
module <TOP> (input [23:0] total, output [9:0] r, output [4:0] place);
  wire [23:0] moved;
  normalize_24 normalize (.word(total), .place(place), .moved(moved));
  <TABLE> look_up (.x(moved[22:16]), .y(r));
endmodule
"""

_RSQRT = """\
// 1 / sqrt(total) = r / 2^(half + 9).
module <TOP> (input [23:0] total, output [9:0] r, output [3:0] half);
  wire [23:0] moved;
  wire [4:0] place;
  normalize_24 normalize (.word(total), .place(place), .moved(moved));
  assign half = place[4:1];
  <TABLE> look_up (.x({place[0], moved[22:16]}), .y(r));
endmodule
"""

_NORMALIZED = """\
// p r / 2^(place + 1), nearest, at most 255.
module <TOP> (input [12:0] p, input [9:0] r, input [4:0] place, output [7:0] y);
  wire [22:0] product = p * r;
  wire [22:0] moved = product >> place; // the last bit is the rounding
  wire [22:0] result = moved[22:1] + moved[0];
  assign y = |result[22:8] ? 8'd255 : result[7:0];
endmodule
"""

_CENTRED = """\
// (256 x - mean) r / 2^k, nearest, as 8 bits.
module <TOP> (input signed [7:0] x, input signed [15:0] mean, input [9:0] r, input [4:0] k, output [7:0] y);
  wire signed [16:0] centred = $signed({x, 8'd0}) - mean;
  wire signed [27:0] product = centred * $signed({1'b0, r});
  wire signed [28:0] doubled = {product, 1'b0};
  wire signed [28:0] moved = doubled >>> k;
  wire signed [28:0] result = $signed(moved[28:1]) + $signed({1'b0, moved[0]});
  saturate_29to8 clamp (.value(result), .y(y));
endmodule
"""

_SQUARE = """\
// total + x^2.
module <TOP> (input signed [7:0] x, input [23:0] total, output [23:0] y);
  wire signed [15:0] square = x * x;
  assign y = total + square;
endmodule
"""

_ACTIVATION = """\
// <FUNCTION> of 16ths: x times a tail from a table, or 1 less the tail.
module <TOP> (input signed [7:0] x, output [7:0] y);
  wire [7:0] size = x[7] ? -x : x;
  wire [7:0] looked_up;
  <TABLE> look_up (.x(size[6:0]), .y(looked_up));
  wire [7:0] tail = size[7] ? 8'd0 : looked_up;
  wire [8:0] gate = x[7] ? {1'b0, tail} : 9'd256 - tail;
  wire signed [17:0] product = x * $signed({1'b0, gate});
  wire signed [17:0] half = product + 18'sd128;
  assign y = half[15:8];
endmodule
"""

_ROTATED = """\
// (a cosine - b sine) / 128, nearest, as 8 bits.
module <TOP> (
  input signed [7:0] a, input signed [7:0] b, input signed [7:0] cosine, input signed [7:0] sine, output [7:0] y
);
  wire signed [16:0] total = a * cosine - b * sine + 17'sd64;
  wire signed [9:0] result = total[16:7];
  saturate_10to8 clamp (.value(result), .y(y));
endmodule
"""

_ADDED = """\
// a + b as 8 bits.
module <TOP> (input signed [7:0] a, input signed [7:0] b, output [7:0] y);
  wire signed [8:0] total = a + b;
  saturate_9to8 clamp (.value(total), .y(y));
endmodule
"""

_MULTIPLIED = """\
// a b / 128, nearest, as 8 bits.
module <TOP> (input signed [7:0] a, input signed [7:0] b, output [7:0] y);
  wire signed [16:0] total = a * b + 17'sd64;
  wire signed [9:0] result = total[16:7];
  saturate_10to8 clamp (.value(result), .y(y));
endmodule
"""

_LARGER = """\
// The larger of two 8-bit codes.
module <TOP> (input signed [7:0] a, input signed [7:0] b, output signed [7:0] y);
  assign y = a > b ? a : b;
endmodule
"""

_SUM = """\
// total + p.
module <TOP> (input [23:0] total, input [12:0] p, output [23:0] y);
  assign y = total + p;
endmodule
"""

_SIGNED_SUM = """\
// total + x, both signed.
module <TOP> (input signed [23:0] total, input signed [7:0] x, output [23:0] y);
  assign y = total + x;
endmodule
"""

_RESCALED = """\
// total p / 2^12, nearest.
module <TOP> (input [23:0] total, input [12:0] p, output [23:0] y);
  wire [36:0] product = total * p;
  assign y = product[35:12] + product[11];
endmodule
"""


def _saturate(in_bits: int, out_bits: int) -> str:
    return fill(_SATURATE, IN=in_bits, OUT=out_bits, LOW=out_bits - 1, EXTRA=in_bits - out_bits + 1)


Rule = Callable[[Mapping[str, Ints]], Mapping[str, Ints]]


def _unit(
    name: str,
    text: str,
    inputs: tuple[tuple[str, int, bool], ...],
    outputs: tuple[tuple[str, int], ...],
    rule: Rule,
    legal: Callable[[Values], Values] = lambda values: values,
) -> Unit:
    """A combinational unit from a rule on integers; inputs are (name, bits, signed)."""
    ports = tuple(Port(port, bits) for port, bits, _ in inputs)
    drawn = uniform_and_edges(*ports)

    def golden(values: Values) -> Values:
        numbers = {
            port: to_signed(values[port], bits) if signed else values[port].astype(np.int64)
            for port, bits, signed in inputs
        }
        found = rule(numbers)
        return {port: to_words(np.asarray(found[port], np.int64), bits) for port, bits in outputs}

    return Unit(
        name,
        text,
        ports,
        tuple(Port(port, bits) for port, bits in outputs),
        golden,
        lambda rng, n: legal(drawn(rng, n)),
        family="vector",
    )


def _requantize(name: str, m_bits: int, out_bits: int) -> Unit:
    width = 32 + m_bits + (m_bits > 0)
    product = (
        f"  wire signed [{width - 1}:0] product;\n  scale_32x{m_bits} multiply (.a(acc), .m(m), .p(product));"
        if m_bits
        else "  wire signed [31:0] product = acc;"
    )
    own = fill(
        _REQUANTIZE, TOP=name, OUT=out_bits, W=width, M_PORT=f"input [{m_bits - 1}:0] m, " if m_bits else "",
        PRODUCT=product,
    )  # fmt: skip
    texts = [_saturate(width, out_bits), own]
    inputs = [("acc", 32, True), ("k", 6, False)]
    if m_bits:
        texts.insert(0, fill(_PRODUCT, M=m_bits, W=width))
        inputs.insert(1, ("m", m_bits, False))

    def rule(v: Mapping[str, Ints]) -> Mapping[str, Ints]:
        return {"y": fixed.requantize(v["acc"], v.get("m", np.array(1)), v["k"], out_bits)}

    def legal(values: Values) -> Values:
        # a shift that brings the product near the output's range, in most rows
        wide = np.uint64(max(m_bits - 8, 0) + 20)
        near = np.where(values["k"] & np.uint64(3) > 0, wide + (values["k"] >> np.uint64(3)), values["k"])
        return values | {"k": near}

    return _unit(name, join(*texts), tuple(inputs), (("y", out_bits),), rule, legal)


def _ordered(values: Values) -> Values:
    """Scores that are not above their maximum."""
    x, top = to_signed(values["x"], 8), to_signed(values["largest"], 8)
    return values | {"x": to_words(np.minimum(x, top), 8), "largest": to_words(np.maximum(x, top), 8)}


def _pair(rule: Callable[..., Ints], *names: str) -> Rule:
    return lambda v: {"y": rule(*(v[name] for name in names))}


def _two(rule: Callable[[Ints], tuple[Ints, Ints]], first: str, second: str) -> Rule:
    def found(v: Mapping[str, Ints]) -> Mapping[str, Ints]:
        a, b = rule(v["total"])
        return {first: a, second: b}

    return found


def _sizes(values: Values) -> Values:
    """Sums of every size: a uniform word is nearly always a large one."""
    return values | {"total": values["total"] >> (values["total"] % np.uint64(24))}


def fixed_units() -> dict[str, Callable[[], Unit]]:
    """Makers of the integer units by name."""

    def signed(*names: str) -> tuple[tuple[str, int, bool], ...]:
        return tuple((name, 8, True) for name in names)

    byte = (("y", 8),)
    makers: dict[str, Callable[[], Unit]] = {}
    for m_bits in (16, 8, 0):
        for out in (8, 4):
            name = f"requant_{f'm{m_bits}' if m_bits else 'shift'}_s{out}"
            makers[name] = lambda name=name, m_bits=m_bits, out=out: _requantize(name, m_bits, out)  # type: ignore[misc]
    makers["exp2_pwl8"] = lambda: _unit(
        "exp2_pwl8",
        join(fixed.EXP2.verilog(), fill(_EXP2, TOP="exp2_pwl8", TABLE=fixed.EXP2.module, V=fixed.EXP2.out_bits)),
        (*signed("x", "largest"), ("m", 8, False)),
        (("p", 13),),
        lambda v: {"p": fixed.exp2_scores(v["x"], v["largest"], v["m"])},
        _ordered,
    )
    makers["reciprocal_pwl8"] = lambda: _unit(
        "reciprocal_pwl8",
        join(
            _PLACE,
            fixed.RECIPROCAL.verilog(),
            fill(_RECIPROCAL, TOP="reciprocal_pwl8", TABLE=fixed.RECIPROCAL.module),
        ),
        (("total", 24, False),),
        (("r", 10), ("place", 5)),
        _two(fixed.reciprocal, "r", "place"),
        _sizes,
    )
    makers["rsqrt_pwl8"] = lambda: _unit(
        "rsqrt_pwl8",
        join(_PLACE, fixed.RSQRT.verilog(), fill(_RSQRT, TOP="rsqrt_pwl8", TABLE=fixed.RSQRT.module)),
        (("total", 24, False),),
        (("r", 10), ("half", 4)),
        _two(fixed.rsqrt, "r", "half"),
        _sizes,
    )
    makers["normalize_pwl8"] = lambda: _unit(
        "normalize_pwl8",
        fill(_NORMALIZED, TOP="normalize_pwl8"),
        (("p", 13, False), ("r", 10, False), ("place", 5, False)),
        byte,
        _pair(fixed.normalized, "p", "r", "place"),
    )
    makers["centre_pwl8"] = lambda: _unit(
        "centre_pwl8",
        join(_saturate(29, 8), fill(_CENTRED, TOP="centre_pwl8")),
        (("x", 8, True), ("mean", 16, True), ("r", 10, False), ("k", 5, False)),
        byte,
        _pair(fixed.centred, "x", "mean", "r", "k"),
    )
    makers["square_sum_s8"] = lambda: _unit(
        "square_sum_s8",
        fill(_SQUARE, TOP="square_sum_s8"),
        (("x", 8, True), ("total", 24, False)),
        (("y", 24),),
        _pair(fixed.square_sum, "x", "total"),
    )
    for function in ("gelu", "silu"):
        makers[f"{function}_pwl8"] = lambda function=function: _unit(  # type: ignore[misc]
            f"{function}_pwl8",
            join(
                fixed.GATES[function].verilog(),
                fill(
                    _ACTIVATION,
                    TOP=f"{function}_pwl8",
                    FUNCTION=function,
                    TABLE=fixed.GATES[function].module,
                ),
            ),
            signed("x"),
            byte,
            lambda v: {"y": fixed.activation(v["x"], function)},
        )
    makers["rotate_s8"] = lambda: _unit(
        "rotate_s8",
        join(_saturate(10, 8), fill(_ROTATED, TOP="rotate_s8")),
        signed("a", "b", "cosine", "sine"),
        byte,
        _pair(fixed.rotated, "a", "b", "cosine", "sine"),
    )
    makers["add_s8"] = lambda: _unit(
        "add_s8",
        join(_saturate(9, 8), fill(_ADDED, TOP="add_s8")),
        signed("a", "b"),
        byte,
        _pair(fixed.added, "a", "b"),
    )
    makers["mul_s8"] = lambda: _unit(
        "mul_s8",
        join(_saturate(10, 8), fill(_MULTIPLIED, TOP="mul_s8")),
        signed("a", "b"),
        byte,
        _pair(fixed.multiplied, "a", "b"),
    )
    makers["max_s8"] = lambda: _unit(
        "max_s8", fill(_LARGER, TOP="max_s8"), signed("a", "b"), byte, _pair(np.maximum, "a", "b")
    )
    makers["sum_u13"] = lambda: _unit(
        "sum_u13",
        fill(_SUM, TOP="sum_u13"),
        (("total", 24, False), ("p", 13, False)),
        (("y", 24),),
        lambda v: {"y": v["total"] + v["p"]},
    )
    makers["sum_s8"] = lambda: _unit(
        "sum_s8",
        fill(_SIGNED_SUM, TOP="sum_s8"),
        (("total", 24, True), ("x", 8, True)),
        (("y", 24),),
        lambda v: {"y": v["total"] + v["x"]},
    )
    makers["rescale_u24"] = lambda: _unit(
        "rescale_u24",
        fill(_RESCALED, TOP="rescale_u24"),
        (("total", 24, False), ("p", 13, False)),
        (("y", 24),),
        _pair(fixed.rescaled, "total", "p"),
    )
    return makers


def fixed_unit(name: str) -> Unit:
    """The circuit of an integer operator.

    Raises:
        UnknownName: none of `fixed_units`.
    """
    makers = fixed_units()
    if name not in makers:
        raise UnknownName("operator", name, makers, where="fixed_unit")
    return makers[name]()
