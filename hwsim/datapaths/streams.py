"""Operands and sums of a unit in the order of a dataflow, for every unit that takes `lanes` products a step.

Running sums are the datapath's own, so rounding and overflow are those of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.gates.steps import ORDERS, Stream, by_steps, chosen_rows, places

if TYPE_CHECKING:
    from hwsim.datapaths.base import Datapath

Words = NDArray[np.uint64]


def running_sums(
    unit: Datapath,
    a: NDArray[Any],
    b: NDArray[Any],
    scale_a: NDArray[Any] | None,
    scale_b: NDArray[Any] | None,
    start: NDArray[Any] | None = None,
) -> tuple[Words, Words]:
    """`Datapath.running_sums` by the unit's own products, one step after another; `start`: before the first."""
    wide, block, per_word = unit.lanes, unit.block or 1, unit.elements_per_word
    sums: list[NDArray[Any]] = []
    total = start
    for first in range(0, a.shape[1], wide):
        at, scales = slice(first, first + wide), slice(first // block, -(-(first + wide) // block))
        words = slice(first // per_word, (first + wide) // per_word)
        parts = (None if held is None else held[:, scales] for held in (scale_a, scale_b))
        total = unit.matmul(a[:, at], b[:, words], total, *parts)
        sums.append(unit.sum_words(total))
    register = np.stack(sums, -1).astype(np.uint64)
    addends = unit.addends(a, b)
    if addends is None:
        return np.zeros_like(register), register
    return masked(addends, unit.accumulator_bits), register


def exact_sums(addends: NDArray[np.int64], bits: int, bounds: tuple[int, int] | None = None) -> tuple[Words, Words]:
    """`Datapath.running_sums` of a unit that adds integers: wrapped to `bits`, or clamped after each update.

    Args:
        addends: int64 ``[m, n, steps]``.
        bits: width of the accumulator.
        bounds: least and greatest value of one that saturates.
    """
    sums = addends.cumsum(-1)
    if bounds is not None and addends.size and (sums.min() < bounds[0] or sums.max() > bounds[1]):
        total = np.zeros(addends.shape[:2], np.int64)
        for step in range(addends.shape[2]):
            total = np.clip(total + addends[:, :, step], *bounds)
            sums[:, :, step] = total
    return masked(addends, bits), masked(sums, bits)


def products_of(x: NDArray[Any], w: NDArray[Any], wide: int) -> NDArray[np.int64]:
    """Exact sums of `wide` products at once, int64 ``[m, n, steps]``, of integers x ``[m, K]`` and w ``[n, K]``."""
    ragged = -x.shape[1] % wide
    x, w = (np.pad(side.astype(np.int64), ((0, 0), (0, ragged))) for side in (x, w))
    products = x[:, None, :] * w[None, :, :]
    summed: NDArray[np.int64] = products.reshape(*products.shape[:2], -1, wide).sum(-1)
    return summed


def ordered(
    unit: Datapath,
    dataflow: str,
    budget: int,
    a: NDArray[Any],
    b: NDArray[Any],
    scale_a: NDArray[Any] | None,
    scale_b: NDArray[Any] | None,
    tables: bool = False,
) -> Stream:
    """`Datapath.stream` of operands of one batch; `tables`: whether the unit builds them of its activations."""
    wide = unit.lanes
    steps = min(-(-a.shape[1] // wide), budget)
    rows_a, rows_b = chosen_rows(len(a), len(b), dataflow, max(budget // steps, 1))
    a, b = a[rows_a], b[rows_b]
    scale_a, scale_b = (None if one is None else one[rows] for one, rows in ((scale_a, rows_a), (scale_b, rows_b)))
    m, n, step = (one[:budget] for one in places(len(a), len(b), steps, dataflow))
    sums = unit.running_sums(a, b, scale_a, scale_b)[1][..., : steps - 1]
    before = np.concatenate([np.zeros((len(a), len(b), 1), np.uint64), sums], axis=2)
    blocks = max(wide // (unit.block or 1), 1)
    by_step = by_steps(unsigned(a), steps, wide)
    words = by_steps(unsigned(b), steps, wide // unit.elements_per_word, unit.padding_word)

    def scales(held: NDArray[Any] | None, rows: NDArray[np.intp]) -> Words:
        if held is None:
            return np.zeros((len(m), 0), np.uint64)
        spread = np.repeat(held, max(unit.block or 1, wide) // wide, axis=1)  # a block of several steps
        return by_steps(spread, steps, blocks)[rows, step]

    return Stream(
        a=by_step[m, step],
        b=words[n, step],
        scale_a=scales(scale_a, m),
        scale_b=scales(scale_b, n),
        before=before[m, n, step][:, None],
        first=step == 0,
        last=step == steps - 1,
        tables=_rebuilt(by_step, dataflow, len(m)) if tables else np.zeros((0, wide), np.uint64),
    )


def _rebuilt(by_step: Words, dataflow: str, most: int) -> Words:
    """Activations ``[rows, steps, lanes]`` one table after another, ``[rebuilds, lanes]``."""
    rows, steps, lanes = by_step.shape
    order = [axis for axis in ORDERS[dataflow] if axis != 1]
    m, step = (one.transpose([(0, 2).index(axis) for axis in order]) for one in np.indices((rows, steps)))
    return by_step[m.reshape(-1), step.reshape(-1)][:most].reshape(-1, lanes)


def unsigned(words: NDArray[Any]) -> NDArray[Any]:
    """The same bits as unsigned integers of the same width."""
    return words if words.dtype.kind == "u" else words.view(f"u{words.dtype.itemsize}")


def masked(values: NDArray[np.int64], bits: int) -> Words:
    """The low `bits` bits of integers, two's complement where negative."""
    return np.ascontiguousarray(values).view(np.uint64) & np.uint64((1 << bits) - 1)
