"""A sweep is what pricing every design one by one gives, to the last bit."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest

import hwsim
from hwsim.errors import ArgumentError, DesignError, TraceError
from hwsim.evaluation import Evaluator
from hwsim.search import load_study, sentence, space_from_dict, sweep
from hwsim.search.coarsening import coarsened
from hwsim.search.explorer import Explorer
from hwsim.search.parts import read_parts
from hwsim.search.running import RunningFront, beaten
from hwsim.search.sweeper import REFUSED, STATUS, Sweeper
from hwsim.search.sweeping import certify

from .conftest import SPACE


@pytest.fixture
def table():
    """A space of 576 designs in three kinds of plan; some clocks are too fast, some memories no memories."""
    return copy.deepcopy(TABLE)


@pytest.fixture(scope="module")
def swept(tiny_trace, tmp_path_factory):
    """The space, its study and folder, and every design of it priced alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sweep")
        patch.setenv("HWSIM_CACHE_DIR", str(folder / "cache"))
        space = space_from_dict(copy.deepcopy(TABLE), "here")
        return space, sweep(space, tiny_trace, folder / "run"), folder / "run", *_one_by_one(space, tiny_trace)


TABLE = copy.deepcopy(SPACE) | {
    "constraints": {"area_mm2": {"max": 1.2}},
    "parameters": {
        "bits": {"choice": [12, 16], "sets": "numerics.datapath.acc_bits"},
        "plan": {"choice": ["nominal", "time", "energy"], "sets": "objective"},
        "rows": {"choice": [4, 8], "sets": "array.rows"},
        "stages": {"choice": [1, 3], "sets": "array.stages"},
        "clock": {"choice": [0.3, 2.2], "sets": "technology.clock_ghz"},
        "voltage": {"choice": [0.65, 0.8], "sets": "technology.voltage"},
        "weight_kib": {"choice": [32, 0, 128], "sets": "memory.weight_kib"},
        "port_bits": {"choice": [64, 256], "sets": "memory.port_bits"},
    },
}


def _one_by_one(space, trace):
    explorer = Explorer(space, {"tiny": Evaluator(trace)})
    points = {}
    for draw in space.draws():
        key = space.canonical(draw)
        try:
            points[key] = explorer.evaluate(0, space.design(draw))
        except DesignError:
            points[key] = None
    return explorer, points


def test_every_design_has_the_values_that_evaluate_gives(swept):
    space, study, folder, _, points = swept
    knobs = [one.name for one in space.parameters]
    seen, priced = set(), 0
    for part in read_parts(folder):
        for row in part.to_pylist():
            key = tuple((name, row[name]) for name in knobs)
            point = points[key]
            seen.add(key)
            if row["status"] != 0:
                assert point is None or point.reason is not None
                assert (row["status"] == REFUSED) == (dict(key)["weight_kib"] == 0)
                assert np.isnan(row["energy_uj"])
                continue
            priced += 1
            for name in ("energy_uj", "area_mm2", "latency_ms", "dram_mbit", "sqnr_db"):
                assert row[name] == point.values[name], (key, name)
    assert seen == set(points)
    assert priced == study.manifest["status"][STATUS[0]] == sum(
        point is not None and point.reason is None for point in points.values()
    )  # fmt: skip
    assert 0 < priced < len(points)


def test_the_front_is_that_of_brute_force(swept):
    _, study, _, explorer, points = swept
    feasible = [point for point in points.values() if point is not None and point.feasible]
    signs = {name: -1.0 if goal == "max" else 1.0 for name, goal in explorer.goals.items()}
    costs = [tuple(point.values[name] * sign for name, sign in signs.items()) for point in feasible]
    best = {
        one for one in costs
        if not any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in costs)
    }  # fmt: skip
    found = {tuple(point.values[name] * sign for name, sign in signs.items()) for point in study.points}
    assert 4 < len(best) < len(feasible) < len(points)
    assert found == best
    assert len(study.points) == len(best)  # of equal designs one stands for all
    assert all(point.values == points[point.point].values for point in study.points)
    assert study.certificate["exhaustive"]
    assert study.certificate["one_knob"] == study.certificate["two_knob"] == len(best)


