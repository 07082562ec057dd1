"""Integer multipliers, signed and unsigned, in three styles that trade area, depth and glitches differently.

* ``array``: one ripple-carry row per multiplier bit. The regular layout of textbooks, deep, and full of glitches.
* ``carry_save``: rows of full adders that pass carries down instead of along, one fast adder at the end.
* ``booth``: radix-4 recoding halves the rows of a carry-save array.

Signed products use Baugh-Wooley (array, carry_save): a partial product of one sign bit has negative weight, and
-x = (1 - x) - 1, so it enters inverted and all the -1 join into three constant bits. Rows are written as gates where
the structure is the point: a ``+`` chain would be rebuilt by synthesis and every style come out equal.
"""

from __future__ import annotations

import numpy as np

from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words, uniform_and_edges

STYLES = ("array", "carry_save", "booth")

_RIPPLE_ROW = """\
// <N> full adders with a rippling carry: sum = x + y + carry_in.
module ripple_row_<N> (input [<N>-1:0] x, input [<N>-1:0] y, input carry_in, output reg [<N>:0] sum);
  integer i;
  reg carry;
  always @* begin
    carry = carry_in;
    for (i = 0; i < <N>; i = i + 1) begin
      sum[i] = x[i] ^ y[i] ^ carry;
      carry  = (x[i] & y[i]) | (carry & (x[i] ^ y[i]));
    end
    sum[<N>] = carry;
  end
endmodule
"""

_CARRY_SAVE_ROW = """\
// <W> full adders, none waiting for another: x + y + z = sum + carry, modulo 2^<W>.
module carry_save_row_<W> (
  input  [<W>-1:0] x, input [<W>-1:0] y, input [<W>-1:0] z,
  output [<W>-1:0] sum, output [<W>-1:0] carry
);
  assign sum   = x ^ y ^ z;
  assign carry = ((x & y) | (z & (x ^ y))) << 1; // a carry weighs twice its column
endmodule
"""

_ARRAY = """\
// <KIND> <A_BITS> x <B_BITS> multiplier, row-ripple array: row j adds a * b[j] << j to the sum of the rows above.
module <TOP> (input [<A_BITS>-1:0] a, input [<B_BITS>-1:0] b, output [<A_BITS>+<B_BITS>-1:0] p);
  localparam N = <N>; // full adders in a row: width of the multiplicand
  localparam M = <M>; // rows: width of the multiplier
  wire [N-1:0] x = <X>;
  wire [M-1:0] y = <Y>;

  genvar j;
  generate
    for (j = 0; j < M; j = j + 1) begin : row
<PARTIAL>
      wire [N:0] sum; // the lowest bit is bit j of the product
      if (j == 0) begin : first
        assign sum = {<TOP_CONSTANT>, partial};
      end else begin : next
        ripple_row_<N> adders (.x(partial), .y(row[j - 1].sum[N:1]), .carry_in(<CARRY_IN>), .sum(sum));
      end
      assign p[j] = sum[0];
    end
  endgenerate
<HIGH>
endmodule
"""

_CARRY_SAVE = """\
// <KIND> <A_BITS> x <B_BITS> multiplier, carry-save array: carries move down a row, one adder at the end joins them.
module <TOP> (input [<A_BITS>-1:0] a, input [<B_BITS>-1:0] b, output [<A_BITS>+<B_BITS>-1:0] p);
  localparam N = <A_BITS>;
  localparam M = <B_BITS>;
  localparam P = N + M;
  genvar j;
  generate
    for (j = 0; j < M; j = j + 1) begin : row
<PARTIAL>
      wire [P-1:0] partial = {{M{1'b0}}, bits} << j;
      wire [P-1:0] sum, carry; // of the rows down to this one
      if (j == 0) begin : first
        assign sum = partial;
        assign carry = <CONSTANT>;
      end else begin : next
        carry_save_row_<P> adders (
          .x(partial), .y(row[j - 1].sum), .z(row[j - 1].carry), .sum(sum), .carry(carry)
        );
      end
    end
  endgenerate
  assign p = row[M - 1].sum + row[M - 1].carry;
endmodule
"""

