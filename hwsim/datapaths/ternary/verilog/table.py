"""The table of a lookup core: all sums of µ activations under ternary weights, one adder each.

The builder has the least possible number of adders: every entry with two or more non-zero weights needs one, and one
is enough, n - µ in all (10, 36, 116 and 358 for µ = 3 to 6). The tree keeps the order of addition of the
floating-point generator of KU Leuven: a tail over x_2 ... x_(µ-1) from the back, a head of x_0 and x_1, entry = head
+ tail. Its adders with zero and its repeated tails are left out; that only changes the sign of zero entries, which no
accumulator that starts at +0 can show.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.ternary.verilog.shape import Shape, activations, checked, squeezed
from hwsim.rtl.float_adders import add_words, adder_text
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed

_BUILD = """\
// Table of <ENTRIES> sums of <MU> <ACTIVATION> activations, <ADDERS> adders; entry i in table[<W> * i +: <W>].
module <TOP> (input [<MU>*<B>-1:0] x, output [<ENTRIES>*<W>-1:0] table_);
<BODY>
endmodule
"""


def ternary_table(group: int = 3, activation: str = "int8") -> Unit:
    """The table builder alone: µ activations -> n entries; combinational. Raises as `ternary_core`."""
    shape = checked(group, activation, 1, 1)
    x, out = Port("x", shape.bits, group), Port("table_", shape.entry_bits, shape.entries)

    def golden(values: Values) -> Values:
        n = len(values["x"])
        return {"table_": squeezed(table_entries(values["x"].reshape(n, 1, group), group, activation)[:, 0])}

    return Unit(
        name=build_name(shape),
        verilog=build_text(shape),
        inputs=(x,),
        outputs=(out,),
        golden=golden,
        operands=activations(shape, x),
        family="ternary_table",
        parameters={"group": group, "activation": activation},
    )


def adders(group: int) -> int:
    """Adders of the table builder, n - µ."""
    return len(_tree(group))


def table_entries(x: NDArray[np.uint64], group: int, activation: str) -> NDArray[np.uint64]:
    """Entries ``[..., n]`` of activations ``[..., µ]``, by the tree of the circuit, one addition a node."""
    shape = Shape(group, activation, 1, 1)
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


def build_name(shape: Shape) -> str:
    """Name of the builder's module."""
    return f"ternary_table_mu{shape.group}_{shape.activation}"


def build_text(shape: Shape) -> str:
    """Text of the builder and, of a floating-point one, its adder."""
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
        TOP=build_name(shape),
        MU=shape.group,
        B=shape.bits,
        W=shape.entry_bits,
        ENTRIES=shape.entries,
        ACTIVATION=shape.activation.upper(),
        ADDERS=adders(shape.group),
        BODY="\n".join(lines),
    )
    return join(adder_text(shape.activation), text) if shape.is_float and shape.group > 1 else text


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
