"""The study of seeds: what it counts, by hand, and a quick run."""

from __future__ import annotations

import itertools

import pytest

from hwsim.report.studies import draw
from hwsim.search.space_file import load_space
from hwsim.studies import run, seeds
from hwsim.studies.seeds import common, play
from hwsim.studies.seeds_spaces import SPACES, Table, restricted

SPACE = restricted(*SPACES["memories"])
COSTS = {(0,): (1.0, 4.0), (1,): (2.0, 2.0), (2,): (4.0, 1.0), (3,): (4.0, 4.0), (4,): None}
TABLE = Table(SPACE, COSTS, (((0,), (1,)), ((2,),)))


def test_a_share_is_of_the_exact_front():
    """In logarithms 1, 2 and 4 are 0, half and 1: the front dominates the quarter that (2, 2) does, and no more."""
    assert TABLE.front == {(0,), (1,), (2,)}
    assert TABLE.share([(1,)]) == 1.0
    assert TABLE.share([(0,), (3,)]) == 0.0
    assert TABLE.share([(4,)]) == 0.0


def test_what_all_seeds_have_is_counted_by_design_and_by_set():
    """The first set's first design is missing in the second run, which has the other of that set."""
    assert common([{(0,), (2,)}, {(1,), (2,)}], TABLE) == (1 / 2, 1.0)
    assert common([{(0,)}, {(0,), (2,)}], TABLE) == (1 / 2, 1 / 2)


def test_the_spaces_are_restrictions():
    sizes = {name: restricted(*one).size for name, one in SPACES.items()}
    # arithmetics (2 of nvfp4, 3 others, 4 each of int8 and int4) times arrays, dataflows, clocks and supplies
    assert sizes["arrays"] == (2 + 3 + 4 + 4) * 3 * 3 * 3 * 5 * 3
    assert sizes["memories"] == 4 * 2 * 2 * 5 * 3 * 3 * 2 * 2 * 2
    assert sizes["numerics"] == 4 * 2 * 2 * 2 * 3 * 3 * 3 * 2 * 2
    for of, kept in SPACES.values():
        whole = {knob.name: set(knob.values) for knob in load_space(of).parameters}
        for knob in restricted(of, kept).parameters:
            assert set(knob.values) <= whole[knob.name]


@pytest.mark.parametrize("search", ["random", "NSGA-II"])
def test_a_search_tries_different_designs_and_ends_with_the_budget(search):
    small = restricted(
        "edge-lm",
        SPACES["memories"][1]
        | {"unit": ("int8",), "clock_ghz": (0.4,), "activation_kib": (32,), "weight_kib": (32,)},
    )
    sizes = [range(len(knob.values)) for knob in small.parameters]
    every = {Table(small, {}, ()).canonical(places) for places in itertools.product(*sizes)}
    costs = {places: (float(at), float(-at), 1.0, 1.0) for at, places in enumerate(sorted(every))}
    tried = play(search, 0, Table(small, costs, ()), 20)
    assert len(tried) == len(set(tried)) == 20
    assert set(tried) <= set(costs)


def test_a_quick_study_leaves_its_page_and_its_figure(tmp_path):
    page = run("seeds", tmp_path, quick=True)
    assert "Made by `hwsim study seeds`." in page.read_text()
    assert draw(tmp_path).is_file()
    runs = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(runs) == 1 + sum(seeds.QUICK.seeds.values())
