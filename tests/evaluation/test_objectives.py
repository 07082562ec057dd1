"""Limits of both directions, worked out by hand."""

from __future__ import annotations

import math

import pytest

from hwsim.errors import UnknownName
from hwsim.evaluation.objectives import MEASURES, Limit, limit, measure


def test_excess_by_hand():
    most = limit("area_mm2", {"max": 4.0}, "here")
    assert most.excess(5.0) == 0.25  # (5 - 4) / 4
    assert most.excess(4.0) == 0.0
    assert most.excess(1.0) == -0.75
    least = limit("tokens_s", {"min": 200}, "here")
    assert least.excess(150.0) == 0.25  # (200 - 150) / 200
    assert least.excess(300.0) == -0.5
    both = Limit("accuracy", -2.0, 2.0)
    assert both.excess(0.0) == -1.0
    assert both.excess(-3.0) == 0.5  # (-2 - -3) / 2
    assert most.excess(math.nan) == math.inf
    assert Limit("accuracy", 0.0).excess(-1.0) == 1.0  # a limit of zero counts in units of one


def test_a_limit_reads_as_it_was_meant():
    assert str(limit("area_mm2", {"max": 4}, "here")) == "area_mm2 ≤ 4"
    assert str(limit("tops_w", {"min": 1, "max": 2.5}, "here")) == "tops_w ≥ 1 and ≤ 2.5"


def test_names_and_columns_are_unique_and_found():
    assert len({one.name for one in MEASURES} | {one.column for one in MEASURES}) == 2 * len(MEASURES)
    assert measure("edp") is measure("edp_uj_ms")
    with pytest.raises(UnknownName, match="energy"):
        measure("energie")
