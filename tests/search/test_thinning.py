"""Sets of designs that the model cannot tell apart, on fronts where each pair can be calculated by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.errors import ArgumentError
from hwsim.search import thinned
from hwsim.search.thinning import stands_for

from .test_query import point, study

EDGE = Path(__file__).resolve().parents[2] / "reports" / "edge-lm"


def own(number, energy, latency, error=0.1):
    """A design of 1 mm² whose energy errs on its own."""
    return point(number, energy, 1.0, latency, causes={"products": {f"own {number}": error}})


def numbers(sets):
    return [(one.design.number, [other.number for other in one.others]) for one in sets]


def test_energies_within_their_error_are_one_design():
    """100 and 110 µJ err by 0.1 each: ln 1.1 / 0.141 is 0.67 standard deviations; 200 to 110: 4.2. Each takes more
    energy and less time, so all three are on the front; the faster of the two that are alike stands for both."""
    made = study(own(0, 100.0, 3.0), own(1, 110.0, 2.0), own(2, 200.0, 1.0))
    assert [one.number for one in made.front] == [0, 1, 2]
    assert numbers(thinned(made)) == [(1, [0]), (2, [])]


def test_a_shared_cause_tells_close_energies_apart():
    causes = {"products": {"node": 0.5}}
    made = study(*(point(n, e, 1.0, t, causes=causes) for n, e, t in ((0, 100.0, 3.0), (1, 103.0, 2.0))))
    assert numbers(thinned(made)) == [(0, []), (1, [])]


def test_what_is_exact_counts_as_equal_within_a_stated_part():
    made = study(own(0, 100.0, 1.005), own(1, 200.0, 1.0))
    assert numbers(thinned(made)) == [(0, [1])]  # half a percent of time against half of the energy
    assert numbers(thinned(made, within=0.0)) == [(0, []), (1, [])]
    with pytest.raises(ArgumentError, match=r"thinned\.within: must be a part, 0 or more, got -1"):
        thinned(made, within=-1)


def test_an_objective_to_be_large_is_better_large():
    goals = {"tokens_s": "max", "energy_uj": "min"}
    made = study(own(0, 100.0, 3.0), own(1, 110.0, 2.0))
    made = dataclasses.replace(made, manifest=made.manifest | {"objectives": list(goals), "goals": goals})
    assert numbers(thinned(made)) == [(1, [0])]


def test_the_committed_front_is_covered_once_by_designs_that_nothing_surely_beats():
    made = hwsim.load_study(EDGE)
    sets = made.thinned()
    held = [one.number for group in sets for one in (group.design, *group.others)]
    assert sorted(held) == sorted(one.number for one in made.front)
    assert len(sets) < len(made.front)
    for group in sets:
        for other in group.others:
            for what, column in (("energy_pj", "energy_uj"), ("area_um2", "area_mm2")):
                assert made.probability_less(other, group.design, what) < 0.95 + 0.015, column
            for column in ("latency_ms", "bits_per_byte"):
                assert group.design.values[column] <= other.values[column] * 1.01
    matrix = stands_for(made, made.front, 0.01)
    assert matrix.sum() > len(held)


def test_the_fewest_stand_for_all_that_are_left():
    """#1 and #2 stand for each other and #0; #3 and #4 for each other alone. What is covered no longer counts."""
    made = study(
        own(0, 100.0, 3.0), own(1, 104.0, 2.5), own(2, 108.0, 2.0), own(3, 300.0, 1.5), own(4, 310.0, 1.0)
    )  # fmt: skip
    assert numbers(thinned(made)) == [(2, [0, 1]), (4, [3])]


def test_designs_that_are_gone_make_no_set_larger(monkeypatch):
    """#4 stands for three others, of which #0 has two already: #5 stands for more of those that are left."""
    covers = np.eye(8, dtype=np.bool_)
    for design, others in {0: (1, 2, 3), 4: (1, 2, 6), 5: (6, 7)}.items():
        covers[design, list(others)] = True
    monkeypatch.setattr("hwsim.search.thinning.stands_for", lambda *_: covers)
    made = study(*(own(number, 100.0 * (number + 1), 8.0 - number) for number in range(8)))
    assert numbers(thinned(made)) == [(0, [1, 2, 3]), (4, []), (5, [6, 7])]


def test_a_study_without_a_front_has_no_sets():
    assert thinned(study()) == ()
