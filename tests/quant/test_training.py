"""MS-EDEN, double blocks and QuEST: kernels against the slow definitions, and what their papers claim."""

from dataclasses import replace

import numpy as np
import pytest

from hwsim import formats, quant
from hwsim.errors import ArgumentError
from hwsim.quant import reference_training as reference
from hwsim.quant.random_bits import random_words
from hwsim.quant.training import (
    quantize_double_block,
    quantize_eden,
    quantize_quest,
    quantize_three_quarters,
)

F = np.float32


def hard(seed, rows, length):
    """Rows of normals, log-normals, ties of E2M1, tiny, huge and empty blocks, and zeros of both signs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, length)).astype(F)
    x[1] *= np.exp(3 * rng.standard_normal(length)).astype(F)
    x[2] = rng.choice([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, -0.25, -5.0, 0.0, -0.0], length)
    x[3, :16] = 0
    x[3, 16:32] = 1e-30
    x[4] *= F(1e30)
    x[4, ::3] *= F(1e-36)
    x[5] = 0
    return x


def same(found, wanted):
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize(("override", "group"), [(reference.EDEN_OVERRIDE, 32), (17 / 16, 32), (1.0, 128)])
def test_eden_is_its_definition(override, group):
    x = hard(0, 8, 256)
    words = random_words(7, 8 * 16).reshape(8, 16)
    same(quantize_eden(x, seed=7, override=override, group=group), reference.eden(x, words, override, group))
    same(quantize_eden(x[5:6], seed=7), x[5:6])


def test_double_blocks_are_their_definition():
    for length in (256, 200):
        x = hard(1, 8, length)
        same(quantize_double_block(x), reference.double_block(x))
        words = random_words(9, x.size).reshape(x.shape)
        same(quantize_double_block(x, seed=9), reference.double_block(x, words))


def test_three_quarters_is_its_definition():
    x = hard(6, 8, 128)
    x[6] = 2.0 ** np.arange(-64, 64)  # exact powers of two, where floor and ceiling of an exponent part
    x[7, ::2] = np.nextafter(x[6, ::2], F(0))
    words = random_words(3, x.size).reshape(x.shape)
    same(quantize_three_quarters(x, seed=3), reference.three_quarters(x, words))


def test_quest_is_its_definition():
    x = hard(2, 8, 128)
    x[4] *= F(1e-15)  # its squares stay finite in float32, as the source has them
    values, kept = quantize_quest(x)
    wanted, mask = reference.quest(x)
    same(values, wanted)
    np.testing.assert_array_equal(kept, mask)
    assert 0 < (~kept).mean() < 0.1


def test_every_value_of_eden_is_e2m1_times_e4m3_times_one_scale():
    x = np.random.default_rng(3).standard_normal((4, 64)).astype(F)
    s_dec = F(np.abs(x).max() / F(255.99) / F(6 / reference.EDEN_OVERRIDE))
    table = formats.get("e4m3").values[1:127]  # positive, without NaN
    products = {F(F(q * s) * s_dec) for q in reference.LEVELS for s in table}
    assert {abs(value) for value in quantize_eden(x, seed=1).reshape(-1)} <= products


def _mean_error(quantize, x, draws):
    """Relative distance of the mean of `draws` quantizations from x, that which an unbiased one of their variance
    would have, and the gain <mean, x> / <x, x>."""
    total, square = np.zeros(x.shape), 0.0
    for draw in range(draws):
        value = quantize(draw).astype(np.float64)
        total += value
        square += ((value - x) ** 2).sum()
    mean, power = total / draws, (x.astype(np.float64) ** 2).sum()
    expected = np.sqrt(square / draws / draws / power)
    return np.sqrt(((mean - x) ** 2).sum() / power), expected, (mean * x).sum() / power


def test_eden_is_unbiased_under_redrawn_signs_and_clipped_stochastic_rounding_is_not():
    """With 600 draws of 64 x 128 elements the mean of an unbiased quantizer lies at its expected distance within a
    few parts in a thousand: 8,192 squared errors, so sqrt(2 / 8192) / 2 = 0.8 %; 5 % are six deviations."""
    x = np.random.default_rng(4).standard_normal((64, 128)).astype(F)

    def eden(draw):
        signs = 1.0 - 2.0 * (random_words(draw, 32, stream=1) & 1)
        return quant.hadamard(quantize_eden(quant.hadamard(x, 32, signs), seed=draw), 32, signs, inverse=True)

    error, expected, gain = _mean_error(eden, x, 600)
    assert error == pytest.approx(expected, rel=0.05)
    assert gain == pytest.approx(1.0, abs=1e-3)
    error, expected, gain = _mean_error(lambda draw: quantize_double_block(x, seed=draw), x, 600)
    assert error > 1.3 * expected
    # its bias is what it clips: E4M3 to nearest lets the largest element of a block reach 6.375
    wide, blocks = np.abs(x).max(axis=1, keepdims=True), x.reshape(64, 8, 16)
    outer = np.repeat(wide / F(448) / F(6), 8, axis=1)[:, :, None]
    scale = outer * _e4m3(np.abs(blocks).max(axis=2, keepdims=True) / outer / F(6))
    clipped = np.clip(blocks, -6 * scale, 6 * scale).astype(np.float64)
    assert gain == pytest.approx((clipped * blocks).sum() / (blocks.astype(np.float64) ** 2).sum(), abs=3e-4)
    assert gain == pytest.approx(0.9973, abs=3e-4)


def test_three_quarters_after_the_rule_are_unbiased_and_before_it_are_not():
    x = np.random.default_rng(5).standard_normal((64, 128)).astype(F)
    error, expected, gain = _mean_error(lambda draw: quantize_three_quarters(x, seed=draw), x, 600)
    assert error == pytest.approx(expected, rel=0.05)
    assert gain == pytest.approx(1.0, abs=1e-3)
    floor = replace(quant.get("mxfp4.floor"), name="sr", rounding="sr", sr_bits=24)
    quarter = F(0.75)
    before = _mean_error(lambda draw: quant.fake_quantize(x * quarter, floor, seed=draw) / quarter, x, 600)
    assert before[2] < 0.99


def _e4m3(values):
    form = formats.get("e4m3")
    return form.decode(form.encode(values))


def test_what_cannot_be_quantized_is_refused():
    with pytest.raises(ArgumentError, match=r"the last axis must be a multiple of 32, got \(2, 48\)"):
        quantize_eden(np.zeros((2, 48), F), seed=0)
    with pytest.raises(ArgumentError, match="group must be a multiple of 16, got 24"):
        quantize_eden(np.zeros((2, 48), F), seed=0, group=24)
    with pytest.raises(ArgumentError, match="x must be finite, got inf"):
        quantize_quest(np.full((1, 32), np.inf, F))
