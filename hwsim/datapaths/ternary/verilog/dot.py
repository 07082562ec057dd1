"""What a lookup core computes in a cycle: an entry a key fetches, negated where its flag says so, summed over tables.

Integer sums are exact. Floating-point sums run over the tables in ascending order, as in the generator of KU Leuven.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.ternary.verilog.shape import ACC_BITS, Shape, accumulated, checked, operands_of, squeezed
from hwsim.datapaths.ternary.verilog.table import build_name, build_text, table_entries
from hwsim.rtl.float_adders import add_words, adder_text
from hwsim.rtl.minifloat import signed_sum
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words

_DOT = """\
// <L> tables of <MU> activations, <K> readers each; reader k of every table adds into sum k.
module <TOP> (
  input  [<L>*<MU>*<B>-1:0] x,
  input  [<K>*<L>*<KEY>-1:0] key, // key of reader k on table l at [(k * <L> + l) * <KEY> +: <KEY>]
  output [<K>*<OUT>-1:0] sum
);
  wire [<L>*<ENTRIES>*<W>-1:0] tables;
  genvar l;
  generate
    for (l = 0; l < <L>; l = l + 1) begin : lut
      <BUILD> build (.x(x[l * <MU> * <B> +: <MU> * <B>]), .table_(tables[l * <ENTRIES> * <W> +: <ENTRIES> * <W>]));
    end
  endgenerate
  <FETCH> fetch (.tables(tables), .key(key), .sum(sum));
endmodule
"""


_FETCH = """\
// The readers of <L> tables and the sums over the tables, for <K> outputs.
module <TOP> (
  input  [<L>*<ENTRIES>*<W>-1:0] tables, input [<K>*<L>*<KEY>-1:0] key, output [<K>*<OUT>-1:0] sum
);
  genvar k, l;
  generate
    for (k = 0; k < <K>; k = k + 1) begin : column
      wire [<L>*<W>-1:0] entries;
      wire [<L>-1:0] negative; // the flag on top of a key
      for (l = 0; l < <L>; l = l + 1) begin : lut
        <READ> read (
          .table_(tables[l * <ENTRIES> * <W> +: <ENTRIES> * <W>]), .index(key[(k * <L> + l) * <KEY> +: <KEY> - 1]),
          .entry(entries[l * <W> +: <W>])
        );
        assign negative[l] = key[(k * <L> + l) * <KEY> + <KEY> - 1];
      end
<REDUCE>
    end
  endgenerate
endmodule
"""


_READ = """\
// One reader: the entry of the table at an index; an index without entry reads 0.
module <TOP> (input [<ENTRIES>*<W>-1:0] table_, input [<INDEX>-1:0] index, output reg [<W>-1:0] entry);
  always @*
    case (index)
<CASES>
      default: entry = <W>'d0;
    endcase
