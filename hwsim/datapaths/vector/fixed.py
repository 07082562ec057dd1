"""Integer operators of a vector unit, in words: requantisation, sums, exponential, reciprocals, activations.

``m``, ``k`` and the like are operands of the circuit. Rounding is to nearest, halves up: ``(t + 2^(k-1)) >> k``, the
cheapest of the roundings that accelerators document. Codes of 8 bits are two's complement; unsigned values are said
to be so. Tables are `hwsim.datapaths.vector.tables`', circuits are in `hwsim.datapaths.vector.fixed_circuits`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector.tables import Table, table

Ints = NDArray[Any]
"""int64 numbers."""

EXP2: Table = table("exp2", 6, 8, 3)
RECIPROCAL: Table = table("reciprocal", 7, 8, 4)
RSQRT: Table = table("rsqrt", 8, 8, 4)
GATES = {"gelu": table("gelu", 7, 8, 4), "silu": table("silu", 7, 8, 3)}

PROBABILITY_BITS = 12
"""Fraction bits of an exponential before it is divided by the sum."""

SUM_BITS = 24


def rounded(value: Ints, k: Ints | int) -> Ints:
    """``value / 2^k`` to nearest, halves up; k = 0 leaves it."""
    shift = np.asarray(k, np.int64)
    return value + np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0) >> shift


def saturated(value: Ints, bits: int) -> Ints:
    """Two's complement of `bits` bits; what does not fit stays at the end."""
    return np.clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def requantize(acc: Ints, m: Ints, k: Ints, bits: int) -> Ints:
    """A 32-bit sum times ``m / 2^k``, to a code of `bits` bits; m unsigned, k 0..63."""
    return saturated(rounded(acc * m, k), bits)


def exp2_scores(x: Ints, largest: Ints, m: Ints) -> Ints:
    """``2^-((largest - x) m / 256)`` in units of 2^-12, 0..4096: the exponential of an 8-bit score.

    m is 256 log2(e) times the step of the scores, unsigned 8 bits.
    """
    t = (largest - x) * m
    whole, part = t >> 8, t >> 2 & 63
    return np.where(whole > 15, 0, EXP2.value(part) << 3 >> np.minimum(whole, 15))


def reciprocal(total: Ints) -> tuple[Ints, Ints]:
    """Of an unsigned 24-bit sum: r in 256..512 and p with ``1 / total = r / 2^(p + 9)``; p is the highest bit.

    A sum of 0 is taken for 1.
    """
    place = _place(total)
    fraction = (total << (SUM_BITS - 1) >> place) - (1 << (SUM_BITS - 1))
    return RECIPROCAL.value(np.where(total > 0, fraction >> (SUM_BITS - 8), 0)), place


def normalized(p: Ints, r: Ints, place: Ints) -> Ints:
    """``p r / 2^(place + 1)``: a probability in 256ths, 0..255, of an exponential and `reciprocal` of the sum."""
    return np.minimum(rounded(p * r, place + 1), 255)


def rsqrt(total: Ints) -> tuple[Ints, Ints]:
    """Of an unsigned 24-bit variance: r in 256..512 and h with ``1 / sqrt(total) = r / 2^(h + 9)``.

    h is half of the highest bit's place, rounded down. A variance of 0 is taken for 1.
    """
    place = _place(total)
    fraction = (total << (SUM_BITS - 1) >> place) - (1 << (SUM_BITS - 1))
    argument = (place & 1) << 7 | np.where(total > 0, fraction, 0) >> (SUM_BITS - 8)
    return RSQRT.value(argument), place >> 1


def centred(x: Ints, mean: Ints, r: Ints, k: Ints) -> Ints:
    """``(256 x - mean) r / 2^k`` as 8 bits: a normalised code; mean signed 16 bits in 256ths, r 0..512."""
    return saturated(rounded(((x << 8) - mean) * r, k), 8)


def square_sum(x: Ints, total: Ints) -> Ints:
    """``total + x^2`` modulo 2^24."""
    return np.asarray(total + x * x & (1 << SUM_BITS) - 1)


def rescaled(total: Ints, p: Ints) -> Ints:
    """``total p / 2^12`` modulo 2^24: a running sum under a larger maximum; p of `exp2_scores`."""
    return rounded(total * p, PROBABILITY_BITS) & (1 << SUM_BITS) - 1


def activation(x: Ints, function: str) -> Ints:
    """GELU or SiLU of a code in 16ths (-8 to 8), in 16ths."""
    size = np.abs(x)
    tail = np.where(size > 127, 0, GATES[function].value(np.minimum(size, 127)))
    gate = np.where(x < 0, tail, 256 - tail)
    return rounded(x * gate, 8)


def rotated(a: Ints, b: Ints, cosine: Ints, sine: Ints) -> Ints:
    """``a cos - b sin`` as 8 bits; cosine and sine in 128ths, two's complement."""
    return saturated(rounded(a * cosine - b * sine, 7), 8)


def added(a: Ints, b: Ints) -> Ints:
    """``a + b`` as 8 bits."""
    return saturated(a + b, 8)


def multiplied(a: Ints, b: Ints) -> Ints:
    """``a b / 128`` as 8 bits."""
    return saturated(rounded(a * b, 7), 8)


def _place(value: Ints) -> Ints:
    """Number of the highest bit, 0 for 0."""
    place = np.zeros_like(value)
    for bit in range(SUM_BITS):
        place = np.where(value >> bit & 1 == 1, bit, place)
    return place
