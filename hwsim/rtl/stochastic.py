"""Stochastic rounding to E2M1 with eight random bits an element, and the shift register that supplies them.

The rule is that of NVIDIA's conversion as modelled by `hwsim.quant.stochastic.encode_nvidia`: |x| plus random / 256
of the step around |x|, cut to the step around the sum, at most 6. In units of 2^-9 everything is a whole number of 13
bits; bits of x below that unit cannot carry. Inputs are bfloat16 or float16, where this equals the float32 arithmetic
of the model bit for bit; float32 inputs are not offered, as there its additions round.

Random bits: a 32-bit Galois shift register (x^32 + x^22 + x^2 + x + 1, period 2^32 - 1) that moves 32 places a cycle,
so that every word is new; byte i serves element i.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UnknownName
from hwsim.quant.stochastic import encode_nvidia
from hwsim.rtl.float_adders import float_words
from hwsim.rtl.unit import Port, Unit, Values, fill, join, random_words

TAPS = 0x80200003
LEAP = 32

_ROUND = """\
// <NAME> -> E2M1 with 8 random bits: t = |x| + random / 256 * step(|x|), cut to step(t), at most 6. NaN gives +6.
module <TOP> (input [15:0] x, input [7:0] random, output [3:0] code);
  wire [<E>-1:0] field = x[14:<M>];
  wire beyond = field >= <E>'d<EIGHT>; // 8 and more, infinity, NaN
  wire [11:0] significand = {|field, x[<M>-1:0], <PAD>'d0};
  wire [<E>-1:0] distance = <E>'d<FOUR> - field;
  wire [11:0] units = distance > <E>'d11 ? 12'd0 : significand >> distance[3:0]; // |x| in 2^-9
  wire [11:0] noise = units[11] ? {2'd0, random, 2'd0} : units[10] ? {3'd0, random, 1'd0} : {4'd0, random};
  wire [12:0] t = units + noise;
  wire [2:0] cut = t[12] ? 3'd7                  // 8 or more: 6
    : t[11] ? {2'b11, t[10]}                     // 4 or 6
    : t[10] ? {2'b10, t[9]}                      // 2 or 3
    : {1'b0, t[9:8]};                            // steps of 1/2
  wire nan = (&field) & (|x[<M>-1:0]);
  assign code = {x[15] & ~nan, beyond ? 3'd7 : cut};
endmodule
"""

_LFSR = """\
// 32-bit Galois shift register, 32 places a cycle. A seed of 0 would stay 0.
module lfsr32 (input clk, input load, input [31:0] seed, output reg [31:0] state);
  integer i;
  reg [31:0] next;
  always @* begin
    next = state;
    for (i = 0; i < <LEAP>; i = i + 1) next = {1'b0, next[31:1]} ^ (32'h<TAPS> & {32{next[0]}});
  end
  always @(posedge clk) state <= load ? seed : next;
endmodule
"""

_QUANTIZER = """\
// Four <NAME> values a cycle to E2M1, stochastically; byte i of the shift register's word rounds element i.
module <TOP> (input clk, input load, input [31:0] seed, input [63:0] x, output reg [15:0] codes);
  wire [31:0] state;
  lfsr32 random (.clk(clk), .load(load), .seed(seed), .state(state));
  wire [15:0] rounded;
  genvar i;
  generate
    for (i = 0; i < 4; i = i + 1) begin : lane
      <ROUND> round (.x(x[16 * i +: 16]), .random(state[8 * i +: 8]), .code(rounded[4 * i +: 4]));
    end
  endgenerate
  always @(posedge clk) codes <= load ? 16'd0 : rounded; // before the load the register holds nothing
endmodule
"""


def stochastic_rounder(fmt: str = "bf16") -> Unit:
    """One bf16 or fp16 word and 8 random bits -> an E2M1 code; combinational.

    Raises:
        UnknownName: the format.
    """
    x, random, code = Port("x", 16), Port("random", 8), Port("code", 4)

    def golden(values: Values) -> Values:
        return {"code": _encode(values["x"], values["random"], fmt)}

    def operands(rng: np.random.Generator, n: int) -> Values:
        words = float_words(rng, x, n, fmt)
        near = random_words(rng, x, n) & np.uint64(0x83FF) | np.uint64(0x3E00 if fmt == "bf16" else 0x3400)
        return {
            "x": np.where(rng.random(n) < 0.5, near, words),  # around the steps of E2M1
            "random": random_words(rng, random, n),
        }

    return Unit(
        f"sr_e2m1_{fmt}",
        _round_text(fmt),
        (x, random),
        (code,),
        golden,
        operands,
        family="stochastic_rounder",
        parameters={"fmt": fmt},
    )


def lfsr() -> Unit:
    """The shift register: ``load`` takes ``seed``, every other cycle moves 32 places; clocked."""
    load, seed, state = Port("load", 1), Port("seed", 32), Port("state", 32)
    return Unit(
        "lfsr32",
        _lfsr_text(),
        (load, seed),
        (state,),
        lambda values: {"state": _states(values)},
        _seeds,
        registers=(state,),
        latency_cycles=1,
        family="lfsr",
    )


def stochastic_quantizer(fmt: str = "bf16") -> Unit:
    """Shift register and four rounders: four codes a cycle; clocked. Raises as `stochastic_rounder`."""
    rounder = stochastic_rounder(fmt)
    top = f"sr_quantizer_{fmt}"
    load, seed, x = Port("load", 1), Port("seed", 32), Port("x", 16, 4)
    codes, state = Port("codes", 4, 4), Port("random.state", 32)

    def golden(values: Values) -> Values:
        states = _states(values)
        before = np.concatenate([np.zeros(1, np.uint64), states[:-1]])
        noise = np.stack([before >> np.uint64(8 * i) & np.uint64(255) for i in range(4)], axis=1)
        rounded = _encode(values["x"], noise, fmt)
        return {
            "codes": np.where(values["load"][:, None] != 0, np.uint64(0), rounded),
            "random.state": states,
        }

    return Unit(
        top,
        join(rounder.verilog, _lfsr_text(), fill(_QUANTIZER, TOP=top, NAME=fmt.upper(), ROUND=rounder.top)),
        (load, seed, x),
        (codes,),
        golden,
        lambda rng, n: _seeds(rng, n) | {"x": float_words(rng, x, n, fmt)},
        registers=(state, codes),
        latency_cycles=1,
        family="stochastic_quantizer",
        parameters={"fmt": fmt},
    )


def _round_text(fmt: str) -> str:
    widths = {"bf16": (8, 7, 129), "fp16": (5, 10, 17)}  # exponent bits, fraction bits, field of [4, 8)
    if fmt not in widths:
        raise UnknownName("format", fmt, widths, where="stochastic_rounder")
    exponent, fraction, four = widths[fmt]
    return fill(
        _ROUND,
        NAME=fmt.upper(),
        TOP=f"sr_e2m1_{fmt}",
        E=exponent,
        M=fraction,
        PAD=11 - fraction,
        FOUR=four,
        EIGHT=four + 1,
    )


def _encode(words: NDArray[np.uint64], noise: NDArray[np.uint64], fmt: str) -> NDArray[np.uint64]:
    if fmt == "bf16":
        values = (words.astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        values = words.astype(np.uint16).view(np.float16).astype(np.float32)
    return encode_nvidia(values, noise.astype(np.uint32)).astype(np.uint64)


def _lfsr_text() -> str:
    return fill(_LFSR, LEAP=LEAP, TAPS=f"{TAPS:08X}")


@functools.cache
def _leap_tables() -> tuple[tuple[int, ...], ...]:
    """State after a leap, by byte of the state before: the register is linear, so the four parts combine by XOR."""

    def leap(state: int) -> int:
        for _ in range(LEAP):
            state = state >> 1 ^ (TAPS if state & 1 else 0)
        return state

    return tuple(tuple(leap(byte << place) for byte in range(256)) for place in (0, 8, 16, 24))


def _states(values: Values) -> NDArray[np.uint64]:
    tables = _leap_tables()
    state, out = 0, np.zeros(len(values["load"]), np.uint64)
    for row, (load, seed) in enumerate(zip(values["load"].tolist(), values["seed"].tolist(), strict=True)):
        state = (
            seed
            if load
            else tables[0][state & 255]
            ^ tables[1][state >> 8 & 255]
            ^ tables[2][state >> 16 & 255]
            ^ tables[3][state >> 24]
        )
        out[row] = state
    return out


def _seeds(rng: np.random.Generator, n: int) -> Values:
    load = (rng.random(n) < 1 / 64).astype(np.uint64)
    load[0] = 1
    return {"load": load, "seed": random_words(rng, Port("seed", 32), n) | np.uint64(1)}
