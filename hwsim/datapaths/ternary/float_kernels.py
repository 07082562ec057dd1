"""Compiled tables, fetches and sums of ternary lookup-table units with FP16 or BF16 activations.

Rows of activations run in lanes: one fetch reads the entries of all of them, so no lane gathers. Calls cost about
40 ns, hence lanes by the hundred. The additions are those of `float_adders`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.ternary.float_adders import added, kul_add_values, kul_may_differ, rounded
from hwsim.jit import njit


@njit
def _sum_lanes(
    out: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32], dropped: np.uint32, kul: bool
) -> None:
    """out = a + b in every lane; out is neither a nor b, so that lanes run side by side."""
    for r in range(a.size):
        out[r] = rounded(np.float32(a[r] + b[r]), dropped)
    if kul:
        doubtful = np.int32(0)
        for r in range(a.size):
            doubtful = np.int32(doubtful + np.int32(kul_may_differ(a[r], b[r], dropped)))
        if doubtful:
            for r in range(a.size):
                if kul_may_differ(a[r], b[r], dropped):
                    out[r] = kul_add_values(a[r], b[r], dropped)


@njit
def _copy_lanes(out: NDArray[np.float32], a: NDArray[np.float32], sign: np.float32) -> None:
    for r in range(a.size):
        out[r] = sign * a[r]


@njit
def add_rows(
    start: int,
    stop: int,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    out: NDArray[np.float32],
    dropped: int,
    kul: bool,
) -> None:
    """out = a + b, rows start..stop."""
    for i in range(start, stop):
        _sum_lanes(out[i], a[i], b[i], np.uint32(dropped), kul)


@njit
def lut_rows(
    start: int,
    stop: int,
    x: NDArray[np.float32],
    adders: NDArray[np.int32],
    fetches: NDArray[np.int32],
    out: NDArray[np.float32],
    luts: int,
    dropped: int,
    kul: bool,
    through: bool,
) -> None:
    """Blocks start..stop of rows through the unit; a block's rows are lanes that follow the same keys.

    Args:
        x: ``[blocks, groups, group, lanes]``; groups is a multiple of `luts`.
        adders: ``[adders, 4]``: sum, first operand, second operand, whether it is subtracted, as register numbers.
            Register 0 is zero, 1..group are the activations, the others are sums in order.
        fetches: ``[groups, N]``: the register that each key reads; those past all sums are the negated registers.
        out: ``[blocks, N, lanes]``: what the accumulators start from, then the results.
        through: write the sum of the only step without an addition.
    """
    groups, columns = fetches.shape
    group, lanes = x.shape[2:]
    half = 1 + group + len(adders)
    low = np.uint32(dropped)
    registers = np.zeros((luts, 2 * half, lanes), np.float32)
    total = np.empty(lanes, np.float32)
    chain = np.empty(lanes, np.float32)
    for block in range(start, stop):
        for first in range(0, groups, luts):
            for j in range(luts):
                file = registers[j]
                for i in range(group):
                    _copy_lanes(file[1 + i], x[block, first + j, i], np.float32(1))
                    _copy_lanes(file[half + 1 + i], x[block, first + j, i], np.float32(-1))
                for i in range(len(adders)):
                    second = adders[i, 2] + half if adders[i, 3] else adders[i, 2]
                    _sum_lanes(file[adders[i, 0]], file[adders[i, 1]], file[second], low, kul)
                    _copy_lanes(file[half + adders[i, 0]], file[adders[i, 0]], np.float32(-1))
                _copy_lanes(file[half], file[0], np.float32(-1))
            for n in range(columns):
                _copy_lanes(chain, registers[0, fetches[first, n]], np.float32(1))
                for j in range(1, luts):
                    _sum_lanes(total, registers[j, fetches[first + j, n]], chain, low, kul)
                    _copy_lanes(chain, total, np.float32(1))
                if not through:
                    _sum_lanes(total, out[block, n], chain, low, kul)
                    _copy_lanes(chain, total, np.float32(1))
                _copy_lanes(out[block, n], chain, np.float32(1))


@njit
def lut_dots(
    start: int,
    stop: int,
    x: NDArray[np.float32],
    weights: NDArray[np.int8],
    flipped: NDArray[np.uint8],
    out: NDArray[np.float32],
    luts: int,
    dropped: int,
    kul: bool,
    through: bool,
) -> None:
    """Dot products start..stop, each through its own entries: x, weights ``[dots, groups, group]``, out ``[dots]``.

    `weights` are those of the entry that is read, `flipped` ``[dots, groups]`` says where it is negated after.
    """
    group = x.shape[2]
    for d in range(start, stop):
        for first in range(0, x.shape[1], luts):
            chain = np.float32(0)
            for j in range(luts):
                entry = _entry(x[d, first + j], weights[d, first + j], group, dropped, kul)
                entry = -entry if flipped[d, first + j] else entry
                chain = added(entry, chain, dropped, kul) if j else entry
            out[d] = chain if through else added(out[d], chain, dropped, kul)


@njit
def _entry(x: NDArray[np.float32], w: NDArray[np.int8], group: int, dropped: int, kul: bool) -> Any:
    head = np.float32(0)
    if group > 1 and w[0] and w[1]:
        head = added(x[0], np.float32(w[1]) * x[1], dropped, kul)
    elif w[0]:
        head = x[0]
    elif group > 1 and w[1]:
        head = x[1]
    if group < 3:
        return head
    tail = np.float32(0)
    for i in range(group - 1, 1, -1):
        if w[i]:
            tail = added(tail, np.float32(w[i]) * x[i], dropped, kul)
    return added(head, tail, dropped, kul) if w[0] or w[1] else tail
