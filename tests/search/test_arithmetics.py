"""A search by arithmetics prices every machine of some of them: its front is theirs, exact, however it was found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hwsim
from hwsim.errors import DesignError
from hwsim.evaluation import memo, steps
from hwsim.search import load_space, load_study, sentence, space_from_dict, sweep
from hwsim.search.arithmetics import search_arithmetics
from hwsim.search.pareto import front
from hwsim.search.parts import read_parts

TRIAL = ("element", "block", "group", "fraction_bits")


def _table(**search):
    """48 arithmetics of free dot units on eight machines, six of which are fast enough for groups of 32."""
    table = load_space("numerics-free").to_dict()
    kept = {
        "element": ["e2m1", "e2m2", "e2m3"], "block": [8, 32], "scale": ["ue4m3"], "group": [8, 32],
        "fraction_bits": [7, 10, 13, 19], "acc": ["fp32"], "rows": [4, 8], "cols": [4], "dataflow": ["ws", "os"],
        "stages": [1, 3],
    }  # fmt: skip
    for name, values in kept.items():
        table["parameters"][name]["choice"] = values
    table["options"] = {
        name: {value: option for value, option in options.items() if value in map(str, kept[name])}
        for name, options in table["options"].items()
    }
    table["models"] = ["tiny"]
    table["search"] = {"accuracy": "replay", "energy": "pann", "population": 4} | search
    return table


@pytest.fixture(scope="module")
def every(tiny_trace, tmp_path_factory):
    """The space, its sweep, and of each design its trial, its costs and whether it keeps the limits."""
    folder = tmp_path_factory.mktemp("every")
    space = space_from_dict(_table(arithmetics=12, polish=6), "here")
    study = sweep(space, tiny_trace, folder / "run")
    return (
        space,
        study,
        [row for part in read_parts(folder / "run") for row in part.to_pylist() if row["status"] == 0],
    )


def _values(study):
    return {point.point: dict(point.values) for point in study.points}


def test_of_all_arithmetics_it_is_the_sweep(every, tiny_trace):
    space, swept, _ = every
    study = search_arithmetics(space, [tiny_trace], 48, budget=0)
    assert [point.to_json() for point in study.points] == [point.to_json() for point in swept.points]
    assert study.certificate["exhaustive"]
    assert study.manifest["designs"] == space.size == 48 * 8
    assert study.manifest["status"] == swept.manifest["status"]


@pytest.fixture(scope="module")
def found(every, tiny_trace, tmp_path_factory):
    """The space as `explore` searches it, and its folder."""
    space, _, _ = every
    out = tmp_path_factory.mktemp("found") / "run"
    notes = []
    study = hwsim.explore(space, tiny_trace, out=out, progress=lambda *told: notes.append(told))
    return study, out, notes


def test_its_front_is_that_of_every_machine_of_what_it_tried(every, found):
    space, _, rows = every
    study, out, notes = found
    assert study.manifest["sampler"] == "arithmetics guided by a surrogate, batches of 4"
    tried = study.certificate["arithmetics"]
    assert 12 < tried <= 18 < 48
    assert study.manifest["designs"] == tried * 8
    assert notes[11][:2] == (12, 12)
    assert _values(load_study(out)) == _values(study)

    # which ones it tried: those whose designs a front of all of them, less what it does not hold, must come from
    goals = study.manifest["goals"]
    signs = np.array([-1.0 if goals[name] == "max" else 1.0 for name in study.objectives])
    keys = {tuple(point for point in one.point if point[0] in TRIAL) for one in study.points}
    mine = [
        row
        for row in rows
        if tuple((name, row[name]) for name in TRIAL) in keys
        and all(limit.excess(row[limit.column]) <= 0 for limit in space.constraints)
    ]
    costs = np.array([[row[name] for name in study.objectives] for row in mine]) * signs
    names = [one.name for one in space.parameters]
    best = {tuple((name, mine[place][name]) for name in names) for place in np.flatnonzero(front(costs))}
    assert set(_values(study)) == best
    assert sentence(study.certificate).count(f"all against every machine of {tried} arithmetics") == 1


def test_the_best_of_each_objective_is_found_in_a_third_of_the_arithmetics(every, found):
    """Energy and area exactly; the accuracy within what six bits of the adder change."""
    _, swept, _ = every
    study, _, _ = found
    for name in ("energy_uj", "area_mm2", "latency_ms"):
        assert min(one.values[name] for one in study.points) == min(one.values[name] for one in swept.points)
    best, known = (max(one.values["sqnr_db"] for one in made.points) for made in (study, swept))
    assert known - 0.01 <= best <= known


def test_a_search_that_was_killed_measures_nothing_twice(every, found, tiny_trace, tmp_path, monkeypatch):
    """Stopped after each of three arithmetics in turn; a new process knows what lies in the cache alone."""
    space, _, _ = every
    study, _, _ = found
    monkeypatch.setattr(memo, "_default", lambda: tmp_path / "memo.jsonl")  # and not where kernels are kept
    measured, result = [], steps.Replayed.result
    monkeypatch.setattr(steps.Replayed, "result", lambda step: measured.append(step.key) or result(step))

    class Killed(BaseException):
        pass

    def after(count):
        def told(done, total, note):
            if note.startswith(f"{count} "):
                raise Killed

        return told

    for count in (1, 5, 14):
        with pytest.raises(Killed):
            hwsim.explore(space, tiny_trace, out=tmp_path / "run", resume=True, progress=after(count))
        assert len(measured) == count
    again = hwsim.explore(space, tiny_trace, out=tmp_path / "run", resume=True)
    assert len(measured) == len(set(measured)) == study.certificate["arithmetics"]
    assert [point.to_json() for point in again.points] == [point.to_json() for point in study.points]
    assert sorted(one.name for one in (tmp_path / "run").iterdir()) == [
        ".hwsim", "manifest.json", "pareto.csv", "points.jsonl", "points.parquet",
    ]  # fmt: skip


def test_workers_find_the_same(every, found, tiny_trace, tmp_path, monkeypatch):
    space, _, _ = every
    study, _, _ = found
    monkeypatch.setattr(memo, "_default", lambda: tmp_path / "memo.jsonl")
    measured, result = [], steps.Replayed.result
    monkeypatch.setattr(steps.Replayed, "result", lambda step: measured.append(step.key) or result(step))
    other = hwsim.explore(space, tiny_trace, workers=2)
    assert measured == []  # not in this process
    assert [point.to_json() for point in other.points] == [point.to_json() for point in study.points]
    assert other.certificate == study.certificate


def test_the_certificate_counts_members_whose_other_arithmetics_were_all_tried(every, tiny_trace):
    """All 24 of one element: each has one neighbour of another block, one of another group, three of other bits, and
    two of other elements, which were not tried."""
    table = _table(arithmetics=24)
    table["parameters"]["element"]["choice"] = ["e2m1"]
    table["options"]["element"] = {"e2m1": table["options"]["element"]["e2m1"]}
    alone = search_arithmetics(space_from_dict(table, "here"), [tiny_trace], 16, budget=0)
    assert alone.certificate["one_knob"] == alone.certificate["two_knob"] == len(alone.points)
    assert alone.certificate["exhaustive"]
    space, _, _ = every
    some = search_arithmetics(space, [tiny_trace], 9, budget=0)
    assert some.certificate["arithmetics"] == 9
    assert some.certificate["one_knob"] == 0  # nine of 48 hold no arithmetic and all seven beside it
    near = list(itertools.islice(space.neighbours(some.points[0]), 20))
    assert sum(one[name] != dict(some.points[0].point)[name] for one in near for name in TRIAL) == 2 + 1 + 1 + 3


def test_whole_models_are_not_searched_so():
    table = load_space("edge-decode").to_dict()
    table["search"]["arithmetics"] = 5
    with pytest.raises(DesignError, match=r"is not searched by arithmetics, got 5"):
        space_from_dict(table, "here")
