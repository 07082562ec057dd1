"""N of M sparsity: which elements stay, and what they become.

Weights keep the n largest of each m. Gradients need an estimate without bias, and the best of those has the least
variance: element i stays with chance ``p_i = min(1, c |a_i|)``, the p_i adding up to n, and becomes ``a_i / p_i``
(minimum-variance unbiased estimate; Chmiel et al., arXiv 2203.10991). The draw that gives these chances jointly is
systematic sampling: one random point, repeated at distance 1, on the line of the chances laid end to end.

For 2:4 the published GPU kernels draw two elements one after the other instead; that is unbiased too, with more
variance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.layout import float32_array
from hwsim.quant.random_bits import random_words

KERNEL_EPSILON = 1.19e-7
"""What the published kernels add to every magnitude of a group, so that no chance is 0 / 0."""

_WORD = 2.0**-32
_GRAIN = 1 << 10


def keep_largest(x: ArrayLike, n: int = 2, m: int = 4) -> NDArray[np.float32]:
    """Zero all but the `n` largest magnitudes of each `m` neighbours of the last axis; of equals the first stay."""
    groups, shape = _groups(x, n, m)
    kept = np.empty_like(groups)
    parallel_rows(_keep_largest, len(groups), groups, n, kept, grain=_GRAIN)
    return kept.reshape(shape)


def sparsify_unbiased(x: ArrayLike, n: int = 2, m: int = 4, *, seed: int, stream: int = 0) -> NDArray[np.float32]:
    """The minimum-variance unbiased estimate with at most `n` nonzero of each `m` neighbours along the last axis.

    1:2 keeps a_i with chance ``|a_i| / (|a_1| + |a_2|)``, as ``sign(a_i) (|a_1| + |a_2|)``.

    Args:
        x: float32, finite; its last axis a multiple of `m`.
        n: how many stay.
        m: of how many.
        seed: of the random words; group number i takes word i.
        stream: of the random words.

    Returns:
        float32, the shape of `x`: ``a_i / p_i`` from float64, rounded once.

    Raises:
        ArgumentError: n and m that are no ``0 < n < m``, an axis that m does not divide, or values that are not
            finite.
    """
    groups, shape = _groups(x, n, m)
    words = random_words(seed, len(groups), stream=stream)
    estimate = np.empty_like(groups)
    parallel_rows(_systematic, len(groups), groups, n, words, estimate, grain=_GRAIN)
    return estimate.reshape(shape)


def sparsify_2_4_approximate(x: ArrayLike, *, seed: int, stream: int = 0) -> NDArray[np.float32]:
    """The 2:4 estimate of the published GPU kernels: two elements, drawn one after the other by magnitude.

    The first with chance ``a_i / S``, the second among the rest with ``a_j / (S - a_i)``; what stays is divided by
    the chance that it stays, `approximate_chances`. Group number i takes words 2i and 2i + 1.
    """
    groups, shape = _groups(x, 2, 4)
    words = random_words(seed, 2 * len(groups), stream=stream).reshape(-1, 2)
    estimate = np.empty_like(groups)
    parallel_rows(_one_after_the_other, len(groups), groups, words, estimate, grain=_GRAIN)
    return estimate.reshape(shape)


def inclusion_chances(magnitudes: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """``p_i = min(1, c a_i)`` with sum `n` along the last axis; where no more than n are nonzero, those stay surely.

    Args:
        magnitudes: float64 ``[groups, m]``, not negative.
        n: below m.
    """
    chances = np.empty_like(magnitudes)
    parallel_rows(_all_chances, len(magnitudes), magnitudes, n, chances, grain=_GRAIN)
    return chances


def approximate_chances(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of each of four elements to be among two drawn one after the other.

    ``p_i = a_i / S + sum over k != i of (a_k / S) a_i / (S - a_k)``; float64 ``[groups, 4]``, positive.
    """
    chances = np.empty_like(weights)
    parallel_rows(_all_approximate_chances, len(weights), weights, chances, grain=_GRAIN)
    return chances


