"""Pieces that every fused dot-product unit shares: the common exponent, the alignment, the final rounding.

A fused unit adds all its terms once, as fixed-point numbers below one exponent: terms are cut toward zero where they
are aligned, the sum is exact, and one truncation makes a float32 (arXiv 2511.10909). Exponents travel as unsigned
numbers: the true one plus an offset that makes the smallest zero.
"""

from __future__ import annotations

from hwsim.rtl.float_adders import leading_zeros
from hwsim.rtl.unit import fill, join

_LARGEST = """\
// The largest of <N> unsigned numbers of <W> bits, by a tournament.
module largest_<N>x<W> (input [<N>*<W>-1:0] candidates, output reg [<W>-1:0] largest);
  integer i, left;
  reg [<N>*<W>-1:0] field;
  always @* begin
    field = candidates;
    for (left = <N>; left > 1; left = (left + 1) / 2)
      for (i = 0; i < left / 2; i = i + 1)
        if (field[(left - 1 - i) * <W> +: <W>] > field[i * <W> +: <W>])
          field[i * <W> +: <W>] = field[(left - 1 - i) * <W> +: <W>];
    largest = field[<W>-1:0];
  end
endmodule
"""

_ALIGN = """\
// <IN>-bit magnitude as the upper bits of a <OUT>-bit word, moved down by `distance`; bits that leave are dropped.
module align_<IN>to<OUT>_<W> (input [<IN>-1:0] magnitude, input [<W>-1:0] distance, output [<OUT>-1:0] term);
  wire [<WIDE>-1:0] word = {magnitude, <PAD>'d0};
  wire [<WIDE>-1:0] moved = word >> distance[<SHIFT>-1:0];
<GONE>
endmodule
"""

_ROUND = """\
// Two's complement sum in units of 2^(e - <F>), e = exponent - <OFFSET>, to a float32 by truncation toward zero.
// Gradual underflow; a magnitude beyond the largest number becomes infinity; zero is +0. <KEPT_TEXT>
module <TOP> (input [<TW>-1:0] total, input [<EW>-1:0] exponent, output [31:0] word);
  wire negative = total[<TW>-1];
  wire [<M>-1:0] magnitude = (total[<M>-1:0] ^ {<M>{negative}}) + negative;
  wire [<CW>-1:0] zeros;
  leading_zeros_<M> count (.word(magnitude), .zeros(zeros));
  // float32's exponent field of the highest bit, if it is set, less 1: never negative, by the width of the sum
  wire [<XW>-1:0] room = exponent <ROOM>;
  wire limited = zeros > room; // subnormal: the highest one stays below 2^-126
  wire [<CW>-1:0] left = limited ? room[<CW>-1:0] : zeros;
  wire [<M>-1:0] normal = magnitude << left;
  wire [<XW>-1:0] field = room - left + 1'b1;
  wire overflow = field > <XW>'d254;
  wire [22:0] fraction = <FRACTION>;
  wire nonzero = |magnitude;
  // a result that vanishes below 2^-149 is +0
  wire [30:0] finite = {normal[<M>-1] ? field[7:0] : 8'd0, fraction};
  assign word = overflow & nonzero ? {negative, 31'h7F800000} : {negative & (|finite), finite};
endmodule
"""


def largest(count: int, width: int) -> tuple[str, str]:
    """Name and text of the module that finds the largest of `count` numbers."""
    return f"largest_{count}x{width}", fill(_LARGEST, N=count, W=width)


def align(in_bits: int, out_bits: int, distance_bits: int) -> tuple[str, str]:
    """Name and text of the module that moves a magnitude below the top of a word and cuts it to the word."""
    wide = max(in_bits, out_bits)
    shift = min(distance_bits, wide.bit_length())
    if distance_bits > shift:
        gone = (
            f"  wire gone = |distance[{distance_bits - 1}:{shift}];\n"
            f"  assign term = gone ? {out_bits}'d0 : moved[{wide - 1}:{wide - out_bits}];"
        )
    else:
        gone = f"  assign term = moved[{wide - 1}:{wide - out_bits}];"
    text = fill(
        _ALIGN, IN=in_bits, OUT=out_bits, W=distance_bits, WIDE=wide, PAD=wide - in_bits, SHIFT=shift, GONE=gone
    )
    if wide == in_bits:
        text = text.replace("{magnitude, 0'd0}", "magnitude")
    return f"align_{in_bits}to{out_bits}_{distance_bits}", text


def round_to_fp32(
    top: str, magnitude_bits: int, exponent_bits: int, offset: int, fraction_bits: int, kept_bits: int = 23
) -> str:
    """Text of module `top`: ``total`` (one bit more than the magnitude) and ``exponent`` to a float32 word.

    The caller guarantees that the highest bit of the sum never lies below the smallest normal number, whatever the
    exponent: ``magnitude_bits - 1 - fraction_bits + least exponent >= -126``.
    """
    room = magnitude_bits - 1 - fraction_bits - offset + 126
    held_bits = min(kept_bits, magnitude_bits - 1)  # a narrow sum has fewer than are kept
    top_fraction = f"normal[{magnitude_bits - 2}:{magnitude_bits - 1 - held_bits}]"
    dropped = 23 - held_bits
    return join(
        leading_zeros(magnitude_bits),
        fill(
            _ROUND,
            TOP=top,
            F=fraction_bits,
            OFFSET=offset,
            TW=magnitude_bits + 1,
            M=magnitude_bits,
            EW=exponent_bits,
            XW=max(exponent_bits, magnitude_bits.bit_length(), 8) + 1,
            CW=magnitude_bits.bit_length(),
            ROOM=f"+ {room}" if room >= 0 else f"- {-room}",
            FRACTION=f"{{{top_fraction}, {dropped}'d0}}" if dropped else top_fraction,
            KEPT_TEXT=f"{kept_bits} fraction bits are kept.",
        ),
    )
