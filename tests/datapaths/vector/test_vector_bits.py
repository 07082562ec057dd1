"""Bits of the vector unit's circuits against numpy, the quantizers, exact fractions, and numbers worked by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import hwsim
from hwsim import formats
from hwsim.datapaths.vector import blocks, fixed, floats
from hwsim.datapaths.vector.operators import encode
from hwsim.datapaths.vector.tables import FUNCTIONS, table
from hwsim.rtl.float_adders import WIDTHS, float_words, to_float32
from hwsim.rtl.unit import Port


def _ints(*values):
    return np.array(values, np.int64)


def test_requantisation_by_hand():
    # 1000 x 77 = 77,000; / 2^10 = 75.2; 1,500 / 2^10 is 1.46, 1,536 is 1.5: up; -1,536 is -1.5: up, to -1
    assert fixed.requantize(_ints(1000), _ints(77), _ints(10), 8).tolist() == [75]
    assert fixed.requantize(_ints(1500, 1536, -1536, -1537), _ints(1), _ints(10), 8).tolist() == [1, 2, -1, -2]
    assert fixed.requantize(_ints(10**6, -(10**6)), _ints(1), _ints(3), 8).tolist() == [127, -128]
    assert fixed.requantize(_ints(10**6, -(10**6)), _ints(1), _ints(3), 4).tolist() == [7, -8]
    assert fixed.requantize(_ints(5, -7), _ints(1), _ints(0), 8).tolist() == [5, -7]
    # the least sum times the largest scale, shifted by as much as there is: -2^31 x 65,535 / 2^63 rounds to 0
    assert fixed.requantize(_ints(-(2**31)), _ints(65535), _ints(63), 8).tolist() == [0]


def test_the_exponential_of_a_score_by_hand():
    # equal to the maximum: 2^0 = 4096/4096; m = 256 and one step below: 2^-1; eight below: 2^-8; sixteen: 0
    x, top, m = _ints(5, 4, -3, -11), _ints(5), _ints(256)
    assert fixed.exp2_scores(x, top, m).tolist() == [4096, 2048, 16, 0]
    t = np.arange(0, 256) * 16 / 256
    found = fixed.exp2_scores(-np.arange(256), _ints(0), _ints(16)) / 4096
    assert np.abs(found - 2.0**-t).max() < 1.5 / 512  # table of 8 fraction bits below 1


def test_integer_reciprocals_are_within_their_bits():
    total = np.unique(np.geomspace(1, 2**24 - 1, 5000).astype(np.int64))
    # the fraction is cut to 7 bits, the table within one of 256
    r, place = fixed.reciprocal(total)
    assert np.abs(r / 2.0 ** (place + 9) * total - 1).max() < 1 / 128 + 1 / 256
    r, half = fixed.rsqrt(total)
    assert np.abs(r / 2.0 ** (half + 9) * np.sqrt(total) - 1).max() < 1 / 256 + 1 / 256
    assert (fixed.reciprocal(_ints(0))[0].tolist(), fixed.reciprocal(_ints(1))[0].tolist()) == ([512], [512])


def test_activations_within_a_code_of_the_functions():
    x = np.arange(-128, 128)
    normal = np.array([0.5 * (1 + math.erf(v / 16 / math.sqrt(2))) for v in x])
    assert np.abs(fixed.activation(x, "gelu") - x * normal).max() < 0.75
    assert np.abs(fixed.activation(x, "silu") - x / (1 + np.exp(-x / 16))).max() < 0.75


def test_small_integer_operators_by_hand():
    assert fixed.added(_ints(100, -100, 1), _ints(100, -100, 2)).tolist() == [127, -128, 3]
    assert fixed.multiplied(_ints(-128, 64, 3), _ints(-128, 64, 21)).tolist() == [127, 32, 0]  # 63 / 128 = 0.49
    assert fixed.rotated(_ints(100), _ints(50), _ints(127), _ints(-64)).tolist() == [124]  # 15,900 / 128 = 124.2
    assert fixed.rescaled(_ints(1000), _ints(2048)).tolist() == [500]
    assert fixed.centred(_ints(10), _ints(2 * 256), _ints(256), _ints(12)).tolist() == [127]  # 8 x 256 x 256 / 4096
    assert fixed.centred(_ints(10), _ints(2 * 256), _ints(256), _ints(16)).tolist() == [8]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tables_stay_within_their_segments(name):
    made = table(name, 12, 10, 5)
    x = np.arange(1 << 12)
    exact = np.array([FUNCTIONS[name](v / 4096) for v in x]) * 1024
    # one rounding, and the curvature of a segment of 1/32: (1/32)^2 / 16 x 1024 |f''|, f'' at most 4 (gelu: 15)
    assert np.abs(made.value(x) - exact).max() < (1.6 if name in ("gelu", "silu") else 0.9)


@pytest.mark.parametrize("fmt", WIDTHS)
def test_products_are_those_of_numpy_with_subnormals_as_zero(fmt):
    rng = np.random.default_rng(0)
    a, b = (float_words(rng, Port("", 1 + sum(WIDTHS[fmt])), 200_000, fmt) for _ in range(2))
    exponent, fraction = WIDTHS[fmt]
    normal = ((a >> np.uint64(fraction)) & np.uint64((1 << exponent) - 1) != 0) & (
        (b >> np.uint64(fraction)) & np.uint64((1 << exponent) - 1) != 0
    )
    with np.errstate(all="ignore"):
        x, y = to_float32(a, fmt).astype(np.float64), to_float32(b, fmt).astype(np.float64)
        exact = x * y  # 48 bits at most: exact in float64
        # a product of two bf16 numbers has 16 bits: float32 holds it, wherever that is normal
        expected = encode(exact.astype(np.float32).astype(np.float64) if fmt == "bf16" else exact, fmt)
    found = floats.multiply(a, b, fmt)
    least = 2.0 ** (2 - (1 << (exponent - 1)))  # below it numpy rounds to a coarser grid
    usable = normal & ~np.isnan(exact) & (np.abs(exact) >= least)
    assert usable.sum() > 60_000
    assert np.array_equal(found[usable], expected[usable])
    assert np.all((found[np.isnan(exact)] >> np.uint64(fraction - 1)) == (1 << (exponent + 1)) - 1)
    small = normal & (np.abs(exact) < least * (1 - 2.0**-fraction))
    assert np.all(found[small] & ~np.uint64(1 << (exponent + fraction)) == 0)


def test_the_larger_in_the_order_of_values():
    nan, inf, one, zero, minus_zero = 0x7E00, 0x7C00, 0x3C00, 0x0000, 0x8000
    order = np.array([0xFC00, 0xBC00, minus_zero, zero, one, inf, nan], np.uint64)
    for i, low in enumerate(order):
        for high in order[i:]:
            pair = np.array([low], np.uint64), np.array([high], np.uint64)
            assert floats.larger(*pair, "fp16")[0] == floats.larger(*pair[::-1], "fp16")[0] == high


@pytest.mark.parametrize(("fmt", "ulps"), [("fp16", 0.8), ("bf16", 1.1), ("fp32", 2.0)])
def test_functions_are_within_an_ulp_or_two(fmt, ulps):
    rng = np.random.default_rng(0)
    _, fraction = WIDTHS[fmt]
    words = encode(rng.uniform(0.01, 12, 20_000), fmt)
    x = to_float32(words, fmt).astype(np.float64)
    for rule, exact in (
        (floats.exp2_negative, 2.0**-x), (floats.reciprocal, 1 / x), (floats.rsqrt, 1 / np.sqrt(x)),
    ):  # fmt: skip
        ulp = 2.0 ** (np.floor(np.log2(exact)) - fraction)
        error = np.abs(to_float32(rule(words, fmt), fmt) - exact) / ulp
        # the exponential also cuts its argument: ln 2 x 2^-12 relative, 2^-10 for bf16
        assert error.max() < ulps + (0.75 if rule is floats.exp2_negative else 0), rule.__name__


def test_ends_of_the_functions():
    def word(*values):
        return np.array(values, np.uint64)

    zero, inf, nan, one, minus_one, subnormal = 0, 0x7C00, 0x7E00, 0x3C00, 0xBC00, 0x0001
    x = word(zero, inf, nan, one, minus_one, subnormal)
    assert floats.exp2_negative(x, "fp16").tolist() == [one, 0, nan, 0x3800, 0x3800, one]
    assert floats.reciprocal(x, "fp16").tolist() == [inf, 0, nan, one, minus_one, inf]
    assert floats.rsqrt(x, "fp16").tolist() == [inf, 0, nan, one, nan, inf]
    # -Inf: 2^-Inf, 1/-Inf = -0, a negative number has no root; gates: one half at zero, 0 and 1 at the ends
    assert floats.exp2_negative(word(0xFC00), "fp16").tolist() == [0]
    assert floats.reciprocal(word(0xFC00), "fp16").tolist() == [0x8000]
    assert floats.rsqrt(word(0xFC00), "fp16").tolist() == [nan]
    assert floats.gate(word(zero, inf, 0xFC00, nan), "fp16", "silu").tolist() == [0x3800, one, 0, nan]


@pytest.mark.parametrize("fmt", WIDTHS)
def test_gates_are_distributions_within_their_bits(fmt):
    x = np.linspace(-9, 9, 4001)
    words = encode(x, fmt)
    x = to_float32(words, fmt).astype(np.float64)
    in_bits, out_bits = floats.GATE_BITS[fmt]
    # argument cut to 2^-(in_bits - 3), slope at most 0.4; table; value cut to the format
    allowed = 0.4 * 2.0 ** (3 - in_bits) + 3 * 2.0**-out_bits + 2.0 ** -WIDTHS[fmt][1]
    normal = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    assert np.abs(to_float32(floats.gate(words, fmt, "gelu"), fmt) - normal).max() < allowed
    assert np.abs(to_float32(floats.gate(words, fmt, "silu"), fmt) - 1 / (1 + np.exp(-x))).max() < allowed


def _blocks(count, size, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, size)).astype(np.float32) * 2.0 ** rng.integers(-20, 20, (count, 1))
    x[::3] = np.rint(x[::3] * 8) / 8  # ties
    x[::17, ::2] = 0
    return x.astype(np.float32)


@pytest.mark.parametrize(
    ("scheme", "encoder"), [("mxfp4.floor", blocks.mx_e2m1), ("mxfp8.e4m3.floor", blocks.mx_e4m3)]
)
def test_microscaling_is_the_quantizers(scheme, encoder):
    x = _blocks(2000, 32)
    made = hwsim.quantize(x, scheme)
    words = x.view(np.uint32).astype(np.uint64)
    largest = np.zeros(len(x), np.uint64)
    for column in words.T:
        largest = blocks.larger_magnitude(largest, column)
    scale = blocks.mx_scale(largest, "e2m1" if "fp4" in scheme else "e4m3")
    assert np.array_equal(scale, made.scales.reshape(-1))
    codes = encoder(words.reshape(-1), np.repeat(scale, 32))
    assert np.array_equal(codes.reshape(x.shape), made.codes)


def test_nvfp4_scales_are_a_sixth_rounded_once():
    x = _blocks(400, 1)[:, 0]
    x = np.abs(
        np.concatenate([x, np.array([6, 3, 0, 2688, 1e9, 6 * 2**-9, 3 * 2**-9, 1e-30, 6.75, 6.375], np.float32)])
    )
    found = blocks.nvfp4_scale(x.view(np.uint32).astype(np.uint64))
    exact = formats.get("e4m3")
    values = exact.values[:127].astype(np.float64)
    for amount, code in zip(x, found, strict=True):
        quotient = Fraction(float(amount)) / 6
        distance = [abs(Fraction(float(value)) - quotient) for value in values]
        nearest = [i for i, one in enumerate(distance) if one == min(distance)]
        assert int(code) == next((i for i in nearest if i % 2 == 0), nearest[0])


def test_nvfp4_elements_are_quotients_rounded_once():
    rng = np.random.default_rng(0)
    scale = rng.integers(0, 127, 4000)
    values = formats.get("e4m3").values.astype(np.float64)
    near = values[scale] * rng.choice([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, 7.0, 0.1], 4000)
    x = np.where(rng.random(4000) < 0.5, near, near * rng.uniform(0.9, 1.1, 4000)).astype(np.float32)
    x *= rng.choice([-1, 1], 4000)
    found = blocks.nvfp4_e2m1(x.view(np.uint32).astype(np.uint64), scale.astype(np.uint64))
    magnitudes = [Fraction(v) for v in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]
    for amount, code, byte in zip(x, found, scale, strict=True):
        own = int(code) & 7
        assert int(code) >> 3 == int(np.signbit(amount))
        if byte == 0:
            assert own == 0
            continue
        quotient = abs(Fraction(float(amount))) / Fraction(float(values[byte]))
        distance = [abs(one - quotient) for one in magnitudes]
        nearest = [i for i, one in enumerate(distance) if one == min(distance)]
        assert own == next((i for i in nearest if i % 2 == 0), nearest[0])


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_exaq_codes_are_those_of_the_softmax_unit(bits):
    x = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32) * 2
    unit = hwsim.datapaths.softmax(bits)
    clip = unit.clip_value(x)
    # the unit's steps: x - max, + (-C), times (2^b - 1) / -C, to the nearest code
    y = x - x.max(axis=1, keepdims=True)
    scaled = (np.maximum(y, clip) - clip) * np.float32(((1 << bits) - 1) / -clip)
    assert scaled.dtype == np.float32
    codes = blocks.round_code(scaled.reshape(-1).view(np.uint32).astype(np.uint64), bits)
    assert np.array_equal(codes.reshape(x.shape), unit.codes(x, clip))
    below = np.array([-0.5, -3.0, 0.5, 1.5, 2.5, 99.0], np.float32)
    assert blocks.round_code(below.view(np.uint32).astype(np.uint64), 2).tolist() == [0, 0, 0, 2, 2, 3]
