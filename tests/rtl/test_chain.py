"""A chain of multiply-adds: text = integers = gates, and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.rtl.chain import mac_chain


def test_a_chain_by_hand():
    unit = mac_chain(2, 4, 4, 8)
    # 3 x 2 + (-8) x 7 + 100 = 50; -8 is 8 as a word of four bits
    values = {"a": np.array([[3, 8]]), "b": np.array([[2, 7]]), "c": np.array([100])}
    values = {name: words.astype(np.uint64) for name, words in values.items()}
    assert unit.golden(values)["y"].tolist() == [50]


def test_text_and_gates_are_the_sum(text_mismatches, gate_mismatches, rng):
    unit = mac_chain(4, 6, 6, 16, "booth")
    vectors = unit.operands(rng, 10_000)
    assert text_mismatches(unit, vectors) == 0
    assert gate_mismatches(unit, vectors) == 0


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match=r"^mac_chain: count must be 2\.\.64, got 1$"):
        mac_chain(1)
    with pytest.raises(ArgumentError, match=r"^mac_chain: acc_bits must be 16\.\.63, got 12$"):
        mac_chain(acc_bits=12)