def test_workers_and_no_folder_give_the_same_front(swept, tiny_trace):
    space, study, *_ = swept
    again = sweep(space, tiny_trace, workers=2)
    assert [(point.number, point.values) for point in again.points] == [
        (point.number, point.values) for point in study.points
    ]


def test_details_are_those_of_an_evaluation(swept):
    _, study, _, _, points = swept
    assert any("energy_pj" in point.detail for point in study.points)
    for point in study.points:
        if "energy_pj" in point.detail:
            assert point.detail == points[point.point].detail


def test_the_folder_is_a_study(swept):
    _, study, folder, *_ = swept
    loaded = load_study(folder)
    assert [point.to_json() for point in loaded.points] == [point.to_json() for point in study.points]
    assert hwsim.write_report(loaded, folder).is_file()
    assert [point.number for point in loaded.front] == [point.number for point in study.front]


def test_a_spoilt_part_is_found(swept, tmp_path):
    folder = shutil.copytree(swept[2], tmp_path / "run")
    part = json.loads((folder / "parts.json").read_text())[0]["name"]
    with (folder / part).open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(TraceError, match="a part of a sweep must be what was written"):
        list(read_parts(folder))


def test_a_planted_member_that_is_beaten_fails_the_certificate(swept, tiny_trace):
    """A front with one design more: the table, read again, beats it."""
    space, study, folder, *_ = swept
    sweeper = Sweeper(space, {"tiny": Evaluator(tiny_trace)})
    costs = np.array([study.cost(point) for point in study.points])
    sweeper.front.costs = np.vstack((costs, costs[0] * np.where(costs[0] < 0, 0.99, 1.01)))
    sweeper.front.numbers = np.array([*(point.number for point in study.points), 10**6])
    known = certify(sweeper, folder, whole=True)
    assert (known.designs, known.one_knob, known.two_knob) == (len(costs) + 1, len(costs), len(costs))


def test_a_running_front_is_the_front_in_any_order(rng):
    costs = rng.integers(0, 10, (4000, 3)).astype(float)  # many ties
    costs = costs[costs.sum(1) >= 13][:400]  # none near the origin, that would be all of the front
    numbers = rng.permutation(400)
    worse = [
        [other for other in range(400) if (costs[other] <= costs[row]).all()
         and ((costs[other] < costs[row]).any() or numbers[other] < numbers[row])]
        for row in range(400)
    ]  # fmt: skip
    best = sorted(int(numbers[row]) for row in range(400) if not worse[row])
    assert len(best) > 30
    for row in range(400):  # one against one: also by a design of a higher number, and by an equal one of a lower
        found = [beaten(costs[[row]], numbers[[row]], costs[[one]], numbers[[one]])[0] for one in worse[row][:3]]
        assert all(found)
    for _ in range(3):
        order = rng.permutation(400)
        front = RunningFront(3)
        for some in np.array_split(order, 7):
            front.add(costs[some], numbers[some])
        assert sorted(front.numbers.tolist()) == best
    assert not beaten(front.costs, front.numbers, costs, numbers).any()


def test_a_coarser_grid_keeps_the_ends(table):
    table["parameters"]["kib"] = {"choice": [16, 32, 64, 128, 256], "sets": "memory.activation_kib"}
    space = space_from_dict(table, "here")
    assert space.size == 576 * 5
    grid = coarsened(space, 2000)
    assert {one.name: one.values for one in grid.parameters}["kib"] == (16, 64, 256)
    assert grid.size == 576 * 3
    with pytest.raises(ArgumentError, match="points must be at least 768, the coarsest grid of small, got 10"):
        coarsened(space, 10)


def test_a_knob_can_be_held(table):
    space = space_from_dict(table, "here")
    assert space.held({"rows": "8", "plan": "time"}).size == 576 // 6
    with pytest.raises(DesignError, match=r"rows: must be one of 4, 8, got '5'"):
        space.held({"rows": "5"})
    with pytest.raises(DesignError, match="did you mean 'rows'"):
        space.held({"row": "8"})


