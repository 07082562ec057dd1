"""Stochastic rounding: every noise value where there are 256, exact borders, and means of many draws.

Bounds of draws are five standard deviations: a fair result misses one once in 1.7 million.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.quant.random_bits import random_words
from hwsim.quant.stochastic import encode_exact, encode_nvidia, expected_value, round_stochastically

E2M1 = formats.get("e2m1")
GRID = [Fraction(value) for value in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]
HARD = [0.0, 1e-45, 2.0**-40, 2.0**-9, 0.001953124883584678, 0.1, 0.25, 0.4999999701976776, 0.5, 0.7, 1.0, 1.25]
HARD += [1.4999998807907104, 1.75, 1.99, 1.9999998807907104, 2.0, 2.5, 2.999999761581421, 3.3, 3.9999997615814209]
HARD += [4.0, 5.0, 5.999, 5.999999523162842, 6.0, 7.0, 8.0, 1e30, 3.0000002384185791, 1.0000001192092896]


def to_float32(exact):
    """A positive fraction of the normal range, rounded to the nearest float32, ties to even."""
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if Fraction(2) ** exponent > exact:
        exponent -= 1
    quantum = Fraction(2) ** (exponent - 23)
    return round(exact / quantum) * quantum


def model(value, noise, sr_bits):
    """The software model, in its words: fma of noise and step, then cut to the step of the sum."""

    def step(magnitude):
        return Fraction(2) if magnitude >= 4 else Fraction(1) if magnitude >= 2 else Fraction(1, 2)

    magnitude = Fraction(value)
    total = Fraction(noise, 1 << sr_bits) * step(magnitude) + magnitude
    total = to_float32(total) if total else total
    return min(total // step(total) * step(total), Fraction(6))


@pytest.mark.parametrize("sr_bits", [1, 4, 8])
def test_nvidia_rule_on_every_noise(sr_bits):
    noise = np.arange(1 << sr_bits, dtype=np.uint32)
    for value in np.array(HARD, dtype=np.float32):
        expected = [GRID.index(model(float(value), int(word), sr_bits)) for word in noise]
        values = np.full(noise.shape, value)
        assert_array_equal(encode_nvidia(values, noise, sr_bits), expected)
        assert_array_equal(encode_nvidia(-values, noise, sr_bits), np.array(expected) | 8)


@pytest.mark.parametrize("sr_bits", [16, 24])
def test_nvidia_rule_with_more_bits(sr_bits, rng):
    for value in np.array(HARD, dtype=np.float32):
        noise = rng.integers(0, 1 << sr_bits, 40, dtype=np.uint32)
        noise[:4] = [0, 1, (1 << sr_bits) - 1, 1 << (sr_bits - 1)]
        expected = [GRID.index(model(float(value), int(word), sr_bits)) for word in noise]
        assert_array_equal(encode_nvidia(np.full(noise.shape, value), noise, sr_bits), expected)


def test_mean_of_nvidia_rule_lies_below_the_value():
    """Published means over all 256 noise values, and the formula: the value cut to 1/256 of a step."""
    noise = np.arange(256, dtype=np.uint32)
    mean = {value: float(E2M1.decode(encode_nvidia(np.full(256, np.float32(value)), noise)).mean()) for value in HARD}
    assert mean[1.99] == 1.98828125
    assert mean[5.999] == 5.9921875
    rounds_up = {0.001953124883584678, 0.4999999701976776, 1.4999998807907104, 1.9999998807907104}
    for value, got in mean.items():
        exact = float(expected_value(np.float32(value)))
        if value in rounds_up:  # one noise value lets the float32 sum round up to the next number of the format
            assert got - exact in (0.0, 0.5 / 256)
        else:
            assert got == exact


def test_average_bias_is_half_of_the_last_bit(rng):
    """Uniform values lose on average half of 1/256 of their step: 2^-10 below 2, 2^-9 up to 4, 2^-8 above."""
    for low, high, step in ((0, 2, 0.5), (2, 4, 1.0), (4, 6, 2.0)):
        values = rng.uniform(low, high, 1 << 16).astype(np.float32)
        bias = (values.astype(np.float64) - expected_value(values)).mean()
        grain = step / 256
        assert abs(bias - grain / 2) < 5 * grain / np.sqrt(12) / 2**8  # standard deviation of a uniform cut


def test_rules_differ_only_where_the_float32_sum_rounds_up():
    noise = np.arange(256, dtype=np.uint32)
    for value in np.array(HARD, dtype=np.float32):
        values = np.full(256, value)
        cut = E2M1.encode(values, "sr", noise << np.uint32(24), sr_bits=8)
        differ = encode_nvidia(values, noise) != cut
        expected = []
        for word in noise:
            step = 2 if value >= 4 else 1 if value >= 2 else Fraction(1, 2)
            exact = Fraction(int(word), 256) * step + Fraction(float(value))
            expected.append(model(float(value), int(word), 8) != max(point for point in GRID if point <= exact))
        assert_array_equal(differ, expected)
        assert differ.sum() <= 1


def test_special_values():
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, 1e30], dtype=np.float32)
    expected = [7, 7, 7, 15, 8, 0, 7]
    assert encode_nvidia(values, np.full(7, 255, np.uint32)).tolist() == expected
    assert encode_exact(E2M1, values, np.full(7, 2**64 - 1, np.uint64)).tolist() == expected


@pytest.mark.parametrize("name", ["e2m1", "e3m0", "e4m3", "e5m2", "ue5m3", "e8m0", "int4", "int8", "bf16", "fp16"])
def test_exact_rule_goes_up_from_its_border_on(name, rng):
    """Up if noise >= 2^64 - fraction 2^64, the fraction taken by Fraction arithmetic from the format's neighbours."""
    form = formats.get(name)
    span = min(form.max, 1e30)
    values = (rng.uniform(-1, 1, 200) * span * 2.0 ** rng.integers(-12, 1, 200)).astype(np.float32)
    if not form.signed:
        values = np.abs(values)
    for value in values:
        down = form.encode(value, "rz")
        magnitude = np.abs(form.values[np.isfinite(form.values)]).astype(np.float64)
        negative = form.signed and value < 0
        if form.is_integer:
            magnitude = np.arange(-form.min + 1 if negative else form.max + 1)
        low = Fraction(abs(float(form.decode(down))))
        above = magnitude[magnitude > float(low)]
        if not above.size or abs(float(value)) < float(low):
            assert encode_exact(form, value, np.uint64(2**64 - 1)) == down
            continue
        high = Fraction(float(above.min()))
        border = (Fraction(abs(float(value))) - low) / (high - low) * 2**64
        threshold = 2**64 - int(border)
        if threshold < 2**64:
            up = form.encode(np.float32(np.copysign(float(high), value)), "rz")
            assert encode_exact(form, value, np.uint64(threshold)) == up
        assert encode_exact(form, value, np.uint64(threshold - 1)) == down


