"""The front in gates: every design of it, the same with and without interruption, kept beside the tables."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
import pytest

import hwsim
from hwsim.errors import ArgumentError, TraceError
from hwsim.evaluation import Confirmation, Evaluator
from hwsim.rtl import tools
from hwsim.search import clear_study, confirm_front, load_space, load_study, space_from_dict
from hwsim.search.confirmation import GATES, read_confirmed, write_confirmed

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


@pytest.fixture
def space(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    return space_from_dict(small, "small.toml")


def _record(**changes):
    record = Confirmation("small-0", 3.0, 2.5, 2.0, 1.5, 9.0, 8.0, 4.0, 3.0, "zero", "")
    return dataclasses.replace(record, **changes)


@needs_yosys
def test_every_design_of_the_front_is_priced_by_its_own_circuits(space, tiny_trace, tmp_path):
    out = tmp_path / "run"
    seen = []
    study = hwsim.explore(
        space, tiny_trace, trials=8, seed=1, out=out, gates=True, progress=lambda *state: seen.append(state)
    )
    assert list(study.confirmed) == [point.number for point in study.front]
    assert seen[-1] == (len(study.front), len(study.front), "done")
    exact = Evaluator(tiny_trace, energy="gates")
    for point in study.front:
        one = study.confirmed[point.number]
        truth = exact(space.design(dict(point.point)).accelerator)
        assert (one.gates_pj, one.synthesized_um2) == (truth.energy_pj, truth.area_um2)
        assert one.trace_pj == pytest.approx(point.values["energy_uj"] * 1e6)
        assert one.fitted_um2 == pytest.approx(point.values["area_mm2"] * 1e6)
        assert one.reason == ""
    assert load_study(out).confirmed == study.confirmed
    table = pd.read_csv(out / "pareto.csv").set_index("number")
    for number, one in study.confirmed.items():
        assert table.loc[number, "gates_energy_uj"] == pytest.approx(one.gates_pj * 1e-6)
        assert table.loc[number, "synthesized_area_mm2"] == pytest.approx(one.synthesized_um2 * 1e-6)
    clear_study(out)
    assert not (out / GATES).exists()


def test_without_yosys_every_design_says_what_to_install(space, tiny_trace, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    tools.yosys_version.cache_clear()
    study = hwsim.explore(space, tiny_trace, trials=6, out=tmp_path / "run", gates=True)
    assert study.front
    for one in load_study(tmp_path / "run").confirmed.values():
        assert "apt install yosys" in one.reason
        assert math.isnan(one.gates_pj)


def test_a_front_is_confirmed_in_its_own_space(space, tiny_trace):
    study = hwsim.explore(space, tiny_trace, trials=6)
    with pytest.raises(ArgumentError, match="space edge-lm: a front is confirmed in the space of its study"):
        confirm_front(study, load_space("edge-lm"), [tiny_trace])


def test_records_survive_the_file(tmp_path):
    kept = {7: _record(), 3: _record(reason='no circuit, says "it"', gates_pj=-0.1 + 0.3)}
    write_confirmed(kept, tmp_path)
    assert read_confirmed(tmp_path) == kept
    assert list(read_confirmed(tmp_path)) == [7, 3]
    write_confirmed({}, tmp_path)
    assert read_confirmed(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_spoilt_file_is_named(tmp_path):
    write_confirmed({7: _record()}, tmp_path)
    text = (tmp_path / GATES).read_text()
    (tmp_path / GATES).write_text(text.replace("2.5", "two"))
    with pytest.raises(TraceError, match=r"gates\.csv:2: a line must match its CRC-32"):
        read_confirmed(tmp_path)


@pytest.mark.parametrize("lines", [0, 1])
def test_a_file_that_lost_its_designs_is_not_a_study_without(lines, tmp_path):
    write_confirmed({7: _record()}, tmp_path)
    text = (tmp_path / GATES).read_text().splitlines(keepends=True)
    (tmp_path / GATES).write_text("".join(text[:lines]))
    with pytest.raises(TraceError, match=r"gates\.csv: "):
        read_confirmed(tmp_path)
