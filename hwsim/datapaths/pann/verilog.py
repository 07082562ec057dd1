"""PANN's add-only unit: one addition a cycle into the accumulator of the weight's sign.

A weight w keeps its input x at the adder for |w| cycles (``add``), so the adder's input toggles once an element. The
difference of the two accumulators is the dot product, and is needed once: ``last`` marks the cycle that ends the dot
product, and the subtractor's operands stand at zero in every other, so that it does not follow each addition. The
counter that turns |w| into cycles is not part of the unit: a row of units shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Driven, Gates, MissingView
from hwsim.datapaths.pann.bits import Pann
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import codes, runs
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, to_words, uniform_and_edges

_UNIT = """\
// Add-only unit: x of <B> bits (<KIND>) into the positive or the negative accumulator of <ACC> bits.
module <TOP> (
  input clk, input clear, input add, input negate, input last, input <SIGNED>[<B>-1:0] x,
  output [<ACC>-1:0] difference // of the dot product that the cycle before was the last of, else 0
);
  reg [<ACC>-1:0] positive, negative;
  reg ended;
  wire [<ACC>-1:0] extended = x; // sign extension where x is signed
  // one adder serves both: only one of them changes in a cycle
  wire [<ACC>-1:0] held = clear ? <ACC>'d0 : negate ? negative : positive;
  wire [<ACC>-1:0] sum = held + extended;
  always @(posedge clk) begin
    if (clear | (add & ~negate)) positive <= add & ~negate ? sum : <ACC>'d0;
    if (clear | (add & negate)) negative <= add & negate ? sum : <ACC>'d0;
    ended <= last;
  end
  // the subtractor rests until a dot product has ended
  assign difference = (positive & {<ACC>{ended}}) - (negative & {<ACC>{ended}});
endmodule
"""


def pann_unit(bits_x: int = 6, acc_bits: int = 32, signed: bool = False) -> Unit:
    """A clocked unit; golden values from `Pann` with weights 1, -1 and 0 a cycle.

    Raises:
        ArgumentError: bits_x outside 2..16, acc_bits outside 2..48.
    """
    if not 2 <= acc_bits <= 48:
        raise ArgumentError("acc_bits must be 2..48", got=acc_bits, where="pann_unit")
    datapath = Pann(bits_x, 1.0, acc_bits, signed)
    top = f"pann_{'s' if signed else 'u'}{bits_x}_acc{acc_bits}"
    add, negate, end, x = Port("add", 1), Port("negate", 1), Port("last", 1), Port("x", bits_x)
    positive, negative, ended = Port("positive", acc_bits), Port("negative", acc_bits), Port("ended", 1)
    edges = uniform_and_edges(x)

    def accumulated(values: Values, weights: NDArray[np.int8]) -> NDArray[np.uint64]:
        inputs = codes(values["x"], bits_x)[:, None]
        out = np.zeros(len(inputs), np.int64)
        for rows, first in cycles_of_runs(values["clear"]):
            out[rows] = datapath.dot(inputs[rows], weights[rows, None], c=None if first else out[rows - 1])
        return to_words(out, acc_bits)

    def golden(values: Values) -> Values:
        added, negated = values["add"].astype(np.int8), values["negate"].astype(np.int8)
        return {
            "difference": np.where(values["last"] == 1, accumulated(values, added * (1 - 2 * negated)), np.uint64(0)),
            "positive": accumulated(values, added * (1 - negated)),
            "negative": accumulated(values, added * negated),
            "ended": values["last"],
        }

    def operands(rng: np.random.Generator, n: int) -> Values:
        values = runs(rng, n) | edges(rng, n)
        values["add"] = (rng.random(n) < 0.8).astype(np.uint64)
        values["negate"] = rng.integers(0, 2, size=n, dtype=np.uint64)
        held = rng.random(n) < 0.5  # an element stays for several additions
        for name in ("x", "negate"):
            taken = np.maximum.accumulate(np.where(held, 0, np.arange(n)))
            values[name] = values[name][taken]
        ends = np.append(values["clear"][1:], 1) == 1
        values["last"] = (ends | (rng.random(n) < 0.05)).astype(np.uint64)  # some look at a sum on its way
        return values

    return Unit(
        name=top,
        verilog=fill(
            _UNIT,
            TOP=top,
            B=bits_x,
            ACC=acc_bits,
            KIND="signed" if signed else "unsigned",
            SIGNED="signed " if signed else "",
        ),
        inputs=(Port("clear", 1), add, negate, end, x),
        outputs=(Port("difference", acc_bits),),
        golden=golden,
        operands=operands,
        registers=(positive, negative, ended),
        latency_cycles=1,
        family="pann_unit",
        parameters={"bits_x": bits_x, "acc_bits": acc_bits, "signed": signed},
    )


@dataclass(frozen=True, slots=True)
class AddOnlyGates(Gates):
    """The circuit of an add-only unit with accumulators of at most 48 bits."""

    unit: Pann

    def circuits(self) -> Mapping[str, Unit]:
        """One, subtractor included."""
        if self.unit.acc_bits > 48:
            raise MissingView(self.unit.name, "gates")
        return {"unit": pann_unit(self.unit.bits_x, self.unit.acc_bits, self.unit.signed)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """An addition a cycle."""
        negative = stream.b >> np.uint64(7)  # the sign of an INT8 weight
        ended = np.append(False, stream.last[:-1]).astype(np.uint64)
        states = {"positive": stream.before[:, 0], "negative": stream.before[:, 1], "ended": ended}
        ports = {"x": stream.a, "negate": negative, "add": np.ones(1, np.uint64)}
        return Driven(
            ports | {"clear": stream.first.astype(np.uint64), "last": stream.last.astype(np.uint64)}, states
        )


FAMILIES: Mapping[str, Callable[..., Unit]] = {"pann_unit": pann_unit}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pann_unit", {"bits_x": 6}),
    ("pann_unit", {"bits_x": 8, "acc_bits": 20, "signed": True}),
)
