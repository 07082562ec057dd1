"""Hypervolume against counting cells of a grid, which is exact where every coordinate lies on it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.search.volume import Box, added, box_of, hypervolume


def counted(points: np.ndarray, cells: int) -> float:
    """Part of the cells of a grid whose lower corner some point dominates."""
    corners = np.array(list(itertools.product(range(cells), repeat=points.shape[1]))) / cells
    return float((points[None, :, :] <= corners[:, None, :] + 1e-12).all(axis=2).any(axis=1).mean())


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("designs", [0, 1, 2, 7, 20])
def test_it_is_the_count_of_cells(objectives, designs, rng):
    points = rng.integers(0, 9, (designs, objectives)) / 8  # ties, edges and dominated points among them
    assert hypervolume(points) == pytest.approx(counted(points, 8) if designs else 0.0, abs=1e-12)


def test_what_a_design_adds_is_the_difference(rng):
    points = rng.integers(0, 9, (12, 3)) / 8
    for place in range(12):
        before = hypervolume(points[:place])
        assert added(points[:place], points[place]) == pytest.approx(
            hypervolume(points[: place + 1]) - before, abs=1e-12
        )


def test_a_box_scales_by_logarithm_where_costs_are_positive():
    box = box_of(np.array([[1.0, -3.0, 7.0], [100.0, 1.0, 7.0]]))
    assert box == Box((1.0, -3.0, 7.0), (100.0, 1.0, 14.0), (True, False, True))
    np.testing.assert_allclose(box.scaled(np.array([10.0, -1.0, 7.0])), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(box.scaled(np.array([0.0, 9.0, 700.0])), [0.0, 1.0, 1.0])
    with pytest.raises(ArgumentError, match="a box needs designs with finite costs, got '0 designs'"):
        box_of(np.empty((0, 2)))


def test_an_objective_that_reaches_zero_is_no_logarithm():
    """Half of 0..2 is half of the box; half of 1..4 by logarithm is 2; below zero none is taken either."""
    box = box_of(np.array([[0.0, 1.0, -4.0], [2.0, 4.0, 4.0]]))
    assert box.log == (False, True, False)
    assert box.scaled(np.array([1.0, 2.0, 0.0])).tolist() == [0.5, 0.5, 0.5]
