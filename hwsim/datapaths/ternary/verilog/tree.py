"""The baseline of lookup cores: no tables, every activation selected by its weight and added in a tree."""

from __future__ import annotations

import numpy as np

from hwsim.datapaths.ternary.verilog.shape import squeezed
from hwsim.errors import ArgumentError
from hwsim.rtl.minifloat import signed_sum
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words, uniform_and_edges

_TREE = """\
// Without tables: <N> activations, each added, left out or subtracted by a 2-bit weight (0, 1, 3 = -1), <K> outputs.
module <TOP> (input [<N>*8-1:0] x, input [<K>*<N>*2-1:0] w, output [<K>*<OUT>-1:0] sum);
  genvar i, k;
  generate
    for (k = 0; k < <K>; k = k + 1) begin : column
      wire [<N>*8-1:0] terms;
      wire [<N>-1:0] negative;
      for (i = 0; i < <N>; i = i + 1) begin : lane
        assign terms[i * 8 +: 8] = x[i * 8 +: 8] & {8{w[(k * <N> + i) * 2]}};
        assign negative[i] = w[(k * <N> + i) * 2 + 1];
      end
      <SUM> add (.terms(terms), .negative(negative), .total(sum[k * <OUT> +: <OUT>]));
    end
  endgenerate
endmodule
"""


def ternary_tree(terms: int = 4, readers: int = 4) -> Unit:
    """The baseline without tables: select and add INT8 activations under 2-bit weights; combinational.

    Raises:
        ArgumentError: terms or readers outside 2..64 and 1..64.
    """
    if not 2 <= terms <= 64 or not 1 <= readers <= 64:
        raise ArgumentError("terms must be 2..64 and readers 1..64", got=(terms, readers), where="ternary_tree")
    out_bits = 9 + (terms - 1).bit_length()
    top = f"ternary_tree_n{terms}_k{readers}"
    x, w, out = Port("x", 8, terms), Port("w", 2, readers * terms), Port("sum", out_bits, readers)
    edges = uniform_and_edges(x)
    adder, adder_module = signed_sum(terms, 8, out_bits, signed=True)

    def golden(values: Values) -> Values:
        weights = to_signed(values["w"], 2).reshape(-1, readers, terms)
        total = (weights * to_signed(values["x"], 8)[:, None, :]).sum(axis=2)
        return {"sum": squeezed(to_words(total, out_bits))}

    def operands(rng: np.random.Generator, n: int) -> Values:
        return edges(rng, n) | {"w": rng.choice(np.array([0, 1, 3], np.uint64), size=(n, readers * terms))}

    return Unit(
        name=top,
        verilog=join(adder_module, fill(_TREE, TOP=top, N=terms, K=readers, OUT=out_bits, SUM=adder)),
        inputs=(x, w),
        outputs=(out,),
        golden=golden,
        operands=operands,
        family="ternary_tree",
        parameters={"terms": terms, "readers": readers},
    )
