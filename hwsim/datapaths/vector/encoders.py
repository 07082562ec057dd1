"""Quantizers of any block scheme from its fields: a float32 number over a scale, rounded once to a small format.

`Encoder` is one circuit: the target format, and what it divides by, which is the scale on a port (its format a power
of two or a float) or a constant (the largest element, when the target is the scale itself). Element and scale of a
block are two of them. In words: the leading bits of the number over the significand of the divisor (a restoring
division of as many steps as the result needs), the exponents' difference, a shift where the result is subnormal,
rounding to nearest even, saturation. Subnormal numbers count as zero, and a scale of zero makes zeros; a subnormal
scale is normalised first. Bits and Verilog are made of the same facts.

Where a smaller circuit of the same bits is known (`hwsim.datapaths.vector.block_circuits`), `hwsim.datapaths.vector.
work` takes that one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.formats import Format
from hwsim.rtl.unit import Port, Unit, Values, fill, random_words

Words = NDArray[Any]
"""uint64 words."""

_TEXT = """\
// A float32 number over <BY>, rounded to nearest even to <TARGET>, saturating.
module <TOP> (input [<IN>-1:0] x, <PORT>output [<BITS>-1:0] code);
  wire [7:0] e = x[30:23];
<DIVISOR>
  wire [<H>-1:0] high = <HIGH>;
  wire cut = |x[<CUT>:0];
