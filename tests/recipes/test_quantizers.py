"""Quantizers and other parts of recipes: what they hand on, what they remember, what they refuse."""

import numpy as np
import pytest
import torch

from hwsim import quant, recipes
from hwsim.errors import ArgumentError
from hwsim.recipes import Draw, Operand, Quantizer
from hwsim.recipes.parts import ExaqSoftmax, FourBitSaver, HotChannels, OsciReset
from hwsim.recipes.quantizers import (
    Cache,
    DoubleBlock,
    Eden,
    LowRank,
    Luq,
    PresetAmax,
    Quest,
    Sawb,
    ThreeQuarters,
    ZerosStay,
)

F = np.float32
QUANTIZERS = [
    Eden(), DoubleBlock(), DoubleBlock(True), Quest(), ThreeQuarters(), PresetAmax("nvfp4.te"), Luq(), Luq(samples=2),
    Luq(eta=0.1), Sawb(), LowRank(rank=4), LowRank("nvfp4.te_sr", 4), Cache("int4.channel", "rows", "tokens", 2),
]  # fmt: skip


def draw(seed=1, step=0, memory=None):
    return Draw(seed, 0, "layer", "wgrad", step, memory)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda q: q.name)
def test_a_quantizer_keeps_its_word(quantizer):
    x = normal(48, 64)
    kept = x.copy()
    assert isinstance(quantizer, Quantizer)
    assert Operand(quantizer).stochastic == quantizer.stochastic
    first, again, other = (quantizer.take(x, draw(seed)).values for seed in (1, 1, 2))
    assert (first.dtype, first.shape, first.flags.c_contiguous) == (F, x.shape, True)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (not quantizer.stochastic)
    assert np.abs(first - x).mean() < 0.4 * np.abs(x).mean()
    np.testing.assert_array_equal(quantizer.take(np.zeros((48, 64), F), draw()).values, 0)


def test_names_tell_what_decides_bits():
    names = [quantizer.name for quantizer in QUANTIZERS]
    assert len(set(names)) == len(names)
    assert Eden(1.0).name == "ms-eden.32.1"
    assert PresetAmax("nvfp4.te_2d").name == "nvfp4.te_2d.amax1"
    assert Luq(8, 2, 0.25).name == "luq.8.smp2.hindsight0.25"


def test_quest_pads_what_32_does_not_divide_and_hands_on_its_mask():
    x = normal(3, 40)
    x[:, 39] = 50
    taken = Quest().take(x, draw())
    wanted, kept = quant.quantize_quest(np.pad(x, ((0, 0), (0, 24))))
    np.testing.assert_array_equal(taken.values, wanted[:, :40])
    np.testing.assert_array_equal(taken.passed, kept[:, :40])
    assert not taken.passed[:, 39].any()


def test_a_preset_maximum_clips_beyond_itself_and_gives_codes():
    x = normal(4, 32)
    x[0, 0] = 9
    taken = PresetAmax("nvfp4.te").take(x, draw())
    np.testing.assert_array_equal(taken.values, quant.fake_quantize(x, "nvfp4.te", amax=1.0))
    assert taken.values[0, 0] == pytest.approx(1.0)  # 6 · 448 · (1 / 2688)
    np.testing.assert_array_equal(taken.quantized.dequantize(), taken.values)
    with pytest.raises(ArgumentError, match="scheme must have a tensor scale and round to nearest, got "):
        PresetAmax("mxfp4.rceil")


def test_a_tensor_of_zeros_stays_one_where_its_source_makes_nan():
    scheme = quant.get("nvfp4.fp4atw")
    zeros, x = np.zeros((4, 32), F), normal(4, 32)
    assert np.isnan(quant.fake_quantize(zeros, scheme)).all()
    taken = ZerosStay(scheme).take(zeros, draw())
    np.testing.assert_array_equal(taken.values, zeros)
    np.testing.assert_array_equal(taken.quantized.dequantize(), zeros)
    np.testing.assert_array_equal(ZerosStay(scheme).take(x, draw()).values, quant.fake_quantize(x, scheme))
    with pytest.raises(ArgumentError, match="scheme must have a tensor scale"):
        ZerosStay(quant.get("mxfp4.floor"))