_BOOTH = """\
// One radix-4 Booth digit times a: bits {b[2i+1], b[2i], b[2i-1]} select 0, a, 2a, -a or -2a.
// The result is row + negate, with row in two's complement of <W> bits.
module booth_row_<W> (input [<W>-2:0] a, input [2:0] digit, output [<W>-1:0] row, output negate);
  wire one = digit[1] ^ digit[0];
  wire two = (digit[2] & ~digit[1] & ~digit[0]) | (~digit[2] & digit[1] & digit[0]);
  assign negate = digit[2] & ~(digit[1] & digit[0]);
  wire [<W>-1:0] magnitude = ({a[<W>-2], a} & {<W>{one}}) | ({a, 1'b0} & {<W>{two}});
  assign row = magnitude ^ {<W>{negate}};
endmodule

// <KIND> <A_BITS> x <B_BITS> multiplier, radix-4 Booth: <D> rows instead of <B_BITS>, added in carry-save form.
module <TOP> (input [<A_BITS>-1:0] a, input [<B_BITS>-1:0] b, output [<A_BITS>+<B_BITS>-1:0] p);
  localparam P = <P>;
  localparam W = <W>; // bits of a row: a with its sign, doubled
  localparam D = <D>; // Booth digits of b
  wire [W-2:0] multiplicand = <A_EXTENDED>;
  wire [2*D:0] recoded = <B_EXTENDED>; // b with its sign above and a zero below

  // A row's sign bit s counts -2^(W-1); as -s = (1 - s) - 1 it enters inverted, and the -1 of all rows together
  // are the constant below. The negate bits of the rows have free columns and form one word of their own.
  wire [P-1:0] negations;
  genvar i;
  generate
    for (i = 0; i < D; i = i + 1) begin : digit
      wire [W-1:0] row;
      wire negate;
      booth_row_<W> recode (.a(multiplicand), .digit(recoded[2 * i +: 3]), .row(row), .negate(negate));
      wire [P-1:0] partial = {{P{1'b0}}, ~row[W-1], row[W-2:0]} << (2 * i);
      if (2 * i < P) assign negations[2 * i] = negate;
      if (2 * i + 1 < P) assign negations[2 * i + 1] = 1'b0;
    end
    for (i = 2 * D; i < P; i = i + 1) begin : above
      assign negations[i] = 1'b0;
    end
  endgenerate

  generate
    for (i = 0; i < D; i = i + 1) begin : compress
      wire [P-1:0] sum, carry;
      if (i == 0) begin : first
        carry_save_row_<P> adders (.x(digit[i].partial), .y(negations), .z(<CONSTANT>), .sum(sum), .carry(carry));
      end else begin : next
        carry_save_row_<P> adders (
          .x(digit[i].partial), .y(compress[i - 1].sum), .z(compress[i - 1].carry), .sum(sum), .carry(carry)
        );
      end
    end
  endgenerate
  assign p = compress[D - 1].sum + compress[D - 1].carry;
endmodule
"""


def multiplier(a_bits: int = 8, b_bits: int = 8, signed: bool = True, style: str = "array") -> Unit:
    """``p = a * b`` exactly: ``a_bits + b_bits`` product bits, two's complement where signed.

    Raises:
        ArgumentError: a width outside 2..16. UnknownName: the style.
    """
    for name, bits in (("a_bits", a_bits), ("b_bits", b_bits)):
        if not 2 <= bits <= 16:
            raise ArgumentError(f"{name} must be 2..16", got=bits, where="multiplier")
    texts = {"array": _array, "carry_save": _carry_save, "booth": _booth}
    if style not in texts:
        raise UnknownName("style", style, texts)
    name = f"mul_{'s' if signed else 'u'}{a_bits}x{b_bits}_{style}"
    a, b, p = Port("a", a_bits), Port("b", b_bits), Port("p", a_bits + b_bits)

    def golden(values: Values) -> Values:
        if signed:
            product = to_signed(values["a"], a_bits) * to_signed(values["b"], b_bits)
            return {"p": to_words(product, p.bits)}
        return {"p": values["a"].astype(np.uint64) * values["b"].astype(np.uint64)}

    return Unit(
        name=name,
        verilog=texts[style](name, a_bits, b_bits, signed),
        inputs=(a, b),
        outputs=(p,),
        golden=golden,
        operands=uniform_and_edges(a, b),
        family="multiplier",
        parameters={"a_bits": a_bits, "b_bits": b_bits, "signed": signed, "style": style},
    )


