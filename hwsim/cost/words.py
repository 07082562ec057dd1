"""Bits that flip between consecutive words, and the words that adders and multipliers have inside.

Decides what is counted without a netlist: words at the seams of a circuit, which follow from its operands by a few
integer operations. A carry word is what a sum differs by from the exclusive or of its terms; the rows of an array
multiplier are sums of partial products, as `hwsim.rtl.multipliers` has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.gates.steps import Stream

Words = NDArray[np.uint64]
ONE = np.uint64(1)


def flips(words: NDArray[Any]) -> float:
    """Bits that flip from row to row of ``[steps]`` or ``[steps, count]``, all columns together, as a mean."""
    if len(words) < 2:
        return 0.0
    return float(np.bitwise_count(words[1:] ^ words[:-1]).sum()) / (len(words) - 1)


def changes(words: NDArray[Any]) -> float:
    """Words that change from row to row, all columns together, as a mean."""
    return float((words[1:] != words[:-1]).sum()) / max(len(words) - 1, 1)


def ripples(a: Words, b: Words) -> float:
    """Carries of ``a + b`` that a flip of a or b below them may reach: runs of bits in which a and b differ."""
    started = (a[1:] ^ a[:-1] | b[1:] ^ b[:-1]) << ONE
    passing = a[1:] ^ b[1:]
    reached = ((passing + (started & passing)) ^ passing) & passing | started
    return float(np.bitwise_count(reached).sum()) / max(len(a) - 1, 1)


def masked(values: NDArray[Any], bits: int) -> Words:
    """The low `bits` bits of integers, two's complement where negative."""
    words = np.ascontiguousarray(values).view(np.uint64)
    return words if bits >= 64 else words & np.uint64((1 << bits) - 1)


def magnitudes(values: NDArray[np.int64]) -> Words:
    """Absolute values as words."""
    return np.abs(values).view(np.uint64)


class Rows(NamedTuple):
    """Flips in a row array, all rows together: of partial products, of carries, and reached carries; and changes,
    the part of the steps in which any partial product flips."""

    partials: float
    carries: float
    ripples: float
    by_depth: float
    changes: float


def multiplier_rows(x: Words, y: Words, x_bits: int, y_bits: int, signed: bool) -> Rows:
    """Flips inside a row array of `x_bits` columns and `y_bits` rows; `by_depth` weighs the sum of a row by the rows
    above it."""
    partials = carries = rippled = by_depth = 0.0
    moved: Any = False
    for depth, (partial, before, total) in enumerate(_rows(x, y, x_bits, y_bits, signed)):
        partials += flips(partial)
        carries += flips(partial ^ before ^ total) if depth else 0.0
        rippled += ripples(partial, before)
        by_depth += depth * flips(total)
        moved = moved | (partial[1:] != partial[:-1])
    return Rows(partials, carries, rippled, by_depth, float(np.mean(moved)))


def _rows(x: Words, y: Words, x_bits: int, y_bits: int, signed: bool) -> Iterator[tuple[Words, Words, Words]]:
    """Partial product, sum from above and sum of each row; Baugh-Wooley's inverted bits where signed."""
    top, low = ONE << np.uint64(x_bits - 1), np.uint64((1 << (x_bits - 1)) - 1)
    total = np.zeros_like(x)
    for row in range(y_bits):
        partial = x & (np.uint64(0) - (y >> np.uint64(row) & ONE))
        if signed:
            partial = partial ^ (low if row == y_bits - 1 else top)
        if row == 0:
            before = partial
            total = partial | (ONE << np.uint64(x_bits) if signed and x_bits == y_bits else np.uint64(0))
        else:
            carry_in = signed and x_bits != y_bits and row in (x_bits - 1, y_bits - 1)
            before = total >> ONE
            total = partial + before + np.uint64(carry_in)
        yield partial, before, total


def adder(held: Words, addend: Words, bits: int, addend_bits: int) -> dict[str, float]:
    """Flips in the adder of an accumulator: of the sum that it holds, its result, the carries that ripple, and the
    copies of the addend's sign above its `addend_bits`."""
    extension = max(bits - addend_bits, 0)
    sign = addend >> np.uint64(min(addend_bits, bits) - 1) & ONE
    return {
        "held": flips(held),
        "sum": flips(masked(held + addend, bits)),
        "carries": ripples(held, addend),
        "addend": flips(addend),
        "extension": flips(sign) * extension,
    }


def float_adder(a: Words, b: Words, exponent_bits: int, fraction_bits: int) -> dict[str, float]:
    """Flips in a floating-point adder of one path (`hwsim.rtl.float_adders`): at its operands, in the distance that
    aligns the smaller one, in the aligned word, the sum, the places that normalise it; distance, places and changed
    operands weighted by the word that they move."""
    wide = fraction_bits + 4
    below = np.uint64((1 << (exponent_bits + fraction_bits)) - 1)
    sign = np.uint64(exponent_bits + fraction_bits)
    swap = (b & below) > (a & below)
    x, y = np.where(swap, b, a), np.where(swap, a, b)
    parts = []
    for word in (x, y):
        field = (word & below) >> np.uint64(fraction_bits)
        hidden = np.minimum(field, ONE) << np.uint64(fraction_bits)
        parts.append((np.maximum(field, ONE), (word & np.uint64((1 << fraction_bits) - 1) | hidden) << np.uint64(3)))
    (x_exponent, x_word), (y_exponent, y_word) = parts
    distance = np.minimum(x_exponent - y_exponent, np.uint64(wide))
    aligned = y_word >> distance
    total = np.where((x ^ y) >> sign & ONE, x_word - aligned, x_word + aligned)
    places = np.uint64(wide + 1) - np.frexp(total.astype(np.float64))[1].astype(np.uint64)
    return {
        "operands": flips(a) + flips(b),
        "distance": flips(distance) * wide,
        "aligned": flips(aligned),
        "total": flips(total),
        "places": flips(places) * wide,
        "turned": changes(np.stack([a, b], 1)) * wide,
    }


def held_sums(stream: Stream) -> Words:
    """The sum that an adder sees before each step: zero where a dot product begins."""
    return np.where(stream.first, np.uint64(0), stream.before[:, 0])


def without(found: Mapping[str, float], *names: str) -> dict[str, float]:
    """`found` but for some names."""
    return {name: value for name, value in found.items() if name not in names}
