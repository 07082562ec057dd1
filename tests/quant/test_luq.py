"""LUQ: mean and variance exactly over all 8-bit random inputs, over many draws, and its rules for alpha."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.quant.luq import (
    LEVELS,
    LogCodes,
    encode_log,
    encode_log_nearest,
    hindsight_maximum,
    quantize_luq,
    quantize_luq_averaged,
    smallest_power,
    variance,
)

ALL_WORDS = np.arange(256, dtype=np.uint32) << np.uint32(24)


@pytest.mark.parametrize("alpha", [1.0, 2.0**-20, 0.75])
def test_mean_and_variance_over_every_random_input(alpha):
    """Values at multiples of 1/256 of a gap: 256 equally likely words give mean and variance without any error."""
    for k in (0, 1, 2, 5):
        low, gap = (0.0, 1.0) if k == 0 else (2.0 ** (k - 1), 2.0 ** (k - 1))
        for part in (0, 1, 37, 128, 255):
            value = np.float32(alpha * (low + gap * part / 256))
            codes = encode_log(np.full(256, value), np.float32(alpha), 7, ALL_WORDS)
            results = codes.dequantize().astype(np.float64)
            assert results.mean() == float(value)
            fraction = part / 256
            assert results.var() == pytest.approx(fraction * (1 - fraction) * (gap * alpha) ** 2, rel=1e-12)
            assert float(variance(value, np.float32(alpha), 7)) == fraction * (1 - fraction) * (gap * alpha) ** 2


def test_unbiased_with_the_variance_of_two_points(rng):
    """Ups are binomial: N f on average, variance N f (1 - f); five standard deviations."""
    count, alpha = 1 << 18, np.float32(0.3)
    for value in (0.01, 0.29, 0.3, 0.5, 1.1, 4.0, 17.0):
        codes = quantize_luq(np.full(count, -value, np.float32), n_levels=7, seed=3, maximum=float(alpha) * 64)
        ratio = float(np.float32(value)) / float(alpha)
        low = 0.0 if ratio < 1 else 2.0 ** np.floor(np.log2(ratio))
        gap = 1.0 if ratio < 1 else low
        fraction = (ratio - low) / gap
        ups = int((codes.dequantize() < -np.float32((low + gap / 2) * alpha)).sum())
        assert codes.alpha == alpha
        assert abs(ups - count * fraction) <= 5 * np.sqrt(count * fraction * (1 - fraction))


def test_averaging_divides_the_variance(rng):
    """Squared errors of N samples have mean var / N. Their own spread gives the bound of five standard deviations."""
    x = np.exp(rng.standard_normal(1 << 15)).astype(np.float32)
    top = float(x.max())
    single = variance(x, smallest_power(top, 7), 7)
    for samples in (1, 2, 4):
        estimate = quantize_luq_averaged(x, n_levels=7, seed=9, samples=samples, maximum=top).astype(np.float64)
        squared = (estimate - x) ** 2
        spread = (squared - single / samples).std() / np.sqrt(x.size)
        assert abs(squared.mean() - single.mean() / samples) < 5 * spread
        assert abs((estimate - x).mean()) < 5 * np.sqrt(single.sum() / samples) / x.size


def test_levels_of_the_sources():
    assert smallest_power(1.0, LEVELS["paper"]) == 1 / 16  # max / 2^(2^(b-1)), b = 3
    assert smallest_power(1.0, LEVELS["code"]) == 1 / 128
    assert smallest_power(1.0, LEVELS["e3m0"]) == 1 / 64
    for name, bits in (("paper", 4), ("e3m0", 4), ("code", 5)):
        codes = quantize_luq(np.ones(10, np.float32), n_levels=LEVELS[name], seed=0)
        assert codes.bits == 10 * bits + 32
        assert set(codes.dequantize().tolist()) == {1.0}


def test_seven_levels_are_the_codes_of_e3m0(rng):
    x = rng.standard_normal(4096).astype(np.float32)
    codes = quantize_luq(x, n_levels=7, seed=1, power_of_two=True)
    e3m0 = formats.get("e3m0")  # its smallest value is 2^-2
    assert_array_equal(codes.dequantize(), e3m0.decode(codes.codes) * (codes.alpha * np.float32(4)))


def test_alpha_as_a_power_of_two_keeps_the_maximum_within_reach():
    for maximum, alpha in ((1.0, 2.0**-6), (1.0001, 2.0**-5), (63.9, 1.0), (64.0, 1.0), (64.1, 2.0)):
        assert smallest_power(maximum, 7, power_of_two=True) == alpha


def test_beyond_the_largest_power_saturates():
    codes = quantize_luq([100.0, -65.0, 64.0], n_levels=7, seed=0, maximum=64.0)
    assert codes.dequantize().tolist() == [64.0, -64.0, 64.0]
    assert variance([100.0], np.float32(1), 7).tolist() == [0.0]


def test_signs_and_zeros():
    codes = quantize_luq([0.0, -0.0, 1.0, -1.0], n_levels=7, seed=0)
    assert codes.codes.tolist() == [0, 8, 7, 15]
    zeros = quantize_luq(np.zeros(3, np.float32), n_levels=7, seed=0)
    assert (zeros.codes.tolist(), float(zeros.alpha)) == ([0, 0, 0], 0.0)
    assert zeros.dequantize().tolist() == [0.0, 0.0, 0.0]
    assert quantize_luq(np.zeros((0, 4), np.float32), n_levels=7, seed=0).codes.shape == (0, 4)


def test_nearest_is_its_formula():
    """2^floor(log2(4/3 v)): borders at 3/4, 3/2, 3, 6, ...; next to them one float32 below and above."""
    for border in (0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0):
        v = np.array([np.nextafter(np.float32(border), np.float32(0)), border], dtype=np.float32)
        below, at = encode_log_nearest(v, np.float32(1), 7).dequantize().tolist()
        assert at == border * 4 / 3
        assert below == (0.0 if border == 0.75 else border * 2 / 3)
    v = np.exp(np.linspace(-1, 4, 1000)).astype(np.float32)
    expected = np.where(v >= 0.75, 2.0 ** np.floor(np.log2(4 / 3 * v.astype(np.float64))), 0)
    assert_array_equal(
        encode_log_nearest(v, np.float32(1), 7).dequantize(), np.minimum(expected, 64).astype(np.float32)
    )


def definition(value, alpha, n_levels, word):
    """One element in exact arithmetic; only the ratio is a float64, as the contract says."""
    ratio = Fraction(abs(float(value)) / float(alpha))
    grid = [Fraction(0)] + [Fraction(2) ** power for power in range(n_levels)]
    code = max(index for index, point in enumerate(grid) if point <= ratio)
    if code < n_levels:
        fraction = (ratio - grid[code]) / (grid[code + 1] - grid[code])
        code += word + fraction * 2**32 // 1 >= 2**32
    return code | (np.signbit(value) << n_levels.bit_length())


@pytest.mark.parametrize("n_levels", [1, 5, 7, 8, 127])
def test_codes_equal_the_definition(n_levels, rng):
    alpha = np.float32(0.7)
    near = np.float32(alpha) * np.float32(2.0) ** np.arange(-3, 10, dtype=np.float32)
    x = np.concatenate([near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(99)), near * 1.5])
    x = np.concatenate([x, [0.0, 1e-45, 1e-38, 3e38], rng.standard_normal(200)]).astype(np.float32)
    x = np.concatenate([x, -x])
    words = rng.integers(0, 1 << 32, x.size, dtype=np.uint32)
    words[::3], words[1::3] = 0xFFFFFFFF, 0
    expected = [definition(value, alpha, n_levels, int(word)) for value, word in zip(x, words, strict=True)]
    assert_array_equal(encode_log(x, alpha, n_levels, words).codes, expected)


def test_hindsight_maximum():
    assert hindsight_maximum(8.0, 4.0, 0.25) == 0.75 * 4.0 + 0.25 * 8.0
    assert hindsight_maximum(8.0, 4.0, 0.0) == 4.0


def test_an_element_takes_the_word_of_its_place(monkeypatch):
    x = np.linspace(-1, 1, 100_003, dtype=np.float32)
    whole = quantize_luq(x, n_levels=7, seed=4)
    monkeypatch.setenv("HWSIM_NUM_THREADS", "3")
    assert_array_equal(quantize_luq(x.reshape(1, -1), n_levels=7, seed=4).codes[0], whole.codes)


def message(call):
    with pytest.raises(ArgumentError) as caught:
        call()
    return str(caught.value)


def test_messages():
    assert message(lambda: quantize_luq([np.inf], n_levels=7, seed=0)) == "x must be finite, got inf"
    assert message(lambda: quantize_luq([1.0], n_levels=0, seed=0)) == "n_levels must lie in 1..127, got 0"
    assert message(lambda: smallest_power(-1.0, 7)) == "maximum must be finite and not negative, got -1.0"
    none = message(lambda: quantize_luq_averaged([1.0], n_levels=7, seed=0, samples=0))
    assert none == "samples must be at least 1, got 0"
    assert message(lambda: hindsight_maximum(1.0, 1.0, 2.0)) == "eta must lie in 0..1, got 2.0"
    assert LogCodes(np.zeros(2, np.uint8), np.float32(1), 7).magnitude_bits == 3
