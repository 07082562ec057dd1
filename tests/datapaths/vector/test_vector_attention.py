"""Online softmax against the whole one, EXAQ against its unit, and both against the recipes' counts."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.datapaths.vector import recipe
from hwsim.datapaths.vector.attention import exaq_softmax, online_softmax
from hwsim.datapaths.vector.operators import encode, run
from hwsim.errors import ArgumentError
from hwsim.rtl.float_adders import to_float32

N, BLOCK = 64, 16


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _joined(p, factors, inverse):
    """Probabilities: every block times the factors of the blocks behind it, times the reciprocal."""
    later = np.cumprod(np.concatenate([np.ones_like(factors[:, :1]), factors[:, :0:-1]], axis=1), axis=1)[:, ::-1]
    return p * np.repeat(later, p.shape[1] // factors.shape[1], axis=1) * inverse[:, None]


# the errors of a whole softmax (test_vector_operators), and one more product a block
@pytest.mark.parametrize(("fmt", "allowed"), [("fp16", 0.006), ("bf16", 0.06), ("fp32", 2e-6)])
def test_blocks_add_up_to_the_whole_softmax(fmt, allowed, rng):
    words = encode(rng.standard_normal((50, N)) * 2, fmt)
    made = online_softmax(fmt, words, BLOCK)
    numbers = [to_float32(v, fmt).astype(np.float64) for v in (made.p, made.factors, made.inverse)]
    assert np.abs(_joined(*numbers) - _softmax(to_float32(words, fmt).astype(np.float64))).max() < allowed
    uses = {name: count / words.size for name, count in made.uses.items()}
    assert uses == pytest.approx(recipe("online_softmax", fmt).uses(N, BLOCK))


def test_blocks_of_codes_add_up_to_the_whole_softmax(rng):
    codes = np.clip(np.rint(rng.standard_normal((50, N)) * 32), -128, 127).astype(np.int64)
    made = online_softmax("pwl8", codes, BLOCK)
    r, place = made.inverse
    found = _joined(made.p / 4096, made.factors / 4096, 4096 * r / 2.0 ** (place + 9))
    assert np.abs(found - _softmax(codes / 16)).max() < 0.012
    uses = {name: count / codes.size for name, count in made.uses.items()}
    assert uses == pytest.approx(recipe("online_softmax", "pwl8").uses(N, BLOCK))


def test_one_block_is_the_softmax_without_its_division():
    # scores 0 and -16 in 16ths: 4096 and 1512 as in the whole softmax; no factor but the first
    made = online_softmax("pwl8", np.array([[0, -16]]), 2)
    assert made.p.tolist() == [[4096, 1512]]
    r, place = made.inverse
    assert (place.tolist(), r.tolist()) == ([12], [374])  # 5608 = 2^12 x 1.369; 512 / 1.369 = 374
    # two blocks: the second raises the maximum by one, e^-1: what came before counts 1512 / 4096
    late = online_softmax("pwl8", np.array([[-16, 0]]), 1)
    assert (late.p.tolist(), late.factors.tolist()[0][1]) == ([[4096, 4096]], 1512)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_exaq_is_its_unit(bits, rng):
    x = (rng.standard_normal((50, N)) * 2).astype(np.float32)
    unit = hwsim.datapaths.softmax(bits)
    clip = unit.clip_value(x)
    found, uses = exaq_softmax(bits, x, float(clip))
    expected = unit.apply(x, clip_value=clip) * np.float32(256)
    # the table's reciprocal is within two ulps of float32; a tie may fall to either side
    assert np.abs(found - np.minimum(expected, 255)).max() <= 0.5 + 1e-3
    assert {name: count / x.size for name, count in uses.items()} == recipe("softmax", f"exaq{bits}").uses(N, N)


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match=r"^online_softmax: block must divide 64, got 10$"):
        online_softmax("pwl8", np.zeros((1, 64), np.int64), 10)
    with pytest.raises(ArgumentError, match=r"^exaq_softmax: a row must be a multiple of 4 long, got 6$"):
        exaq_softmax(2, np.zeros((1, 6), np.float32), -5.0)


def test_online_and_whole_agree_on_a_single_block(rng):
    words = encode(rng.standard_normal((8, N)), "fp32")
    made = online_softmax("fp32", words, N)
    whole, _ = run("softmax", "fp32", words)
    product, _ = run("mul", "fp32", made.p, np.broadcast_to(made.inverse[:, None], made.p.shape))
    assert np.array_equal(product, whole)