def test_a_search_of_few_plans_is_a_sweep(table, tiny_trace, tmp_path):
    table["parameters"] = {name: table["parameters"][name] for name in ("bits", "rows", "stages", "weight_kib")}
    table["machine"]["objective"] = "nominal"
    table["search"]["plans"] = 8  # 2 widths of the accumulator, 2 arrays, 2 memories that can be made
    space = space_from_dict(table, "here")
    assert space_from_dict(space.to_dict(), "again") == space
    study = hwsim.explore(space, tiny_trace, out=tmp_path / "a")
    assert study.manifest["sampler"] == "sweep"
    known = study.certificate
    assert (known["exhaustive"], known["hypervolume"], known["two_knob_share"]) == (True, 1.0, 1.0)
    assert known["fidelity"]["energy"] == "trace, plans chosen for nominal"
    assert sentence(known).startswith(f"every design of the space was priced: {len(study.points)} of")
    assert not list((tmp_path / "a").glob("points-*.parquet"))
    drawn = hwsim.explore(space, tiny_trace, trials=4)  # asked for draws
    assert drawn.manifest["sampler"].startswith("guided by a surrogate")
    assert (drawn.certificate["hypervolume"], drawn.certificate["seeds"]) == (None, "one seed")


def test_a_study_prices_any_design_of_its_space(swept):
    _, _, folder, _, points = swept
    loaded = load_study(folder)
    chosen = [key for key, point in points.items() if point is not None and point.reason is None][::60]
    assert len(chosen) > 4
    for key in chosen:
        one = loaded.evaluate(dict(key))
        assert (one.number, one.point, one.values) == (-1, key, points[key].values)
    near = list(loaded.space.neighbours(dict(chosen[0])))
    assert len(near) == 1 + 2 + 1 + 1 + 1 + 1 + 2 + 1  # other values of the eight knobs


@pytest.mark.slow
def test_ten_thousand_designs_of_a_gpt_are_what_evaluate_gives():
    """Random designs of ``dse/edge-lm.toml``: energy, area, cycles and traffic by columns and one by one."""
    from hwsim.evaluation.columns import ColumnPricer
    from hwsim.evaluation.machine_columns import OK
    from hwsim.evaluation.pricing import additions_by_place, carry_out, decided, judge
    from hwsim.search import load_space
    from hwsim.search.halves import Half, trials
    from hwsim.trace import load_trace

    evaluator = Evaluator(load_trace("traces/gpt-small"))
    table = load_space("edge-lm").without({"gpt"})[0].to_dict()
    for knob in ("activation_kib", "weight_kib"):
        table["parameters"][knob]["choice"] = [32, 96, 512]
    space, pricer, rng = space_from_dict(table, "here"), ColumnPricer(evaluator), np.random.default_rng(1)
    chosen, known = [one for one in trials(space) if one["unit"] in ("nvfp4", "int4", "pann")][::4], {}
    seen = 0
    for trial in chosen:
        half = Half(space, trial, known)
        picked = set(rng.choice(half.count_plans(10**6), 24, replace=False).tolist())
        for block in (block for place, block in enumerate(half.blocks()) if place in picked):
            machines = block.machines
            additions = evaluator.additions_by_record(machines.base.policy)
            decision = decided(evaluator.work, machines.machine(0), additions)
            evaluator.keep(evaluator.decision(judge(machines.machine(0))), decision)
            checked = pricer.check(machines)
            columns = pricer.price(machines, checked, pricer.count(decision, machines.machine(0)))
            by_place = additions_by_place(evaluator.work, additions)
            for at in rng.choice(len(columns.status), 10_000 // (24 * len(chosen)) + 1, replace=False):
                machine = machines.machine(int(at))
                if columns.status[at] != OK:
                    with pytest.raises(DesignError):
                        evaluator.price(machine)
                    seen += 1
                    continue
                plan = carry_out(decision, evaluator.work.graph, machine, by_place)
                priced = evaluator.price(machine)
                assert columns.energy_pj[at] == priced.energy.value
                assert columns.area_um2[at] == priced.area.value
                assert columns.latency_cycles[at] == plan.latency_cycles
                assert columns.latency_s[at] == machine.latency_s(plan.latency_cycles)
                assert columns.dram_read_bits == plan.dram_read_bits
                assert columns.dram_write_bits == plan.dram_write_bits
                seen += 1
    assert seen >= 10_000