def test_luq_takes_the_maximum_of_the_step_before():
    x = normal(8, 16)
    luq = Luq(eta=0.25)
    now = draw()
    measured = float(np.abs(x).max())
    np.testing.assert_array_equal(luq.take(x, now).values, Luq().take(x, draw()).values)
    assert now.kept == [pytest.approx(measured)]
    then = draw(memory=now.kept[0])
    values = luq.take(8 * x, then).values
    assert np.abs(values).max() == pytest.approx(measured)
    assert then.kept == [pytest.approx(0.75 * 8 * measured + 0.25 * measured)]


def test_sawb_is_its_line():
    x = normal(16, 64)
    clip = 12.1 * np.sqrt((x.astype(np.float64) ** 2).mean()) - 12.2 * np.abs(x.astype(np.float64)).mean()
    step = F(clip / 7)
    np.testing.assert_array_equal(Sawb().take(x, draw()).values, np.clip(np.round(x / step), -7, 7) * step)
    np.testing.assert_array_equal(Sawb().take(np.full((2, 8), -3, F), draw()).values, F(7) * F(-3 / 7))


def test_leading_directions_go_on_where_they_were():
    x = normal(64, 32) + 10 * normal(64, 1, seed=1) * normal(1, 32, seed=2)
    metis = LowRank(rank=2)
    first = draw()
    values = metis.take(x, first).values
    u, _, vt = np.linalg.svd(x)
    error, plain = values - x, quant.fake_quantize(x, "nvfp4.te") - x
    # what it is for: beside the one direction that holds 99 % of the power, less is lost
    inside, outside = (one - u[:, :1] @ (u[:, :1].T @ one) for one in (error, plain))
    inside, outside = (one - (one @ vt[:1].T) @ vt[:1] for one in (inside, outside))
    assert np.square(inside).sum() < 0.25 * np.square(outside).sum()
    # but U and V both round, and the residual does not know of it: more is lost along that direction
    assert np.square(error).sum() > 1.2 * np.square(plain).sum()
    again = draw(memory=first.kept[0])
    metis.take(x, again)
    alike = np.abs((again.kept[0][:, 0] * first.kept[0][:, 0]).sum())
    assert alike == pytest.approx(1, abs=1e-4)
    assert metis.take(normal(64, 16), draw(memory=first.kept[0])).values.shape == (64, 16)  # of another contraction


def test_a_cache_shares_scales_where_it_says_and_keeps_its_sinks():
    keys = normal(20, 8)  # tokens, channels
    by_channel = Cache("int4.channel", "rows", "tokens", 3).take(keys, draw()).values
    np.testing.assert_array_equal(by_channel[:3], keys[:3])
    for channel in range(8):
        step = np.abs(keys[:, channel]).max() / F(7)
        np.testing.assert_array_equal(by_channel[3:, channel], np.round(keys[3:, channel] / step) * step)
    values = np.ascontiguousarray(keys.T)  # channels, tokens
    by_token = Cache("int4.channel", "columns", "channels", 3).take(values, draw()).values
    np.testing.assert_array_equal(by_token[:, :3], values[:, :3])
    np.testing.assert_array_equal(by_token[:, 3:].T, quant.fake_quantize(keys, "int4.channel")[3:])
    with pytest.raises(ArgumentError, match="cache: tokens must be one of rows, columns, got 'cells'"):
        Cache("int4.channel", "cells")


def test_patched_channels_leave_the_product_of_their_residuals_alone():
    x, w = normal(24, 32), normal(16, 32, seed=1)
    x[:, 5] *= 40
    x_taken, w_taken = (quant.fake_quantize(one, "int4.tensor") for one in (x, w))
    left, right = HotChannels(1 / 32).columns(x, x_taken, w, w_taken, draw())
    assert left.shape == (24, 2)
    patched = x_taken @ w_taken.T + left @ right.T
    lost = np.linalg.norm(x - x_taken, axis=0) * np.linalg.norm(w, axis=0)
    hot = np.arange(32) == np.argmax(lost)
    second = ((x - x_taken) * hot) @ (w - w_taken).T
    cold = (x_taken * ~hot) @ w_taken.T
    exact = (x * hot) @ w.T
    np.testing.assert_allclose(patched, exact - second + cold, rtol=1e-4, atol=1e-4)
    every = HotChannels(1.0).columns(x, x_taken, w, w_taken, draw())
    whole = x_taken @ w_taken.T + every[0] @ every[1].T
    np.testing.assert_allclose(whole, x @ w.T - (x - x_taken) @ (w - w_taken).T, rtol=1e-4, atol=1e-3)


