"""What an integer unit of unequal operands is priced by: its registers, and the flips of three steps by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.cost.words import masked, multiplier_rows
from hwsim.gates.steps import Stream

NONE = np.zeros((3, 0), np.uint64)
A, B, SUMS = np.array([[3], [-2], [5]]), np.array([[1], [-3], [2]]), np.array([[0], [3], [9]])


def steps() -> Stream:
    """One dot product: 3·1, then (-2)·(-3), then 5·2."""
    begins, ends = np.array([True, False, False]), np.array([False, False, True])
    return Stream(masked(A, 8), masked(B, 4), NONE, NONE, masked(SUMS, 20), begins, ends, NONE)


@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 4), (4, 8)])
def test_each_operand_is_held_in_its_own_width(a_bits, b_bits):
    assert datapaths.integer(a_bits, b_bits, 20).price.registers == (a_bits, b_bits, 20, 0, 0.5 * 12)


@pytest.mark.parametrize(("overflow", "clamps"), [("wrap", 0.0), ("saturate", 1.0)])
def test_only_a_unit_that_saturates_moves_a_clamp(overflow, clamps):
    """The sums 3, 9, 19 flip 2 bits, then 3; the rows of the multiplier are those of the wider operand."""
    found = datapaths.integer(8, 4, 20, overflow=overflow).price.update_flips(steps())
    rows = multiplier_rows(masked(B, 4)[:, 0], masked(A, 8)[:, 0], 4, 8, True)
    assert found["sum"] == 2.5
    assert found["clamped"] == 2.5 * clamps
    assert rows.by_depth > 0
    assert found["clamped_by_width"] == rows.by_depth / 8 * 20 * clamps
