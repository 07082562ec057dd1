"""Clips against hand calculation, brute force and published values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim.errors import ArgumentError
from hwsim.quant.clipping import exaq_clip, exaq_deviation, least_error_clip, sawb_clip


def test_sawb_by_hand():
    # [3, -4]: rms = sqrt(12.5), mean magnitude 3.5
    assert sawb_clip([3.0, -4.0]) == pytest.approx(12.1 * 12.5**0.5 - 12.2 * 3.5, rel=1e-15)


def test_sawb_of_a_normal_distribution(rng):
    """rms 1 and mean sqrt(2 / pi): 12.1 - 12.2 * 0.797885 = 2.366, to the sampling error of 2^20 values."""
    x = rng.standard_normal(1 << 20)
    assert sawb_clip(x) == pytest.approx(12.1 - 12.2 * (2 / np.pi) ** 0.5, abs=0.05)


def error_of(x, clip, largest):
    step = clip / largest
    return float(((x - np.clip(np.rint(x / step), -largest, largest) * step) ** 2).sum())


def test_least_error_by_brute_force(rng):
    for scale in (1.0, 1e-20):
        x = (rng.standard_t(3, 500) * scale).astype(np.float32)
        wide = x.astype(np.float64)
        top = float(np.abs(wide).max())
        errors = [error_of(wide, top * i / 200, 7) for i in range(1, 201)]
        assert least_error_clip(x, 7) == pytest.approx(top * (int(np.argmin(errors)) + 1) / 200, rel=1e-15)


def test_least_error_of_a_normal_distribution(rng):
    """The best uniform quantizer of 15 levels for a normal distribution has a step near 0.35 (Max 1960)."""
    assert least_error_clip(rng.standard_normal(200_000), 7) == pytest.approx(7 * 0.353, abs=0.1)


def test_least_error_ties_go_to_the_larger_clip():
    # all of 7 = 1 * 7: clip 7 and its divisors by whole steps are exact too, the larger wins
    assert least_error_clip([7.0, -7.0], 7, candidates=4) == 7.0
    assert least_error_clip([0.0, 0.0], 7) == 0.0


def test_least_error_does_not_depend_on_threads(rng, monkeypatch):
    x = rng.standard_normal(1000)
    alone = least_error_clip(x, 7)
    monkeypatch.setenv("HWSIM_NUM_THREADS", "3")
    assert least_error_clip(x, 7) == alone


def test_exaq_lines():
    assert exaq_clip(2.0, 2, "gauss") == -1.66 * 2 - 1.85
    assert exaq_clip(2.0, 3, "gauss") == -1.75 * 2 - 2.06
    assert exaq_clip(2.0, 4, "gauss") == -1.83 * 2 - 2.27
    assert exaq_clip(0.5, 2, "laplace") == -4.01 * 0.5 - 1.77
    assert exaq_clip(0.5, 4, "laplace") == -6.82 * 0.5 - 0.15


@pytest.mark.parametrize(
    ("deviation", "published"),
    [
        (0.0, (0, 0, 0)),
        (1.01, (-3.183, -3.559, -3.91)),
        (2.02, (-4.311, -4.862, -5.414)),
        (10.0, (-5.213, -5.84, -6.491)),
    ],
)
def test_exaq_table(deviation, published):
    assert tuple(exaq_clip(deviation, bits, "table") for bits in (2, 3, 4)) == published


def test_exaq_table_between_and_beyond_its_rows():
    assert exaq_clip(0.505 + 0.505, 2, "table") == -3.183
    assert exaq_clip(0.15, 2, "table") == pytest.approx((-0.426 - 0.852) / 2, rel=1e-12)
    assert exaq_clip(1000.0, 4, "table") == -6.491


def test_exaq_table_and_line_disagree():
    apart = [abs(exaq_clip(s, 2, "table") - exaq_clip(s, 2, "gauss")) for s in np.linspace(0.9, 3.4, 251)]
    assert 2.5 < max(apart) < 2.75  # 2.6 by an earlier measurement


def test_exaq_deviation():
    y = np.array([0.0, -1.0, -2.0, -5.0])  # mean -2: squares 4 1 0 9, magnitudes 2 1 0 3
    assert exaq_deviation(y, "gauss") == (14 / 3) ** 0.5
    assert exaq_deviation(y, "table") == (14 / 3) ** 0.5
    assert exaq_deviation(y, "laplace") == 1.5


def message(call):
    with pytest.raises(ArgumentError) as caught:
        call()
    return str(caught.value)


def test_messages():
    assert message(lambda: exaq_clip(1.0, 3, "laplace")) == 'bits of rule "laplace" must be one of 2, 4, got 3'
    assert message(lambda: exaq_clip(1.0, 2, "best")) == "rule must be one of gauss, laplace, table, got 'best'"
    assert message(lambda: exaq_clip(-1.0, 2, "gauss")) == "deviation must be finite and not negative, got -1.0"
    assert message(lambda: exaq_deviation([1.0], "gauss")) == "a deviation needs two values or more, got 1"
    assert message(lambda: sawb_clip([])) == "x must have elements, got (0,)"
    assert message(lambda: sawb_clip([np.inf])) == "x must be finite, got inf"
    assert message(lambda: least_error_clip([1.0], 0)) == "largest and candidates must be at least 1, got (0, 200)"


def test_inputs_stay_untouched(rng):
    x = rng.standard_normal(50).astype(np.float32)
    before = x.copy()
    least_error_clip(x, 7)
    sawb_clip(x)
    assert_array_equal(x, before)
