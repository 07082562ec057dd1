"""Who watches a search sees its front as it stands, not too often, and the search ends as if nobody had watched."""

from __future__ import annotations

import itertools
import json

import pytest

import hwsim
from hwsim.errors import TraceError
from hwsim.search import load_study, space_from_dict, sweep
from hwsim.search.manifest import MANIFEST, read_manifest, write_manifest
from hwsim.search.points import LOG, PointLog
from hwsim.search.study import Study
from hwsim.search.watching import SO_FAR, left_in, watched


def test_a_study_so_far_is_made_at_most_every_second_and_in_a_twentieth_of_the_time():
    now, seen, told = [0.0], [], []

    def so_far():
        now[0] += 0.1  # what making it takes: the next one is due 2 s later
        return len(told)

    advance = watched(lambda *what: told.append(what), so_far, seen.append, clock=lambda: now[0])
    for at in (0.0, 0.5, 2.0, 2.2, 3.0, 4.4):
        now[0] = at
        advance(len(told) + 1, 6, "note")
    assert seen == [
        1,
        4,
        6,
    ]  # at once, after 0.1 + 20 × 0.1 = 2.1 s, and after 2.3 + 20 × 0.1 = 4.3 s
    assert told == [(number, 6, "note") for number in range(1, 7)]


def test_nobody_who_watches_costs_nothing():
    def progress(done, total, note):
        pass

    assert watched(progress, lambda: 1 / 0) is progress


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
def test_a_drawn_search_hands_over_what_it_knows(small, tiny_trace, tmp_path):
    seen = []
    found = hwsim.explore(
        space_from_dict(small, "here"), tiny_trace, trials=8, out=tmp_path / "run", watch=seen.append, budget=0
    )
    assert len(seen) >= 1
    for one in seen:
        assert not one.manifest["finished"]
        assert one.points == found.points[: len(one.points)]  # in the order in which they were drawn
    assert load_study(tmp_path / "run").points == found.points


@pytest.mark.usefixtures("cache")
def test_the_front_so_far_of_a_sweep_is_that_of_the_designs_so_far(small, tiny_trace, tmp_path, monkeypatch):
    from hwsim.search import watching

    monkeypatch.setattr(watching, "LEAST_S", 0.0)
    monkeypatch.setattr(watching, "SHARE", 0)
    space, folder, seen = space_from_dict(small, "here"), tmp_path / "run", []

    def look(study):
        left = load_study(folder) if (folder / SO_FAR).exists() else None
        seen.append((study, left))

    found = sweep(space, tiny_trace, folder, watch=look)
    assert len(seen) > 1
    for (before, _), (_, left) in itertools.pairwise(seen):
        assert left.points == before.points  # what was left for others is what was handed over before
    last = seen[-1][0]
    assert [(point.number, point.values) for point in last.points] == [
        (point.number, point.values) for point in found.points
    ]
    assert last.front != ()
    assert all(point.detail["array"] for point in last.points)
    assert not (folder / SO_FAR).exists()
    assert load_study(folder).points == found.points


def test_a_front_so_far_counts_while_the_study_runs_alone(tmp_path, small, tiny_trace, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    found = sweep(space_from_dict(small, "here"), tiny_trace, folder)
    log = (folder / LOG).read_bytes()
    left_in(folder)(Study(found.points[:1], found.manifest))
    assert load_study(folder).points == found.points  # the log is there
    (folder / LOG).unlink()
    with pytest.raises(TraceError, match="a finished study must hold all its designs"):
        load_study(folder)  # what is left of the time before does not count
    write_manifest(folder, read_manifest(folder) | {"finished": False})
    assert load_study(folder).points == found.points[:1]
    assert log.startswith((folder / SO_FAR).read_bytes()[:40])
    assert json.loads((folder / MANIFEST).read_text())["finished"] is False


def test_who_reads_a_log_leaves_a_line_that_is_being_written(tmp_path, small, tiny_trace, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    points = sweep(space_from_dict(small, "here"), tiny_trace).points
    log = PointLog(tmp_path)
    log.append(points[0])
    whole = log.path.read_bytes()
    with log.path.open("ab") as torn:
        torn.write(b'{"number": 5')
    assert log.read() == [points[0]]
    assert log.path.read_bytes() == whole + b'{"number": 5'
    assert log.read(mend=True) == [points[0]]
    assert log.path.read_bytes() == whole
