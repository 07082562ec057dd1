"""Integer units of several products a cycle: multipliers, an adder tree, one accumulator, always separate modules.

Decides the tree. Terms of two's complement enter with their sign bits inverted and are then plain words: that adds
2^(b-1) to each, and one constant takes it off all of them, so that no sign is extended (8 % less area for 16 and for
64 terms of 8 bits). The sum is written as one; synthesis makes carry-save rows and one adder of it, 0.7 to 2.4 %
larger than rows written as gates. Multipliers are those of the unit of one product: the two differ by the tree
alone. Partial products of all in one tree, without an adder in each multiplier, were rejected: such a unit has no
blocks that others share a price with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.datapaths.base import Driven, Gates, driven_sum
from hwsim.datapaths.integer.bits import Integer
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_signed, to_words, uniform_and_edges

_TREE = """\
// Exact sum of <N> <KIND> terms of <P> bits.
module <TOP> (input [<N>*<P>-1:0] terms, output [<S>-1:0] sum);
<WORDS>
  assign sum = <SUM>;
endmodule
"""

_UNIT = """\
// <KIND>: acc <= (clear ? 0 : acc) + the exact sum of <N> products a * b. Products, tree and accumulator stay apart.
module <TOP> (
  input clk, input clear, input [<N>*<A_BITS>-1:0] a, input [<N>*<B_BITS>-1:0] b, output [<ACC>-1:0] acc
);
  wire [<N>*<P>-1:0] products;
  wire [<S>-1:0] sum;
  genvar i;
  generate
    for (i = 0; i < <N>; i = i + 1) begin : lane
      <MULTIPLIER> product (
        .a(a[i * <A_BITS> +: <A_BITS>]), .b(b[i * <B_BITS> +: <B_BITS>]), .p(products[i * <P> +: <P>])
      );
    end
  endgenerate
  <TREE> add (.terms(products), .sum(sum));
  <ACCUMULATOR> accumulate (.clk(clk), .clear(clear), .p(sum), .acc(acc));
endmodule
"""


def adder_tree(count: int = 16, bits: int = 16, signed: bool = True) -> Unit:
    """The exact sum of `count` terms of `bits` bits; combinational.

    Raises:
        ArgumentError: count outside 2..64, or bits outside 2..32.
    """
    if not (2 <= count <= 64 and 2 <= bits <= 32):
        raise ArgumentError("terms must be 2..64 of 2..32 bits", got=(count, bits), where="adder_tree")
    top = f"adder_tree_{'s' if signed else 'u'}{bits}_n{count}"
    wide = bits + (count - 1).bit_length()
    terms, out = Port("terms", bits, count), Port("sum", wide)
    words, parts = [], []
    for i in range(count):
        at = i * bits
        word = f"{{~terms[{at + bits - 1}], terms[{at} +: {bits - 1}]}}" if signed else f"terms[{at} +: {bits}]"
        words.append(f"  wire [{bits - 1}:0] t{i} = {word};")
        parts.append(f"t{i}")
    if signed:
        parts.append(f"{wide}'d{-(count << (bits - 1)) % (1 << wide)}")  # takes 2^(bits - 1) off each term
    lines = [" + ".join(parts[first : first + 8]) for first in range(0, len(parts), 8)]

    def golden(values: Values) -> Values:
        held = to_signed(values["terms"], bits) if signed else values["terms"].astype(np.int64)
        return {"sum": to_words(held.sum(axis=1), wide)}

    return Unit(
        name=top,
        verilog=fill(
            _TREE, TOP=top, N=count, P=bits, S=wide, KIND="two's complement" if signed else "unsigned",
            WORDS="\n".join(words), SUM="\n    + ".join(lines),
        ),
        inputs=(terms,),
        outputs=(out,),
        golden=golden,
        operands=uniform_and_edges(terms),
        family="adder_tree",
        parameters={"count": count, "bits": bits, "signed": signed},
    )  # fmt: skip


def mac_tree(
    a_bits: int = 8,
    b_bits: int = 8,
    acc_bits: int = 24,
    signed: bool = True,
    overflow: str = "wrap",
    group: int = 16,
) -> Unit:
    """`group` multipliers, their tree and an accumulator; golden values from `hwsim.datapaths.integer`.

    Raises:
        ArgumentError: as of `Integer`, or a group below 2.
    """
    datapath = Integer(a_bits, b_bits, acc_bits, signed, overflow, group)  # type: ignore[arg-type]
    product, adds = multiplier(a_bits, b_bits, signed), adder_tree(group, a_bits + b_bits, signed)
    keeps = accumulator(datapath.sum_bits, acc_bits, signed, overflow)
    top = f"mac_{'s' if signed else 'u'}{a_bits}x{b_bits}_g{group}_acc{acc_bits}_{overflow}"
    clear, a, b = Port("clear", 1), Port("a", a_bits, group), Port("b", b_bits, group)
    acc = Port("acc", acc_bits)
    edges = uniform_and_edges(a, b)

    def golden(values: Values) -> Values:
        x, w = codes(values["a"], a_bits), codes(values["b"], b_bits)
        out = np.zeros(len(x), dtype=np.int64)
        for rows, first in cycles_of_runs(values["clear"]):
            out[rows] = datapath.dot(x[rows], w[rows], c=None if first else out[rows - 1])
        return {"acc": to_words(out, acc_bits)}

    return Unit(
        name=top,
        verilog=join(
            product.verilog,
            adds.verilog,
            keeps.verilog,
            fill(
                _UNIT, KIND="Signed" if signed else "Unsigned", TOP=top, N=group, A_BITS=a_bits, B_BITS=b_bits,
                P=a_bits + b_bits, S=datapath.sum_bits, ACC=acc_bits, MULTIPLIER=product.top, TREE=adds.top,
                ACCUMULATOR=keeps.top,
            ),
        ),
        inputs=(clear, a, b),
        outputs=(acc,),
        registers=(acc,),
        golden=golden,
        operands=lambda rng, n: drawn_runs(rng, n, edges, {"a": a_bits, "b": b_bits}),
        latency_cycles=1,
        family="mac_tree",
        parameters={
            "a_bits": a_bits, "b_bits": b_bits, "acc_bits": acc_bits, "signed": signed, "overflow": overflow,
            "group": group,
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TreeGates(Gates):
    """The circuit of an integer unit of several products, each by a row array."""

    unit: Integer

    def circuits(self) -> Mapping[str, Unit]:
        """One."""
        unit = self.unit
        return {"unit": mac_tree(unit.a_bits, unit.b_bits, unit.acc_bits, unit.signed, unit.overflow, unit.group)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """A group of elements of each operand a cycle."""
        return driven_sum(stream)


FAMILIES: Mapping[str, Callable[..., Unit]] = {"adder_tree": adder_tree, "mac_tree": mac_tree}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("adder_tree", {"count": 16, "bits": 16}),
    ("mac_tree", {"a_bits": 4, "b_bits": 4, "acc_bits": 20, "group": 16}),
    ("mac_tree", {"a_bits": 8, "b_bits": 8, "acc_bits": 24, "group": 16}),
    ("mac_tree", {"a_bits": 4, "b_bits": 4, "acc_bits": 12, "overflow": "saturate", "group": 8}),
)