@pytest.mark.parametrize("value", [0.1, -0.7, 1.99, 3.001, -5.9, 2.0**-6])
def test_exact_rule_is_unbiased_with_the_variance_of_two_points(value):
    """Ups are binomial: N f on average, variance N f (1 - f). Their number settles mean and variance together."""
    count = 1 << 18
    codes = round_stochastically(np.full(count, value, np.float32), seed=11, rule="exact")
    exact = abs(float(np.float32(value)))
    low = max(point for point in GRID if point <= exact)
    high = min(point for point in GRID if point > exact)
    fraction = float((Fraction(exact) - low) / (high - low))
    ups = int((np.abs(E2M1.decode(codes)) == float(high)).sum())
    assert set(np.abs(E2M1.decode(codes)).tolist()) <= {float(low), float(high)}
    assert abs(ups - count * fraction) < 5 * np.sqrt(count * fraction * (1 - fraction))


def test_bits_of_a_seed_are_those_of_the_stream():
    values = np.linspace(-6, 6, 4099, dtype=np.float32)
    words = random_words(5, 4099, stream=2)
    by_bytes = words[:1025].astype("<u4").view(np.uint8)[:4099].astype(np.uint32)
    assert_array_equal(round_stochastically(values, seed=5, stream=2), encode_nvidia(values, by_bytes))
    four = round_stochastically(values, seed=5, stream=2, sr_bits=4)
    assert_array_equal(four, encode_nvidia(values, words >> np.uint32(28), 4))
    for element in ("e2m1", "e4m3"):
        cut = round_stochastically(values, element, seed=5, stream=2, rule="bits", sr_bits=12)
        assert_array_equal(cut, formats.get(element).encode(values, "sr", words, sr_bits=12))


def test_shapes_are_kept():
    assert round_stochastically(np.ones((2, 3, 5)), seed=0).shape == (2, 3, 5)
    assert round_stochastically(np.ones((2, 3, 5)), seed=0, rule="exact").shape == (2, 3, 5)
    assert round_stochastically(1.5, seed=0, rule="exact").shape == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "sr"}, "rule must be one of nvidia, bits, exact, got 'sr'"),
        ({"element": "e4m3"}, "rule \"nvidia\" is defined for e2m1, got 'e4m3'"),
        ({"sr_bits": 25}, 'sr_bits of rule "nvidia" must lie in 1..24, got 25'),
        ({"sr_bits": 33, "rule": "bits"}, "e2m1: sr_bits must lie in 1..32, got 33"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        round_stochastically([1.0], **{"seed": 0, **arguments})
    assert str(caught.value) == message
