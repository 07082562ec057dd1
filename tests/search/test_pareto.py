"""The front against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.search.pareto import front, knee


def _by_definition(costs):
    chosen = []
    for index, row in enumerate(costs):
        beaten = any((other <= row).all() and (other < row).any() for other in costs)
        again = any((other == row).all() for other in costs[:index])
        chosen.append(not beaten and not again)
    return np.array(chosen)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("levels", [3, 1000])
def test_front_is_the_definition_also_with_ties(rng, objectives, levels):
    costs = rng.integers(0, levels, (200, objectives)).astype(float)
    assert np.array_equal(front(costs), _by_definition(costs))


def test_nan_is_never_on_the_front_and_empty_is_empty():
    assert front(np.array([[np.nan, 0.0], [1.0, 1.0]])).tolist() == [False, True]
    assert front(np.empty((0, 3))).tolist() == []


def test_knee_is_the_point_nearest_to_the_ideal_in_scaled_logarithms():
    assert knee(np.array([[1.0, 100.0], [3.0, 3.0], [100.0, 1.0]])) == 1
    # each objective by its own span: in decades the middle one lies at (0.48, 0.25) of both, the last at (1, 0)
    assert knee(np.array([[1.0, 1e6], [3.0, 30.0], [10.0, 1.0]])) == 1
    # by logarithms (60, 1.5) lies at (0.89, 0.09), 0.80, and (20, 20) at (0.65, 0.65), 0.85; linearly it is far off
    assert knee(np.array([[1.0, 100.0], [20.0, 20.0], [60.0, 1.5], [100.0, 1.0]])) == 2
