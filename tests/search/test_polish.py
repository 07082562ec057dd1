"""Polishing on a space that is small enough to price every design of it."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.cost import Breakdown, Quantity, probability_less
from hwsim.errors import DesignError
from hwsim.search import load_space
from hwsim.search.explorer import Explorer
from hwsim.search.pareto import front
from hwsim.search.points import LOG, Point
from hwsim.search.space_file import space_from_dict
from hwsim.search.study import Study

from .test_explorer import SPACE, space  # noqa: F401 - a fixture


def _explore(path, trace, out, **options):
    return hwsim.explore(path, trace, trials=8, seed=3, out=out, **options)


@pytest.fixture
def every(space, tiny_trace, tmp_path):  # noqa: F811
    """Every design of the space, priced."""
    loaded = load_space(space)
    from hwsim.evaluation import Evaluator

    explorer = Explorer(loaded, {"tiny": Evaluator(tiny_trace)})
    points = {}
    for number, draw in enumerate(loaded.draws()):
        try:
            points[loaded.canonical(draw)] = explorer.evaluate(number, loaded.design(draw))
        except DesignError as error:
            points[loaded.canonical(draw)] = Point(number, loaded.canonical(draw), None, {}, reason=str(error))
    return loaded, points


def test_a_polished_front_holds_against_every_neighbour(every, space, tiny_trace, tmp_path):  # noqa: F811
    loaded, points = every
    study = _explore(space, tiny_trace, tmp_path / "run", budget=1000)
    members = study.front
    assert study.certificate["one_knob"] == study.certificate["designs"] == len(members)
    for member in members:
        mine = np.array(study.cost(member))
        for draw in loaded.neighbours(dict(member.point)):
            other = points[loaded.canonical(draw)]
            if other.feasible:
                theirs = np.array(study.cost(other))
                assert not ((theirs <= mine).all() and (theirs < mine).any()), (member.point, other.point)


def test_draws_alone_leave_a_front_that_a_neighbour_beats(every, space, tiny_trace, tmp_path):  # noqa: F811
    """What polishing is for: without it the same draws end with dominated designs, and the certificate says so."""
    _, points = every
    plain = _explore(space, tiny_trace, tmp_path / "run", budget=0)
    polished = _explore(space, tiny_trace, tmp_path / "other", budget=1000)
    assert plain.certificate["one_knob"] < plain.certificate["designs"]
    assert polished.certificate["polished"] > 0

    feasible = [point for point in points.values() if point.feasible]
    costs = np.array([plain.cost(point) for point in feasible])
    true = {point.point for point, kept in zip(feasible, front(costs), strict=True) if kept}
    found = [sum(point.point in true for point in study.front) for study in (plain, polished)]
    assert found[1] > found[0]


def test_an_interrupted_polishing_ends_with_the_same_points(space, tiny_trace, tmp_path):  # noqa: F811
    whole = _explore(space, tiny_trace, tmp_path / "run", budget=20)
    log = tmp_path / "run" / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-9]) + lines[-9][:40])
    again = _explore(space, tiny_trace, tmp_path / "run", budget=20, resume=True)
    assert [point.to_json() for point in again.points] == [point.to_json() for point in whole.points]
    assert again.certificate == whole.certificate


@pytest.mark.parametrize("budget", [0, 7, 60])
def test_the_certificate_counts_every_member_whose_neighbours_are_all_priced(budget, space, tiny_trace, tmp_path):  # noqa: F811
    study = _explore(space, tiny_trace, tmp_path / "run", budget=budget)
    loaded, priced = load_space(space), {point.point for point in study.points}
    proven = [
        all(loaded.canonical(draw) in priced for draw in loaded.neighbours(dict(member.point)))
        for member in study.front
    ]
    assert study.certificate["one_knob"] == sum(proven)


def test_a_study_that_goes_on_with_more_draws_gives_no_number_twice(space, tiny_trace, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    first = hwsim.explore(space, tiny_trace, trials=8, seed=3, out=out, budget=20)
    more = hwsim.explore(space, tiny_trace, trials=24, seed=3, out=out, budget=20, resume=True)
    numbers = [point.number for point in more.points]
    assert len(set(numbers)) == len(numbers) > len(first.points)


def test_neighbours_are_one_knob_away():
    import tomllib

    table = tomllib.loads(SPACE)
    loaded = space_from_dict(table, where="here")
    start = {"bits": 16, "rows": 4, "dataflow": "ws", "weight_kib": 32}
    found = list(loaded.neighbours(start))
    assert len(found) == 2 + 3 + 2 + 2  # other values of 3, 4, 3 and 3
    assert all(sum(one[name] != start[name] for name in start) == 1 for one in found)
    design = Point(0, tuple(start.items()), None, {}, reason="of a study")
    assert list(loaded.neighbours(design)) == found


def test_a_budget_that_is_none_is_told():
    import tomllib

    table = tomllib.loads(SPACE)
    table["search"]["polish"] = -1
    with pytest.raises(DesignError, match=r"here: search\.polish: must be a number of designs, 0 or more, got -1"):
        space_from_dict(table, where="here")


def test_points_compare_as_their_breakdowns_do():
    """A shared cause cancels: 10 against 11 pJ, all of it off by the same factor, is certain."""

    def point(number, value, cause):
        causes = {"energy_pj": {"dram": {cause: 0.5}}, "area_um2": {}}
        return Point(number, (), None, {}, detail={"energy_pj": {"dram": value}, "causes": causes})

    study = Study((), {"objectives": [], "goals": {}})
    assert study.probability_less(point(0, 10.0, "node"), point(1, 11.0, "node"), "energy_pj") == pytest.approx(1)
    own = study.probability_less(point(0, 10.0, "a"), point(1, 11.0, "b"), "energy_pj")
    one, other = (
        Breakdown({"dram": Quantity(value, "pJ", "", sigmas=[(cause, 0.5)])}, "study", "pJ")
        for value, cause in ((10.0, "a"), (11.0, "b"))
    )
    assert own == probability_less(one, other)
    assert 0.5 < own < 0.6  # ln 1.1 = 0.095 against sqrt(2) * 0.5: 0.13 standard deviations