def _kind(signed: bool) -> str:
    return "Signed" if signed else "Unsigned"


def _baugh_wooley_constant(n: int, m: int) -> int:
    return ((1 << (n + m - 1)) + (1 << (n - 1)) + (1 << (m - 1))) % (1 << (n + m))


def _signed_row(name: str, multiplicand: str, multiplier: str) -> str:
    """Partial product row j of Baugh-Wooley."""
    row = f"{multiplicand} & {{N{{{multiplier}[j]}}}}"
    return (
        f"      wire [N-1:0] {name} = ({row})\n"
        f"        ^ {{j != M - 1, {{(N - 1){{j == M - 1}}}}}}; // products of one sign bit count negative: inverted"
    )


def _array(top: str, a_bits: int, b_bits: int, signed: bool) -> str:
    # Rows of the wider operand's bits: both constants 2^(n-1) and 2^(m-1) then meet a free carry input of a row.
    swap = a_bits > b_bits
    n, m = (b_bits, a_bits) if swap else (a_bits, b_bits)
    product = "      wire [N-1:0] partial = x & {N{y[j]}};"
    carry_in = "1'b0"
    if signed:
        product = _signed_row("partial", "x", "y")
        # The inverted bits leave 2^(N-1) + 2^(M-1) + 2^(N+M-1); for N = M the first two are one bit on top of row 0.
        carry_in = "1'b0" if n == m else "(j == N - 1 || j == M - 1)"
    last = "row[M - 1].sum[N:1]"
    high = f"  assign p[N+M-1:M] = {last};"
    if signed:
        high = (
            f"  // the constant 2^(N+M-1) only flips the highest bit\n"
            f"  assign p[N+M-1:M] = {last} ^ {{1'b1, {{(N - 1){{1'b0}}}}}};"
        )
    return join(
        fill(_RIPPLE_ROW, N=n),
        fill(
            _ARRAY,
            KIND=_kind(signed),
            TOP=top,
            A_BITS=a_bits,
            B_BITS=b_bits,
            N=n,
            M=m,
            X="b" if swap else "a",
            Y="a" if swap else "b",
            PARTIAL=product,
            TOP_CONSTANT="1'b1" if signed and n == m else "1'b0",
            CARRY_IN=carry_in,
            HIGH=high,
        ),
    )


def _carry_save(top: str, a_bits: int, b_bits: int, signed: bool) -> str:
    product = _signed_row("bits", "a", "b") if signed else "      wire [N-1:0] bits = a & {N{b[j]}};"
    constant = _baugh_wooley_constant(a_bits, b_bits) if signed else 0
    return _in_rows(_CARRY_SAVE, top, a_bits, b_bits, signed, constant, PARTIAL=product)


def _booth(top: str, a_bits: int, b_bits: int, signed: bool) -> str:
    digits = (b_bits + 1) // 2 if signed else b_bits // 2 + 1
    row = a_bits + (1 if signed else 2)
    above = 2 * digits - b_bits
    sign = f"{{{above}{{b[{b_bits - 1}]}}}}" if signed else f"{above}'b0"
    return _in_rows(
        _BOOTH,
        top,
        a_bits,
        b_bits,
        signed,
        -sum(1 << (row - 1 + 2 * digit) for digit in range(digits)),
        W=row,
        D=digits,
        A_EXTENDED="a" if signed else "{1'b0, a}",
        B_EXTENDED="{" + (f"{sign}, " if above else "") + "b, 1'b0}",
    )


def _in_rows(template: str, top: str, a_bits: int, b_bits: int, signed: bool, constant: int, **values: object) -> str:
    """A multiplier of carry-save rows as wide as the product, with a constant modulo its range among them."""
    width = a_bits + b_bits
    return join(
        fill(_CARRY_SAVE_ROW, W=width),
        fill(
            template,
            KIND=_kind(signed),
            TOP=top,
            A_BITS=a_bits,
            B_BITS=b_bits,
            P=width,
            CONSTANT=f"{width}'d{constant % (1 << width)}",
            **values,
        ),
    )
