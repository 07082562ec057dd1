"""A search is the same whether it was interrupted or not, and a bad design is a result, not a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import hwsim
from hwsim.errors import ArgumentError, DesignError, TraceError
from hwsim.search import load_study
from hwsim.search.points import LOG, Point
from tests import samples

SPACE = """
name = "small"
models = ["tiny"]
[search]
population = 8
accuracy = "replay"
[constraints]
area_mm2 = { max = 3.0 }
[machine.array]
rows = 8
cols = 8
dataflow = "ws"
overlap = "fill"
[machine.memory]
activation_kib = 128
weight_kib = 128
output_kib = 128
port_bits = 256
output_bits = 32
dram = "lpddr4"
dram_gbyte_s = 12.8
[machine.technology]
clock_ghz = 0.5
node_nm = 16
[machine.numerics]
activation = "int8.channel"
weight = "int8.channel"
datapath = { family = "integer", a_bits = 8, b_bits = 8, acc_bits = 32 }
[parameters]
bits = { choice = [12, 16, 32], sets = "numerics.datapath.acc_bits" }
rows = { int = [2, 16], log = true, sets = "array.rows" }
dataflow = { choice = ["ws", "os", "is"], sets = "array.dataflow" }
weight_kib = { choice = [32, 128, 0], sets = "memory.weight_kib" }
"""


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "small.toml"
    path.write_text(SPACE)
    return path


def _explore(space, trace, out, **options):
    return hwsim.explore(space, trace, **({"trials": 24, "seed": 3, "out": out} | options))


def _set(study):
    return [(point.number, point.point, point.values, point.reason) for point in study.points]


def test_every_draw_is_evaluated_once_and_the_tables_agree(space, tiny_trace, tmp_path):
    seen = []
    study = _explore(space, tiny_trace, tmp_path / "run", progress=lambda *state: seen.append(state[:2]))
    assert seen == [(number, 24) for number in range(1, 25)]
    assert len({point.point for point in study.points}) == len(study.points)
    assert len(pd.read_parquet(tmp_path / "run" / "points.parquet")) == len(study.points)
    assert study.front
    assert load_study(tmp_path / "run").manifest["finished"] is True


def test_a_design_that_breaks_a_rule_is_recorded_with_the_rule(space, tiny_trace, tmp_path):
    study = _explore(space, tiny_trace, tmp_path / "run")
    failed = [point for point in study.points if point.reason]
    assert failed
    assert all(dict(point.point)["weight_kib"] == 0 for point in failed)
    assert {point.reason for point in failed} == {
        "space small.memory.weight_kib: must be above 0 and at most 1.07374e+09, got 0.0"
    }
    assert not any(dict(point.point)["weight_kib"] == 0 for point in study.front)


def test_the_seed_decides(space, tiny_trace, tmp_path):
    first = _explore(space, tiny_trace, tmp_path / "a")
    assert _set(first) == _set(_explore(space, tiny_trace, tmp_path / "b"))
    assert _set(first) != _set(_explore(space, tiny_trace, tmp_path / "c", seed=4))


@pytest.mark.parametrize("kept", [0, 1, 7, 11])
def test_a_cut_log_is_continued_to_the_same_points(space, tiny_trace, tmp_path, kept):
    whole = _explore(space, tiny_trace, tmp_path / "run")
    log = tmp_path / "run" / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
    assert _set(_explore(space, tiny_trace, tmp_path / "run", resume=True)) == _set(whole)


CHILD = """
import sys, time, hwsim
hwsim.explore(sys.argv[1], sys.argv[2], trials=24, seed=3, out=sys.argv[3], resume=True,
              progress=lambda *state: time.sleep(0.05))
