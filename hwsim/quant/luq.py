"""LUQ: gradients as a sign and a power of two, unbiased (Chmiel et al., arXiv 2112.10769).

A magnitude below the smallest power ``alpha`` becomes alpha with chance |x| / alpha and 0 otherwise (underflow
pruning); between two powers it goes to the upper one with the chance that keeps its mean (logarithmic stochastic
rounding). Both are one rule, stochastic rounding on the grid 0, alpha, 2 alpha, 4 alpha, ..., and take one random
word an element.

How many powers there are differs between sources, so it is an argument and never a default: the paper's formula
``alpha = max / 2^(2^(b-1))`` gives 5 for b = 3, the published code's ``max / 2^7`` gives 8 (nine magnitudes, more
than three bits hold), and a sign, three exponent bits and a zero give 7, which is the format ``e3m0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.layout import float32_array
from hwsim.quant.random_bits import random_words

LEVELS = {"paper": 5, "e3m0": 7, "code": 8}
"""Numbers of powers of two by source."""

_MANTISSA, _ONE = 0x000FFFFFFFFFFFFF, 0x3FF0000000000000
"""Of float64: the mantissa field, and the exponent of 1."""


@dataclass(frozen=True, slots=True)
class LogCodes:
    """A tensor as signs and powers of two.

    Args:
        codes: uint8; the magnitude code k > 0 is ``2^(k - 1) alpha``, 0 is zero; the sign is bit `magnitude_bits`.
            With seven powers these are the codes of ``e3m0``.
        alpha: the smallest power.
        n_levels: how many powers there are.
    """

    codes: NDArray[np.uint8]
    alpha: np.float32
    n_levels: int

    @property
    def magnitude_bits(self) -> int:
        """Bits of a magnitude code."""
        return self.n_levels.bit_length()

    @property
    def bits(self) -> int:
        """Bits that are stored: sign and magnitude of each element, and alpha."""
        return self.codes.size * (1 + self.magnitude_bits) + 32

    def dequantize(self) -> NDArray[np.float32]:
        """The values, float32, one rounding where alpha times a power leaves float32's range, else exact."""
        exponents = np.arange(-1, (1 << self.magnitude_bits) - 1)
        positive = np.where(exponents >= 0, np.ldexp(np.float64(self.alpha), np.maximum(exponents, 0)), 0.0)
        with np.errstate(over="ignore"):  # codes beyond n_levels do not occur
            table = np.concatenate([positive, -positive]).astype(np.float32)
        return np.asarray(table[self.codes], dtype=np.float32)


def smallest_power(maximum: float, n_levels: int, power_of_two: bool = False) -> np.float32:
    """alpha, the smallest of `n_levels` powers of which `maximum` is the largest.

    Args:
        maximum: the largest magnitude that must be reached, measured or estimated.
        n_levels: 1 to 127.
        power_of_two: round alpha up to a power of two, so that `maximum` stays within reach and scaling is a shift.

    Raises:
        ArgumentError: a maximum that is negative or not finite, or `n_levels` outside its range.
    """
    if not 1 <= n_levels <= 127:
        raise ArgumentError("n_levels must lie in 1..127", got=n_levels)
    if not (np.isfinite(maximum) and maximum >= 0):
        raise ArgumentError("maximum must be finite and not negative", got=maximum)
    alpha = np.float32(np.ldexp(np.float64(maximum), 1 - n_levels))
    if power_of_two and alpha > 0:
        fraction, exponent = np.frexp(alpha)
        alpha = np.float32(np.ldexp(1.0, int(exponent) - int(fraction == 0.5)))
    return alpha


def quantize_luq(
    x: ArrayLike,
    *,
    n_levels: int,
    seed: int,
    stream: int = 0,
    maximum: float | None = None,
    power_of_two: bool = False,
) -> LogCodes:
    """Quantize without bias; what lies above the largest power becomes it.

    Args:
        x: float32, finite.
        n_levels: how many powers of two, see `LEVELS`.
        seed: of the random words; element number i in C order takes word i.
        stream: of the random words.
        maximum: the largest magnitude, for instance `hindsight_maximum`; None measures ``max |x|``.
        power_of_two: see `smallest_power`.
    """
    array = _finite(x)
    alpha = smallest_power(_maximum(array, maximum), n_levels, power_of_two)
    words = random_words(seed, array.size, stream=stream).reshape(array.shape)
    return encode_log(array, alpha, n_levels, words)


def encode_log(x: NDArray[np.float32], alpha: np.float32, n_levels: int, words: NDArray[np.uint32]) -> LogCodes:
    """Stochastic rounding on the grid 0, alpha, 2 alpha, ...: up if ``word + floor(fraction 2^32) >= 2^32``.

    The fraction is where ``|x| / alpha``, one float64 division, lies between its neighbours.
    """
    codes = np.empty(x.shape, dtype=np.uint8)
    flat = np.ascontiguousarray(x).reshape(-1)
    parallel_rows(
        _encode, flat.size, flat, np.float64(alpha), n_levels, words.reshape(-1), codes.reshape(-1), grain=1 << 14
    )
    return LogCodes(codes, alpha, n_levels)


