"""N of M: chances by their published forms, estimates over evenly spaced random inputs and over many draws."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hwsim.errors import ArgumentError
from hwsim.quant import sparsity
from hwsim.quant.sparsity import (
    KERNEL_EPSILON,
    approximate_chances,
    estimate_variance,
    inclusion_chances,
    keep_largest,
    sparsify_2_4_approximate,
    sparsify_unbiased,
)

GROUPS = [
    [1.0, 2.0, 3.0, 4.0],
    [10.0, 1.0, 2.0, 3.0],  # the first above the sum of the others
    [-6.0, 1.0, -2.0, 3.0],  # exactly that sum
    [0.0, 1.0, 0.0, -1.0],
    [0.0, 0.0, 5.0, 0.0],
    [0.0, 0.0, 0.0, 0.0],
    [1e-30, 1.0, 1e30, -1.0],
    [0.5, 0.5, 0.5, 0.5],
]


def test_keep_largest():
    assert keep_largest([1, -4, 3, 2, 5, 5, 5, -5]).tolist() == [0, -4, 3, 0, 5, 5, 0, 0]
    assert keep_largest([1, -4, 3, 2], 1, 2).tolist() == [0, -4, 3, 0]
    assert keep_largest([[1.0, 2, 3, 4, 5, 6]], 1, 3).tolist() == [[0, 0, 3, 0, 0, 6]]


def published_2_4(magnitudes):
    """If one exceeds the sum of the others it stays surely, the others share one place; else 2 a_i / sum."""
    total, top = sum(magnitudes), max(magnitudes)
    if total == 0:
        return [0.0] * 4
    others = total - top
    if top <= others:
        return [2 * a / total for a in magnitudes]
    at = magnitudes.index(top)
    return [1.0 if i == at else a / others if others else 0.0 for i, a in enumerate(magnitudes)]


def test_chances_are_the_published_ones(rng):
    groups = np.abs(np.concatenate([GROUPS[:6], GROUPS[7:], np.exp(2 * rng.standard_normal((500, 4)))]))
    expected = [published_2_4([float(a) for a in group]) for group in groups]
    assert_allclose(inclusion_chances(groups, 2), expected, rtol=1e-12)  # two orders of the same sums in float64
    pairs = np.exp(rng.standard_normal((100, 2)))
    assert_allclose(inclusion_chances(pairs, 1), pairs / pairs.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (3, 4), (4, 8), (2, 16)])
def test_chances_are_optimal(n, m, rng):
    """min(1, c a_i) with sum n, the condition of Karush, Kuhn and Tucker for the least sum of a_i^2 / p_i."""
    magnitudes = np.exp(2 * rng.standard_normal((300, m)))
    chances = inclusion_chances(magnitudes, n)
    assert_allclose(chances.sum(axis=1), n, rtol=1e-12)
    slope = np.where(chances < 1, chances / magnitudes, -np.inf).max(axis=1, keepdims=True)
    assert_allclose(chances, np.minimum(1, slope * magnitudes), rtol=1e-12)


@pytest.mark.parametrize("group", GROUPS)
def test_estimate_over_evenly_spaced_random_inputs(group, monkeypatch):
    """2^16 even points: each element stays as often as its chance says, to one point at either end of its stretch."""
    count = 1 << 16
    even = np.arange(count, dtype=np.uint32) << np.uint32(16)
    monkeypatch.setattr(sparsity, "random_words", lambda seed, n, stream=0: even)
    x = np.tile(np.array(group, np.float32), (count, 1))
    estimate = sparsify_unbiased(x, seed=0)
    magnitude = np.abs(x[:1]).astype(np.float64)
    chances = inclusion_chances(magnitude, 2)[0]
    stays = (estimate != 0).sum(axis=0)
    assert np.all(np.abs(stays - count * chances) <= 2)
    assert (estimate != 0).sum(axis=1).max() <= 2
    for column, chance in enumerate(chances):
        values = set(estimate[:, column].tolist()) - {0.0}
        assert values <= ({float(np.float32(float(x[0, column]) / chance))} if chance else set())


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (4, 8)])
def test_unbiased_with_least_variance(n, m, rng):
    """Mean within five standard deviations of the formula; squared errors within five of their own spread."""
    group = (rng.standard_normal(m) * np.exp(rng.standard_normal(m))).astype(np.float32)
    count = 1 << 17
    estimate = sparsify_unbiased(np.tile(group, (count, 1)), n, m, seed=21).astype(np.float64)
    magnitude = np.abs(group).astype(np.float64)
    chances = inclusion_chances(magnitude[None], n)[0]
    deviation = np.sqrt(np.maximum(magnitude**2 * (1 / chances - 1), 0))
    error = estimate - group
    assert np.all(np.abs(error.mean(axis=0)) <= 5 * deviation / np.sqrt(count) + 1e-7 * magnitude)  # float32 values
    squared = (error**2).sum(axis=1)
    expected = float(estimate_variance(magnitude[None], chances[None])[0])
    assert abs(squared.mean() - expected) < 5 * squared.std() / np.sqrt(count) + 1e-6 * expected
    assert (estimate != 0).sum(axis=1).max() <= n


def test_variance_of_1_2_is_twice_the_product(rng):
    pairs = np.abs(rng.standard_normal((1000, 2)))
    variances = estimate_variance(pairs, inclusion_chances(pairs, 1))
    assert_allclose(variances, 2 * pairs.prod(axis=1), rtol=1e-9)  # cancellation in 1 / p - 1


def test_approximate_chances_by_all_ordered_pairs():
    for group in ([1.0, 2.0, 3.0, 4.0], [10.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0], [100.0, 0.001, 0.01, 7.0]):
        weights = [Fraction(a) for a in group]
        total = sum(weights)
        expected = [Fraction(0)] * 4
        for first, second in permutations(range(4), 2):
            chance = weights[first] / total * weights[second] / (total - weights[first])
            expected[first] += chance
            expected[second] += chance
        got = approximate_chances(np.array([group]))[0]
        assert_allclose(got, [float(chance) for chance in expected], rtol=1e-12)


@pytest.mark.parametrize("group", [[1.0, -2.0, 3.0, 4.0], [10.0, 1.0, -2.0, 3.0], [1.0, 0.0, 0.0, -0.5]])
def test_approximate_estimate_is_unbiased(group):
    count = 1 << 17
    x = np.array(group, dtype=np.float32)
    estimate = sparsify_2_4_approximate(np.tile(x, (count, 1)), seed=8).astype(np.float64)
    magnitude = np.abs(x).astype(np.float64)
    chances = approximate_chances(magnitude[None] + KERNEL_EPSILON)[0]
    deviation = np.sqrt(magnitude**2 * (1 / chances - 1))
    assert np.all(np.abs((estimate - x).mean(axis=0)) <= 5 * deviation / np.sqrt(count) + 1e-6 * magnitude)
    squared = ((estimate - x) ** 2).sum(axis=1)
    expected = float(estimate_variance(magnitude[None], chances[None])[0])
    assert abs(squared.mean() - expected) <= 5 * squared.std() / np.sqrt(count) + 1e-5
    assert (estimate != 0).sum(axis=1).max() <= 2


def test_approximate_estimate_costs_a_quarter_more_variance(rng):
    """On lognormal(1.5) groups: measured elsewhere as 1.25 times the optimum, and at most 1.99 in one group."""
    groups = np.exp(1.5 * rng.standard_normal((20_000, 4)))
    best = estimate_variance(groups, inclusion_chances(groups, 2))
    drawn = estimate_variance(groups, approximate_chances(groups + KERNEL_EPSILON))
    assert drawn.mean() / best.mean() == pytest.approx(1.25, abs=0.03)  # four seeds spread by 0.01
    assert (drawn / best).min() >= 1
    assert 1.9 < (drawn / best).max() < 2


def test_results_do_not_depend_on_threads(rng, monkeypatch):
    x = rng.standard_normal((64, 512)).astype(np.float32)
    methods = (keep_largest, lambda x: sparsify_unbiased(x, seed=1), lambda x: sparsify_2_4_approximate(x, seed=1))
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    alone = [method(x) for method in methods]
    monkeypatch.setenv("HWSIM_NUM_THREADS", "3")
    for method, expected in zip(methods, alone, strict=True):
        assert_array_equal(method(x), expected)


def test_an_untouched_group_of_two_stays():
    x = np.array([0, 3, 0, -2], np.float32)
    for seed in range(20):
        assert_array_equal(sparsify_unbiased(x, seed=seed), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0] * 4, 2, 2), "n and m must satisfy 0 < n < m, got (2, 2)"),
        (([1.0] * 6, 2, 4), "the last axis must be a multiple of 4, got (6,)"),
        (([1.0, 2.0, np.nan, 4.0], 2, 4), "x must be finite, got nan"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        sparsify_unbiased(*arguments, seed=0)
    assert str(caught.value) == message