def test_a_low_bit_softmax_adds_up_to_one_and_drops_what_is_masked():
    scores = normal(6, 10)
    scores[:, 7:] = -np.inf
    p = ExaqSoftmax(3).apply(scores, draw())
    assert (p[:, 7:] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert len(np.unique(p[0] / p[0].max())) <= 9  # 2^3 levels and zero


@pytest.mark.parametrize(
    ("op", "function", "size"),
    [
        ("GeluBackward0", torch.nn.functional.gelu, 0.5),
        ("SiluBackward0", torch.nn.functional.silu, 0.5),
        ("ReluBackward0", torch.relu, 0.125),
    ],
)
def test_a_saved_nonlinearity_gives_its_derivative_in_few_bits(op, function, size):
    saver = FourBitSaver()
    assert saver.saves(op)
    assert not saver.saves("MmBackward0")
    x = 3 * normal(33, 65)
    packed, spent = saver.pack(op, x, draw())
    assert spent == np.ceil(x.size * size)
    stored = torch.tensor(saver.unpack(packed), requires_grad=True)
    exact = torch.tensor(x, requires_grad=True)
    found, wanted = (torch.autograd.grad(function(one).sum(), one)[0].numpy() for one in (stored, exact))
    levels = {"GeluBackward0": 2 * 1.128904 - 1, "SiluBackward0": 2 * 1.099839 - 1, "ReluBackward0": 0}[op]
    assert np.abs(found - wanted).max() <= levels / 15 / 2 + 8e-4


def test_a_saved_norm_keeps_groups_and_leaves_numbers_of_a_row():
    saver = FourBitSaver()
    x = normal(16, 128)
    packed, spent = saver.pack("NativeLayerNormBackward0", x, draw())
    assert spent == x.size // 2 + 16 * 8
    step = (x.max(axis=1) - x.min(axis=1))[:, None] / 15
    assert (np.abs(saver.unpack(packed) - x) <= 0.5001 * step).all()
    mean = normal(16, 1)
    packed, spent = saver.pack("NativeLayerNormBackward0", mean, draw())
    assert spent == 64
    np.testing.assert_array_equal(saver.unpack(packed), mean)


def test_weights_that_oscillate_are_reset_at_the_end_of_a_window():
    reset = OsciReset(start=0.5, period=20, window=10, threshold=8.0)
    operand, memory = Operand("int4.tensor"), None
    weight = np.array([[7.0, 0.5, 3.3]], F)  # 7 makes the step 1
    for step in range(101):
        weight[0, 1] = 0.5 + 0.01 * (-1) ** step
        weight[0, 2] = 3.3
        memory = reset.apply("layer", weight, operand, step, 100, memory)
        within = step >= 50 and (step - 50) % 20 < 10
        assert (memory is not None) == within
        if step >= 50 and (step - 50) % 20 == 10:
            assert weight.tolist() == [[7.0, 1.0 if step % 2 == 0 else 0.0, F(3.3)]]
    with pytest.raises(ArgumentError, match="layer: steps of the training must be known, got 0"):
        reset.apply("layer", weight, operand, 3, 0, None)
    with pytest.raises(ArgumentError, match="layer: weights must be quantized and not at random, got "):
        reset.apply("layer", weight, Operand("nvfp4.te_sr"), 60, 100, None)


def test_points_of_a_power_budget_cost_the_same():
    """24 flips an element: (R + 1/2) b."""
    for bits in (2, 3, 4, 5, 6, 7, 8):
        operand = recipes.get(f"pann-4-{bits}").layer.fprop.b
        assert (operand.scheme.additions + 0.5) * bits == pytest.approx(24)
