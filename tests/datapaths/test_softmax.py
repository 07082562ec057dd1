"""EXAQ's softmax unit against its definition in scalars, and against an exact softmax of the quantized scores."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.datapaths.softmax import reference_softmax
from hwsim.errors import ArgumentError


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 129])
def test_equals_the_definition(rng, bits, n):
    unit = datapaths.softmax(bits)
    x = (rng.standard_normal((9, n)) * 3).astype(np.float32)
    mask = rng.random((9, n)) < 0.7
    mask[0], mask[1] = False, True
    limit = np.float32(-4.25)
    steps = np.arange(n, dtype=np.float32) * limit / np.float32(2 * (1 << bits) - 2)
    x[1] = steps  # halfway between codes
    p = unit.apply(x, mask, limit)
    expected = [
        reference_softmax(row.tolist(), kept.tolist(), float(limit), bits) for row, kept in zip(x, mask, strict=True)
    ]
    np.testing.assert_array_equal(p.view(np.uint32), np.array(expected, np.float32).view(np.uint32))
    assert not p[0].any()


@pytest.mark.parametrize(("bits", "clip"), [(2, "gauss"), (3, "gauss"), (4, "table"), (2, "laplace"), (4, "laplace")])
def test_clip_follows_the_rule_or_the_least_score(rng, bits, clip):
    from hwsim.quant.clipping import exaq_clip, exaq_deviation

    unit = datapaths.softmax(bits, clip)
    x = (rng.standard_normal((4, 6, 64)) * 2).astype(np.float32)
    y = x - x.max(-1, keepdims=True)
    assert unit.clip_value(x) == np.float32(max(y.min(), exaq_clip(exaq_deviation(y, clip), bits, clip)))
    if clip == "table":  # its clips shrink with the deviation, the lines do not
        return
    tight = (x / 100).astype(np.float32)
    assert unit.clip_value(tight) == (tight - tight.max(-1, keepdims=True)).min()


def test_two_bit_codes_by_hand():
    # C = -3: step 1; -0.5 and -1.5 are ties and go to the even code: 2.5 -> 2 (level -1), 1.5 -> 2
    unit = datapaths.softmax(2)
    x = np.array([[5, 4.5, 3.5, 2.6, -20]], np.float32)
    assert unit.codes(x, np.float32(-3)).tolist() == [[3, 2, 2, 1, 0]]
    exponentials, sums = unit.tables(np.float32(-3))
    np.testing.assert_array_equal(exponentials, np.exp(np.array([-3.0, -2, -1, 0])).astype(np.float32))
    assert len(sums) == 256
    assert sums[0b11100100] == ((exponentials[3] + exponentials[2]) + exponentials[1]) + exponentials[0]


def test_masked_scores_do_not_count(rng):
    unit = datapaths.softmax(2)
    x = rng.standard_normal((5, 33)).astype(np.float32)
    infinite = x.copy()
    infinite[:, 20:] = -np.inf
    mask = np.arange(33) < 20
    np.testing.assert_array_equal(unit.apply(infinite), unit.apply(x, np.broadcast_to(mask, x.shape)))
    np.testing.assert_array_equal(unit.apply(infinite)[:, :20], unit.apply(np.ascontiguousarray(x[:, :20])))


def test_equal_scores_share_equally():
    p = datapaths.softmax(3).apply(np.full((2, 8), 7, np.float32))
    assert (p == 0.125).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_near_the_exact_softmax_of_the_levels(rng, bits):
    unit = datapaths.softmax(bits)
    x = rng.standard_normal((50, 200)).astype(np.float32)
    limit = unit.clip_value(x)
    levels = unit.codes(x, limit) * (-float(limit) / ((1 << bits) - 1)) + float(limit)
    exact = np.exp(levels) / np.exp(levels).sum(-1, keepdims=True)
    # 200 float32 additions and one division: at most 200 x 2^-24 relative, far less as errors average
    np.testing.assert_allclose(unit.apply(x), exact, rtol=200 * 2.0**-24)


def test_spec_states_the_unit():
    assert datapaths.softmax(4, "table").spec() == {"family": "softmax", "bits": 4, "clip": "table"}
    assert datapaths.softmax(2).name == "softmax2.gauss"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datapaths.softmax(5), "softmax: bits must be one of (2, 3, 4) with clip gauss, got 5"),
        (lambda: datapaths.softmax(3, "laplace"), "softmax: bits must be one of (2, 4) with clip laplace, got 3"),
        (lambda: datapaths.softmax(2, "grid"), "softmax: clip must be 'gauss', 'laplace' or 'table', got 'grid'"),
        (
            lambda: datapaths.softmax(2).apply(np.array([[np.nan]], np.float32)),
            "softmax: scores must be finite or -Inf",
        ),
        (
            lambda: datapaths.softmax(2).apply(np.zeros((1, 2), np.float32), clip_value=np.float32(1)),
            "softmax: clip_value must be finite and not positive, got 1.0",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message
