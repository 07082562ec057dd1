"""Oscillating weights, leading directions, saved activations: against sums, LAPACK's SVD and torch's derivatives."""

import numpy as np
import pytest
import torch

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant.low_rank import joined, leading
from hwsim.quant.oscillation import Movement, at_bin_edge
from hwsim.quant.saved import (
    GROUP,
    derivative_codes,
    derivative_levels,
    derivative_points,
    group_codes,
    group_values,
)

F = np.float32


def test_a_weight_that_crosses_a_border_oscillates_and_one_that_walks_does_not():
    def rounded(w):
        return np.rint(w)

    path = [np.array([0.5 + 0.01 * (-1) ** t, 0.1 * t, 3.0], F) for t in range(11)]
    movement = Movement.start(path[0], rounded(path[0]))
    for weight in path[1:]:
        movement = movement.moved(weight, rounded(weight))
    steps = np.abs(np.diff(np.array(path), axis=0)).sum(axis=0)
    np.testing.assert_allclose(movement.distance, steps, rtol=1e-5)
    np.testing.assert_array_equal(movement.distance_quantized, [10, 1, 0])  # ten crossings, one, none
    np.testing.assert_array_equal(movement.oscillates(8), [True, False, False])  # 10 / 0.2, 1 / 1, 0 / 0
    np.testing.assert_array_equal(movement.oscillates(0.5), [True, True, False])


def test_the_edge_of_a_bin_is_where_two_codes_meet():
    """0.2499 lies 0.2499 from 0, whose bin the source makes 0.5 wide: 0.49980 of it, beyond 0.495; 4.9 of a width
    of 1.5 lies 0.9 / 1.5 = 0.6 from 4; 2.1 lies 0.1 / 0.75 = 0.13 from 2."""
    scale = F(2)
    weight = np.array([0.2499, 4.9, 2.1, -0.2499, -6.0], F) * scale
    quantized = np.array([0.0, 4.0, 2.0, -0.0, -6.0], F) * scale
    np.testing.assert_array_equal(at_bin_edge(weight, quantized, scale), [True, True, False, True, False])


def test_leading_directions_are_those_of_the_svd():
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    right, _ = np.linalg.qr(rng.standard_normal((24, 24)))
    values = np.concatenate([[100, 50, 20], np.linspace(1, 0.1, 21)])
    x = ((left[:, :24] * values) @ right.T).astype(F)
    u, s, v = leading(x, 3, iterations=6, seed=1)
    np.testing.assert_allclose(s, [100, 50, 20], rtol=1e-4)
    np.testing.assert_allclose(joined(u, s, v), (left[:, :3] * values[:3]) @ right[:, :3].T, atol=2e-3)
    again = leading(x, 3, start=v, iterations=1)
    np.testing.assert_allclose(again[1], s, rtol=1e-5)
    # what Metis is for: the residual alone has a scale of its own
    whole = np.abs(quant.fake_quantize(x, "int4.tensor") - x).mean()
    rest = x - joined(u, s, v)
    split = np.abs(joined(u, s, v) + quant.fake_quantize(rest, "int4.tensor") - x).mean()
    assert split < 0.1 * whole
    with pytest.raises(ArgumentError, match=r"rank must lie in 1\.\.24, got 25"):
        leading(x, 25)
    with pytest.raises(ArgumentError, match=r"start must be of shape \(24, 3\), got \(3, 24\)"):
        leading(x, 3, start=v.T)


@pytest.mark.parametrize("curve", ["gelu", "silu"])
def test_a_saved_derivative_is_the_nearest_of_sixteen_levels(curve):
    function = {"gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}[curve]

    def derivative(x):
        tensor = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(function(tensor).sum(), tensor)[0].numpy()

    levels, points = derivative_levels(curve), derivative_points(curve)
    np.testing.assert_allclose(derivative(points), levels, atol=1e-6)
    dense = np.linspace(-20, 20, 40_001)
    assert levels[0] == pytest.approx(derivative(dense).min(), abs=1e-6)
    assert levels[-1] == pytest.approx(derivative(dense).max(), abs=1e-6)
    kept = derivative(points[derivative_codes(dense.astype(F), curve)])
    step = levels[1] - levels[0]
    assert np.abs(kept - derivative(dense)).max() < step / 2 + 8e-4  # the table's own step


def test_groups_of_sixteen_levels_hold_a_value_to_half_a_step():
    x = np.random.default_rng(2).standard_normal((3, 100)).astype(F)
    codes, least, step = group_codes(x)
    assert len(least) == len(step) == -(-300 // GROUP)
    found = group_values(codes, least, step).reshape(x.shape)
    groups = np.arange(300).reshape(x.shape) // GROUP
    assert (np.abs(found - x) <= step[groups] * 0.5001).all()
    assert found.max() == pytest.approx(x.max(), rel=1e-6)
    constant = np.full((2, 64), 7, F)
    np.testing.assert_array_equal(group_values(*group_codes(constant)).reshape(2, 64), constant)
