"""A column of a combinational systolic mesh: products added one after the other, with no register between them.

Some meshes put registers around tiles of several PEs instead of around each (Gemmini's tile rows); this is what lies
between two registers then, and how deep a chain of adders gets against a tree.
"""

from __future__ import annotations

import numpy as np

from hwsim.errors import ArgumentError
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words, uniform_and_edges

_ADD = """\
// Modulo 2^<ACC> sum of a product of <P> bits and what comes from above.
module chain_add_<ACC>_<P> (input signed [<ACC>-1:0] c, input signed [<P>-1:0] p, output signed [<ACC>-1:0] y);
  assign y = c + p;
endmodule
"""

_CHAIN = """\
// y = c + the sum of <COUNT> products of <A_BITS> x <B_BITS> bits, one adder after the other, modulo 2^<ACC>.
module <TOP> (
  input [<COUNT>*<A_BITS>-1:0] a, input [<COUNT>*<B_BITS>-1:0] b, input [<ACC>-1:0] c, output [<ACC>-1:0] y
);
  genvar i;
  generate
    for (i = 0; i < <COUNT>; i = i + 1) begin : pe
      wire [<P>-1:0] p;
      wire [<ACC>-1:0] sum, above;
      <MULTIPLIER> product (.a(a[<A_BITS> * i +: <A_BITS>]), .b(b[<B_BITS> * i +: <B_BITS>]), .p(p));
      if (i == 0) begin : first
        assign above = c;
      end else begin : next
        assign above = pe[i - 1].sum;
      end
      chain_add_<ACC>_<P> add (.c(above), .p(p), .y(sum));
    end
  endgenerate
  assign y = pe[<COUNT> - 1].sum;
endmodule
"""


def mac_chain(count: int = 16, a_bits: int = 8, b_bits: int = 8, acc_bits: int = 20, style: str = "booth") -> Unit:
    """`count` signed multiply-adds in a row; combinational.

    Raises:
        ArgumentError: count outside 2..64, or accumulator bits outside a_bits + b_bits..63. As `multiplier` for the
        rest.
    """
    if not 2 <= count <= 64:
        raise ArgumentError("count must be 2..64", got=count, where="mac_chain")
    if not a_bits + b_bits <= acc_bits <= 63:
        raise ArgumentError(f"acc_bits must be {a_bits + b_bits}..63", got=acc_bits, where="mac_chain")
    product = multiplier(a_bits, b_bits, True, style)
    top = f"chain{count}_s{a_bits}x{b_bits}_acc{acc_bits}_{style}"
    a, b, c, y = Port("a", a_bits, count), Port("b", b_bits, count), Port("c", acc_bits), Port("y", acc_bits)

    def golden(values: Values) -> Values:
        products = to_signed(values["a"], a_bits) * to_signed(values["b"], b_bits)
        return {"y": to_words(products.sum(axis=1) + values["c"].astype(np.int64), acc_bits)}

    text = join(
        product.verilog,
        fill(_ADD, ACC=acc_bits, P=a_bits + b_bits),
        fill(
            _CHAIN, TOP=top, COUNT=count, A_BITS=a_bits, B_BITS=b_bits, ACC=acc_bits, P=a_bits + b_bits,
            MULTIPLIER=product.top,
        ),
    )  # fmt: skip
    return Unit(
        top,
        text,
        (a, b, c),
        (y,),
        golden,
        uniform_and_edges(a, b, c),
        family="mac_chain",
        parameters={"count": count, "a_bits": a_bits, "b_bits": b_bits, "acc_bits": acc_bits, "style": style},
    )