"""


def _logged(out):
    return len((out / LOG).read_bytes().splitlines()) if (out / LOG).exists() else 0


def test_killed_with_9_at_any_moment_and_resumed_gives_the_points_of_an_undisturbed_run(space, tiny_trace, tmp_path):
    whole = _explore(space, tiny_trace, tmp_path / "whole")
    out = tmp_path / "run"
    kills = 0
    for wanted in (1, 6, 13):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(space), str(tiny_trace.path), str(out)])
        while child.poll() is None and _logged(out) < wanted:
            time.sleep(0.01)
        kills += child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert kills == 3
    assert 13 <= _logged(out) < len(whole.points)
    assert _set(_explore(space, tiny_trace, out, resume=True)) == _set(whole)


def test_a_study_is_not_overwritten_and_not_continued_as_another(space, tiny_trace, tmp_path):
    out = tmp_path / "run"
    _explore(space, tiny_trace, out)
    with pytest.raises(
        ArgumentError, match="out: the folder for a new study must not hold one; resume it, or choose"
    ):
        _explore(space, tiny_trace, out)
    with pytest.raises(ArgumentError, match=r"a study is resumed with the seed it began with \(3\), got 4"):
        _explore(space, tiny_trace, out, seed=4, resume=True)
    space.write_text(SPACE.replace("max = 3.0", "max = 2.0"))
    with pytest.raises(ArgumentError, match="a study is resumed with the space_digest it began with"):
        _explore(space, tiny_trace, out, resume=True)


def test_a_finished_study_may_be_made_longer(space, tiny_trace, tmp_path):
    _explore(space, tiny_trace, tmp_path / "run")
    longer = _explore(space, tiny_trace, tmp_path / "run", trials=48, resume=True)
    assert _set(longer) == _set(_explore(space, tiny_trace, tmp_path / "other", trials=48))


def test_constraints_keep_designs_off_the_front(space, tiny_trace, tmp_path):
    study = _explore(space, tiny_trace, tmp_path / "run", trials=48)
    assert all(point.values["area_mm2"] <= 3.0 for point in study.front)
    for point in study.points:
        if point.reason is None:
            assert point.violations["area_mm2"] == pytest.approx(point.values["area_mm2"] / 3.0 - 1)


def test_a_space_for_other_models_is_told(space, tiny_trace):
    space.write_text(SPACE + '[options.dataflow]\nws.model = "a"\nos.model = "b"\nis.model = "c"\n')
    with pytest.raises(DesignError, match=r"parameters.dataflow: at least one option must be for a captured model"):
        _explore(space, tiny_trace, None)


def test_points_are_equal_after_a_round_trip():
    point = Point(1, (("a", 1.5), ("b", "x")), "m", {"energy_uj": 0.1 + 0.2}, {"area_mm2": -0.5}, {"d": [1]}, None)
    assert Point.from_json(point.to_json()) == point
    assert os.linesep not in point.to_json()


MODEL = f"""{samples.LINEAR}
def metric(model):
    with torch.no_grad():
        return {{"loss": float(model(next(batches())).square().mean()), "lower_is_better": True}}
"""


def test_details_are_read_when_they_are_asked_for_and_equal_those_that_were_written():
    """Also where texts hold what stands around the details in a line."""
    tricky = ',"detail":{ and ,"reason":null}'
    detail = {
        "numerics": tricky,
        "energy_pj": {"dram": 2.0},
        "causes": {"energy_pj": {"dram": {tricky: 0.5}}, "area_um2": {}},
    }
    for reason, values in ((None, {"energy_uj": 1.0}), (tricky, {})):
        point = Point(3, (("unit", tricky),), None, values, detail=detail, reason=reason)
        read = Point.from_json(point.to_json())
        assert (read.broken_down, point.broken_down) == (True, True)
        assert read == point
        assert read.to_json() == point.to_json()
    assert not Point.from_json(Point(3, (), None, {"a": 1.0}).to_json()).broken_down


@pytest.mark.parametrize(
    ("detail", "rule"),
    [
        ({"energy_pj": {"dram": -1.0}}, r"energy_pj\.dram must be a number from 0 to inf, got -1\.0"),
        ({"causes": {"energy_pj": {"x": {}}, "area_um2": {}}}, "every part of energy_pj must have its causes"),
        ({"sources": {"dram": 3}}, r"sources\.dram must be text"),
    ],
)
def test_details_that_are_not_well_formed_are_refused_when_asked_for(detail, rule):
    point = Point.from_json(Point(3, (), None, {"energy_uj": 1.0}, detail=detail).to_json(), "log:4")
    assert point.values == {"energy_uj": 1.0}
    with pytest.raises(TraceError, match=rule) as problem:
        dict(point.detail)
    assert problem.value.where == "log:4"


def test_a_metric_that_is_no_objective_keeps_its_goal(space, tmp_path):
    """A loss is better small also where a space does not search it: a bare bound of it is a maximum."""
    (tmp_path / "model.py").write_text(MODEL)
    text = space.read_text().replace('models = ["tiny"]', 'objectives = ["energy", "area"]')
    space.write_text(text.replace('accuracy = "replay"', 'accuracy = "rerun"'))
    trace = hwsim.capture(f"{tmp_path / 'model.py'}:build", out=tmp_path / "trace")
    study = _explore(space, trace, tmp_path / "run", trials=8)
    assert study.objectives == ("energy_uj", "area_mm2")
    worst = max(point.values["loss"] for point in study.points if point.feasible)
    assert study.query("energy", {"loss": worst}).asked.limits[0].most == worst
    assert study.query("loss").goal == "min"
    assert load_study(tmp_path / "run").manifest["goals"]["loss"] == "min"