def estimate_variance(magnitudes: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over a group of the variances of its elements: ``a_i^2 (1 / p_i - 1)``, float64 ``[groups]``."""
    reciprocal = np.divide(1.0, chances, out=np.ones_like(chances), where=chances > 0)
    return np.asarray((magnitudes**2 * (reciprocal - 1)).sum(axis=-1), dtype=np.float64)


def _groups(x: ArrayLike, n: int, m: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    array = np.ascontiguousarray(float32_array(x))
    if not 0 < n < m:
        raise ArgumentError("n and m must satisfy 0 < n < m", got=(n, m))
    if array.ndim == 0 or array.shape[-1] % m:
        raise ArgumentError(f"the last axis must be a multiple of {m}", got=np.shape(x))
    if not np.isfinite(array).all():
        raise ArgumentError("x must be finite", got=float(array[~np.isfinite(array)][0]))
    return array.reshape(-1, m), array.shape


@njit
def _keep_largest(begin: int, end: int, groups: Any, n: int, kept: Any) -> None:
    size = groups.shape[1]
    for row in range(begin, end):
        for i in range(size):
            before = 0
            for j in range(size):
                larger = abs(groups[row, j]) - abs(groups[row, i])
                before += larger > 0 or (larger == 0 and j < i)
            kept[row, i] = groups[row, i] if before < n else np.float32(0)


@njit
def _chances(magnitudes: Any, n: int, chances: Any) -> None:
    """``min(1, c a_i)`` with sum n: share out the places, settle those above 1, share out what is left."""
    size = len(magnitudes)
    chances[:] = 0.0
    left, settled = n, True
    while settled and left > 0:
        settled = False
        total = 0.0
        for i in range(size):
            if chances[i] < 1:
                total += magnitudes[i]
        places = left
        for i in range(size):
            if chances[i] < 1:
                chances[i] = places * magnitudes[i] / total if total > 0 else 0.0
                if chances[i] >= 1:
                    chances[i] = 1.0
                    left -= 1
                    settled = True


@njit
def _all_chances(begin: int, end: int, magnitudes: Any, n: int, chances: Any) -> None:
    for row in range(begin, end):
        _chances(magnitudes[row], n, chances[row])


@njit
def _systematic(begin: int, end: int, groups: Any, n: int, words: Any, estimate: Any) -> None:
    """Element i stays if one of point, point + 1, ... lies in its stretch of the line, from start to stop."""
    size = groups.shape[1]
    magnitudes, chances = np.empty(size), np.empty(size)
    for row in range(begin, end):
        for i in range(size):
            magnitudes[i] = abs(groups[row, i])
        _chances(magnitudes, n, chances)
        point = words[row] * _WORD
        line = 0.0
        for i in range(size):
            start = min(line, n)  # rounding must neither add an element nor lose a sure one
            line += chances[i]
            stays = np.ceil(min(line, n) - point) > np.ceil(start - point) or chances[i] == 1
            estimate[row, i] = groups[row, i] / chances[i] if stays and chances[i] > 0 else 0.0


@njit
def _pair_chances(weights: Any, chances: Any) -> None:
    total = 0.0
    for i in range(4):
        total += weights[i]
    for i in range(4):
        second = 1.0
        for k in range(4):
            if k != i:
                others = 0.0  # S - a_k as a sum: a difference would lose all digits where one element towers
                for j in range(4):
                    if j != k:
                        others += weights[j]
                second += weights[k] / others
        chances[i] = min(1.0, weights[i] / total * second)


@njit
def _all_approximate_chances(begin: int, end: int, weights: Any, chances: Any) -> None:
    for row in range(begin, end):
        _pair_chances(weights[row], chances[row])


@njit
def _drawn(weights: Any, without: int, point: float) -> int:
    """The element in whose stretch of the line of weights the point lies, one element left out."""
    total = 0.0
    for i in range(4):
        if i != without:
            total += weights[i]
    line, last = 0.0, 0
    for i in range(4):
        if i != without:
            line += weights[i]
            last = i
            if line > point * total:
                break
    return last


@njit
def _one_after_the_other(begin: int, end: int, groups: Any, words: Any, estimate: Any) -> None:
    weights, chances = np.empty(4), np.empty(4)
    for row in range(begin, end):
        for i in range(4):
            weights[i] = abs(np.float64(groups[row, i])) + KERNEL_EPSILON
        _pair_chances(weights, chances)
        first = _drawn(weights, -1, words[row, 0] * _WORD)
        second = _drawn(weights, first, words[row, 1] * _WORD)
        for i in range(4):
            stays = i in (first, second)
            estimate[row, i] = groups[row, i] / chances[i] if stays else 0.0
