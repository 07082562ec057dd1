"""Bits that really flip when recorded operands run through an array, in the order of its dataflow.

What streams past a register, in which order:

========  ==================================  ==================================  ========================
dataflow  register of operand a               register of operand b               running sum
========  ==================================  ==================================  ========================
``ws``    one k, rows m in turn               on load: one tile further along K   one (k, n), m in turn
``is``    on load: one tile further along K   one k, rows n in turn               one (m, k), n in turn
``os``    one row m, k in turn                one row n, k in turn                one (m, n), k in turn
========  ==================================  ==================================  ========================

With several lanes, lane i holds k = i, i + lanes, ... Results are means per event, so that they hold for an array of
any width; only the distance of a reload depends on the rows of the array.

Operand registers are counted on every recorded row. Sums are counted on `SAMPLE` × `SAMPLE` rows of both operands, in
runs of `RUN` neighbours spread over all rows, over all of K: the register sees the true running sum, produced by the
datapath itself. Expected flips from bit probabilities were rejected: they miss that neighbours in a trace are alike.
What flips inside a unit is counted on the steps of `hwsim.arch.operands`, and so are both sums of an add-only unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Numerics, Prepared
from hwsim.arch.operands import Operands, unit_stream
from hwsim.cost.toggles import Toggles
from hwsim.datapaths.base import Datapath, MissingView
from hwsim.datapaths.streams import unsigned
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream
from hwsim.trace import Gemm

Turns = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]

DATAFLOWS = ("ws", "is", "os")
"""In the order of the axis along which running sums follow each other: rows of a, rows of b, K."""

SAMPLE = 16
"""Rows of each operand whose running sums are followed."""

RUN = 4
"""Neighbouring rows in one run: one long run would take a corner of a layer for the whole."""


def count_toggles(gemm: Gemm, numerics: Numerics, dataflow: str = "ws", rows: int = 16) -> Toggles:
    """Flips of a recorded GEMM in one dataflow; `count_by_dataflow` has all three at the price of one.

    Raises:
        ArgumentError: unknown dataflow, or `rows` below 1.
    """
    if dataflow not in DATAFLOWS:
        raise ArgumentError(f"must be one of {', '.join(DATAFLOWS)}", got=dataflow, where="count_toggles.dataflow")
    return count_by_dataflow(gemm, numerics, rows)[dataflow]


def count_by_dataflow(gemm: Gemm, numerics: Numerics, rows: int = 16) -> dict[str, Toggles]:
    """Flips of a recorded GEMM in each dataflow.

    Args:
        gemm: a product with its operands.
        numerics: how it is computed.
        rows: rows of the array, for the distance of a reload. Operands that far apart are as good as unrelated, so
            one count serves arrays of any size.

    Raises:
        ArgumentError: `rows` below 1.
    """
    if rows < 1:
        raise ArgumentError("must be at least 1", got=rows, where="count_toggles.rows")
    operands, unit = Operands(gemm, numerics), numerics.datapath
    batches = operands.batches()
    means = np.zeros((len(batches), len(DATAFLOWS), 6))
    followed = 0
    streams = {dataflow: unit_stream(operands, dataflow) for dataflow in DATAFLOWS}
    own = {dataflow: unit.register_flips(stream) for dataflow, stream in streams.items()}
    for count, batch in zip(means, batches, strict=True):
        (a, scale_a), b = operands.a(batch), operands.b(batch)
        few = _runs(len(a)), _runs(len(b.words))
        for axis, dataflow in enumerate(DATAFLOWS):
            count[axis, :4] = _operand_flips(numerics, a, scale_a, b, dataflow, rows)
        followed += len(few[0]) * len(few[1]) * gemm.k
        if None not in own.values():
            continue
        scales = (None if one is None else one[at] for one, at in ((scale_a, few[0]), (b.scales, few[1])))
        addends, sums = unit.running_sums(a[few[0]], b.words[few[1]], *scales)
        turns = (_turns(few[0]), _turns(few[1]), np.arange(sums.shape[2] - 1))
        for axis in range(len(DATAFLOWS)):
            count[axis, 4:] = _flips_along(addends, axis, turns), _flips_along(sums, axis, turns)
    found = {}
    for mean, dataflow in zip(means.mean(0), DATAFLOWS, strict=True):
        addend, total = mean[4:]
        inner, rebuilt = _inner(unit, streams[dataflow])
        addend, total = own[dataflow] or (addend, total)
        a_element, b_element, a_scale, b_scale = map(float, mean[:4])
        found[dataflow] = Toggles(
            gemm.layer, dataflow, a_element, b_element, a_scale, b_scale, float(addend), float(total),
            followed / gemm.macs, inner, rebuilt,
        )  # fmt: skip
    return found


def _inner(unit: Datapath, stream: Stream) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """What flips inside, for units whose energy is fitted to it."""
    try:
        return unit.price.update_flips(stream), unit.price.rebuild_flips(stream)
    except MissingView:
        return {}, {}


def _operand_flips(
    numerics: Numerics,
    words_a: NDArray[Any],
    scales_a: NDArray[np.uint8] | None,
    b: Prepared,
    dataflow: str,
    rows: int,
) -> tuple[float, float, float, float]:
    """Flips of elements of a and of b, and of scale bytes of a and of b, each per write of one register."""
    unit = numerics.datapath
    wide, block, per_word = unit.lanes, unit.block or 1, unit.elements_per_word
    streams, reloads, turns = (1, 0), (rows, rows * wide), (rows, wide)
    steps = {"ws": (streams, reloads), "is": (reloads, streams), "os": (turns, turns)}[dataflow]
    (a_down, a_along), (b_down, b_along) = steps
    return (
        _mean_flips(words_a, a_down, a_along),
        _mean_flips(b.words, b_down, -(-b_along // per_word)) / per_word,
        _mean_flips(scales_a, a_down, -(-a_along // block)),
        _mean_flips(b.scales, b_down, -(-b_along // block)),
    )


def _mean_flips(words: NDArray[Any] | None, down: int, along: int) -> float:
    """Mean bits that differ between a word and the one `along` further in its row, or, where `along` is 0 or the row
    ends before, the one `down` rows below, or the last row where there are fewer; 0 for a single row."""
    if words is None:
        return 0.0
    words = unsigned(words)
    if 0 < along < words.shape[1]:
        pairs = words[:, along:] ^ words[:, :-along]
    elif len(words) > 1:
        down = min(down, len(words) - 1)
        pairs = words[down:] ^ words[:-down]
    else:
        return 0.0
    return float(np.bitwise_count(pairs).mean())


def _flips_along(words: NDArray[Any], axis: int, turns: Turns) -> float:
    """Mean bits that differ between neighbours along an axis of ``[m, n, steps]``; 0 where there are none."""
    if not len(turns[axis]):
        return 0.0
    behind, ahead = _neighbours(words, axis, turns)
    return float(np.bitwise_count(ahead ^ behind).mean())


def _neighbours(words: NDArray[Any], axis: int, turns: Turns) -> tuple[NDArray[Any], NDArray[Any]]:
    """What stands before and after each turn, the axis moved to the front."""
    along = np.moveaxis(words, axis, 0)
    return along[turns[axis]], along[turns[axis] + 1]


def _runs(rows: int) -> NDArray[np.intp]:
    """At most `SAMPLE` rows, in runs of `RUN` neighbours spread over all."""
    if rows <= SAMPLE:
        return np.arange(rows)
    starts = np.linspace(0, rows - RUN, SAMPLE // RUN).astype(np.intp)
    return (starts[:, None] + np.arange(RUN)).ravel()


def _turns(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Positions whose row is followed by its neighbour."""
    return np.flatnonzero(np.diff(rows) == 1)
