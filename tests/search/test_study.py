"""The log of a study survives what happens to it; the tables say what the log says."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hwsim.errors import StorageError, TraceError
from hwsim.search.manifest import clear_study
from hwsim.search.points import LOG, Point, PointLog
from hwsim.search.study import Study, load_study

GOALS = {"bits_per_byte": "min", "energy_uj": "min", "accuracy": "max"}


def _point(number, loss, energy, accuracy, over=0.0):
    values = {"bits_per_byte": loss, "energy_uj": energy, "accuracy": accuracy}
    return Point(number, (("unit", f"u{number}"), ("rows", 8)), "gpt", values, {"area_mm2": over})


@pytest.fixture
def study():
    points = (
        _point(0, 1.5, 10.0, 0.9),
        _point(1, 1.4, 20.0, 0.9),  # better in one, worse in another
        _point(2, 1.6, 10.0, 0.9),  # beaten by 0
        _point(3, 1.0, 1.0, 0.99, over=0.5),  # best of all, and half as large again as allowed
        Point(4, (("unit", "broken"),), None, {}, reason="machine.array.rows: must lie in 1..4096, got 0"),
    )
    return Study(points, {"objectives": list(GOALS), "goals": GOALS, "space": "tiny"})


def test_front_leaves_out_what_is_beaten_infeasible_or_failed(study):
    assert [point.number for point in study.front] == [0, 1]


def test_a_goal_to_maximise_turns_the_comparison(study):
    flipped = Study(study.points, study.manifest | {"goals": GOALS | {"bits_per_byte": "max"}})
    assert [point.number for point in flipped.front] == [2]


def test_log_returns_what_was_appended_and_drops_a_torn_line(study, tmp_path):
    log = PointLog(tmp_path)
    for point in study.points:
        log.append(point)
    whole = (tmp_path / LOG).read_bytes()
    for cut in range(1, len(study.points[-1].to_json()) + 1):
        (tmp_path / LOG).write_bytes(whole[:-cut])
        assert PointLog(tmp_path).read(mend=True) == list(study.points[:-1])
        log.append(study.points[-1])  # the torn tail is gone, so the next line starts a line
        assert PointLog(tmp_path).read() == list(study.points)


def test_a_spoilt_line_is_named(study, tmp_path):
    PointLog(tmp_path).append(study.points[0])
    with (tmp_path / LOG).open("a") as log:
        log.write('{"number": 1}\n')
    with pytest.raises(TraceError, match=r"points\.jsonl:2: a line of a study's log must match its CRC-32"):
        PointLog(tmp_path).read()


def test_a_folder_that_cannot_be_written_is_a_storage_error(study, tmp_path):
    with pytest.raises(StorageError, match="the log of points must be writable"):
        PointLog(tmp_path / "absent").append(study.points[0])


def test_tables_hold_every_point_and_the_front(study, tmp_path):
    study.write(tmp_path)
    table = pd.read_parquet(tmp_path / "points.parquet")
    assert table["number"].tolist() == [0, 1, 2, 3, 4]
    assert table["feasible"].tolist() == [True, True, True, False, False]
    assert pd.read_csv(tmp_path / "pareto.csv")["number"].tolist() == [0, 1]  # by rising energy
    assert json.loads((tmp_path / "manifest.json").read_text())["space"] == "tiny"


def test_a_study_is_read_back_and_cleared(study, tmp_path):
    study.write(tmp_path)
    for point in study.points:
        PointLog(tmp_path).append(point)
    (tmp_path / "notes.txt").write_text("mine")
    assert load_study(tmp_path).points == study.points
    clear_study(tmp_path)
    with pytest.raises(TraceError, match=r"a study's folder must hold manifest\.json"):
        load_study(tmp_path)
    assert (tmp_path / "notes.txt").exists()


def test_a_study_without_a_front_has_tables_all_the_same(study, tmp_path):
    study.write(tmp_path)
    assert (tmp_path / "pareto.csv").is_file()
    Study(study.points[-1:], study.manifest).write(tmp_path)
    assert len(pd.read_parquet(tmp_path / "points.parquet")) == 1
    assert not (tmp_path / "pareto.csv").exists()  # of another study