def encode_log_nearest(x: ArrayLike, alpha: np.float32, n_levels: int) -> LogCodes:
    """RDNP, the deterministic counterpart: ``2^floor(log2(4/3 |x| / alpha))`` alpha, zero below 3/4 alpha.

    The factor 4/3 moves the border from the geometric to the arithmetic middle of two powers. A tie goes up.
    """
    array = _finite(x)
    below, fraction = _bracket(array, alpha, n_levels)
    up = np.where(below == 0, fraction >= 0.75, fraction >= 0.5)
    return _coded(array, below + up, alpha, n_levels)


def quantize_luq_averaged(
    x: ArrayLike, *, n_levels: int, seed: int, samples: int, stream: int = 0, maximum: float | None = None
) -> NDArray[np.float32]:
    """SMP: the mean of independent quantizations, whose variance is that of one divided by their number.

    Sample number j takes the stream ``stream + j``. Returns float32 values, from a sum in float64.
    """
    if samples < 1:
        raise ArgumentError("samples must be at least 1", got=samples)
    array = _finite(x)
    top = _maximum(array, maximum)
    total = np.zeros(array.shape, dtype=np.float64)
    for sample in range(samples):
        total += quantize_luq(array, n_levels=n_levels, seed=seed, stream=stream + sample, maximum=top).dequantize()
    return (total / samples).astype(np.float32)


def hindsight_maximum(estimate: float, measured: float, eta: float) -> float:
    """The next step's maximum without a pass over its data: ``(1 - eta) measured + eta estimate``.

    Args:
        estimate: the one used in this step.
        measured: the maximum found in this step.
        eta: 0 to 1, the weight of the past.
    """
    if not 0 <= eta <= 1:
        raise ArgumentError("eta must lie in 0..1", got=eta)
    return (1 - eta) * measured + eta * estimate


def variance(x: ArrayLike, alpha: np.float32, n_levels: int) -> NDArray[np.float64]:
    """Variance of one stochastic quantization of each element: ``(|x| - below) (above - |x|)``, 0 beyond the top."""
    array = _finite(x)
    below, fraction = _bracket(array, alpha, n_levels)
    gap = np.where(below == 0, 1.0, np.ldexp(1.0, np.maximum(below - 1, 0))) * np.float64(alpha)
    return np.asarray(fraction * (1 - fraction) * gap**2, dtype=np.float64)


def _bracket(
    x: NDArray[np.float32], alpha: np.float32, n_levels: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Magnitude code below |x|, and where |x| lies between its value and the next, from one float64 division."""
    if not alpha > 0:
        return np.zeros(x.shape, dtype=np.int64), np.zeros(x.shape)
    ratio = np.abs(x).astype(np.float64) / np.float64(alpha)
    fraction, exponent = np.frexp(ratio)  # ratio = fraction 2^exponent, fraction in [1/2, 1)
    power = ratio >= 1
    below = np.where(power, exponent, 0).astype(np.int64)
    rest = np.where(power, 2 * fraction - 1, ratio)
    over = below >= n_levels
    return np.where(over, n_levels, below), np.where(over, 0.0, rest)


def _coded(x: NDArray[np.float32], magnitude: NDArray[Any], alpha: np.float32, n_levels: int) -> LogCodes:
    negative = np.signbit(x).astype(np.int64) << n_levels.bit_length()
    return LogCodes((magnitude | negative).astype(np.uint8), alpha, n_levels)


def _finite(x: ArrayLike) -> NDArray[np.float32]:
    array = float32_array(x)
    if not np.isfinite(array).all():
        raise ArgumentError("x must be finite", got=float(array[~np.isfinite(array)][0]))
    return array


def _maximum(array: NDArray[np.float32], given: float | None) -> float:
    if given is not None:
        return given
    return float(np.abs(array).max()) if array.size else 0.0


@njit
def _encode(begin: int, end: int, x: Any, alpha: float, n_levels: int, words: Any, codes: Any) -> None:
    sign_bit = 1
    while sign_bit <= n_levels:
        sign_bit *= 2
    for place in range(begin, end):
        ratio = abs(np.float64(x[place])) / alpha if alpha > 0 else 0.0
        bits = np.float64(ratio).view(np.int64)
        exponent: Any = (bits >> 52) - 1023
        # The significand less one is the fraction: below 1 the value itself, between two powers their distance.
        inside = np.int64((bits & _MANTISSA) | _ONE).view(np.float64) - 1.0
        fraction = ratio if exponent < 0 else inside
        code: Any = min(max(exponent + 1, 0), n_levels)
        up: Any = np.int64(words[place]) + np.int64(min(fraction, 1.0) * 4294967296.0) >= 4294967296
        code += np.int64(up and code < n_levels)
        codes[place] = code | (sign_bit if np.signbit(x[place]) else 0)
