"""Piecewise polynomials on integers: what a table-driven function unit computes, and the module that computes it.

``value(x) = (c0[s] + c1[s] d + (c2[s] h^2 >> e)) >> k``: the top bits of x are the segment s, the rest the offset d,
and h the top bits of d. The rounding half is part of c0. Degree 1 serves 8 to 12 bits, degree 2 the 24 of float32, as
in the special function units of GPUs (Oberman, Siu, 2005). Coefficients go through the Chebyshev points of each
segment, computed in double precision and rounded; what a finer search would find changes the last bit at most.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.rtl.unit import fill

FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "exp2": lambda f: 2.0 ** (1 - f),
    "reciprocal": lambda f: 2.0 / (1 + f),
    "rsqrt": lambda f: 2.0 / math.sqrt(1 + 2 * f if f < 0.5 else 4 * f),
    "gelu": lambda f: 0.5 * math.erfc(8 * f / math.sqrt(2)),
    "silu": lambda f: 1 / (1 + math.exp(8 * f)),
}
"""Functions of f in [0, 1): ``2^(1-f)``; ``2/(1+f)``; ``2/sqrt(1+m)`` and ``2/sqrt(2(1+m))`` for f = m/2 and
1/2 + m/2; the tails of the normal and the logistic distribution at 8 f, by which GELU and SiLU multiply."""


@dataclass(frozen=True, slots=True)
class Table:
    """A function in `in_bits` bits of argument and `fraction_bits` bits behind the point of its value.

    Attributes:
        segment_bits: bits that select the segment.
        shift: k of the formula; c0 and c1 have k more bits than the value.
        square_bits, square_shift: bits of h, and e of the formula; 0 bits for degree 1.
        c0, c1, c2: coefficients by segment.
    """

    name: str
    in_bits: int
    fraction_bits: int
    segment_bits: int
    shift: int
    square_bits: int
    square_shift: int
    c0: tuple[int, ...]
    c1: tuple[int, ...]
    c2: tuple[int, ...]

    @property
    def out_bits(self) -> int:
        """Bits of the value: two before the point for functions up to 2, none for tails up to 1/2."""
        return self.fraction_bits + (2 if self.name in ("exp2", "reciprocal", "rsqrt") else 0)

    @property
    def offset_bits(self) -> int:
        """Bits of the offset in a segment."""
        return self.in_bits - self.segment_bits

    @property
    def module(self) -> str:
        """Name of the Verilog module."""
        return f"table_{self.name}_{self.in_bits}to{self.fraction_bits}"

    def value(self, x: NDArray[Any]) -> NDArray[Any]:
        """Values for arguments in units of ``2^-in_bits``, in units of ``2^-fraction_bits``."""
        segment = x >> self.offset_bits
        offset = x & ((1 << self.offset_bits) - 1)
        total = np.array(self.c0, np.int64)[segment] + np.array(self.c1, np.int64)[segment] * offset
        if self.square_bits:
            high = offset >> (self.offset_bits - self.square_bits)
            total = total + (np.array(self.c2, np.int64)[segment] * (high * high) >> self.square_shift)
        return np.asarray(total >> self.shift)

    def verilog(self) -> str:
        """Module with ports ``x`` [in_bits] and ``y`` [out_bits]."""
        quadratic = self.square_bits > 0
        widths = [max((abs(value) for value in column), default=0).bit_length() + 1 for column in self._columns()]
        # the sum is signed and holds the value with all its fraction; one bit more for what the squares subtract
        total = self.out_bits + self.shift + 2
        cases = []
        for segment, row in enumerate(zip(*self._columns(), strict=True)):
            words = ", ".join(f"{width}'d{value % (1 << width)}" for width, value in zip(widths, row, strict=True))
            cases.append(f"      {self.segment_bits}'d{segment}: entry = {{{words}}};")
        square = ""
        if quadratic:
            square = fill(
                "  wire [<H>-1:0] high = offset[<D>-1 -: <H>];\n"
                "  wire [2*<H>-1:0] square = high * high;\n"
                "  wire signed [<P>-1:0] bent = $signed(entry[<C2>-1:0]) * $signed({1'b0, square});\n",
                H=self.square_bits, D=self.offset_bits, P=widths[2] + 2 * self.square_bits + 1, C2=widths[2],
            )  # fmt: skip
        return fill(
            _TABLE,
            NAME=self.name,
            DEGREE=1 + quadratic,
            MODULE=self.module,
            IN=self.in_bits,
            OUT=self.out_bits,
            S=self.segment_bits,
            D=self.offset_bits,
            ENTRY=sum(widths),
            CASES="\n".join(cases),
            C0_TOP=sum(widths) - 1,
            C0=widths[0],
            C1_TOP=sum(widths[1:]) - 1,
            C1=widths[1],
            SQUARE=square,
            LINE=widths[1] + self.offset_bits + 1,
            T=total,
            BENT=f" + (bent >>> {self.square_shift})" if quadratic else "",
            K=self.shift,
            K_TOP=self.shift + self.out_bits - 1,
        )

    def _columns(self) -> tuple[tuple[int, ...], ...]:
        return (self.c0, self.c1, self.c2) if self.square_bits else (self.c0, self.c1)


_TABLE = """\
// <NAME> of a <IN>-bit fraction by a polynomial of degree <DEGREE> in each segment.
module <MODULE> (input [<IN>-1:0] x, output [<OUT>-1:0] y);
  reg [<ENTRY>-1:0] entry; // coefficients, the constant one on top
  always @*
    case (x[<IN>-1 -: <S>])
