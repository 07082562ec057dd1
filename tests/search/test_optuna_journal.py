"""A study as an Optuna journal: Optuna itself opens it, and finds every design and the same front."""

from __future__ import annotations

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

import hwsim
from hwsim.errors import ArgumentError
from hwsim.search import space_from_dict, write_journal


@pytest.fixture
def explored(small, tiny_trace, tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    small["parameters"]["clock"] = {"choice": [0.3, 9.0], "sets": "technology.clock_ghz"}  # 9 GHz: no such machine
    free = hwsim.explore(space_from_dict(small, "here"), tiny_trace, trials=30, budget=0)
    areas = sorted(point.values["area_mm2"] for point in free.points if point.reason is None)
    small["constraints"] = {"area_mm2": {"max": areas[len(areas) // 2]}}  # which some break
    return hwsim.explore(space_from_dict(small, "here"), tiny_trace, trials=30, budget=0)


def test_optuna_opens_what_was_written(explored, tmp_path):
    journal = write_journal(explored, tmp_path / "board")
    assert journal == tmp_path / "board" / "optuna.log"
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    assert [one.study_name for one in optuna.get_all_study_summaries(storage)] == [explored.manifest["space"]]
    read = optuna.load_study(study_name=explored.manifest["space"], storage=storage)
    assert read.metric_names == list(explored.objectives)
    assert [one.name for one in read.directions] == [
        "MAXIMIZE" if explored.manifest["goals"][name] == "max" else "MINIMIZE" for name in explored.objectives
    ]
    states = {True: "FAIL", False: "COMPLETE"}
    assert [one.state.name for one in read.trials] == [states[point.reason is not None] for point in explored.points]
    assert {point.reason is not None for point in explored.points} == {True, False}
    assert len({point.feasible for point in explored.points if point.reason is None}) == 2
    for trial, point in zip(read.trials, explored.points, strict=True):
        assert trial.params == dict(point.point)
        assert trial.user_attrs["number"] == point.number
        if point.reason is not None:
            assert (trial.user_attrs["reason"], trial.values) == (point.reason, None)
            continue
        assert trial.values == [point.values[name] for name in explored.objectives]
        assert trial.constraints == point.violations
        assert trial.user_attrs["power_mw"] == point.values["power_mw"]
    front = {trial.user_attrs["number"] for trial in read.best_trials}
    assert front == {point.number for point in explored.front}


def test_a_journal_takes_the_place_of_an_earlier_one_and_of_nothing_else(explored, tmp_path):
    first = write_journal(explored, tmp_path / "board")
    length = len(first.read_bytes())
    assert len(write_journal(explored, tmp_path / "board").read_bytes()) == pytest.approx(length, rel=0.01)  # ids
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="folder to write must be empty or hold an export"):
        write_journal(explored, tmp_path / "mine")
