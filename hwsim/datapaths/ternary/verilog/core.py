"""The clocked lookup core: tables in registers, keys that stream past them, an accumulator for every output."""

from __future__ import annotations

import numpy as np

from hwsim.datapaths.ternary.verilog.dot import fetch_name, fetch_text
from hwsim.datapaths.ternary.verilog.shape import ACC_BITS, accumulated, checked, operands_of, squeezed
from hwsim.datapaths.ternary.verilog.table import build_name, build_text, table_entries
from hwsim.errors import ArgumentError
from hwsim.rtl.accumulator import accumulator, runs
from hwsim.rtl.float_adders import adder_text
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join

_CORE = """\
// Ternary core: ``load`` builds the tables into registers; every cycle each output accumulates one fetched sum.
// A cycle without work uses the key of the all-zero group, <ENTRIES>.
module <TOP> (
  input clk, input load, input clear,
  input  [<L>*<MU>*<B>-1:0] x,
  input  [<K>*<L>*<KEY>-1:0] key, // key of reader k on table l at [(k * <L> + l) * <KEY> +: <KEY>]
  output [<K>*<ACC>-1:0] acc
);
  wire [<L>*<ENTRIES>*<W>-1:0] built;
  reg  [<L>*<ENTRIES>*<W>-1:0] tables;
  always @(posedge clk) if (load) tables <= built;
  wire [<K>*<OUT>-1:0] sum;
  <FETCH> fetch (.tables(tables), .key(key), .sum(sum));
  genvar k, l;
  generate
    for (l = 0; l < <L>; l = l + 1) begin : lut
      <BUILD> build (.x(x[l * <MU> * <B> +: <MU> * <B>]), .table_(built[l * <ENTRIES> * <W> +: <ENTRIES> * <W>]));
    end
    for (k = 0; k < <K>; k = k + 1) begin : column
      <ACCUMULATOR> accumulate (
        .clk(clk), .clear(clear), .p(sum[k * <OUT> +: <OUT>]), .acc(acc[k * <ACC> +: <ACC>])
      );
    end
  endgenerate
endmodule
"""


_FLOAT_ACCUMULATOR = """\
// Floating-point accumulator: acc <= (clear ? +0 : acc) + p.
module <TOP> (input clk, input clear, input [<B>-1:0] p, output reg [<B>-1:0] acc);
  wire [<B>-1:0] sum;
  add_<FMT> add (.a(clear ? <B>'d0 : acc), .b(p), .sum(sum));
  always @(posedge clk) acc <= sum;
endmodule
"""


def ternary_core(group: int = 3, activation: str = "int8", luts: int = 1, readers: int = 4) -> Unit:
    """A clocked core: registers for the tables, `readers` accumulators (32 bits; the activation's format if float).

    Raises:
        ArgumentError: group outside 1..7, luts or readers outside 1..64. UnknownName: the activation.
    """
    shape = checked(group, activation, luts, readers)
    top = f"ternary_core_mu{group}_{activation}_l{luts}_k{readers}"
    summed = f"acc_{activation}"
    adder = accumulator(shape.out_bits, ACC_BITS)
    accumulate = (
        join(adder_text(activation), fill(_FLOAT_ACCUMULATOR, TOP=summed, B=shape.bits, FMT=activation))
        if shape.is_float
        else adder.verilog
    )
    text = join(
        build_text(shape),
        fetch_text(shape),
        accumulate,
        fill(
            _CORE,
            TOP=top,
            ACC=shape.acc_bits,
            BUILD=build_name(shape),
            FETCH=fetch_name(shape),
            ACCUMULATOR=summed if shape.is_float else adder.top,
            **shape.numbers,
        ),
    )
    load, clear = Port("load", 1), Port("clear", 1)
    x, key = Port("x", shape.bits, luts * group), Port("key", shape.key_bits, readers * luts)
    acc = Port("acc", shape.acc_bits, readers)
    tables = Port("tables", shape.entry_bits, luts * shape.entries)
    draw = operands_of(shape, x, key)

    def golden(values: Values) -> Values:
        n = len(values["load"])
        loads = np.flatnonzero(values["load"])
        if not len(loads) or loads[0] != 0:
            raise ArgumentError("the first row must load the tables", where=f"{top}.load")
        last = loads[np.searchsorted(loads, np.arange(n), side="right") - 1]
        held = values["x"].reshape(n, -1)[last]
        before = np.concatenate([held[:1] * np.uint64(0), held[:-1]])  # tables change at the end of the cycle
        keys = values["key"].reshape(n, readers, luts)
        out = np.zeros((n, readers), dtype=np.uint64)
        for rows, first in cycles_of_runs(values["clear"]):
            start = np.zeros((len(rows), readers), np.uint64) if first else out[rows - 1]
            out[rows] = accumulated(shape, before[rows], keys[rows], start)
        entries = table_entries(held.reshape(n, luts, group), shape.group, activation)
        return {"acc": squeezed(out), "tables": squeezed(entries.reshape(n, -1))}

    def operands(rng: np.random.Generator, n: int) -> Values:
        values = runs(rng, n) | draw(rng, n)
        values["load"] = (rng.random(n) < 0.25).astype(np.uint64)
        values["load"][0] = 1
        keys = values["key"].reshape(n, -1)
        keys[0] = shape.entries  # nothing is in the tables yet
        return values

    return Unit(
        name=top,
        verilog=text,
        inputs=(load, clear, x, key),
        outputs=(acc,),
        registers=(tables, acc),
        golden=golden,
        operands=operands,
        latency_cycles=1,
        family="ternary_core",
        parameters={"group": group, "activation": activation, "luts": luts, "readers": readers},
    )