<CASES>
    endcase
  wire [<D>-1:0] offset = x[<D>-1:0];
  wire signed [<C0>-1:0] c0 = entry[<C0_TOP> -: <C0>];
  wire signed [<C1>-1:0] c1 = entry[<C1_TOP> -: <C1>];
<SQUARE>  wire signed [<LINE>-1:0] line = c1 * $signed({1'b0, offset});
  wire signed [<T>-1:0] total = c0 + line<BENT>;
  assign y = total[<K_TOP>:<K>];
endmodule
"""


@functools.cache
def table(name: str, in_bits: int, fraction_bits: int, segment_bits: int, quadratic: bool = False) -> Table:
    """The table of a function of `FUNCTIONS`."""
    function = FUNCTIONS[name]
    offset_bits = in_bits - segment_bits
    shift = offset_bits + 2
    square_bits = min(offset_bits, fraction_bits // 2 + 2) if quadratic else 0
    rows = []
    for segment in range(1 << segment_bits):
        rows.append(_fit(function, segment / (1 << segment_bits), 1 / (1 << segment_bits), quadratic))
    scale = 2.0 ** (fraction_bits + shift)
    square_shift = 0
    if quadratic:
        # c2 multiplies h^2, h in units of 2^-(segment_bits + square_bits); twelve bits and a sign are kept of it
        largest = max(abs(row[2]) for row in rows) * scale / 4.0 ** (segment_bits + square_bits)
        square_shift = max(0, fraction_bits // 2 + 1 - math.ceil(math.log2(largest)))
    half = (1 << shift) >> 1
    return Table(
        name,
        in_bits,
        fraction_bits,
        segment_bits,
        shift,
        square_bits,
        square_shift,
        tuple(round(row[0] * scale) + half for row in rows),
        tuple(round(row[1] * scale / 2.0**in_bits) for row in rows),
        tuple(
            round(row[2] * scale * 2.0**square_shift / 4.0 ** (segment_bits + square_bits)) if quadratic else 0
            for row in rows
        ),
    )


def _fit(function: Callable[[float], float], start: float, width: float, quadratic: bool) -> tuple[float, ...]:
    """Coefficients in the offset from `start`: through the Chebyshev points of the segment."""
    count = 3 if quadratic else 2
    points = [width * (1 - math.cos(math.pi * (2 * i + 1) / (2 * count))) / 2 for i in range(count)]
    # the argument approaches the segment's end from inside: rsqrt has two branches
    values = [function(start + point) for point in points]
    first = (values[1] - values[0]) / (points[1] - points[0])
    if not quadratic:
        error = (function(start) - (values[0] - first * points[0]) + _middle(function, start, width)
                 - (values[0] + first * (width / 2 - points[0]))) / 2  # fmt: skip
        return values[0] - first * points[0] + error, first, 0.0
    second = (values[2] - values[1]) / (points[2] - points[1])
    bend = (second - first) / (points[2] - points[0])
    slope = first - bend * (points[0] + points[1])
    return values[0] - slope * points[0] - bend * points[0] ** 2, slope, bend


def _middle(function: Callable[[float], float], start: float, width: float) -> float:
    return function(start + width / 2)
