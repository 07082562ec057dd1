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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.arch import Numerics, Prepared
from hwsim.arch.units import lanes
from hwsim.cost.signals import tensor_core_signals
from hwsim.datapaths.operands import integer_range
from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.quant import Quantized
    from hwsim.trace import Gemm

Few = tuple[NDArray[np.intp], NDArray[np.intp]]
Turns = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]

DATAFLOWS = ("ws", "is", "os")
"""In the order of the axis along which running sums follow each other: rows of a, rows of b, K."""

SAMPLE = 16
"""Rows of each operand whose running sums are followed."""

RUN = 4
"""Neighbouring rows in one run: one long run would take a corner of a layer for the whole."""

BATCHES = 4
"""Batches of a product whose operands are counted."""

SEED = 0
"""Of schemes that round stochastically: flips are means over many elements, so any seed serves."""


@dataclass(frozen=True, slots=True)
class Toggles:
    """Mean flips per event of one GEMM.

    Args:
        layer: the layer's name.
        dataflow: the order that was counted.
        a_element: bits that flip when an operand register of side a takes its next element.
        b_element: the same for side b.
        a_scale: bits that flip when a register of a scale byte takes the next one; 0 without block scales.
        b_scale: the same for side b.
        addend: bits that flip at the accumulator's input (the product, sign-extended to its width) per update; 0 for
            units whose products never leave them.
        sum: bits that flip in the register of the running sum per update.
        sampled: part of the GEMM's multiply-accumulates whose sums were followed.
        partial: partial products (each bit of a and each bit of b) of an integer unit that flip per update; bits of
            the exact sums of 16 products of a grouped tensor core; else 0.
        product: bits of all products, before any sign is extended, that flip per update; 0 for lookup units.
        aligned: bits of all aligned terms of a tensor core that flip per update, else 0.
        window: bits of the sum of these terms, else 0.
    """

    layer: str
    dataflow: str
    a_element: float
    b_element: float
    a_scale: float
    b_scale: float
    addend: float
    sum: float
    sampled: float
    partial: float = 0.0
    product: float = 0.0
    aligned: float = 0.0
    window: float = 0.0


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
    batches = np.unique(np.linspace(0, gemm.a.values.shape[0] - 1, BATCHES).astype(int))
    shared = gemm.b.values.shape[0] == 1
    means = np.zeros((len(batches), len(DATAFLOWS), 10))
    followed = 0
    prepared: Prepared | None = None
    for count, batch in zip(means, batches, strict=True):
        a = numerics.quantize(gemm.a.values[batch], "activation", seed=SEED)
        if prepared is None or not shared:
            prepared = numerics.prepare_b(gemm.b.values[0 if shared else batch], gemm.b.role, seed=SEED + 1)
        words_a = numerics.words(a, "a")
        few = _runs(len(words_a)), _runs(len(prepared.words))
        addends, sums = _running(numerics, a, prepared, few)
        turns = (_turns(few[0]), _turns(few[1]), np.arange(sums.shape[2] - 1))
        inner = _inner(numerics, a, prepared, few, turns, addends, sums)
        followed += sums.shape[0] * sums.shape[1] * gemm.k
        for axis, dataflow in enumerate(DATAFLOWS):
            count[axis, :4] = _operand_flips(numerics, words_a, numerics.scale_bytes(a), prepared, dataflow, rows)
            count[axis, 4:6] = _flips_along(addends, axis, turns), _flips_along(sums, axis, turns)
            count[axis, 6:] = inner(axis)
    sampled = followed / gemm.macs
    return {
        dataflow: Toggles(gemm.layer, dataflow, *map(float, mean[:6]), sampled, *map(float, mean[6:]))  # type: ignore[call-arg]
        for dataflow, mean in zip(DATAFLOWS, means.mean(0), strict=True)
    }


def _operand_flips(
    numerics: Numerics,
    words_a: NDArray[Any],
    scales_a: NDArray[np.uint8] | None,
    b: Prepared,
    dataflow: str,
    rows: int,
) -> tuple[float, float, float, float]:
    """Flips of elements of a and of b, and of scale bytes of a and of b, each per write of one register."""
    wide, block, per_word = lanes(numerics.datapath), numerics.datapath.block or 1, _weights_per_word(numerics)
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
    words = _unsigned(words)
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


