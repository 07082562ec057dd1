"""Quantizers that training recipes brought along and no `Scheme` describes.

MS-EDEN, double blocks, QuEST, three quarters: all take rows that are quantized along their last axis and give values,
not codes. What differs between them is how a scale follows from a block, and all are E2M1 times an E4M3 or a power of
two that hardware multiplies. They equal `hwsim.quant.reference_training` bit for bit; that module states their
sources. Rotations come before them (`hwsim.quant.hadamard`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.random_bits import random_words
from hwsim.quant.reference_training import EDEN_OVERRIDE, EDEN_SCALE_MAX, QUEST_GAUSSIAN

F = np.float32
Floats = NDArray[np.float32]

_GRAIN = 1 << 10
_TIES_EVEN, _TIES_UP, _TIES_DOWN = 0, 1, 2
_WORD = 2.0**-32


def quantize_eden(
    x: ArrayLike, *, seed: int, stream: int = 0, override: float = EDEN_OVERRIDE, group: int = 32
) -> Floats:
    """MS-EDEN: nearest rounding whose block scales are corrected for each group, then rounded stochastically.

    The correction makes the projection of the rounded vector on the given one right; over random rotations of both
    operands that leaves no bias. Without a rotation drawn anew in each call it is biased.

    Args:
        x: float32 ``[..., K]``, rotated, finite; K a multiple of `group`.
        seed: of the random words; block number i of 16 in C order takes word i.
        stream: of the random words.
        override: of the scale; 17/16 · 0.93 lets the largest element reach 6.07, which clips, as published.
        group: elements of one correction, a multiple of 16; the size of the rotation.

    Returns:
        float32 values, the shape of `x`.

    Raises:
        ArgumentError: K is no multiple of `group`, `group` none of 16, or values that are not finite.
    """
    if group < 16 or group % 16:
        raise ArgumentError("group must be a multiple of 16", got=group)
    array = _rows(x, group)
    blocks = array.reshape(-1, 16)
    val_max = F(6.0 / override)
    amax = F(np.abs(array).max(initial=0))
    s_dec = F(1) if amax == 0 else F(amax / F(EDEN_SCALE_MAX) / val_max)
    form = formats.get("e4m3")
    scales: Floats = form.decode(form.encode((np.abs(blocks).max(axis=1, initial=0) / val_max) / s_dec))
    scales = np.where(scales == 0, F(1), scales)
    values, corrections = np.empty_like(blocks), np.empty(len(blocks), F)
    per = group // 16
    parallel_rows(
        _eden_groups, len(blocks) // per, blocks, scales * s_dec, per, values, corrections, grain=_GRAIN // per
    )
    words = random_words(seed, len(blocks), stream=stream)
    final: Floats = form.decode(form.encode(scales * corrections, "sr", words, sr_bits=32))
    return ((values * final[:, None]) * s_dec).reshape(np.shape(x))


def quantize_double_block(x: ArrayLike, *, seed: int | None = None, stream: int = 0) -> Floats:
    """TetraJet-v2's NVFP4: E4M3 scales for 16 elements below float32 scales for 128, and no scale of the tensor.

    Its largest element reaches up to 6.375 and is clipped, so stochastic rounding is biased as NVIDIA's is.

    Args:
        x: float32 ``[..., K]``, finite; a row that 128 does not divide ends in shorter blocks.
        seed: of the random words for stochastic rounding, element number i in C order takes word i; None rounds to
            nearest even.
        stream: of the random words.

    Returns:
        float32 values, the shape of `x`.
    """
    array = _rows(x, 1)
    rows, length = array.shape
    wide = -(-length // 128) * 128
    padded = array if wide == length else np.pad(array, ((0, 0), (0, wide - length)))
    blocks = padded.reshape(-1, 8, 16)
    peaks = np.abs(blocks).max(axis=2, initial=0)
    outer = (peaks.max(axis=1, initial=0) / F(448)) / F(6)
    outer = np.where(outer == 0, F(1), outer)
    form = formats.get("e4m3")
    inner: Floats = form.decode(form.encode((peaks / outer[:, None]) / F(6)))
    inner = np.where(inner == 0, F(2.0**-9), inner)
    words = np.empty((0, 0), np.uint32)
    if seed is not None:
        words = random_words(seed, rows * length, stream=stream).reshape(rows, length)
    out = np.empty_like(array)
    parallel_rows(
        _double_rows, rows, array, outer.reshape(rows, -1), inner.reshape(rows, -1), words, out,
        grain=max(1, (1 << 14) // max(1, length)),
    )  # fmt: skip
    return out.reshape(np.shape(x))


def quantize_three_quarters(x: ArrayLike, *, seed: int, stream: int = 0) -> Floats:
    """MXFP4 rounded stochastically and without bias: the scale of OCP's floor rule, divided by 3/4.

    The floor rule lets elements reach 8 of 6; three quarters of that are 6. Multiplying x by 3/4 before the rule does
    not do it: the rule then finds the scale of the smaller maximum, and clips as before.

    Args:
        x: float32 ``[..., K]``, finite; K a multiple of 32.
        seed: of the random words; element number i in C order takes word i.
        stream: of the random words.

    Returns:
        float32 values, the shape of `x`: elements times a power of two times 4/3, which belongs into the scale of the
        product.
    """
    blocks = _rows(x, 32).reshape(-1, 32)
    peaks = np.abs(blocks).max(axis=1, initial=0)
    exponents = np.where(peaks > 0, np.frexp(peaks)[1] - 3, -127)
    scales = (np.ldexp(F(1), np.maximum(exponents, -127)).astype(F) / F(0.75)).astype(F)
    words = random_words(seed, blocks.size, stream=stream).reshape(blocks.shape)
    out = np.empty_like(blocks)
    parallel_rows(_scaled_rows, len(blocks), blocks, scales, words, out, grain=_GRAIN)
    return out.reshape(np.shape(x))


def quantize_quest(x: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """QuEST's MXFP4: the scale of 32 elements follows from their deviation, so that outliers clip.

    Args:
        x: float32 ``[..., K]``, rotated, finite; K a multiple of 32.

    Returns:
        float32 values, and bool where nothing clipped (``|x| / scale < 6``), both of the shape of `x`: gradients
        pass there alone.

    Raises:
        ArgumentError: K is no multiple of 32, or values that are not finite.
    """
    blocks = _rows(x, 32).reshape(-1, 32)
    mean_squared = ((blocks * blocks).astype(np.float64).sum(axis=1) / 32).astype(F)
    mean = (blocks.astype(np.float64).sum(axis=1) / 32).astype(F)
    variance = mean_squared - mean * mean
    deviation = np.where(variance >= 0, np.sqrt(np.maximum(variance, F(0))), F(1))
    scale = F(QUEST_GAUSSIAN) * deviation + F(1e-8)
    power = np.ldexp(F(1), np.frexp(scale)[1] - 1).astype(F)
    values, kept = np.empty_like(blocks), np.empty(blocks.shape, np.bool_)
    parallel_rows(_quest_rows, len(blocks), blocks, power, values, kept, grain=_GRAIN)
    return values.reshape(np.shape(x)), kept.reshape(np.shape(x))


def _rows(x: ArrayLike, multiple: int) -> Floats:
    array = np.ascontiguousarray(np.asarray(x), dtype=F)
    if array.ndim == 0 or array.shape[-1] % multiple:
        raise ArgumentError(f"the last axis must be a multiple of {multiple}", got=np.shape(x))
    if not np.isfinite(array).all():
        raise ArgumentError("x must be finite", got=float(array[~np.isfinite(array)][0]))
    return array.reshape(-1, array.shape[-1])


@njit(inline="always")
def _nearest(z: Any, ties: int) -> Any:
    """The nearest E2M1 value. Up to 2, 4 and 6 steps are 1/2, 1 and 2: |z| in steps is exact."""
    size = abs(z)
    step = np.float32(0.5) if size < 2 else (np.float32(1) if size < 4 else np.float32(2))
    scaled = size / step
    if ties == _TIES_EVEN:
        whole = np.rint(scaled)
    elif ties == _TIES_UP:
        whole = np.floor(scaled + np.float32(0.5))
    else:
        whole = np.ceil(scaled - np.float32(0.5))
    return np.copysign(min(whole * step, np.float32(6)), z)


@njit(inline="always")
def _stochastic(z: Any, word: Any) -> Any:
    """One of the two E2M1 values beside z, saturating: up if word + floor(fraction 2^32) leaves 32 bits."""
    size = abs(z)
    step = np.float32(0.5) if size < 2 else (np.float32(1) if size < 4 else np.float32(2))
    scaled = size / step
    whole = np.floor(scaled)
    fraction = np.int64(np.float64(scaled - whole) * 4294967296.0)
    if np.int64(word) + fraction >= 4294967296:
        whole += np.float32(1)
    return np.copysign(min(whole * step, np.float32(6)), z)


@njit
def _eden_groups(begin: int, end: int, blocks: Any, divisors: Any, per: int, values: Any, corrections: Any) -> None:
    for group in range(begin, end):
        numerator, denominator = 0.0, 0.0
        for block in range(group * per, (group + 1) * per):
            inner, other = 0.0, 0.0
            for place in range(16):
                z = blocks[block, place] / divisors[block]
                q = _nearest(z, _TIES_UP)
                values[block, place] = q
                inner += np.float64(z) * np.float64(z)
                other += np.float64(z) * np.float64(q)
            numerator += inner
            denominator += other
        below = np.float32(denominator)
        correction = np.float32(1) if below == 0 else np.float32(numerator) / below
        for block in range(group * per, (group + 1) * per):
            corrections[block] = correction


@njit
def _double_rows(begin: int, end: int, x: Any, outer: Any, inner: Any, words: Any, out: Any) -> None:
    for row in range(begin, end):
        for place in range(x.shape[1]):
            above, below = outer[row, place // 128], inner[row, place // 16]
            z = (x[row, place] / above) / below
            if words.size == 0:
                q = _nearest(z, _TIES_EVEN)
            else:
                q = _stochastic(z, words[row, place])
            out[row, place] = (q * below) * above


@njit
def _scaled_rows(begin: int, end: int, blocks: Any, scales: Any, words: Any, out: Any) -> None:
    for row in range(begin, end):
        for place in range(32):
            out[row, place] = _stochastic(blocks[row, place] / scales[row], words[row, place]) * scales[row]


@njit
def _quest_rows(begin: int, end: int, blocks: Any, powers: Any, values: Any, kept: Any) -> None:
    for row in range(begin, end):
        for place in range(32):
            z = blocks[row, place] / powers[row]
            values[row, place] = _nearest(z, _TIES_DOWN) * powers[row]
            kept[row, place] = abs(z) < 6
