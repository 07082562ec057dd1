"""Streams, bit flips and gates of PANN's three units: signed MAC, unsigned MAC behind W+ and W-, add-only unit.

Decides how the conversion W = W+ - W- reaches a unit that has one accumulator. In two passes every element is read
twice, once with a zero; sorted, the elements of positive weights come first and the rest after them, so that nothing
is read twice. Sorting is free only where a column has its own order of inputs, which a systolic array does not give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import integer
from hwsim.datapaths.integer.verilog import mac
from hwsim.datapaths.pann.verilog import pann_unit
from hwsim.quant.pann_weights import quantize_additions
from hwsim.rtl.accumulator import accumulator
from hwsim.studies import operands
from hwsim.studies.circuits import Measured, measure, running
from hwsim.studies.operands import Stream

ACC_BITS = 32


@dataclass(frozen=True, slots=True)
class Flips:
    """Counted bits an element, in the parts of the formula."""

    inputs: float
    partial: float
    addend: float
    register: float

    @property
    def total(self) -> float:
        """The paper counts sum and register alike."""
        return self.inputs + self.partial + self.addend + 2 * self.register


def count_mac(stream: Stream, x_bits: int, w_bits: int) -> Flips:
    """Flips of a multiply-accumulate unit that sees the stream in its order."""
    x, w = _words(stream.x, x_bits), _words(stream.w, w_bits)
    state = running(stream.x * stream.w, stream.clear, ACC_BITS)
    return Flips(
        _turned(x) + _turned(w),
        _turned_products(x, w),
        _turned(_words(stream.x * stream.w, ACC_BITS)),
        _turned(state),
    )


def measure_mac(stream: Stream, x_bits: int, w_bits: int, signed: bool, style: str = "array") -> Measured:
    """Gates of the same."""
    state = running(stream.x * stream.w, stream.clear, ACC_BITS)
    unit = mac(x_bits, w_bits, ACC_BITS, signed, style=style)
    return measure(unit, {"a": stream.x, "b": stream.w, "clear": stream.clear}, {"acc": state})


def two_passes(stream: Stream) -> Stream:
    """All of a dot product with W+, then all of it with W-."""
    parts = []
    for x, w in _dots(stream):
        parts.append(_dot(np.tile(x, 2), np.concatenate([np.maximum(w, 0), np.maximum(-w, 0)]), (0, len(x))))
    return operands.joined(parts)


def sorted_signs(stream: Stream) -> Stream:
    """Elements of weights that are not negative, then those of negative ones, as magnitudes."""
    parts = []
    for x, w in _dots(stream):
        order = np.concatenate([np.flatnonzero(w >= 0), np.flatnonzero(w < 0)])
        marks = (0, int((w >= 0).sum()))
        parts.append(_dot(x[order], np.abs(w[order]), marks))
    return operands.joined(parts)


def same_dots(stream: Stream, x_bits: int, w_bits: int) -> int:
    """Dot products for which the signed unit and the difference of the two unsigned ones disagree."""
    wrong = 0
    signed = integer(x_bits + 1, w_bits, ACC_BITS)
    unsigned = integer(x_bits, w_bits, ACC_BITS, signed=False)
    for x, w in _dots(stream):
        plus, minus = (unsigned.dot(x.astype(np.uint8), np.maximum(v, 0).astype(np.uint8)) for v in (w, -w))
        wrong += int(int(signed.dot(x.astype(np.int16), w.astype(np.int16))) != int(plus) - int(minus))
    return wrong


@dataclass(frozen=True, slots=True)
class AddOnly:
    """The add-only unit on real operands, an element (not an addition) at a time.

    Attributes:
        additions: additions an element that the weights take.
        flips: bits at the adder's input and, twice, in the registers.
        paired, sorted_pair: the unit with two accumulators, one adder and the subtraction at the end, its weights in
            their own order and sorted by sign. Energies an element.
        alone: one accumulator behind sorted weights, nothing else.
    """

    additions: float
    flips: float
    paired: Measured
    sorted_pair: Measured
    alone: Measured


def add_only(source: str, x_bits: int, budget: float, cycles: int) -> AddOnly:
    """The unit at R = `budget` on operands of `relu_sources`, about `cycles` additions."""
    natural, ordered, split, elements = [], [], [], 0
    sources = operands.relu_sources(source)
    for inputs, weights in sources:
        x = operands.quantize(inputs, x_bits, signed=False)[0]
        w = quantize_additions(weights, budget, channel_axis=0).codes.astype(np.int64)
        stream = Stream(*operands.pairs(x, w, int(cycles / len(sources) / max(budget, 0.5))))
        elements += len(stream.x)
        by_sign = operands.joined(_by_sign(stream))
        natural.append(_repeated(stream, np.sign(stream.w)))
        ordered.append(_repeated(by_sign, np.sign(by_sign.w)))
        split.append(_repeated(sorted_signs(stream), np.ones_like(stream.w)))
    one = operands.joined(split)
    sums = running(one.x, one.clear, ACC_BITS)
    alone = measure(accumulator(x_bits, ACC_BITS, False), {"p": one.x, "clear": one.clear}, {"acc": sums})
    cycles_each = len(one.x) / elements
    flips = _turned(one.x.view(np.uint64)) + 2 * _turned(sums)
    return AddOnly(
        cycles_each,
        flips * cycles_each,
        _each(_measure_pair(operands.joined(natural), x_bits), cycles_each),
        _each(_measure_pair(operands.joined(ordered), x_bits), cycles_each),
        _each(alone, cycles_each),
    )


def _measure_pair(stream: Stream, x_bits: int) -> Measured:
    """The add-only unit with both accumulators; `w` is the sign of an addition."""
    ends = np.append(stream.clear[1:], np.uint64(1))
    after = {
        name: running(np.where(stream.w == sign, stream.x, 0), stream.clear, ACC_BITS)
        for name, sign in (("positive", 1), ("negative", -1))
    }
    ports = {
        "x": stream.x,
        "clear": stream.clear,
        "add": np.ones_like(stream.x),
        "negate": (stream.w < 0).astype(np.int64),
        "last": ends,
    }
    return measure(pann_unit(x_bits, ACC_BITS), ports, after | {"ended": ends})


def _each(found: Measured, cycles: float) -> Measured:
    return replace(
        found,
        zero_fj=found.zero_fj * cycles,
        unit_fj=found.unit_fj * cycles,
        clock_fj=found.clock_fj * cycles,
        zero_toggles=found.zero_toggles * cycles,
        unit_toggles=found.unit_toggles * cycles,
    )


def _by_sign(stream: Stream) -> list[Stream]:
    """Positive weights of a dot product first, then the others, with their signs."""
    return [
        _dot(x[order], w[order], (0,))
        for x, w in _dots(stream)
        for order in [np.concatenate([np.flatnonzero(w > 0), np.flatnonzero(w <= 0)])]
    ]


def _repeated(stream: Stream, sign: NDArray[np.int64]) -> Stream:
    """Every element as often as its weight says; `sign` stands in for the weight."""
    times = np.abs(stream.w)
    group = np.repeat(np.cumsum(stream.clear), times)
    clear = np.concatenate([[1], np.diff(group) != 0]).astype(np.uint64)[: len(group)]
    return Stream(np.repeat(stream.x, times), np.repeat(sign, times), clear)


def _dots(stream: Stream) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    starts = np.flatnonzero(stream.clear)[1:]
    return list(zip(np.split(stream.x, starts), np.split(stream.w, starts), strict=True))


def _dot(x: NDArray[np.int64], w: NDArray[np.int64], marks: tuple[int, ...]) -> Stream:
    clear = np.zeros(len(x), np.uint64)
    clear[[mark for mark in marks if mark < len(x)]] = 1
    return Stream(x, w, clear)


def _words(values: NDArray[np.int64], bits: int) -> NDArray[np.uint64]:
    return values.view(np.uint64) & np.uint64((1 << bits) - 1)


def _turned(words: NDArray[np.uint64]) -> float:
    return float(np.bitwise_count(words[1:] ^ words[:-1]).mean())


def _turned_products(x: NDArray[np.uint64], w: NDArray[np.uint64]) -> float:
    """Flips of all bits x_i & w_j: what both words have before and after did not flip."""

    def ones(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
        return np.bitwise_count(one).astype(np.int64) * np.bitwise_count(other)

    before, after = (x[:-1], w[:-1]), (x[1:], w[1:])
    return float((ones(*before) + ones(*after) - 2 * ones(before[0] & after[0], before[1] & after[1])).mean())
