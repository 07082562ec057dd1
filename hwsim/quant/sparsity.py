"""N of M sparsity: which elements stay, and what they become.

Weights keep the n largest of each m. Gradients need an estimate without bias, and the best of those has the least
variance: element i stays with chance ``p_i = min(1, c |a_i|)``, the p_i adding up to n, and becomes ``a_i / p_i``
(minimum-variance unbiased estimate; Chmiel et al., arXiv 2203.10991). The draw that gives these chances jointly is
systematic sampling: one random point, repeated at distance 1, on the line of the chances laid end to end.

For 2:4 the published GPU kernels draw two elements one after the other instead; that is unbiased too, with more
variance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.quant.random_bits import random_words

KERNEL_EPSILON = 1.19e-7
"""What the published kernels add to every magnitude of a group, so that no chance is 0 / 0."""

_WORD = 2.0**-32


def keep_largest(x: ArrayLike, n: int = 2, m: int = 4) -> NDArray[np.float32]:
    """Zero all but the `n` largest magnitudes of each `m` neighbours of the last axis; of equals the first stay."""
    groups, shape = _groups(x, n, m)
    order = np.argsort(-np.abs(groups), axis=-1, kind="stable")[:, :n]
    kept = np.zeros_like(groups)
    np.put_along_axis(kept, order, np.take_along_axis(groups, order, axis=-1), axis=-1)
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
    chances = inclusion_chances(np.abs(groups).astype(np.float64), n)
    point = random_words(seed, len(groups), stream=stream).astype(np.float64) * _WORD
    # Element i stays if one of point, point + 1, ... lies in its stretch [before_i, before_i + p_i) of the line.
    ends = np.minimum(np.cumsum(chances, axis=-1), n)  # rounding must neither add an element nor lose a sure one
    starts = np.concatenate([np.zeros((len(groups), 1)), ends[:, :-1]], axis=-1)
    stays = np.ceil(ends - point[:, None]) > np.ceil(starts - point[:, None])
    return _weighted(groups, stays | (chances >= 1), chances).reshape(shape)


def sparsify_2_4_approximate(x: ArrayLike, *, seed: int, stream: int = 0) -> NDArray[np.float32]:
    """The 2:4 estimate of the published GPU kernels: two elements, drawn one after the other by magnitude.

    The first with chance ``a_i / S``, the second among the rest with ``a_j / (S - a_i)``; what stays is divided by
    the chance that it stays, `approximate_chances`. Group number i takes words 2i and 2i + 1.
    """
    groups, shape = _groups(x, 2, 4)
    weights = np.abs(groups).astype(np.float64) + KERNEL_EPSILON
    words = random_words(seed, 2 * len(groups), stream=stream).astype(np.float64).reshape(-1, 2) * _WORD
    first = _drawn(weights, words[:, 0])
    rest = weights.copy()
    np.put_along_axis(rest, first[:, None], 0.0, axis=-1)
    second = _drawn(rest, words[:, 1])
    stays = np.zeros(groups.shape, dtype=bool)
    np.put_along_axis(stays, np.stack([first, second], axis=-1), True, axis=-1)
    return _weighted(groups, stays, approximate_chances(weights)).reshape(shape)


def inclusion_chances(magnitudes: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """``p_i = min(1, c a_i)`` with sum `n` along the last axis; where no more than n are nonzero, those stay surely.

    Args:
        magnitudes: float64 ``[groups, m]``, not negative.
        n: below m.
    """
    chances = np.zeros_like(magnitudes)
    certain = np.zeros(magnitudes.shape, dtype=bool)
    for _ in range(n + 1):  # each pass fixes at least one more element of every group that is not settled
        free = np.where(certain, 0.0, magnitudes)
        total = free.sum(axis=-1, keepdims=True)
        left = n - certain.sum(axis=-1, keepdims=True)
        chances = np.where(certain, 1.0, left * np.divide(free, total, out=np.zeros_like(free), where=total > 0))
        certain = certain | (chances >= 1)
    return np.minimum(chances, 1.0)


def approximate_chances(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of each of four elements to be among two drawn one after the other.

    ``p_i = a_i / S + sum over k != i of (a_k / S) a_i / (S - a_k)``; float64 ``[groups, 4]``, positive.
    """
    total = weights.sum(axis=-1, keepdims=True)
    # S - a_k as the sum of the others: a difference would lose all digits where one element towers
    others = np.stack([np.delete(weights, column, axis=-1).sum(axis=-1) for column in range(4)], axis=-1)
    after = weights / others  # chance weight of k first, to be multiplied by a_i
    chances: NDArray[np.float64] = weights / total * (1 + after.sum(axis=-1, keepdims=True) - after)
    return np.minimum(chances, 1.0)


def estimate_variance(magnitudes: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over a group of the variances of its elements: ``a_i^2 (1 / p_i - 1)``, float64 ``[groups]``."""
    reciprocal = np.divide(1.0, chances, out=np.ones_like(chances), where=chances > 0)
    return np.asarray((magnitudes**2 * (reciprocal - 1)).sum(axis=-1), dtype=np.float64)


def _drawn(weights: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.int64]:
    """The element of each group in whose stretch of the line of weights the point lies."""
    ends = np.cumsum(weights, axis=-1)
    drawn: NDArray[np.int64] = (ends <= point[:, None] * ends[:, -1:]).sum(axis=-1)
    last = weights.shape[-1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=-1)  # rounding may push a point past the end
    return np.asarray(np.minimum(drawn, last), dtype=np.int64)


def _weighted(
    groups: NDArray[np.float32], stays: NDArray[np.bool_], chances: NDArray[np.float64]
) -> NDArray[np.float32]:
    value = np.divide(groups.astype(np.float64), chances, out=np.zeros(groups.shape), where=stays & (chances > 0))
    return value.astype(np.float32)


def _groups(x: ArrayLike, n: int, m: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    array = np.ascontiguousarray(np.asarray(x), dtype=np.float32)
    if not 0 < n < m:
        raise ArgumentError("n and m must satisfy 0 < n < m", got=(n, m))
    if array.ndim == 0 or array.shape[-1] % m:
        raise ArgumentError(f"the last axis must be a multiple of {m}", got=np.shape(x))
    if not np.isfinite(array).all():
        raise ArgumentError("x must be finite", got=float(array[~np.isfinite(array)][0]))
    return array.reshape(-1, m), array.shape
