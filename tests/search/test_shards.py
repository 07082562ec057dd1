"""Shards, made alone and joined, and sweeps that were interrupted, are the undivided sweep to the last byte."""

from __future__ import annotations

import copy
import json

import pytest
from typer.testing import CliRunner

import hwsim.search.parts
from hwsim.cli import app
from hwsim.errors import ArgumentError, TraceError
from hwsim.search import load_study, merge, space_from_dict, sweep, work
from hwsim.search.manifest import read_manifest, write_manifest
from hwsim.search.parts import read_parts

from .conftest import SPACE

TABLE = copy.deepcopy(SPACE) | {
    "constraints": {"area_mm2": {"max": 1.2}},
    "parameters": {
        "bits": {"choice": [12, 16], "sets": "numerics.datapath.acc_bits"},
        "plan": {"choice": ["nominal", "time"], "sets": "objective"},
        "rows": {"choice": [4, 8], "sets": "array.rows"},
        "clock": {"choice": [0.3, 2.2], "sets": "technology.clock_ghz"},
        "voltage": {"choice": [0.65, 0.8], "sets": "technology.voltage"},
        "weight_kib": {"choice": [32, 0, 128], "sets": "memory.weight_kib"},
    },
}
FILES = ("points.jsonl", "points.parquet", "pareto.csv", "parts.json")


def _kept(folder):
    """Bytes of all tables of a sweep."""
    names = [*FILES, *sorted(path.name for path in folder.glob("points-*"))]
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def parts_of_thirty(monkeypatch):
    """Parts are of 30 designs and the rest of their block."""
    monkeypatch.setattr(hwsim.search.parts, "ROWS", 30)


@pytest.fixture
def undivided(tiny_trace, tmp_path, parts_of_thirty):
    """The space, and the folder of one sweep of it: 96 designs, 32 of them no machine."""
    space = space_from_dict(copy.deepcopy(TABLE), "here")
    study = sweep(space, tiny_trace, tmp_path / "whole")
    assert space.size == study.manifest["designs"] == 96
    assert study.manifest["status"]["no machine"] == 32
    assert len(json.loads((tmp_path / "whole" / "parts.json").read_text())) >= 3
    return space, tmp_path / "whole"


