"""Weights by additions: the step is its formula, and the mean number of additions its budget."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant.pann_weights import quantize_additions


def test_by_hand():
    # ||w||_1 = 8 over 4 elements, R = 2: step 1
    codes = quantize_additions([1.0, -2.0, 0.5, 4.5], 2.0)
    assert float(codes.step) == 1.0
    assert codes.codes.tolist() == [1, -2, 0, 4]  # 0.5 and 4.5 are ties, to even
    assert codes.additions == 7 / 4
    assert codes.dequantize().tolist() == [1.0, -2.0, 0.0, 4.0]


@pytest.mark.parametrize("additions", [0.5, 1.17, 2.93, 7.5])
def test_mean_additions_are_the_budget(additions, rng):
    """|rint(v)| differs from |v| by at most 1/2, and the mean of |v| is R; for uniform weights far less."""
    normal = quantize_additions(rng.standard_normal((64, 256)).astype(np.float32), additions)
    assert abs(normal.additions - additions) <= 0.5
    # uniform on [-2R, 2R]: |w / step| has mean R; rounding adds mean error d (1 - d) / (4 R), d the part of 2R above
    # a half
    uniform = quantize_additions(np.linspace(-1, 1, 1 << 16, dtype=np.float32), 4.0)
    assert uniform.additions == pytest.approx(4.0, abs=1e-3)


def test_a_step_per_channel(rng):
    w = (rng.standard_normal((5, 128)) * np.array([[1], [1e3], [1e-6], [7], [0]])).astype(np.float32)
    whole = quantize_additions(w, 3.0, channel_axis=0)
    assert whole.step.shape == (5, 1)
    for row in range(5):
        alone = quantize_additions(w[row], 3.0)
        assert_array_equal(whole.codes[row], alone.codes)
        assert whole.step[row, 0] == alone.step
    assert not whole.codes[4].any()
    assert_array_equal(quantize_additions(w.T, 3.0, channel_axis=-1).codes, whole.codes.T)


def test_error_is_at_most_half_a_step(rng):
    w = rng.standard_normal(1000).astype(np.float32)
    codes = quantize_additions(w, 2.0)
    error = np.abs(codes.codes * codes.step.astype(np.float64) - w)
    assert error.max() <= float(codes.step) / 2 * (1 + 1e-12)  # the quotient is rounded once in float64


def message(call):
    with pytest.raises(ArgumentError) as caught:
        call()
    return str(caught.value)


def test_messages():
    assert message(lambda: quantize_additions([1.0], 0.0)) == "additions must be positive, got 0.0"
    assert message(lambda: quantize_additions([], 1.0)) == "w must have elements, got (0,)"
    assert message(lambda: quantize_additions([np.nan], 1.0)) == "w must be finite, got nan"
    absent = message(lambda: quantize_additions([1.0], 1.0, channel_axis=1))
    assert absent == "channel_axis must be an axis of 1, got 1"
    wide = np.full(10, 1e-30)
    wide[0] = 1.0
    beyond = message(lambda: quantize_additions(wide, 1e10))
    assert beyond == "integers must fit int32: fewer additions, or a step per channel, got 10000000000.0"


@pytest.mark.parametrize("additions", [0.5, 1.5, 8.0])
def test_a_machines_scheme_is_the_papers_quantizer(additions):
    weights = np.random.default_rng(3).standard_normal((48, 333)).astype(np.float32)
    weights[5] = 0
    scheme = quant.quantize(weights, f"pann.add{additions:g}")
    paper = quantize_additions(weights, additions, channel_axis=0)
    np.testing.assert_array_equal(scheme.codes.view(np.int8), paper.codes)
    alive = np.arange(48) != 5  # a channel of zeros has the scale 1 in every scheme
    np.testing.assert_array_equal(scheme.scales[alive], paper.step[alive])


def test_a_machines_scheme_saturates_where_the_paper_does_not_clip():
    weights = np.ones((1, 1000), np.float32)
    weights[0, 0] = 1000
    scheme, paper = quant.quantize(weights, "pann.add8"), quantize_additions(weights, 8.0, channel_axis=0)
    assert (scheme.codes.view(np.int8)[0, 0], paper.codes[0, 0]) == (127, 4002)  # 1000 * 8 * 1000 / 1999
