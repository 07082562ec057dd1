"""The few gates to which every cell of every library reduces.

Decides that the simulator knows cells up to the order and the inversion of inputs and the inversion of the output:
NAND, NOR, OR and AND with any bubbles are one kind, and every gate that takes its inputs one after the other (AND3,
OAI21, AOI211, ...) is one chain of three ANDs with inversions between them. So one compiled kernel of seven branches
serves every library, where a kernel generated per library costs many seconds of compilation each. A function outside
the list is computed from its truth table, slower but right.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

AND2, XOR3, CHAIN4, AO22, MUX2, MAJ3, TABLE = range(7)

FIRST, SECOND, OUTPUT = 4, 5, 6  # mask bits 0 to 3 invert operands; these the two steps of a chain and the output
ZERO_NET, ONE_NET = 0, 1


def _form(kind: int, operands: int, mask: int) -> int:
    """One output bit of a kind, in the words of the kernel."""
    a, b, c, d = ((operands ^ mask) >> operand & 1 for operand in range(4))
    inner, outer, out = (mask >> bit & 1 for bit in (FIRST, SECOND, OUTPUT))
    if kind == AND2:
        return a & b ^ out
    if kind == XOR3:
        return a ^ b ^ c ^ out
    if kind == CHAIN4:
        return ((a & b ^ inner) & c ^ outer) & d ^ out
    if kind == AO22:
        return (a & b | c & d) ^ out
    if kind == MUX2:
        return (c if b else a) ^ out
    return (a & b | c & (a | b)) ^ out


def _candidates(inputs: int) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Kinds that may hold a function of `inputs` inputs, the nets of their unused operands, and the masks to try."""
    flips = range(1 << inputs)
    signed = tuple(flip | out << OUTPUT for out in (0, 1) for flip in flips)
    if inputs <= 3:  # an XOR absorbs the inversions of its inputs
        yield XOR3, (ZERO_NET,) * (3 - inputs), (0, 1 << OUTPUT)
    if inputs == 2:
        yield AND2, (), signed
    if inputs == 3:
        yield CHAIN4, (ONE_NET,), tuple(mask | inner << FIRST for inner in (0, 1) for mask in signed)
        yield MUX2, (), signed
        yield MAJ3, (), signed
    if inputs == 4:
        yield CHAIN4, (), tuple(m | i << FIRST | o << SECOND for i in (0, 1) for o in (0, 1) for m in signed)
        yield AO22, (), signed


@functools.cache
def reduce_function(inputs: int, table: int) -> tuple[int, tuple[int, ...], tuple[int, ...], int, int]:
    """The kind of a truth table over `inputs` inputs, all of which matter.

    Returns:
        kind; for each operand of the kind, the input that it takes; the constant nets of the operands after these;
        the mask of inversions; the truth table over all operands in their
        order.
    """
    patterns = range(1 << inputs)
    for kind, constants, masks in _candidates(inputs):
        fixed = sum(net << (inputs + position) for position, net in enumerate(constants))
        for mask in masks:
            permuted = sum(_form(kind, pattern | fixed, mask) << pattern for pattern in patterns)
            if permuted.bit_count() != table.bit_count():
                continue
            for order in itertools.permutations(range(inputs)):
                if all((permuted >> _operands(p, order)) & 1 == table >> p & 1 for p in patterns):
                    return kind, order, constants, mask, permuted << fixed
    return TABLE, tuple(range(inputs)), (), 0, table


def _operands(pattern: int, order: tuple[int, ...]) -> int:
    return sum((pattern >> source & 1) << operand for operand, source in enumerate(order))
