"""Circuits of the block formats' encoders; `hwsim.datapaths.vector.blocks` defines their bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector import blocks
from hwsim.errors import UnknownName
from hwsim.rtl.float_adders import float_words
from hwsim.rtl.unit import Port, Unit, Values, fill, join, random_words, uniform_and_edges

_LARGER = """\
// The larger of a magnitude and that of a float32 word.
module absmax_fp32 (input [30:0] a, input [31:0] b, output [30:0] y);
  assign y = b[30:0] > a ? b[30:0] : a;
endmodule
"""

_MX_SCALE = """\
// E8M0 scale of a block of <ELEMENT>: the exponent of the largest magnitude less <LESS>, not below 0.
module mx_scale_<ELEMENT> (input [30:0] largest, output [7:0] scale);
  wire [7:0] e = largest[30:23];
  assign scale = e < 8'd<LESS> ? 8'd0 : e - 8'd<LESS>;
endmodule
"""

_ALIGN = """\
// |x| / 2^(exponent - 127) in quarters, cut to <BITS> bits, and whether more was cut off; too large is all ones.
module quarters_<BITS> (input [31:0] x, input [8:0] exponent, output [<BITS>-1:0] quarters, output sticky);
  wire [7:0] e = x[30:23];
  wire signed [9:0] distance = $signed({1'b0, exponent}) + <WHOLE> - $signed({2'b00, e});
  wire over = distance[9];
  wire far = |distance[8:<SHIFT>];
  wire [47:0] word = {1'b1, x[22:0], 24'd0};
  wire [47:0] moved = far ? {47'd0, 1'b1} : word >> distance[<SHIFT>-1:0];
  wire nothing = ~(|e);
  assign quarters = over ? {<BITS>{1'b1}} : nothing ? <BITS>'d0 : moved[47 -: <BITS>];
  assign sticky = ~nothing & (over | (|moved[47-<BITS>:0]));
endmodule
"""

_MX_E2M1 = """\
// E2M1 code of x / 2^(scale - 127), nearest even: how many thresholds between neighbours lie below.
module mx_e2m1 (input [31:0] x, input [7:0] scale, output [3:0] code);
  wire [4:0] q;
  wire sticky;
  quarters_5 align (.x(x), .exponent({1'b0, scale}), .quarters(q), .sticky(sticky));
  assign code = {x[31], <COUNT>};
endmodule
"""

_NVFP4_E2M1 = """\
// E2M1 code of x over the E4M3 number `scale`: thresholds are multiples of the scale's significand.
module nvfp4_e2m1 (input [31:0] x, input [6:0] scale, output [3:0] code);
  wire [3:0] field = scale[6:3];
  wire normal = |field;
  wire [3:0] m = {normal, scale[2:0]};
  wire [8:0] exponent = {5'd0, normal ? field : 4'd1} + 9'd117;
  wire [11:0] q;
  wire sticky;
  quarters_12 align (.x(x), .exponent(exponent), .quarters(q), .sticky(sticky));
  wire [2:0] magnitude = <COUNT>;
  assign code = {x[31], |m ? magnitude : 3'd0};
endmodule
"""

_MX_E4M3 = """\
// E4M3 code of x / 2^(scale - 127), nearest even, at most 448.
module mx_e4m3 (input [31:0] x, input [7:0] scale, output [7:0] code);
  wire [7:0] e = x[30:23];
  wire signed [9:0] exponent = $signed({2'b00, e}) - $signed({2'b00, scale}) + 10'sd7;
  wire signed [9:0] below = 10'sd1 - exponent;
  wire subnormal = ~below[9];
  wire far = subnormal & (below > 10'sd5);
  wire [2:0] down = ~subnormal ? 3'd0 : far ? 3'd5 : below[2:0];
  wire [28:0] moved = {1'b1, x[22:0], 5'd0} >> down; // four bits, the half bit, the rest
  wire up = moved[24] & ((|moved[23:0]) | moved[25]);
  wire signed [9:0] field = subnormal ? 10'sd1 : exponent;
  wire signed [13:0] rounded = {field - 10'sd1, 3'd0} + $signed({10'd0, moved[28:25]}) + $signed({13'd0, up});
  wire over = exponent > 10'sd15 | rounded > 14'sd126;
  assign code = {x[31], ~(|e) ? 7'd0 : over ? 7'h7E : rounded[6:0]};
endmodule
"""

_NVFP4_SCALE = """\
// E4M3 of largest / 6, nearest even, at most 448.
module nvfp4_scale (input [30:0] largest, output [6:0] scale);
  wire [7:0] e = largest[30:23];
  wire [7:0] high = {1'b1, largest[22:16]}; // 128 to 255 is 1 to 2
  wire wide = high >= 8'd192; // at least 1.5
  reg [5:0] quotient; // by 6 or 12: four bits and the half bit, and whether something remains
  always @*
    case (high[6:0])
<CASES>
    endcase
  wire [5:0] joined = {quotient[5:1], quotient[0] | (|largest[15:0])};
  wire signed [9:0] exponent = $signed({2'b00, e}) - 10'sd123 + $signed({9'd0, wide});
  wire signed [9:0] below = 10'sd1 - exponent;
  wire subnormal = ~below[9];
  wire [2:0] down = ~subnormal ? 3'd0 : below > 10'sd6 ? 3'd6 : below[2:0];
  wire [11:0] moved = {joined, 6'd0} >> down;
  wire up = moved[7] & ((|moved[6:0]) | moved[8]);
  wire signed [9:0] field = subnormal ? 10'sd1 : exponent;
  wire signed [13:0] rounded = {field - 10'sd1, 3'd0} + $signed({10'd0, moved[11:8]}) + $signed({13'd0, up});
  wire over = exponent > 10'sd15 | rounded > 14'sd126;
  assign scale = ~(|e) ? 7'd0 : over ? 7'h7E : rounded[6:0];
endmodule
"""

_ROUND_CODE = """\
// A float32 number to the nearest integer of <BITS> bits, ties to even; below 0 it is 0.
module <TOP> (input [31:0] x, output [<BITS>-1:0] code);
  wire [7:0] e = x[30:23];
  wire signed [9:0] distance = <LARGEST> - $signed({2'b00, e});
  wire over = distance[9];
  wire far = ~over & distance > 10'sd25;
  wire [4:0] shift = far ? 5'd25 : distance[4:0];
  wire [48:0] moved = {1'b1, x[22:0], 25'd0} >> shift;
  wire [<BITS>-1:0] whole = moved[48 -: <BITS>];
  wire up = moved[48-<BITS>] & ((|moved[47-<BITS>:0]) | whole[0]);
  wire [<BITS>:0] rounded = whole + up;
  assign code = x[31] ? <BITS>'d0 : over | rounded[<BITS>] ? {<BITS>{1'b1}} : rounded[<BITS>-1:0];
endmodule
"""


_TABLE = """\
// Float32 sums of exponentials of <GROUP> codes of <BITS> bits, the first on top; clip value <CLIP>.
module <TOP> (input [<INDEX>-1:0] index, output reg [31:0] y);
  always @*
    case (index)
<CASES>
    endcase
endmodule
"""

_SELECT = """\
// One of the <COUNT> probabilities that a row's codes have.
module <TOP> (input [<COUNT>*8-1:0] values, input [<BITS>-1:0] code, output [7:0] y);
  assign y = values[8 * code +: 8];
endmodule
"""

EXAQ_DEVIATION = 2.0
"""Deviation of the scores for which the priced tables clip; their area hardly depends on it."""


def exaq_clip_value(bits: int) -> float:
    """EXAQ's clip value by the Gauss rule at `EXAQ_DEVIATION`."""
    from hwsim.quant.clipping import exaq_clip

    return float(exaq_clip(EXAQ_DEVIATION, bits, "gauss"))


def _exaq_table(bits: int) -> Unit:
    from hwsim.datapaths import softmax

    known, clip = softmax(bits), exaq_clip_value(bits)
    sums = known.tables(np.float32(clip))[1].view(np.uint32)
    index, top = Port("index", bits * known.group), f"exaq_table{bits}"
    cases = "\n".join(f"      {index.bits}'d{i}: y = 32'h{word:08X};" for i, word in enumerate(sums))
    text = fill(_TABLE, TOP=top, GROUP=known.group, BITS=bits, CLIP=f"{clip:.3f}", INDEX=index.bits, CASES=cases)
    return Unit(
        top,
        text,
        (index,),
        (Port("y", 32),),
        lambda v: {"y": sums[v["index"].astype(np.int64)].astype(np.uint64)},
        uniform_and_edges(index),
        family="vector",
    )


def _exaq_select(bits: int) -> Unit:
    top, values, code = f"exaq_select{bits}", Port("values", 8, 1 << bits), Port("code", bits)
    return Unit(
        top,
        fill(_SELECT, TOP=top, COUNT=1 << bits, BITS=bits),
        (values, code),
        (Port("y", 8),),
        lambda v: {"y": v["values"][np.arange(len(v["code"])), v["code"].astype(np.int64)]},
        uniform_and_edges(values, code),
        family="vector",
    )


def _count(quarters: str, bits: int, times: str) -> str:
    """Sum of the comparisons with every threshold."""
    terms = []
    for index, threshold in enumerate(blocks.THRESHOLDS):
        limit = f"{bits}'d{threshold}{times}"
        equal = "1'b1" if index % 2 else "sticky"
        terms.append(f"(({quarters} > {limit}) | (({quarters} == {limit}) & {equal}))")
    return "\n    + ".join(f"{{2'b00, {term}}}" for term in terms)


def _align(whole: int) -> str:
    bits = whole + 3
    return fill(_ALIGN, BITS=bits, WHOLE=f"10'sd{whole}", SHIFT=5)


def _quotients() -> str:
    lines = []
    for low in range(128):
        high = 128 | low
        divisor = 12 if high >= 192 else 6
        lines.append(f"      7'd{low}: quotient = 6'd{high // divisor << 1 | (high % divisor != 0)};")
    return "\n".join(lines)


def block_units() -> dict[str, Callable[[], Unit]]:
    """Makers of the encoders by name."""
    makers: dict[str, Callable[[], Unit]] = {
        "absmax_fp32": lambda: _unit(
            "absmax_fp32",
            _LARGER,
            (("a", 31), ("b", 32)),
            ("y", 31),
            lambda v: blocks.larger_magnitude(v["a"], v["b"]),
        ),
        "nvfp4_scale": lambda: _unit(
            "nvfp4_scale",
            fill(_NVFP4_SCALE, CASES=_quotients()),
            (("largest", 31),),
            ("scale", 7),
            lambda v: blocks.nvfp4_scale(v["largest"]),
        ),
        "mx_e2m1": lambda: _unit(
            "mx_e2m1",
            join(_align(2), fill(_MX_E2M1, COUNT="3'd0 + " + _count("q", 5, ""))),
            (("x", 32), ("scale", 8)),
            ("code", 4),
            lambda v: blocks.mx_e2m1(v["x"], v["scale"]),
        ),
        "mx_e4m3": lambda: _unit(
            "mx_e4m3",
            _MX_E4M3,
            (("x", 32), ("scale", 8)),
            ("code", 8),
            lambda v: blocks.mx_e4m3(v["x"], v["scale"]),
        ),
        "nvfp4_e2m1": lambda: _unit(
            "nvfp4_e2m1",
            join(_align(9), fill(_NVFP4_E2M1, COUNT="3'd0 + " + _count("q", 12, " * m"))),
            (("x", 32), ("scale", 7)),
            ("code", 4),
            lambda v: blocks.nvfp4_e2m1(v["x"], v["scale"]),
        ),
    }
    for element, less in blocks.ELEMENT_EXPONENT.items():
        makers[f"mx_scale_{element}"] = lambda element=element, less=less: _unit(  # type: ignore[misc]
            f"mx_scale_{element}",
            fill(_MX_SCALE, ELEMENT=element, LESS=less),
            (("largest", 31),),
            ("scale", 8),
            lambda v: blocks.mx_scale(v["largest"], element),
        )
    for bits in (2, 3, 4):
        makers[f"exaq_code{bits}"] = lambda bits=bits: _unit(  # type: ignore[misc]
            f"exaq_code{bits}",
            fill(_ROUND_CODE, TOP=f"exaq_code{bits}", BITS=bits, LARGEST=f"10'sd{127 + bits - 1}"),
            (("x", 32),),
            ("code", bits),
            lambda v: blocks.round_code(v["x"], bits),
        )
        makers[f"exaq_table{bits}"] = lambda bits=bits: _exaq_table(bits)  # type: ignore[misc]
        makers[f"exaq_select{bits}"] = lambda bits=bits: _exaq_select(bits)  # type: ignore[misc]
    return makers


def block_unit(name: str) -> Unit:
    """The circuit of an encoder.

    Raises:
        UnknownName: none of `block_units`.
    """
    makers = block_units()
    if name not in makers:
        raise UnknownName("operator", name, makers, where="block_unit")
    return makers[name]()


def _unit(
    name: str,
    text: str,
    inputs: tuple[tuple[str, int], ...],
    output: tuple[str, int],
    rule: Callable[[Values], NDArray[np.uint64]],
) -> Unit:
    ports = tuple(Port(*one) for one in inputs)
    return Unit(
        name,
        text,
        ports,
        (Port(*output),),
        lambda values: {output[0]: rule(values)},
        lambda rng, n: _drawn(rng, n, ports),
        family="vector",
    )


def _drawn(rng: np.random.Generator, n: int, ports: tuple[Port, ...]) -> Values:
    """Finite float32 words, ordinary and of any size; numbers with few digits, for ties; scales near them."""
    values: Values = {}
    magnitude: NDArray[Any] = np.zeros(n, np.uint64)
    for port in ports:
        if port.bits >= 31:
            words = float_words(rng, Port(port.name, 32), n, "fp32")
            few = random_words(rng, Port("", 32), n) & np.uint64(0xFFF80000)  # four fraction bits
            near = few & np.uint64(0x80FFFFFF) | rng.integers(118, 136, n).astype(np.uint64) << np.uint64(23)
            kind = rng.integers(0, 4, n)
            words = np.where(kind == 0, few, np.where(kind == 1, near, words))
            finite = (words >> np.uint64(23) & np.uint64(255)) < np.uint64(255)
            words = np.where(finite, words, words ^ np.uint64(1 << 29))
            values[port.name] = words & np.uint64((1 << port.bits) - 1)
            magnitude = values[port.name] & np.uint64(0x7FFFFFFF)
        elif port.bits == 8:  # E8M0: near the number's exponent
            near_scale = (magnitude >> np.uint64(23)).astype(np.int64) + rng.integers(-12, 12, n)
            scale = np.where(rng.random(n) < 0.9, near_scale, rng.integers(0, 255, n))
            values[port.name] = np.clip(scale, 0, 254).astype(np.uint64)
        else:  # E4M3
            values[port.name] = rng.integers(0, 127, n).astype(np.uint64)
    return values
