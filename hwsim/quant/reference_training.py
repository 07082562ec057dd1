"""The quantizers of training recipes written down once, slowly: one block at a time, in the words of their sources.

This is the definition that `hwsim.quant.training` must equal bit for bit. Every operation is one in float32, in the
order of the source; sums over a block, whose order a GPU does not state, are made in float64 and rounded once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim import formats

F = np.float32
Floats = NDArray[np.float32]

LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes of E2M1."""

EDEN_SCALE_MAX = 255.99
EDEN_OVERRIDE = 17 / 16 * 0.93
QUEST_GAUSSIAN = 2.92247856 / 6.0


def nearest(z: np.float32, ties: str) -> np.float32:
    """The E2M1 value nearest to z, saturating; a tie goes ``"up"`` in magnitude, ``"down"``, or to the ``"even"``
    code."""
    size = abs(float(z))
    best = 0
    for code in range(1, 8):
        middle = (LEVELS[code - 1] + LEVELS[code]) / 2
        above = size > middle or (size == middle and (ties == "up" or (ties == "even" and code % 2 == 0)))
        best = code if above else best
    return F(np.copysign(LEVELS[best], z))


def stochastic(z: np.float32, word: int) -> np.float32:
    """z on E2M1, saturating; up where word + floor(fraction 2^32) leaves 32 bits."""
    size = abs(float(z))
    if size >= 6:
        return F(np.copysign(6.0, z))
    below = max(code for code in range(8) if size >= LEVELS[code])
    fraction = (size - LEVELS[below]) / (LEVELS[below + 1] - LEVELS[below])
    up = word + int(fraction * 2**32) >= 2**32
    return F(np.copysign(LEVELS[below + up], z))


def e4m3(value: np.float32) -> np.float32:
    """Nearest E4M3, ties to even, saturating."""
    form = formats.get("e4m3")
    return F(form.decode(form.encode(np.array([value], F)))[0])


def eden(x: Floats, words: NDArray[np.uint32], override: float = EDEN_OVERRIDE, group: int = 32) -> Floats:
    """MS-EDEN of rows that are rotated already (Quartet II, arXiv 2601.22813, ``eden_1x16s_fp4_kernel``).

    Args:
        x: float32 ``[rows, K]``, K a multiple of `group`.
        words: uint32 ``[rows, K / 16]``, one for each block.
        override: what shrinks the largest element below 6 (above 1) or beyond it (below 1).
        group: elements of one correction, the size of the rotation.
    """
    form = formats.get("e4m3")
    val_max = F(6.0 / override)
    amax = F(np.abs(x).max(initial=0))
    s_dec = F(1) if amax == 0 else F(amax / F(EDEN_SCALE_MAX) / val_max)
    out = np.empty_like(x)
    for row in range(len(x)):
        for start in range(0, x.shape[1], group):
            blocks, numerator, denominator = [], 0.0, 0.0
            for at in range(start, start + group, 16):
                block = x[row, at : at + 16]
                scale = e4m3(F(F(np.abs(block).max() / val_max) / s_dec))
                scale = F(1) if scale == 0 else scale
                scaled = [F(value / F(scale * s_dec)) for value in block]
                rounded = [nearest(value, "up") for value in scaled]
                numerator += sum(float(z) * float(z) for z in scaled)
                denominator += sum(float(z) * float(q) for z, q in zip(scaled, rounded, strict=True))
                blocks.append((at, scale, rounded))
            correction = F(1) if F(denominator) == 0 else F(F(numerator) / F(denominator))
            for at, scale, rounded in blocks:
                word = words[row, at // 16 : at // 16 + 1]
                code = form.encode(np.array([scale * correction], F), "sr", word, sr_bits=32)
                final = F(form.decode(code)[0])
                out[row, at : at + 16] = [F(F(q * final) * s_dec) for q in rounded]
    return out


def double_block(x: Floats, words: NDArray[np.uint32] | None = None) -> Floats:
    """TetraJet-v2's double blocks (arXiv 2510.27527): a float32 scale for 1 x 128, an E4M3 scale for 1 x 16.

    Args:
        x: float32 ``[rows, K]``; a row that 128 does not divide ends in shorter blocks.
        words: uint32 ``[rows, K]`` for stochastic rounding, None for nearest even.
    """
    out = np.empty_like(x)
    for row in range(len(x)):
        for start in range(0, x.shape[1], 128):
            wide = x[row, start : start + 128]
            outer = F(F(np.abs(wide).max() / F(448)) / F(6))
            outer = F(1) if outer == 0 else outer
            for at in range(start, start + len(wide), 16):
                block = x[row, at : min(at + 16, start + len(wide))]
                inner = e4m3(F(F(np.abs(block).max() / outer) / F(6)))
                inner = F(2.0**-9) if inner == 0 else inner
                for place, value in enumerate(block, start=at):
                    z = F(F(value / outer) / inner)
                    q = nearest(z, "even") if words is None else stochastic(z, int(words[row, place]))
                    out[row, place] = F(F(q * inner) * outer)
    return out


def quest(x: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """QuEST's MXFP4 of rows that are rotated already, and where it did not clip (Quartet, arXiv 2505.14669).

    The scale of 32 elements is the power of two at or below 2.92247856 / 6 standard deviations. A tie goes down.
    """
    out, kept = np.empty_like(x), np.empty(x.shape, bool)
    for row in range(len(x)):
        for at in range(0, x.shape[1], 32):
            block = x[row, at : at + 32]
            mean_squared = F(sum(float(F(value * value)) for value in block) / 32)
            mean = F(sum(float(value) for value in block) / 32)
            variance = F(mean_squared - F(mean * mean))
            deviation = F(np.sqrt(variance)) if variance >= 0 else F(1)
            scale = F(F(F(QUEST_GAUSSIAN) * deviation) + F(1e-8))
            power = F(2.0 ** (int(np.frexp(scale)[1]) - 1))
            for place, value in enumerate(block, start=at):
                z = F(value / power)
                out[row, place] = F(nearest(z, "down") * power)
                kept[row, place] = abs(z) < 6
    return out, kept


def three_quarters(x: Floats, words: NDArray[np.uint32]) -> Floats:
    """Tseng et al.'s MXFP4 (arXiv 2502.20586; ``mxfp4_forward_kernel`` of Quartet with ``quest=False``).

    The shared exponent of 32 elements is that of the largest less 2, at least E8M0's least; what is divided by the
    scale is three quarters of the elements.
    """
    out = np.empty_like(x)
    for row in range(len(x)):
        for at in range(0, x.shape[1], 32):
            block = x[row, at : at + 32]
            top = np.abs(block).max()
            exponent = max(int(np.floor(np.log2(np.float64(top)))) - 2, -127) if top > 0 else -127
            scale = F(F(2.0**exponent) / F(0.75))
            for place, value in enumerate(block, start=at):
                out[row, place] = F(stochastic(F(value / scale), int(words[row, place])) * scale)
    return out