def _inner(
    numerics: Numerics,
    a: Quantized,
    b: Prepared,
    few: Few,
    turns: Turns,
    addends: NDArray[np.uint64],
    sums: NDArray[Any],
) -> Callable[[int], tuple[float, float, float, float]]:
    """Axis -> flips of partial products or groups, of products, of aligned terms and of their total."""
    unit: Any = numerics.datapath
    words_a, words_b = numerics.words(a, "a")[few[0]], b.words[few[1]]
    if unit.family == "integer":
        products = _products(addends, numerics)
        x, y = np.broadcast_arrays(words_a[:, None], words_b[None])
        return lambda axis: (_partial_flips(x, y, axis, turns), _flips_along(products, axis, turns), 0.0, 0.0)
    if unit.family != "tensor_core" or unit.row.model not in ("fused", "grouped") or unit.row.rewrite:
        return lambda axis: (0.0, 0.0, 0.0, 0.0)
    scales_a = numerics.scale_bytes(a)
    signals = tensor_core_signals(
        unit,
        words_a,
        words_b,
        None if scales_a is None else scales_a[few[0]],
        None if b.scales is None else b.scales[few[1]],
        sums.view(np.uint32),
    )

    def flips(words: NDArray[np.uint64], axis: int) -> float:
        if not words.shape[-1]:
            return 0.0
        steps: int
        within: float
        within, steps = _flips_along(words, axis, turns) * words.shape[-1], words.shape[2]
        if axis < 2:
            return within
        # with outputs in place the next dot product begins after a few steps: the same row of a, another one of b
        far = np.roll(words[:, :, 0], words.shape[1] // 2, axis=1)
        between = float(np.bitwise_count(words[:, :, -1] ^ far).sum(-1).mean())
        return (within * (steps - 1) + between) / steps

    return lambda axis: (
        flips(signals.groups, axis),
        flips(signals.products, axis),
        flips(signals.terms, axis),
        flips(signals.total, axis),
    )


def _products(addends: NDArray[np.uint64], numerics: Numerics) -> NDArray[np.uint64]:
    """Products of an integer unit in their own width, from the words at its accumulator's input."""
    unit: Any = numerics.datapath
    return addends & np.uint64((1 << min(unit.a_bits + unit.b_bits, 63)) - 1)


def _partial_flips(a: NDArray[Any], b: NDArray[Any], axis: int, turns: Turns) -> float:
    """Mean flips of all bits a_i & b_j between neighbours along an axis of ``[m, n, k]``; 0 where there are none.

    Where both words have bits, what they share before and after did not flip.
    """
    if not len(turns[axis]):
        return 0.0
    (a0, a1), (b0, b1) = _neighbours(a, axis, turns), _neighbours(b, axis, turns)

    def ones(one: NDArray[Any], other: NDArray[Any]) -> Any:
        return np.bitwise_count(one).astype(np.int32) * np.bitwise_count(other)

    return float((ones(a0, b0) + ones(a1, b1) - 2 * ones(a0 & a1, b0 & b1)).mean())


def _running(numerics: Numerics, a: Quantized, b: Prepared, few: Few) -> tuple[NDArray[Any], NDArray[Any]]:
    """Words at the accumulator's input and in its register after each update: unsigned ``[m, n, updates]``."""
    unit, wide = numerics.datapath, lanes(numerics.datapath)
    few_a, few_b = few
    words_a, words_b = numerics.words(a, "a")[few_a], b.words[few_b]
    if unit.family == "integer" or (unit.family == "ternary_lut" and unit.a_format == "int8"):
        x = formats.get(a.scheme.element).decode(a.codes[few_a]).astype(np.int64)
        w = formats.get(b.source.scheme.element).decode(b.source.codes[few_b]).astype(np.int64)
        return _integer_sums(x, w, wide, unit)
    scales_a, block = numerics.scale_bytes(a), unit.block or 1
    per_word = _weights_per_word(numerics)
    sums, total = [], None
    for first in range(0, b.k, wide):
        at = slice(first, first + wide)
        keys = slice(first // per_word, (first + wide) // per_word)
        scales = slice(first // block, -(-(first + wide) // block))
        total = unit.matmul(
            words_a[:, at],
            words_b[:, keys],
            total,
            None if scales_a is None else scales_a[few_a, scales],
            None if b.scales is None else b.scales[few_b, scales],
        )
        # a lookup unit returns its 16-bit register widened to float32
        held = formats.get(unit.a_format).encode(total) if unit.family == "ternary_lut" else _unsigned(total)
        sums.append(held)
    register = np.stack(sums, -1)
    return np.zeros_like(register), register


def _integer_sums(
    x: NDArray[np.int64], w: NDArray[np.int64], wide: int, unit: Any
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """`_running` of an exact unit: products of `wide` elements at once, wrapped or clamped after each update."""
    ragged = -x.shape[1] % wide
    x, w = (np.pad(side, ((0, 0), (0, ragged))) for side in (x, w))
    products = x[:, None, :] * w[None, :, :]
    addends = products.reshape(*products.shape[:2], -1, wide).sum(-1)
    bits = unit.accumulator_bits
    sums = addends.cumsum(-1)
    if getattr(unit, "overflow", "wrap") == "saturate":
        least, greatest = integer_range(bits, unit.signed)
        if sums.min() < least or sums.max() > greatest:
            total = np.zeros(addends.shape[:2], np.int64)
            for step in range(addends.shape[2]):
                total = np.clip(total + addends[:, :, step], least, greatest)
                sums[:, :, step] = total
    mask = np.uint64((1 << bits) - 1)
    return addends.view(np.uint64) & mask, sums.view(np.uint64) & mask


def _weights_per_word(numerics: Numerics) -> int:
    """Weights that one word of side b stands for: a lookup unit's key holds a group."""
    return int(numerics.datapath.group) if numerics.datapath.family == "ternary_lut" else 1  # type: ignore[attr-defined]


def _runs(rows: int) -> NDArray[np.intp]:
    """At most `SAMPLE` rows, in runs of `RUN` neighbours spread over all."""
    if rows <= SAMPLE:
        return np.arange(rows)
    starts = np.linspace(0, rows - RUN, SAMPLE // RUN).astype(np.intp)
    return (starts[:, None] + np.arange(RUN)).ravel()


def _turns(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Positions whose row is followed by its neighbour."""
    return np.flatnonzero(np.diff(rows) == 1)


def _unsigned(words: NDArray[Any]) -> NDArray[Any]:
    """The bits of an array as unsigned words."""
    return np.ascontiguousarray(words).view(f"u{words.dtype.itemsize}")
