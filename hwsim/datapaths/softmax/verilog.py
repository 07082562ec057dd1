"""EXAQ's denominator: a table of exponentials, or of sums of exponentials of several codes, and one adder.

With b-bit codes an exponential has 2^b values. Grouping packs four 2-bit codes (two of 3 or 4 bits) into the index of
one table of partial sums, so one float32 addition takes in four (two) elements. The tables are constants of the
calibrated clip value, as `hwsim.datapaths.softmax.bits` computes them; a loadable table would be registers instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwsim.datapaths.softmax.bits import Softmax
from hwsim.rtl.accumulator import runs
from hwsim.rtl.float_adders import adder_text
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, uniform_and_edges

_TABLE = """\
// Float32 <MEANING> of <BITS>-bit codes, clip value <CLIP>.
module <TOP>_table (input [<INDEX>-1:0] index, output reg [31:0] value);
  always @*
    case (index)
<CASES>
    endcase
endmodule
"""

_SUM = """\
// Softmax denominator: total <= (clear ? +0 : total) + table[index]; the first code of a group is on top.
module <TOP> (input clk, input clear, input [<INDEX>-1:0] index, output reg [31:0] total);
  wire [31:0] value, sum;
  <TOP>_table look_up (.index(index), .value(value));
  add_fp32 add (.a(clear ? 32'd0 : total), .b(value), .sum(sum));
  always @(posedge clk) total <= sum;
endmodule
"""


def exaq_sum(bits: int = 2, clip_value: float = -5.17, grouped: bool = True) -> Unit:
    """A clocked unit that sums exponentials of codes, a group or a single code a cycle.

    Args:
        bits: 2, 3 or 4.
        clip_value: C < 0 of the calibration; -5.17 is the Gauss rule's for 2 bits at a deviation of 2.
        grouped: index a table of partial sums (4 codes of 2 bits, 2 of 3 or 4) instead of single exponentials.

    Raises:
        ArgumentError: bits outside 2..4.
    """
    unit = Softmax(bits)
    exponentials, sums = unit.tables(np.float32(clip_value))
    table = sums if grouped else exponentials
    index = Port("index", bits * (unit.group if grouped else 1))
    total = Port("total", 32)
    top = f"exaq{bits}_{'grouped' if grouped else 'single'}"
    words = table.view(np.uint32)
    cases = "\n".join(f"      {index.bits}'d{i}: value = 32'h{word:08X};" for i, word in enumerate(words))
    edges = uniform_and_edges(index)

    def golden(values: Values) -> Values:
        terms = table[values["index"].astype(np.int64)]
        out = np.zeros(len(terms), np.float32)
        for rows, first in cycles_of_runs(values["clear"]):
            out[rows] = terms[rows] + (np.float32(0) if first else out[rows - 1])
        return {"total": out.view(np.uint32).astype(np.uint64)}

    return Unit(
        name=top,
        verilog=join(
            adder_text("fp32"),
            fill(
                _TABLE,
                TOP=top,
                MEANING=f"sums of exponentials of {unit.group}" if grouped else "exponentials",
                BITS=bits,
                CLIP=clip_value,
                INDEX=index.bits,
                CASES=cases,
            ),
            fill(_SUM, TOP=top, INDEX=index.bits),
        ),
        inputs=(Port("clear", 1), index),
        outputs=(total,),
        golden=golden,
        operands=lambda rng, n: runs(rng, n) | edges(rng, n),
        registers=(total,),
        latency_cycles=1,
        family="exaq_sum",
        parameters={"bits": bits, "clip_value": clip_value, "grouped": grouped},
    )


FAMILIES: Mapping[str, Callable[..., Unit]] = {"exaq_sum": exaq_sum}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("exaq_sum", {"bits": 2, "grouped": grouped}) for grouped in (True, False)),
    ("exaq_sum", {"bits": 3}),
)
