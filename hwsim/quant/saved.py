"""What a backward pass needs of the forward, in four bits and fewer (S2A, arXiv 2503.08154).

The forward is exact; only what nonlinearities and norms keep for the backward is small:

- GELU and SiLU need their derivative alone, which is bounded. It is kept on 16 uniform levels, from its least to its
  largest value. As a framework's backward takes x and not the derivative, `derivative_points` gives an x at which the
  derivative is the level: the curve rises from its least to its largest value between the two extremes of x.
- ReLU needs one bit.
- Norms and softmaxes keep groups of 128 neighbours on 16 uniform levels from the least to the largest of the group,
  two float32 a group.

The abstract alone was at hand: levels, groups and their size are this module's choice.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Curve = Literal["gelu", "silu"]

LEVELS = 16
GROUP = 128

EXTREMES = {"gelu": math.sqrt(2.0), "silu": 2.3993572805154}
"""The x > 0 where the derivative is largest: x = √2 where 2 φ(x) = x² φ(x), and x tanh(x / 2) = 2."""


def derivative(x: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    """GELU'(x) = Φ(x) + x φ(x), or SiLU'(x) = σ(x) (1 + x (1 - σ(x)))."""
    if curve == "silu":
        sigmoid = np.asarray(1 / (1 + np.exp(-x)))
        return np.asarray(sigmoid * (1 + x * (1 - sigmoid)))
    normal = np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))), otypes=[np.float64])
    return np.asarray(normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def derivative_levels(curve: Curve) -> NDArray[np.float64]:
    """The 16 levels, float64, rising; for GELU from -0.129 to 1.129."""
    top = float(derivative(np.array([EXTREMES[curve]]), curve)[0])
    return np.linspace(1 - top, top, LEVELS)


def derivative_points(curve: Curve) -> Floats:
    """An x for each level whose derivative is that level, float32 ``[16]``, rising."""
    low = np.full(LEVELS, -EXTREMES[curve])
    high = -low
    for _ in range(60):
        middle = (low + high) / 2
        below = derivative(middle, curve) < derivative_levels(curve)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float32)


def derivative_codes(x: Floats, curve: Curve) -> NDArray[np.uint8]:
    """The level nearest to the derivative at x, uint8 0 to 15; a tie goes down.

    The derivative is taken from a table: x to 2^-10, its derivative to 2^-10 / √(2π) · 2 = 8e-4, beside levels 0.084
    apart.
    """
    table = _code_table(curve)
    place = np.rint((np.clip(x, -_REACH, _REACH) + _REACH) * _FINE).astype(np.int64)
    return np.asarray(table[place])


_REACH, _FINE = 12, 1 << 10
_TABLES: dict[str, NDArray[np.uint8]] = {}


def _code_table(curve: Curve) -> NDArray[np.uint8]:
    if curve not in _TABLES:
        places = np.arange(2 * _REACH * _FINE + 1) / _FINE - _REACH
        levels = derivative_levels(curve)
        middles = (levels[1:] + levels[:-1]) / 2
        _TABLES[curve] = np.searchsorted(middles, derivative(places, curve)).astype(np.uint8)
    return _TABLES[curve]


def group_codes(x: Floats) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Codes uint8 0 to 15 of each element of x in C order, and the least value and the step of each group of 128."""
    flat = x.reshape(-1)
    padded = np.pad(flat, (0, -flat.size % GROUP), mode="edge") if flat.size % GROUP else flat
    groups = padded.reshape(-1, GROUP)
    least = groups.min(axis=1)
    step = (groups.max(axis=1) - least) / np.float32(LEVELS - 1)
    divisor = np.where(step == 0, np.float32(1), step)
    codes = np.rint((groups - least[:, None]) / divisor[:, None]).clip(0, LEVELS - 1)
    return codes.astype(np.uint8).reshape(-1)[: flat.size], least, step


def group_values(codes: NDArray[np.uint8], least: Floats, step: Floats) -> Floats:
    """Values of codes in C order: ``least + code step``, float32."""
    group = np.arange(codes.size) // GROUP
    return np.asarray(least[group] + codes.astype(np.float32) * step[group], dtype=np.float32)