<DIVISION>
  wire top = q[<M>+2];
  wire [<M>+3:0] joined = {top ? q : {q[<M>+1:0], 1'b0}, left | cut};
  wire signed [11:0] field = $signed({4'd0, e}) + <OFFSET> - exponent - $signed({11'd0, ~top});
  wire signed [11:0] below = 12'sd1 - field;
  wire [<D>-1:0] down = below <= 12'sd0 ? <D>'d0 : below > 12'sd<MOST> ? <D>'d<MOST> : below[<D>-1:0];
  wire [2*<M>+5:0] moved = {joined, <M2>'d0} >> down;
  wire up = moved[<M>+4] & ((|moved[<M>+3:0]) | moved[<M>+5]);
  wire [11:0] base = below > 12'sd0 ? 12'd0 : field[11:0] - 12'd1;
  wire [12+<M>:0] rounded = {base, <M>'d0} + {12'd0, moved[2*<M>+5:<M>+5]} + up;
  wire over = field > 12'sd<FIELDS> | rounded > <LARGEST>;
  wire [<W>-1:0] magnitude = <NOTHING> ? <W>'d0 : over ? <W>'d<LARGEST> : rounded[<W>-1:0];
  assign code = <CODE>;
endmodule
"""

_DIVISION = """\
  reg [<M>+2:0] q; // a step a bit
  reg [<S>+1:0] r;
  integer i;
  always @* begin
    r = high[<H>-1 -: <S>];
    for (i = <M> + 2; i >= 0; i = i - 1) begin
      r = {r[<S>:0], high[i]};
      q[i] = r >= m;
      r = r >= m ? r - m : r;
    end
  end
  wire left = |r;"""

_FLOAT_SCALE = """\
  wire [<E>-1:0] s = scale[<E>+<S>-1:<S>];
  wire [<S>:0] raw = {|s, scale[<S>-1:0]};
  reg [<Z>-1:0] zeros; // in front of a subnormal significand
  integer k;
  always @* begin
    zeros = 0;
    for (k = 0; k <= <S>; k = k + 1) if (raw[k]) zeros = <S> - k;
  end
  wire [<S>:0] m = raw << zeros;
  wire signed [11:0] exponent = $signed({<REST>'d0, |s ? s : <E>'d1}) - 12'sd<BIAS> - $signed({<ZREST>'d0, zeros});"""


@dataclass(frozen=True, slots=True)
class Encoder:
    """One circuit.

    Args:
        target: name of the Format of the result; an integer one is symmetric.
        divisor: name of the scale's Format, or a positive constant.

    Raises:
        ArgumentError: a target or scale of no mantissa, of more than 8 bits, or without a zero where it needs one.
    """

    target: str
    divisor: str | float

    def __post_init__(self) -> None:
        form = formats.get(self.target)
        if form.bits > 8 or not form.mantissa_bits or not form.zero:
            raise ArgumentError("a target must have mantissa bits, a zero, and at most 8 bits", got=self.target)
        scale = self.scale
        if scale is not None and (scale.bits > 8 or scale.is_integer or (not scale.zero and scale.mantissa_bits > 0)):
            raise ArgumentError("a scale must be a float of at most 8 bits", got=self.divisor)
        if scale is None and not float(self.divisor) > 0:
            raise ArgumentError("a divisor must be positive", got=self.divisor)

    @property
    def name(self) -> str:
        """``round_e3m2_by_ue5m3``, ``round_ue4m3_by_28``."""
        by = self.divisor if isinstance(self.divisor, str) else f"{self.divisor:g}".replace(".", "p")
        return f"round_{self.target}_by_{by}"

    @property
    def form(self) -> Format:
        """Of the result."""
        return formats.get(self.target)

    @property
    def scale(self) -> Format | None:
        """Format of the divisor, None where it is a constant."""
        return formats.get(self.divisor) if isinstance(self.divisor, str) else None

    @property
    def signed(self) -> bool:
        """Whether numbers of both signs come, as elements do; a scale has none."""
        return self.scale is not None

    @property
    def mantissa(self) -> int:
        """Bits of the result behind its leading one."""
        return self.form.bits - 2 if self.form.is_integer else self.form.mantissa_bits

    @property
    def bias(self) -> int:
        """Of the result's exponent field; an integer has one field, whose unit is 1."""
        return 1 - self.mantissa if self.form.is_integer else self.form.bias

    @property
    def width(self) -> int:
        """Bits of the result's magnitude."""
        return self.form.bits - 1 if self.form.signed else self.form.bits

    @property
    def largest(self) -> int:
        """Code of the largest magnitude."""
        if self.form.is_integer:
            return (1 << self.width) - 1
        return int(self.form.encode(np.array([self.form.max], np.float32))[0])

    @property
    def constant(self) -> tuple[int, int]:
        """Odd significand d and exponent of its leading bit, of a constant d 2^k."""
        significand, exponent = math.frexp(float(self.divisor))
        whole = int(significand * (1 << 53))
        while whole % 2 == 0:
            whole //= 2
        return whole, exponent - 1

    @property
    def divisor_mantissa(self) -> int:
        """Bits of the divisor's significand behind its leading one; 0 divides by a power of two."""
        return self.constant[0].bit_length() - 1 if self.scale is None else self.scale.mantissa_bits

    def code(self, x: Words, scale: Words | None = None) -> Words:
        """Codes of float32 words `x` (finite; of a scale's circuit without sign) over scale codes."""
        m, exponent = self._divisor(len(x), scale)
        kept, behind = self.mantissa, self.divisor_mantissa
        word = x.astype(np.int64)
        e, significand = word >> 23 & 255, word & (1 << 23) - 1 | 1 << 23
        drop = 21 - kept - behind
        high, low = significand >> drop, significand & (1 << drop) - 1
        q, rest = high // np.maximum(m, 1), (high % np.maximum(m, 1) != 0) | (low != 0)
        top = q >> kept + 2 & 1
        joined = np.where(top == 1, q, q << 1) << 1 | rest
        field = e - 127 - exponent + self.bias - (1 - top)
        down = np.clip(1 - field, 0, kept + 3)
        moved, lost = joined >> down, joined & (np.int64(1) << down) - 1
        mantissa = moved >> 3
        up = (moved >> 2 & 1) & ((moved & 3 != 0) | (lost != 0) | (mantissa & 1 == 1))
        code = (np.maximum(field, 1) - 1 << kept) + mantissa + up
        code = np.where((field > self.largest >> kept) | (code > self.largest), self.largest, code)
        if self.form.is_integer:
            code = np.where((field > 1) & (e > 0), self.largest, code)
        code = np.where((e == 0) | (m == 0), 0, code)
        if not self.signed:
            return np.asarray(code, np.uint64)
        sign = word >> 31 & 1
        if self.form.is_integer:
            return np.asarray(np.where(sign == 1, -code, code) & (1 << self.form.bits) - 1, np.uint64)
        return np.asarray(code | sign << self.form.bits - 1, np.uint64)

    def _divisor(self, count: int, codes: Words | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Significand, its leading bit at `divisor_mantissa`, and exponent of that bit."""
        form = self.scale
        if form is None:
            return np.full(count, self.constant[0]), np.full(count, self.constant[1])
        assert codes is not None, "the scale is a port"
        word = codes.astype(np.int64)
        if not form.mantissa_bits:
            return np.ones(count, np.int64), word - form.bias
        field, m = word >> form.mantissa_bits, word & (1 << form.mantissa_bits) - 1
        m = np.where(field > 0, m | 1 << form.mantissa_bits, m)
        zeros = np.zeros(count, np.int64)
        for place in range(form.mantissa_bits + 1):
            zeros = np.where(m >> place & 1 == 1, form.mantissa_bits - place, zeros)
        return m << zeros, np.maximum(field, 1) - form.bias - zeros

    def unit(self) -> Unit:
        """The circuit: ports x (31 bits where the target is a scale) and, where there is one, scale; code."""
        ports = [Port("x", 32 if self.signed else 31)]
        if self.scale is not None:
            ports.append(Port("scale", self.scale.exponent_bits + self.scale.mantissa_bits))
        bits = self.form.bits if self.signed else self.width
        return Unit(
            self.name,
            self._text(bits),
            tuple(ports),
            (Port("code", bits),),
            lambda values: {"code": self.code(values["x"], values.get("scale"))},
            lambda rng, n: self.drawn(rng, n),
            family="encoder",
        )

    def _text(self, bits: int) -> str:
        kept, behind = self.mantissa, self.divisor_mantissa
        high = kept + behind + 3
        offset = self.bias - 127
        values: dict[str, object] = {
            "TOP": self.name, "TARGET": self.target, "BY": self.divisor, "IN": 32 if self.signed else 31,
            "BITS": bits,
            "M": kept, "M2": kept + 2, "H": high, "W": self.width, "LARGEST": self.largest,
            "HIGH": f"{{1'b1, x[22:{24 - high}]}}", "CUT": 23 - high, "D": (kept + 2).bit_length(), "MOST": kept + 2,
            "FIELDS": 1 if self.form.is_integer else self.largest >> kept,
            "OFFSET": f"(12'sd{offset})" if offset >= 0 else f"(-12'sd{-offset})",
        }  # fmt: skip
        scale = self.scale
        if scale is None:
            whole, exponent = self.constant
            divisor = (
                f"  wire [{behind}:0] m = {behind + 1}'d{whole};\n"
                f"  wire signed [11:0] exponent = {'-' if exponent < 0 else ''}12'sd{abs(exponent)};"
            )
            nothing = "~(|e)"
        elif not scale.mantissa_bits:
            width = scale.exponent_bits
            divisor = f"  wire signed [11:0] exponent = $signed({{{12 - width}'d0, scale}}) - 12'sd{scale.bias};"
            nothing = "~(|e)"
        else:
            zeros = behind.bit_length()
            divisor = fill(
                _FLOAT_SCALE, E=scale.exponent_bits, S=behind, Z=zeros, BIAS=scale.bias,
                REST=12 - scale.exponent_bits, ZREST=12 - zeros,
            )  # fmt: skip
            nothing = "(~(|e) | ~(|raw))"
        division = (
            fill(_DIVISION, M=kept, S=behind, H=high)
            if behind
            else f"  wire [{kept}+2:0] q = high;\n  wire left = 1'b0;"
        )
        code = "magnitude"
        if self.signed:
            code = "{x[31], magnitude}"
            if self.form.is_integer:
                code = "x[31] ? -{1'b0, magnitude} : {1'b0, magnitude}"
        port = "" if scale is None else f"input [{scale.exponent_bits + scale.mantissa_bits}-1:0] scale, "
        return fill(_TEXT, DIVISOR=divisor, DIVISION=division, NOTHING=nothing, CODE=code, PORT=port, **values)

    def drawn(self, rng: np.random.Generator, n: int) -> Values:
        """Finite words: near what rounds and saturates, few digits for ties, any size; scales of every code."""
        made: Values = {}
        centre = np.zeros(n, np.int64)
        if self.scale is not None:
            top = (1 << self.scale.exponent_bits + self.scale.mantissa_bits) - 1
            codes = rng.integers(0, top + 1, n).astype(np.uint64)
            made["scale"] = codes
            centre = self._divisor(n, codes)[1]
        else:
            centre += self.constant[1]
        spread = self.largest >> self.mantissa if not self.form.is_integer else self.mantissa
        exponent = centre + 127 + (1 - self.bias) + rng.integers(-self.mantissa - 4, spread + 3, n)
        x = random_words(rng, Port("x", 32), n) & np.uint64(0x807FFFFF)
        few = rng.integers(0, 1 << 23, n) & ~((1 << 22 - self.mantissa) - 1)
        x = np.where(rng.random(n) < 0.4, x & np.uint64(0x80000000) | few.astype(np.uint64), x)
        exponent = np.where(rng.random(n) < 0.1, rng.integers(0, 255, n), np.clip(exponent, 0, 254))
        x |= exponent.astype(np.uint64) << np.uint64(23)
        made["x"] = x if self.signed else x & np.uint64(0x7FFFFFFF)
        return made