endmodule
"""


def ternary_dot(group: int = 3, activation: str = "int8", luts: int = 1, readers: int = 4) -> Unit:
    """The combinational part of a core: activations and keys -> the sums that its accumulators would take.

    Integer sums are exact. A floating-point sum runs over the tables in ascending order; its sign of zero is that of
    the minimal tree. Raises as `ternary_core`.
    """
    shape = checked(group, activation, luts, readers)
    top = f"ternary_dot_mu{group}_{activation}_l{luts}_k{readers}"
    text = join(
        build_text(shape),
        fetch_text(shape),
        fill(
            _DOT,
            TOP=top,
            BUILD=build_name(shape),
            FETCH=fetch_name(shape),
            **shape.numbers,
        ),
    )
    x, key = Port("x", shape.bits, luts * group), Port("key", shape.key_bits, readers * luts)
    out = Port("sum", shape.out_bits, readers)

    def golden(values: Values) -> Values:
        n = len(values["x"])
        keys = values["key"].reshape(n, readers, luts)
        x_rows = values["x"].reshape(n, -1)
        if shape.is_float:
            entries = table_entries(x_rows.reshape(n, luts, group), group, activation)
            return {"sum": squeezed(_float_sums(entries, keys, shape))}
        total = accumulated(shape, x_rows, keys, np.zeros((n, readers), np.uint64))
        return {"sum": squeezed(to_words(to_signed(total, ACC_BITS), shape.out_bits))}

    return Unit(
        name=top,
        verilog=text,
        inputs=(x, key),
        outputs=(out,),
        golden=golden,
        operands=operands_of(shape, x, key),
        family="ternary_dot",
        parameters={"group": group, "activation": activation, "luts": luts, "readers": readers},
    )


def fetch_name(shape: Shape) -> str:
    """Name of the module of all readers."""
    return f"ternary_fetch_mu{shape.group}_{shape.activation}_l{shape.luts}_k{shape.readers}"


def fetch_text(shape: Shape) -> str:
    """Text of the readers and of the sums over the tables."""
    cases = [
        f"      {shape.index_bits}'d{i}: entry = table_[{shape.entry_bits * i} +: {shape.entry_bits}];"
        for i in range(shape.entries)
    ]
    name = f"ternary_read_mu{shape.group}_{shape.activation}"
    read = fill(
        _READ,
        TOP=name,
        ENTRIES=shape.entries,
        W=shape.entry_bits,
        INDEX=shape.index_bits,
        CASES="\n".join(cases),
    )
    parts = [read]
    out = shape.out_bits
    if shape.is_float:
        reduce = _float_chain(shape)
        parts.append(adder_text(shape.activation))
    else:
        adder, adder_module = signed_sum(shape.luts, shape.entry_bits, out, signed=True)
        reduce = f"      {adder} add (.terms(entries), .negative(negative), .total(sum[k * {out} +: {out}]));"
        parts.append(adder_module)
    parts.append(
        fill(
            _FETCH,
            TOP=fetch_name(shape),
            L=shape.luts,
            K=shape.readers,
            ENTRIES=shape.entries,
            W=shape.entry_bits,
            KEY=shape.index_bits + 1,
            OUT=out,
            READ=name,
            REDUCE=reduce,
        )
    )
    return join(*parts)


def _float_chain(shape: Shape) -> str:
    bits, luts = shape.bits, shape.luts
    lines = [
        f"      wire [{luts * bits - 1}:0] partial; // sums over the tables so far, in ascending order",
        f"      for (l = 0; l < {luts}; l = l + 1) begin : chain",
        f"        wire [{bits - 1}:0] value = entries[l * {bits} +: {bits}] ^ {{negative[l], {bits - 1}'d0}};",
        f"        if (l == 0) assign partial[{bits - 1}:0] = value;",
        f"        else add_{shape.activation} add (",
        f"          .a(value), .b(partial[(l - 1) * {bits} +: {bits}]), .sum(partial[l * {bits} +: {bits}])",
        "        );",
        "      end",
        f"      assign sum[k * {bits} +: {bits}] = partial[{(luts - 1) * bits} +: {bits}];",
    ]
    return "\n".join(lines)


def _float_sums(entries: NDArray[np.uint64], keys: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint64]:
    """Sums ``[n, K]`` of the entries ``[n, L, entries]`` that keys ``[n, K, L]`` fetch, over the tables in order."""
    index_mask = np.uint64((1 << shape.index_bits) - 1)
    index = (keys & index_mask).astype(np.int64)
    padded = np.zeros((*entries.shape[:-1], 1 << shape.index_bits), np.uint64)
    padded[..., : shape.entries] = entries
    rows, luts = np.arange(len(keys))[:, None, None], np.arange(shape.luts)[None, None, :]
    fetched = padded[rows, luts, index] ^ keys >> np.uint64(shape.index_bits) << np.uint64(shape.bits - 1)
    total: NDArray[np.uint64] = fetched[..., 0]
    for lut in range(1, shape.luts):
        total = add_words(fetched[..., lut], total, shape.activation)
    return total
