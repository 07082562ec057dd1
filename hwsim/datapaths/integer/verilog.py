"""Multiply-accumulate units: a product and an accumulator, always separate modules.

Synthesis that sees ``acc + a * b`` in one module fuses them into one macro with operands sign-extended to the
accumulator's width: a signed 8-bit unit then takes half as much area again. So the boundary is part of the circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.datapaths.base import Driven, Gates, driven_sum
from hwsim.datapaths.integer.bits import Integer
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_words, uniform_and_edges

_MAC = """\
// <KIND> multiply-accumulate: acc <= (clear ? 0 : acc) + a * b. Product and accumulator stay apart on purpose.
module <TOP> (
  input clk, input clear, input [<A_BITS>-1:0] a, input [<B_BITS>-1:0] b, output [<ACC>-1:0] acc
);
  wire [<A_BITS>+<B_BITS>-1:0] p;
  <MULTIPLIER> product (.a(a), .b(b), .p(p));
  <ACCUMULATOR> accumulate (.clk(clk), .clear(clear), .p(p), .acc(acc));
endmodule
"""


def mac(
    a_bits: int = 8,
    b_bits: int = 8,
    acc_bits: int = 32,
    signed: bool = True,
    overflow: str = "wrap",
    style: str = "array",
) -> Unit:
    """A multiplier of `style` and an accumulator; golden values from `hwsim.datapaths.integer`.

    Raises:
        ArgumentError: operand widths outside 2..16, accumulator outside 2..64 (63 unsigned). UnknownName: style or
        overflow rule.
    """
    datapath = Integer(a_bits, b_bits, acc_bits, signed=signed, overflow=overflow)  # type: ignore[arg-type]
    product = multiplier(a_bits, b_bits, signed, style)
    adder = accumulator(a_bits + b_bits, acc_bits, signed, overflow)
    top = f"mac_{'s' if signed else 'u'}{a_bits}x{b_bits}_acc{acc_bits}_{overflow}_{style}"
    clear, a, b, acc = Port("clear", 1), Port("a", a_bits), Port("b", b_bits), Port("acc", acc_bits)
    edges = uniform_and_edges(a, b)

    def golden(values: Values) -> Values:
        x, w = codes(values["a"], a_bits), codes(values["b"], b_bits)
        out = np.zeros(len(x), dtype=np.int64)
        for rows, first in cycles_of_runs(values["clear"]):
            held = None if first else out[rows - 1]
            out[rows] = datapath.dot(x[rows, None], w[rows, None], c=held)
        return {"acc": to_words(out, acc_bits)}

    return Unit(
        name=top,
        verilog=join(
            product.verilog,
            adder.verilog,
            fill(
                _MAC,
                KIND="Signed" if signed else "Unsigned",
                TOP=top,
                A_BITS=a_bits,
                B_BITS=b_bits,
                ACC=acc_bits,
                MULTIPLIER=product.top,
                ACCUMULATOR=adder.top,
            ),
        ),
        inputs=(clear, a, b),
        outputs=(acc,),
        registers=(acc,),
        golden=golden,
        operands=lambda rng, n: drawn_runs(rng, n, edges, {"a": a_bits, "b": b_bits}),
        latency_cycles=1,
        family="mac",
        parameters={
            "a_bits": a_bits,
            "b_bits": b_bits,
            "acc_bits": acc_bits,
            "signed": signed,
            "overflow": overflow,
            "style": style,
        },
    )


@dataclass(frozen=True, slots=True)
class MacGates(Gates):
    """The circuit of an integer unit, its products by a row array."""

    unit: Integer

    def circuits(self) -> Mapping[str, Unit]:
        """One."""
        unit = self.unit
        return {"unit": mac(unit.a_bits, unit.b_bits, unit.acc_bits, unit.signed, unit.overflow)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)


FAMILIES: Mapping[str, Callable[..., Unit]] = {"mac": mac}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mac", {"a_bits": 4, "b_bits": 4, "acc_bits": 16}),
    ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 32}),
    ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 32, "signed": False}),
    ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 20, "overflow": "saturate", "style": "booth"}),
)
