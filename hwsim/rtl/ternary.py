"""Ternary lookup-table cores: sums of µ activations built once, fetched by key, negated, accumulated.

Keys and table order are those of `hwsim.datapaths.ternary_lut`. The builder has the least possible number of
adders: every entry with two or more non-zero weights needs one, and one is enough, n - µ in all (10, 36, 116 and 358
for µ = 3 to 6). The tree keeps the order of addition of the floating-point generator of KU Leuven: a tail over
x_2 ... x_(µ-1) from the back, a head of x_0 and x_1, entry = head + tail. Its adders with zero and its repeated tails
are left out; that only changes the sign of zero entries, which no accumulator that starts at +0 can show.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import ternary_lut
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.float_adders import WIDTHS, add_words, adder_text, float_words, from_float32, to_float32
from hwsim.rtl.mac import accumulator, runs
from hwsim.rtl.minifloat import signed_sum
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_signed, to_words, uniform_and_edges

ACC_BITS = 32
"""Accumulator of integer cores; floating-point cores accumulate in the activation's format."""

_BUILD = """\
// Table of <ENTRIES> sums of <MU> <ACTIVATION> activations, <ADDERS> adders; entry i in table[<W> * i +: <W>].
module <TOP> (input [<MU>*<B>-1:0] x, output [<ENTRIES>*<W>-1:0] table_);
<BODY>
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


@dataclass(frozen=True)
class _Shape:
    """Widths of a core that follow from its parameters."""

    group: int
    activation: str
    luts: int
    readers: int

    @property
    def is_float(self) -> bool:
        return self.activation in WIDTHS

    @property
    def bits(self) -> int:
        return 16 if self.is_float else 8

    @property
    def entries(self) -> int:
        return int((3**self.group - 1) // 2)

    @property
    def index_bits(self) -> int:
        return self.entries.bit_length()

    @property
    def key_bits(self) -> int:
        return self.index_bits + 1

    @property
    def entry_bits(self) -> int:
        return self.bits if self.is_float else self.sum_bits(self.group)

    @property
    def out_bits(self) -> int:
        # -(-128 µ) needs one bit more than the entry
        return self.bits if self.is_float else self.entry_bits + 1 + (self.luts - 1).bit_length()

    @property
    def acc_bits(self) -> int:
        return self.bits if self.is_float else ACC_BITS

    def sum_bits(self, terms: int) -> int:
        """Bits of a signed sum of `terms` activations."""
        return self.bits if self.is_float else self.bits + (terms - 1).bit_length()


def ternary_core(group: int = 3, activation: str = "int8", luts: int = 1, readers: int = 4) -> Unit:
    """A clocked core: registers for the tables, `readers` accumulators (32 bits; the activation's format if float).

    Raises:
        ArgumentError: group outside 1..7, luts or readers outside 1..64. UnknownName: the activation.
    """
    shape = _checked(group, activation, luts, readers)
    top = f"ternary_core_mu{group}_{activation}_l{luts}_k{readers}"
    summed = f"acc_{activation}"
    adder = accumulator(shape.out_bits, ACC_BITS)
    accumulate = (
        join(adder_text(activation), fill(_FLOAT_ACCUMULATOR, TOP=summed, B=shape.bits, FMT=activation))
        if shape.is_float
        else adder.verilog
    )
    text = join(
        _build_text(shape),
        _fetch_text(shape),
        accumulate,
        fill(
            _CORE,
            TOP=top,
            L=luts,
            K=readers,
            MU=group,
            B=shape.bits,
            W=shape.entry_bits,
            ENTRIES=shape.entries,
            KEY=shape.key_bits,
            OUT=shape.out_bits,
            ACC=shape.acc_bits,
            BUILD=_build_name(shape),
            FETCH=_fetch_name(shape),
            ACCUMULATOR=summed if shape.is_float else adder.top,
        ),
    )
    load, clear = Port("load", 1), Port("clear", 1)
    x, key = Port("x", shape.bits, luts * group), Port("key", shape.key_bits, readers * luts)
    acc = Port("acc", shape.acc_bits, readers)
    tables = Port("tables", shape.entry_bits, luts * shape.entries)
    draw = _operands(shape, x, key)

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
            out[rows] = _accumulate(shape, before[rows], keys[rows], start)
        entries = table_entries(held.reshape(n, luts, group), shape.group, activation)
        return {"acc": _squeezed(out), "tables": _squeezed(entries.reshape(n, -1))}

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


def ternary_dot(group: int = 3, activation: str = "int8", luts: int = 1, readers: int = 4) -> Unit:
    """The combinational part of a core: activations and keys -> the sums that its accumulators would take.

    Integer sums are exact. A floating-point sum runs over the tables in ascending order; its sign of zero is that of
    the minimal tree. Raises as `ternary_core`.
    """
    shape = _checked(group, activation, luts, readers)
    top = f"ternary_dot_mu{group}_{activation}_l{luts}_k{readers}"
    text = join(
        _build_text(shape),
        _fetch_text(shape),
        fill(
            _DOT,
            TOP=top,
            L=luts,
            K=readers,
            MU=group,
            B=shape.bits,
            W=shape.entry_bits,
            ENTRIES=shape.entries,
            KEY=shape.key_bits,
            OUT=shape.out_bits,
            BUILD=_build_name(shape),
            FETCH=_fetch_name(shape),
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
            return {"sum": _squeezed(_float_sums(entries, keys, shape))}
        total = _accumulate(shape, x_rows, keys, np.zeros((n, readers), np.uint64))
        return {"sum": _squeezed(to_words(to_signed(total, ACC_BITS), shape.out_bits))}

    return Unit(
        name=top,
        verilog=text,
        inputs=(x, key),
        outputs=(out,),
        golden=golden,
        operands=_operands(shape, x, key),
        family="ternary_dot",
        parameters={"group": group, "activation": activation, "luts": luts, "readers": readers},
    )


def ternary_table(group: int = 3, activation: str = "int8") -> Unit:
    """The table builder alone: µ activations -> n entries; combinational. Raises as `ternary_core`."""
    shape = _checked(group, activation, 1, 1)
    x, out = Port("x", shape.bits, group), Port("table_", shape.entry_bits, shape.entries)

    def golden(values: Values) -> Values:
        n = len(values["x"])
        return {"table_": _squeezed(table_entries(values["x"].reshape(n, 1, group), group, activation)[:, 0])}

    return Unit(
        name=_build_name(shape),
        verilog=_build_text(shape),
        inputs=(x,),
        outputs=(out,),
        golden=golden,
        operands=_activations(shape, x),
        family="ternary_table",
        parameters={"group": group, "activation": activation},
    )


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
        return {"sum": _squeezed(to_words(total, out_bits))}

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


def adders(group: int) -> int:
    """Adders of the table builder, n - µ."""
    return len(_tree(group))


def table_entries(x: NDArray[np.uint64], group: int, activation: str) -> NDArray[np.uint64]:
    """Entries ``[..., n]`` of activations ``[..., µ]``, by the tree of the circuit, one addition a node."""
    shape = _Shape(group, activation, 1, 1)
    words = x if shape.is_float else to_signed(x, shape.bits).astype(np.uint64)
    nodes: dict[tuple[int, ...], NDArray[np.uint64]] = {_alone(group, i): words[..., i] for i in range(group)}
    for node in _tree(group):
        left, right = nodes[node.left], nodes[node.right]
        if shape.is_float:
            sign = np.uint64(1 << (shape.bits - 1) if node.subtract else 0)
            nodes[node.weights] = add_words(left, right ^ sign, activation)
        else:
            nodes[node.weights] = left - right if node.subtract else left + right
    mask = np.uint64((1 << shape.entry_bits) - 1)
    return np.stack([nodes[weights] & mask for weights in _canonical(group)], axis=-1)


def _accumulate(
    shape: _Shape, x: NDArray[np.uint64], keys: NDArray[np.uint64], start: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Accumulators ``[n, K]`` after one step from `start`: the emulator's dot product of one group a table."""
    key_codes = keys.astype(np.uint8 if shape.key_bits <= 8 else np.uint16)
    datapath = ternary_lut(shape.group, shape.activation, shape.luts)  # type: ignore[arg-type]
    if not shape.is_float:
        held = to_signed(start, ACC_BITS)
        return to_words(datapath.dot(x[:, None, :].astype(np.uint8), key_codes, c=held).astype(np.int64), ACC_BITS)
    total = datapath.dot(x[:, None, :].astype(np.uint16), key_codes, c=to_float32(start, shape.activation))
    return from_float32(total, shape.activation)


@dataclass(frozen=True)
class _Node:
    """An adder: ``weights = left + right`` or ``left - right``, each a combination of activations."""

    weights: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    subtract: bool


def _canonical(group: int) -> list[tuple[int, ...]]:
    """Weights of the entries in table order: (+, 0, -) lexicographic, the first non-zero one positive."""
    every = itertools.product((1, 0, -1), repeat=group)
    return list(itertools.islice(every, (3**group - 1) // 2))


def _alone(group: int, index: int) -> tuple[int, ...]:
    return tuple(int(i == index) for i in range(group))


def _tree(group: int) -> list[_Node]:
    """The adders, each after those that it reads: tails, heads, then head and tail together."""
    nodes = {}
    for weights in sorted(_canonical(group), key=lambda w: sum(map(abs, w))):
        used = [i for i, weight in enumerate(weights) if weight]
        if len(used) == 1:
            continue
        # a head keeps x_0 and x_1 together; within a tail the first activation is the last one added
        split = 2 if weights[:2] != (0, 0) and any(weights[2:]) else used[0] + 1
        left = tuple(weight if i < split else 0 for i, weight in enumerate(weights))
        rest = tuple(weight if i >= split else 0 for i, weight in enumerate(weights))
        subtract = next(weight for weight in rest if weight) < 0
        right = tuple(-weight for weight in rest) if subtract else rest
        nodes[weights] = _Node(weights, left, right, subtract)
    return list(nodes.values())


def _checked(group: int, activation: str, luts: int, readers: int) -> _Shape:
    if not 1 <= group <= 7:
        raise ArgumentError("group must be 1..7", got=group, where="ternary")
    if activation not in ("int8", "fp16", "bf16"):
        raise UnknownName("activation", activation, ("int8", "fp16", "bf16"), where="ternary")
    if not (1 <= luts <= 64 and 1 <= readers <= 64):
        raise ArgumentError("luts and readers must be 1..64", got=(luts, readers), where="ternary")
    return _Shape(group, activation, luts, readers)


def _build_name(shape: _Shape) -> str:
    return f"ternary_table_mu{shape.group}_{shape.activation}"


def _fetch_name(shape: _Shape) -> str:
    return f"ternary_fetch_mu{shape.group}_{shape.activation}_l{shape.luts}_k{shape.readers}"


def _build_text(shape: _Shape) -> str:
    lines, names = [], {}
    for i in range(shape.group):
        names[_alone(shape.group, i)] = f"x{i}"
        lines.append(f"  wire signed [{shape.bits - 1}:0] x{i} = x[{shape.bits * i} +: {shape.bits}];")
    for index, node in enumerate(_tree(shape.group)):
        left, right, name = names[node.left], names[node.right], f"s{index}"
        width = shape.sum_bits(sum(map(abs, node.weights)))
        meaning = "".join("-0+"[weight + 1] for weight in node.weights)
        if shape.is_float:
            # negation of an operand is its sign bit inverted
            operand = f"{{~{right}[{width - 1}], {right}[{width - 2}:0]}}" if node.subtract else right
            lines.append(f"  wire [{width - 1}:0] {name}; // {meaning}")
            lines.append(f"  add_{shape.activation} add{index} (.a({left}), .b({operand}), .sum({name}));")
        else:
            sign = "-" if node.subtract else "+"
            lines.append(f"  wire signed [{width - 1}:0] {name} = {left} {sign} {right}; // {meaning}")
        names[node.weights] = name
    for index, weights in enumerate(_canonical(shape.group)):
        width = shape.sum_bits(sum(map(abs, weights)))
        name = names[weights]
        extended = f"{{{{{shape.entry_bits - width}{{{name}[{width - 1}]}}}}, {name}}}"
        place = f"table_[{shape.entry_bits * index} +: {shape.entry_bits}]"
        lines.append(f"  assign {place} = {extended if width < shape.entry_bits else name};")
    text = fill(
        _BUILD,
        TOP=_build_name(shape),
        MU=shape.group,
        B=shape.bits,
        W=shape.entry_bits,
        ENTRIES=shape.entries,
        ACTIVATION=shape.activation.upper(),
        ADDERS=adders(shape.group),
        BODY="\n".join(lines),
    )
    return join(adder_text(shape.activation), text) if shape.is_float and shape.group > 1 else text


def _fetch_text(shape: _Shape) -> str:
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
            TOP=_fetch_name(shape),
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


def _float_chain(shape: _Shape) -> str:
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


def _float_sums(entries: NDArray[np.uint64], keys: NDArray[np.uint64], shape: _Shape) -> NDArray[np.uint64]:
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


def _squeezed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``[n, count]`` as a port of `count` elements takes it: ``[n]`` for one."""
    return values[:, 0] if values.shape[1] == 1 else values


def _activations(shape: _Shape, x: Port) -> Callable[[np.random.Generator, int], Values]:
    if shape.is_float:
        return lambda rng, n: {x.name: float_words(rng, x, n, shape.activation)}
    return uniform_and_edges(x)


def _operands(shape: _Shape, x: Port, key: Port) -> Callable[[np.random.Generator, int], Values]:
    draw = _activations(shape, x)
    sign = np.uint64(shape.index_bits)

    def operands(rng: np.random.Generator, n: int) -> Values:
        index = rng.integers(0, shape.entries + 1, size=(n, *key.shape), dtype=np.uint64)
        flag = rng.integers(0, 2, size=index.shape, dtype=np.uint64) * (index < shape.entries)
        return draw(rng, n) | {key.name: index | flag << sign}

    return operands
