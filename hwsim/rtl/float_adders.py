"""Floating-point adders: IEEE 754 addition in one path, rounding to nearest even, subnormals in full.

The single-path form of textbooks: swap, align with a sticky bit, add or subtract, normalise, round. Three bits below
the significand (guard, round, sticky) are enough for a correctly rounded sum. Exact cancellation gives +0, as IEEE
754 6.3 asks for, and every NaN result is the canonical quiet one. A two-path adder (near and far) is faster and
larger; for area and energy at a relaxed clock the single path is what synthesis of such units ends at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UnknownName
from hwsim.rtl.unit import Port, Unit, Values, edge_words, fill, random_words

WIDTHS = {"fp16": (5, 10), "bf16": (8, 7), "fp32": (8, 23)}
"""Exponent and fraction bits."""

_ADDER = """\
// <NAME> addition: 1 sign bit, <E> exponent bits, <F> fraction bits; nearest even, subnormals, canonical NaN.
module <TOP> (input [<E>+<F>:0] a, input [<E>+<F>:0] b, output [<E>+<F>:0] sum);
  localparam E = <E>; // exponent bits
  localparam F = <F>; // fraction bits
  localparam W = F + 4; // hidden bit, fraction, guard, round, sticky

  // larger magnitude first: the difference of magnitudes is then never negative
  wire swap = b[E+F-1:0] > a[E+F-1:0];
  wire [E+F:0] x = swap ? b : a;
  wire [E+F:0] y = swap ? a : b;
  wire x_normal = |x[E+F-1:F];
  wire y_normal = |y[E+F-1:F];
  // subnormals have exponent 1 and no hidden bit
  wire [E-1:0] x_exponent = x[E+F-1:F] | {{(E-1){1'b0}}, ~x_normal};
  wire [E-1:0] y_exponent = y[E+F-1:F] | {{(E-1){1'b0}}, ~y_normal};
  wire subtract = x[E+F] ^ y[E+F];

  // align y; what leaves the word below is remembered in one sticky bit
  wire [E-1:0] distance = x_exponent - y_exponent;
  wire far = distance > W;
  wire [<DISTANCE_BITS>-1:0] shift = distance[<DISTANCE_BITS>-1:0];
  wire [2*W-1:0] spread = {y_normal, y[F-1:0], 3'b000, {W{1'b0}}} >> shift;
  wire [W-1:0] y_word = far ? {{(W-1){1'b0}}, |y[E+F-1:0]} : {spread[2*W-1:W+1], spread[W] | (|spread[W-1:0])};

  wire [W-1:0] x_word = {x_normal, x[F-1:0], 3'b000};
  wire [W:0] total = {1'b0, x_word} + ({1'b0, y_word} ^ {(W+1){subtract}}) + subtract;

  // normalise: one place right after a carry, else left past leading zeros, but not below exponent 1
  wire carry = total[W];
  wire [<COUNT_BITS>-1:0] zeros;
  leading_zeros_<W> count (.word(total[W-1:0]), .zeros(zeros));
  wire [E-1:0] room = x_exponent - 1'b1;
  wire limited = zeros > room;
  wire [<COUNT_BITS>-1:0] left = limited ? room[<COUNT_BITS>-1:0] : zeros;
  wire [W-1:0] shifted = total[W-1:0] << left;
  wire [W-1:0] normal = carry ? {total[W:2], total[1] | total[0]} : shifted;
  wire [E:0] exponent = carry ? x_exponent + 1'b1 : {1'b0, x_exponent} - left;
  // without a hidden bit the result is subnormal: exponent field 0
  wire [E:0] field = normal[W-1] ? exponent : {(E+1){1'b0}};

  // a carry out of the fraction moves into the exponent, also from the largest number to infinity
  wire round_up = normal[2] & (normal[1] | normal[0] | normal[3]);
  wire [E+F:0] rounded = {field, normal[W-2:3]} + round_up;
  wire overflow = &rounded[E+F-1:F] | rounded[E+F];

  wire x_special = &x[E+F-1:F]; // infinity or NaN; y has it only if x has it too
  wire y_special = &y[E+F-1:F];
  wire nan = (x_special & (|x[F-1:0])) | (y_special & subtract);
  wire zero = total == 0; // of equal magnitudes: +0 unless both are -0
  wire [E+F:0] finite = {x[E+F] & ~(zero & subtract), overflow ? {{E{1'b1}}, {F{1'b0}}} : rounded[E+F-1:0]};
  wire [E+F:0] special = nan ? {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}} : {x[E+F], {E{1'b1}}, {F{1'b0}}};
  assign sum = x_special ? special : finite;
endmodule
"""

_LEADING_ZEROS = """\
// Zeros above the highest one of a <W>-bit word, <W> for the word 0.
module leading_zeros_<W> (input [<W>-1:0] word, output reg [<BITS>-1:0] zeros);
  integer i;
  always @* begin
    zeros = <W>;
    for (i = 0; i < <W>; i = i + 1)
      if (word[i]) zeros = <W> - 1 - i; // the last assignment, of the highest one, wins
  end
endmodule
"""


def float_adder(fmt: str = "fp16") -> Unit:
    """``sum = a + b`` of two codes of `fmt` (fp16, bf16 or fp32); combinational.

    Raises:
        UnknownName: the format.
    """
    if fmt not in WIDTHS:
        raise UnknownName("format", fmt, WIDTHS, where="float_adder")
    exponent, fraction = WIDTHS[fmt]
    bits = 1 + exponent + fraction
    a, b, out = Port("a", bits), Port("b", bits), Port("sum", bits)

    def golden(values: Values) -> Values:
        return {"sum": add_words(values["a"], values["b"], fmt)}

    def operands(rng: np.random.Generator, n: int) -> Values:
        x, y = random_words(rng, a, n), random_words(rng, b, n)
        kind = rng.integers(0, 8, size=n)
        near = x ^ np.uint64(1 << (bits - 1)) ^ rng.integers(0, 8, size=n, dtype=np.uint64)  # cancels almost or all
        y = np.where(kind == 1, near, y)
        close = (x & ~np.uint64((1 << fraction) - 1)) ^ random_words(rng, Port("low", fraction + 2), n)
        y = np.where(kind == 2, close, y)  # exponents at most three apart
        far = (x + np.uint64(fraction << fraction)) & np.uint64((1 << bits) - 1)
        y = np.where(kind == 3, far ^ random_words(rng, Port("low", fraction + 1), n), y)  # sticky bits, ties
        x = np.where(kind == 4, edge_words(rng, a, n), x)
        special = np.array([0, 1, (1 << fraction) - 1, 1 << fraction, _infinity(fmt), _infinity(fmt) + 1], np.uint64)
        x = np.where(kind == 5, rng.choice(special, n) | random_words(rng, Port("s", 1), n) << np.uint64(bits - 1), x)
        tiny = np.uint64((1 << (fraction + 1)) - 1 | 1 << (bits - 1))
        x, y = np.where(kind == 6, x & tiny, x), np.where(kind == 6, y & tiny, y)  # subnormals and the next binade
        both = [rng.choice(special, n) | random_words(rng, Port("s", 1), n) << np.uint64(bits - 1) for _ in range(2)]
        return {"a": np.where(kind == 7, both[0], x), "b": np.where(kind == 7, both[1], y)}

    return Unit(
        f"add_{fmt}",
        adder_text(fmt),
        (a, b),
        (out,),
        golden,
        operands,
        family="float_adder",
        parameters={"fmt": fmt},
    )


def adder_text(fmt: str) -> str:
    """Modules of ``add_<fmt>``, for units that contain it."""
    exponent, fraction = WIDTHS[fmt]
    width = fraction + 4
    return (
        leading_zeros(width)
        + "\n"
        + fill(
            _ADDER,
            NAME=fmt.upper(),
            TOP=f"add_{fmt}",
            E=exponent,
            F=fraction,
            W=width,
            DISTANCE_BITS=min(exponent, (width + 1).bit_length()),
            COUNT_BITS=width.bit_length(),
        )
    )


def leading_zeros(width: int) -> str:
    """Module ``leading_zeros_<width>`` with ``bit_length(width)`` output bits."""
    return fill(_LEADING_ZEROS, W=width, BITS=width.bit_length())


def add_words(a: NDArray[np.uint64], b: NDArray[np.uint64], fmt: str) -> NDArray[np.uint64]:
    """IEEE 754 sums of codes, by numpy's float16 and float32, NaN made canonical.

    bfloat16 adds in float32 and rounds once more: 24 bits are more than twice 8 plus 2, so both roundings together
    are the correct one (Figueroa, 1995).
    """
    fraction = WIDTHS[fmt][1]
    with np.errstate(all="ignore"):
        if fmt == "fp16":
            total = a.astype(np.uint16).view(np.float16) + b.astype(np.uint16).view(np.float16)
            words = total.view(np.uint16).astype(np.uint64)
        else:
            total = to_float32(a, fmt) + to_float32(b, fmt)
            words = total.view(np.uint32).astype(np.uint64)
            if fmt == "bf16":
                words = words + np.uint64(0x7FFF) + (words >> np.uint64(16) & np.uint64(1)) >> np.uint64(16)
    quiet = np.uint64(_infinity(fmt) | 1 << (fraction - 1))
    return np.where(np.isnan(total), quiet, words)


def to_float32(words: NDArray[np.uint64], fmt: str) -> NDArray[np.float32]:
    """The numbers that codes of `fmt` stand for."""
    if fmt == "fp16":
        return words.astype(np.uint16).view(np.float16).astype(np.float32)
    return (words.astype(np.uint32) << np.uint32(16 if fmt == "bf16" else 0)).view(np.float32)


def from_float32(values: NDArray[np.float32], fmt: str) -> NDArray[np.uint64]:
    """Codes of numbers that `fmt` holds exactly."""
    if fmt == "fp16":
        return values.astype(np.float16).view(np.uint16).astype(np.uint64)
    return values.view(np.uint32).astype(np.uint64) >> np.uint64(16 if fmt == "bf16" else 0)


def float_words(rng: np.random.Generator, port: Port, n: int, fmt: str) -> NDArray[np.uint64]:
    """Codes of `fmt` for `port`: normal deviates; in some rows whole numbers, tiny numbers, any bits or specials."""
    fraction = WIDTHS[fmt][1]
    shape = (n, *port.shape)
    kind = rng.integers(0, 16, size=n).reshape(n, *(1 for _ in port.shape))
    normal = rng.standard_normal(shape).astype(np.float32)
    whole = rng.integers(-127, 128, size=shape).astype(np.float32)
    drawn = np.where(kind < 8, normal, whole)
    if fmt == "fp16":
        words = drawn.astype(np.float16).view(np.uint16).astype(np.uint64)
    else:
        words = drawn.view(np.uint32).astype(np.uint64) >> np.uint64(16 if fmt == "bf16" else 0)
    any_bits = random_words(rng, Port("", port.bits, port.count), n)
    tiny = any_bits & np.uint64((1 << (fraction + 1)) - 1 | 1 << (port.bits - 1))
    mixed = np.where(rng.random(shape) < 0.3, _infinity(fmt) | any_bits, words)
    words = np.where(kind == 13, tiny, words)
    words = np.where(kind == 14, any_bits, words)
    words = np.where(kind == 15, mixed, words)
    zeros = any_bits & np.uint64(1 << (port.bits - 1))
    return np.where((kind >= 10) & (rng.random(shape) < 0.3), zeros, words)


def _infinity(fmt: str) -> int:
    exponent, fraction = WIDTHS[fmt]
    return ((1 << exponent) - 1) << fraction
