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

Operand registers are counted on every recorded row. Sums are counted on a block of `SAMPLE` × `SAMPLE` neighbouring
rows of both operands, spread over the batch, over all of K: the register sees the true running sum, produced by the
datapath itself. Expected flips from bit probabilities were rejected: they miss that neighbours in a trace are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.arch import Numerics, Prepared
from hwsim.arch.units import lanes
from hwsim.datapaths.operands import integer_range
from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.quant import Quantized
    from hwsim.trace import Gemm

DATAFLOWS = ("ws", "is", "os")
"""In the order of the axis along which running sums follow each other: rows of a, rows of b, K."""

SAMPLE = 16
"""Rows of each operand whose running sums are followed."""

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
        partial: of an integer unit: partial-product bits (each bit of a and each bit of b) that flip per update.
        product: of an integer unit: bits of the product, before its sign is extended, that flip per update.
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
    means = np.zeros((len(batches), len(DATAFLOWS), 8))
    followed = 0
    prepared: Prepared | None = None
    for count, batch in zip(means, batches, strict=True):
        a = numerics.quantize(gemm.a.values[batch], "activation", seed=SEED)
        if prepared is None or not shared:
            prepared = numerics.prepare_b(gemm.b.values[0 if shared else batch], gemm.b.role, seed=SEED + 1)
        words_a = numerics.words(a, "a")
        few_a, few_b = _middle(len(words_a)), _middle(len(prepared.words))
        addends, sums = _running(numerics, a, prepared, few_a, few_b)
        followed += sums.shape[0] * sums.shape[1] * gemm.k
        for axis, dataflow in enumerate(DATAFLOWS):
            count[axis, :4] = _operand_flips(numerics, words_a, numerics.scale_bytes(a), prepared, dataflow, rows)
            count[axis, 4:6] = _flips_along(addends, axis), _flips_along(sums, axis)
            if numerics.datapath.family == "integer":
                few = words_a[few_a][:, None], prepared.words[few_b][None]
                count[axis, 6:] = _partial_flips(*few, axis), _flips_along(_products(addends, numerics), axis)
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
    ends before, the one `down` rows below; 0 where there is neither."""
    if words is None:
        return 0.0
    words = _unsigned(words)
    if 0 < along < words.shape[1]:
        pairs = words[:, along:] ^ words[:, :-along]
    elif down < len(words):
        pairs = words[down:] ^ words[:-down]
    else:
        return 0.0
    return float(np.bitwise_count(pairs).mean())


def _flips_along(words: NDArray[Any], axis: int) -> float:
    """Mean bits that differ between neighbours along an axis of ``[m, n, steps]``; 0 for an axis of one."""
    if words.shape[axis] < 2:
        return 0.0
    ahead, behind = np.moveaxis(words, axis, 0)[1:], np.moveaxis(words, axis, 0)[:-1]
    return float(np.bitwise_count(ahead ^ behind).mean())


def _products(addends: NDArray[np.uint64], numerics: Numerics) -> NDArray[np.uint64]:
    """Products of an integer unit in their own width, from the words at its accumulator's input."""
    unit: Any = numerics.datapath
    return addends & np.uint64((1 << min(unit.a_bits + unit.b_bits, 63)) - 1)


def _partial_flips(a: NDArray[Any], b: NDArray[Any], axis: int) -> float:
    """Mean flips of all bits a_i & b_j between neighbours along an axis of ``[m, n, k]``; 0 for an axis of one.

    Where both words have bits, what they share before and after did not flip.
    """
    a, b = np.broadcast_arrays(a, b)
    if a.shape[axis] < 2:
        return 0.0
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    ones = np.bitwise_count(a).astype(np.int32) * np.bitwise_count(b)
    kept = np.bitwise_count(a[1:] & a[:-1]).astype(np.int32) * np.bitwise_count(b[1:] & b[:-1])
    return float((ones[1:] + ones[:-1] - 2 * kept).mean())


def _running(
    numerics: Numerics, a: Quantized, b: Prepared, few_a: slice, few_b: slice
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Words at the accumulator's input and in its register after each update: unsigned ``[m, n, updates]``."""
    unit, wide = numerics.datapath, lanes(numerics.datapath)
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


def _middle(rows: int) -> slice:
    """`SAMPLE` neighbouring rows in the middle."""
    first = max(0, (rows - SAMPLE) // 2)
    return slice(first, min(rows, first + SAMPLE))


def _unsigned(words: NDArray[Any]) -> NDArray[Any]:
    """The bits of an array as unsigned words."""
    return np.ascontiguousarray(words).view(f"u{words.dtype.itemsize}")
