"""Area of a ternary weight: lookup cores put together from synthesised parts, and what they replace.

Decides the comparison: every design adds `TERMS` weights a cycle into each of K outputs that share the activations,
and is charged for all of it: tables or activations in registers, readers or multipliers, the sum of the terms, one
accumulator an output. So only the choice of µ differs. (Groups of 5 add 10 weights, the most below that.) INT8 sums
are one carry-save tree and an accumulator of 32 bits; floating-point sums are a chain of adders that round, the
accumulator being the last of them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hwsim.datapaths.ternary.verilog import ternary_dot, ternary_table, ternary_tree
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.synthesis import library_of, module_area_um2
from hwsim.rtl.accumulator import accumulator
from hwsim.rtl.float_adders import WIDTHS, float_adder
from hwsim.rtl.minifloat import signed_sum
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import fill, join
from hwsim.studies.circuits import area_um2

TERMS = 12  # divisible by 1, 2, 3, 4 and 6

_MULTIPLY_DOT = """\
// <T> INT8 activations times weights of <B> bits, in two's complement, and their sum.
module <TOP> (input [<T>*8-1:0] x, input [<T>*<B>-1:0] w, output [<OUT>-1:0] sum);
  wire [<T>*<P>-1:0] terms;
  genvar i;
  generate
    for (i = 0; i < <T>; i = i + 1) begin : lane
      <MULTIPLIER> product (.a(x[i * 8 +: 8]), .b(w[i * <B> +: <B>]), .p(terms[i * <P> +: <P>]));
    end
  endgenerate
  <SUM> add (.terms(terms), .negative(<T>'d0), .total(sum));
endmodule
"""


@dataclass(frozen=True, slots=True)
class Core:
    """Areas of a core of `luts` tables of µ activations, in µm².

    Attributes:
        build: one table's adders. registers: one table's flip-flops, each with the multiplexer that lets it hold.
        fetch: readers of all tables for one output, and the sum over the tables. accumulate: of one output.
    """

    group: int
    luts: int
    build: float
    registers: float
    fetch: float
    accumulate: float

    @property
    def accumulate_per_weight(self) -> float:
        """The accumulators' part of it, the same for tables and for what they replace."""
        return self.accumulate / (self.luts * self.group)

    def per_weight(self, readers: int) -> float:
        """Area over weights a cycle, with K = `readers` outputs."""
        shared = self.luts * (self.build + self.registers)
        return (shared + readers * (self.fetch + self.accumulate)) / (self.luts * self.group * readers)


@functools.cache
def register_um2() -> float:
    """A flip-flop that holds its value unless told otherwise."""
    cells = library_of(str(DEFAULT_LIBERTY)).cells
    return cells["DFF"].area_um2 + cells["MUX2"].area_um2


@functools.cache
def core(group: int, activation: str, luts: int) -> Core:
    """The parts of a core, each synthesised; a floating-point sum over several tables from its adders."""
    table = ternary_table(group, activation)
    entries = table.outputs[0].count
    width = table.outputs[0].bits
    registers = entries * width * register_um2()
    if activation == "int8":
        dot = ternary_dot(group, activation, luts, 1)
        fetch = module_area_um2(dot.verilog, f"ternary_fetch_mu{group}_{activation}_l{luts}_k1")
        held = area_um2(accumulator(dot.outputs[0].bits, 32))
        return Core(group, luts, area_um2(table), registers, fetch, held)
    adder = area_um2(float_adder(activation))
    reader = module_area_um2(
        ternary_dot(group, activation, 1, 1).verilog, f"ternary_fetch_mu{group}_{activation}_l1_k1"
    )
    flip_flop = library_of(str(DEFAULT_LIBERTY)).cells["DFF"].area_um2
    held = adder + width * flip_flop
    return Core(
        group, luts, area_um2(table) if group > 1 else 0.0, registers, luts * reader + (luts - 1) * adder, held
    )


@functools.cache
def baseline(kind: str, activation: str, styles: tuple[str, ...]) -> tuple[float, float]:
    """What all outputs share (activations in registers), and one output with its accumulator, for `TERMS` weights.

    Args:
        kind: ``"add tree"``: select and add; ``"multiply 2 bits"``, ``"multiply 8 bits"``: INT8 by weights of that
            width; ``"multiply"``: floats, a significand multiplier alone, so less than a whole one, and an adder.
        activation: ``"int8"``, ``"fp16"`` or ``"bf16"``.
        styles: of the multiplier; the smallest counts.
    """
    bits = 8 if activation == "int8" else 16
    shared = TERMS * bits * register_um2()
    if activation == "int8":
        if kind == "add tree":
            unit = ternary_tree(TERMS, 1)
            return shared, area_um2(unit) + area_um2(accumulator(unit.outputs[0].bits, 32))
        return shared, min(_multiply_dot(int(kind.split()[1]), style) for style in styles)
    plain = core(1, activation, TERMS)
    if kind == "add tree":
        return shared, plain.fetch + plain.accumulate
    width = WIDTHS[activation][1] + 1
    significands = min(area_um2(multiplier(width, width, False, style)) for style in styles)
    adder = area_um2(float_adder(activation))
    return shared, TERMS * significands + (TERMS - 1) * adder + plain.accumulate


def baseline_per_weight(kind: str, activation: str, styles: tuple[str, ...], readers: int) -> float:
    """Area over weights a cycle of `baseline` with K = `readers` outputs."""
    shared, each = baseline(kind, activation, styles)
    return (shared + readers * each) / (TERMS * readers)


def _multiply_dot(weight_bits: int, style: str) -> float:
    product = multiplier(8, weight_bits, True, style)
    bits = product.outputs[0].bits
    out = bits + (TERMS - 1).bit_length()
    adder, adder_text = signed_sum(TERMS, bits, out, signed=True)
    top = f"multiply_dot_{product.top}"
    text = fill(_MULTIPLY_DOT, TOP=top, T=TERMS, B=weight_bits, P=bits, OUT=out, MULTIPLIER=product.top, SUM=adder)
    return module_area_um2(join(product.verilog, adder_text, text), top) + area_um2(accumulator(out, 32))
