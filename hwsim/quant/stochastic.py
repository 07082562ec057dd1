"""Stochastic rounding, by three rules that are not the same.

``nvidia``: what ``cvt.rs.satfinite.e2m1x4`` does according to TransformerEngine's software model of it. A float32 sum
adds random noise below one step to the magnitude, then cuts. With k random bits the mean is the magnitude cut to
2^-k of a step: toward zero, by half of 2^-k of a step on average. E2M1 only. ``bits``: `Format.encode` with ``"sr"``,
the same with exact sums, for any format and 1 to 32 bits. ``exact``: 64 random bits, so that the chance to go up is
the discarded fraction itself wherever that has no bit below 2^-64 (in E2M1, |x| >= 2^-42): no bias.

``nvidia`` and ``bits`` differ where the float32 sum rounds up to the next value of the format. Whether silicon equals
the software model has not been measured.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.formats import Format
from hwsim.quant.random_bits import random_words

StochasticRule = Literal["nvidia", "bits", "exact"]


def round_stochastically(
    values: ArrayLike,
    element: str = "e2m1",
    *,
    seed: int,
    rule: StochasticRule = "nvidia",
    sr_bits: int = 8,
    stream: int = 0,
) -> NDArray[Any]:
    """Codes of `values`, each rounded with its own random bits; overflow saturates.

    The element number i in C order takes, from the stream: for ``nvidia`` with 8 bits byte ``i mod 4``, lowest first,
    of word ``i div 4``, as one conversion of four elements does; otherwise the top bits of word i; for ``exact``
    words 2i (high) and 2i + 1 (low).

    Args:
        values: float32, any shape.
        element: the format; ``nvidia`` is defined for ``e2m1``.
        seed: of the random words.
        rule: see the module.
        sr_bits: random bits an element: 1 to 24 for ``nvidia``, 1 to 32 for ``bits``, not read by ``exact``.
        stream: of the random words.

    Returns:
        the format's `code_dtype`, the shape of `values`.

    Raises:
        ArgumentError: an unknown rule, or bits or a format that it does not define.
    """
    form = formats.get(element)
    array = np.asarray(values, dtype=np.float32)
    if rule not in get_args(StochasticRule):
        raise ArgumentError(f"rule must be one of {', '.join(get_args(StochasticRule))}", got=rule)
    if rule == "exact":
        pairs = random_words(seed, 2 * array.size, stream=stream).astype(np.uint64).reshape(*array.shape, 2)
        return encode_exact(form, array, pairs[..., 0] << np.uint64(32) | pairs[..., 1])
    if rule == "bits":
        words = random_words(seed, array.size, stream=stream).reshape(array.shape)
        return form.encode(array, "sr", words, sr_bits=sr_bits)
    if form.name != "e2m1":
        raise ArgumentError('rule "nvidia" is defined for e2m1', got=form.name)
    return encode_nvidia(array, _noise(seed, stream, array.size, sr_bits).reshape(array.shape), sr_bits)


def encode_nvidia(values: NDArray[np.float32], noise: NDArray[np.uint32], sr_bits: int = 8) -> NDArray[np.uint8]:
    """E2M1 codes by the software model of NVIDIA's conversion.

    Args:
        values: float32.
        noise: uint32 below 2^sr_bits, the shape of `values`.
        sr_bits: 1 to 24, so that the noise is exact in float32.
    """
    _check_bits(sr_bits)
    magnitude = np.abs(values)
    finite = np.where(np.isnan(values), np.float32(6), np.minimum(magnitude, np.float32(8)))
    step = _step(finite)
    # A fused multiply-add: noise * step is exact, and float64 holds the sum so far that its one rounding to float32
    # is right (noise has at most 24 bits, so no sum that float64 must round lies near the middle of two float32).
    sums = (noise / np.float64(1 << sr_bits) * step + finite).astype(np.float32)
    kept = np.minimum(np.floor(sums / _step(sums)) * _step(sums), np.float32(6))
    signed = np.where(np.isnan(values), kept, np.copysign(kept, values))
    codes: NDArray[np.uint8] = formats.get("e2m1").encode(signed, "rz")
    return codes


def encode_exact(form: Format, values: NDArray[np.float32], noise: NDArray[np.uint64]) -> NDArray[Any]:
    """Codes that go up with the chance of the discarded fraction, to 2^-64.

    Args:
        form: the format; what is beyond its largest value saturates.
        values: float32.
        noise: uint64, the shape of `values`: up if ``noise + floor(fraction 2^64)`` leaves 64 bits.
    """
    magnitude = np.abs(values)
    if form.is_integer:  # its range reaches one further below zero
        limit = np.where(np.signbit(values), -form.min, form.max)
        lower = np.minimum(np.floor(magnitude.astype(np.float64)), limit)
        upper = np.minimum(lower + 1, limit)
    else:
        lower = form.decode(form.encode(magnitude, "rz")).astype(np.float64)
        upper = form.decode(form.encode(magnitude, "rp")).astype(np.float64)
    gap = upper - lower
    inside = np.isfinite(magnitude) & (gap > 0) & (magnitude >= lower)
    # Exact in float64: the gap is a power of two, and value and neighbour share their leading bits.
    fraction = np.where(
        inside, (np.where(inside, magnitude, 0) - np.where(inside, lower, 0)) / np.where(inside, gap, 1), 0
    )
    threshold = (fraction * 2.0**64).astype(np.uint64)
    goes_up = noise > np.uint64(2**64 - 1) - threshold
    rounded = np.where(goes_up, upper, lower)
    chosen = np.where(np.isnan(values), values, np.copysign(rounded, values)).astype(np.float32)
    return form.encode(chosen, "rz")


def expected_value(values: ArrayLike, sr_bits: int = 8) -> NDArray[np.float64]:
    """The mean of `encode_nvidia` over all noise: the magnitude cut to 2^-sr_bits of the E2M1 step around it.

    It leaves out the float32 sums that round up to the next value, at most one noise value in 2^sr_bits for values
    within 2^-24 of a cut.
    """
    _check_bits(sr_bits)
    array = np.asarray(values, dtype=np.float64)
    magnitude = np.minimum(np.abs(array), 6.0)
    grain = _step(magnitude.astype(np.float32)).astype(np.float64) / (1 << sr_bits)
    return np.copysign(np.floor(magnitude / grain) * grain, array)


def _check_bits(sr_bits: int) -> None:
    if not 1 <= sr_bits <= 24:
        raise ArgumentError('sr_bits of rule "nvidia" must lie in 1..24', got=sr_bits)


def _step(magnitude: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of neighbours in E2M1."""
    four, two = magnitude >= 4, magnitude >= 2
    return np.where(four, np.float32(2), np.where(two, np.float32(1), np.float32(0.5)))


def _noise(seed: int, stream: int, count: int, sr_bits: int) -> NDArray[np.uint32]:
    _check_bits(sr_bits)
    if sr_bits == 8:
        words = random_words(seed, (count + 3) // 4, stream=stream)
        return words.astype("<u4").view(np.uint8)[:count].astype(np.uint32)
    return random_words(seed, count, stream=stream) >> np.uint32(32 - sr_bits)