@pytest.mark.parametrize("count", [1, 3, pytest.param(11, marks=pytest.mark.slow)])
def test_joined_shards_are_the_undivided_sweep(undivided, tiny_trace, tmp_path, count):
    space, whole = undivided
    for which in reversed(range(1, count + 1)) if count < 9 else range(1, count + 1):
        work(space, tiny_trace, f"{which}/{count}", tmp_path / "run")
    study = merge(tmp_path / "run")
    assert _kept(tmp_path / "run") == _kept(whole)
    one, other = (load_study(folder).manifest for folder in (whole, tmp_path / "run"))
    assert {name for name in one if one[name] != other[name]} <= {"seconds", "plans"}
    assert [point.to_json() for point in study.points] == [point.to_json() for point in load_study(whole).points]
    rows = [
        sum(table.num_rows for table in read_parts(one)) for one in sorted((tmp_path / "run" / "shards").iterdir())
    ]
    assert (sum(rows), len(rows)) == (96, count)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_an_interrupted_sweep_goes_on_behind_its_whole_parts(undivided, tiny_trace, tmp_path, left, monkeypatch):
    space, whole = undivided
    written = []
    flush = hwsim.search.parts.PartWriter.flush

    def dies(writer):
        if len(writer.parts) == left:
            raise KeyboardInterrupt
        flush(writer)

    with monkeypatch.context() as patch:
        patch.setattr(hwsim.search.parts.PartWriter, "flush", dies)
        with pytest.raises(KeyboardInterrupt):
            sweep(space, tiny_trace, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("points-*")}
    assert len(before) == left
    (tmp_path / "run" / "points-00007.part").write_text("half of one")
    append = hwsim.search.parts.PartWriter.append
    monkeypatch.setattr(
        hwsim.search.parts.PartWriter, "append", lambda *given: (written.append(len(given[1])), append(*given))
    )
    sweep(space, tiny_trace, tmp_path / "run", resume=True)
    assert _kept(tmp_path / "run") == _kept(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # kept, not written again
    assert sum(written) == 96 - sum(one["rows"] for one in json.loads((whole / "parts.json").read_text())[:left])


def test_a_part_that_changed_is_made_again_and_what_follows_it(undivided, tiny_trace):
    space, whole = undivided
    before = _kept(whole)
    with (whole / "points-00001.parquet").open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    sweep(space, tiny_trace, whole, resume=True)
    assert _kept(whole) == before


def test_parts_without_a_manifest_are_not_taken_for_ours(undivided, tiny_trace):
    space, whole = undivided
    before = _kept(whole)
    parts = json.loads((whole / "parts.json").read_text())
    (whole / "manifest.json").unlink()
    (whole / "parts.json").write_text(json.dumps(parts[:1]))
    written = (whole / parts[0]["name"]).stat().st_mtime_ns
    sweep(space, tiny_trace, whole, resume=True, force=True)
    assert _kept(whole) == before
    assert (whole / parts[0]["name"]).stat().st_mtime_ns != written  # made again


def test_a_sweep_that_began_is_not_overwritten(undivided, tiny_trace, small):
    space, whole = undivided
    (whole / "points.jsonl").unlink()  # as if it had been interrupted before its end
    with pytest.raises(ArgumentError, match="the folder for a new study must not hold one; resume it"):
        sweep(space, tiny_trace, whole)
    with pytest.raises(ArgumentError, match="a study is resumed with the space_digest it began with"):
        sweep(space_from_dict(small, "here"), tiny_trace, whole, resume=True)


def test_a_worker_goes_on_with_its_own_shard_only(tiny_trace, tmp_path, small, parts_of_thirty):
    space = space_from_dict(copy.deepcopy(TABLE), "here")
    folder = work(space, tiny_trace, "1/2", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("points-*")}
    assert before
    work(space, tiny_trace, "1/2", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("points-*")} == before
    with pytest.raises(ArgumentError, match="a study is resumed with the space_digest it began with"):
        work(space_from_dict(small, "here"), tiny_trace, "1/2", tmp_path)
    work(space_from_dict(small, "here"), tiny_trace, "1/2", tmp_path, force=True)


def test_what_is_no_whole_division_is_refused(tiny_trace, tmp_path, small, parts_of_thirty):
    for text in ("0/4", "5/4", "1", "1/x", "-1/4", "1/100000", "1/4\n"):
        with pytest.raises(ArgumentError, match="shard must be K/N, the K-th of N, with K from 1 to N"):
            work("edge-lm", tiny_trace, text, tmp_path)
    with pytest.raises(ArgumentError, match=r"the folder must hold the shards of one division, got \[\]"):
        merge(tmp_path)
    space = space_from_dict(copy.deepcopy(TABLE), "here")
    work(space, tiny_trace, "1/2", tmp_path)
    with pytest.raises(ArgumentError, match=r"every shard must be finished .*, got \['00002-of-00002'\]"):
        merge(tmp_path)
    work(space_from_dict(small, "here"), tiny_trace, "2/2", tmp_path)
    with pytest.raises(ArgumentError, match="shards of one sweep must have one space_digest"):
        merge(tmp_path)
    work(space, tiny_trace, "2/2", tmp_path, force=True)
    part = next((tmp_path / "shards" / "00002-of-00002").glob("points-*"))
    data = part.read_bytes()
    part.write_bytes(data[:-1])
    with pytest.raises(TraceError, match="a part of a sweep must be what was written"):
        merge(tmp_path)
    part.write_bytes(data)
    merge(tmp_path)
    with pytest.raises(ArgumentError, match="the folder for a new study must not hold one; force it"):
        merge(tmp_path)
    manifest = read_manifest(tmp_path)
    write_manifest(tmp_path, manifest | {"finished": False})  # as a merge leaves it that is interrupted
    merge(tmp_path)
    write_manifest(tmp_path, {key: manifest[key] for key in manifest if key != "shards"} | {"finished": False})
    with pytest.raises(ArgumentError, match="the folder for a new study must not hold one; force it"):
        merge(tmp_path)  # a sweep's own folder
    work(space, tiny_trace, "1/3", tmp_path)
    with pytest.raises(ArgumentError, match="the folder must hold the shards of one division"):
        merge(tmp_path, force=True)


def test_the_commands_are_the_functions(tiny_trace, tmp_path):
    from tests.test_processes import SPACE as TINY

    (tmp_path / "space.toml").write_text(TINY.replace('"rerun"', '"replay"'))
    run = CliRunner().invoke
    given = (str(tmp_path / "space.toml"), "--trace", str(tiny_trace.path))
    for shard in ("1/2", "2/2"):
        told = run(app, ["worker", *given, "--shard", shard, "--out", str(tmp_path / "a")])
        assert (told.exit_code, f"shard {shard} is finished" in told.output) == (0, True), told.output
    assert run(app, ["merge", str(tmp_path / "a")]).exit_code == 0
    assert run(app, ["sweep", *given, "--out", str(tmp_path / "b")]).exit_code == 0
    assert run(app, ["sweep", *given, "--out", str(tmp_path / "b"), "--resume"]).exit_code == 0
    assert _kept(tmp_path / "a") == _kept(tmp_path / "b")
