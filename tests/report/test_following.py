"""A page that follows a study: a search that really runs in another process, the page meanwhile, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hwsim
from hwsim import cache
from hwsim.errors import TraceError
from hwsim.report import follow_report, render
from hwsim.search import load_study, space_from_dict
from hwsim.storage import is_held, owned
from tests import samples
from tests.test_processes import MODEL, SPACE

SLOW = SPACE.replace("population = 6", "population = 2").replace("[8, 12, 16]", "[8, 10, 12, 14, 16, 18, 20]")
"""Every second draw of it measures something new."""


def _start(folder: Path, *arguments: str, **more: object) -> subprocess.Popen[str]:
    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    environment = os.environ | {
        "HWSIM_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(Path(hwsim.__file__).parent.parent),
        "HWSIM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen(
        [sys.executable, "-m", "hwsim", *arguments], cwd=folder, env=environment, text=True, preexec_fn=heed,
        start_new_session=True, **given,
    )  # fmt: skip


GATE = """
def gate():
    with Path({folder!r}, "asked").open("ab") as asked:
        asked.write(b"x")
        number = (asked.tell() - 1) // 2
    while not Path({folder!r}, f"go{{number}}").exists():
        time.sleep(0.05)
"""
"""Two accuracies are measured once there is a file ``go0``, two more once there is ``go1``, and so on."""


def _search(folder: Path) -> tuple[str, ...]:
    """A command that waits at `GATE` in its workers, with its model captured."""
    (folder / "cache").mkdir()
    if kept := cache.folder("jit"):
        (folder / "cache" / "jit").symlink_to(kept.resolve())
    text = MODEL.format(folder=str(folder), act="gate()") + GATE.format(folder=str(folder))
    (folder / "model.py").write_text(text)
    (folder / "space.toml").write_text(SLOW)
    hwsim.capture(f"{folder / 'model.py'}:build", out=folder / "trace")
    return (
        "explore", "space.toml", "--trace", "trace", "--trials", "40", "--no-gates", "--polish", "0",
        "--workers", "2", "--out", "run",
    )  # fmt: skip


def _wait(what, *processes, seconds=240.0):
    end = time.monotonic() + seconds
    while not (found := what()):
        for one in processes:
            assert one.poll() is None, one.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def _followed(page: Path, more_than: int = 0):
    """The page, once it follows a study of more than so many designs; it is whole whenever it is read."""

    def look():
        if not page.is_file():
            return None
        text = page.read_text()
        assert text.rstrip().endswith("</html>")
        designs = int(re.search(r"(\d+) different designs", text)[1])
        return (designs, text) if designs > more_than and 'id="follow"' in text else None

    return look


def test_a_page_follows_a_running_study_to_its_end(tmp_path):
    run, page = tmp_path / "run", tmp_path / "run" / "report.html"
    search = _start(tmp_path, *_search(tmp_path))
    try:
        (tmp_path / "go0").touch()
        log = run / "points.jsonl"
        _wait(lambda: log.is_file() and log.stat().st_size, search)
        assert is_held(run)
        watch = _start(tmp_path, "report", "run", "--watch")
        first, text = _wait(_followed(page), search, watch)
        (tmp_path / "go1").touch()
        second, other = _wait(_followed(page, first), search, watch)
        for one in (text, other):
            assert "The study is not finished." in one
            assert 'http-equiv="refresh"' not in one
        for number in range(2, 8):
            (tmp_path / f"go{number}").touch()
        printed, told = watch.communicate(timeout=240)
        assert watch.returncode == 0, told
        assert search.communicate(timeout=60)[1] is not None
        assert search.returncode == 0
    finally:
        search.kill()
    study = load_study(run)
    assert 0 < first < second < len(study.points)
    assert printed == f"{len(study.points)} designs, {len(study.front)} on the front: run/report.html\n"
    assert page.read_text() == render(study)
    assert 'id="follow"' not in render(study)
    lines = told.splitlines()
    assert [
        line for line in lines if not re.fullmatch(r"\d+ designs, \d+ on the front so far: run/report.html", line)
    ] == []
    assert [int(line.split()[0]) for line in lines] == sorted(int(line.split()[0]) for line in lines)
    assert {first, second, len(study.points)} <= {int(line.split()[0]) for line in lines}


def test_who_watches_leaves_by_an_interruption_and_the_search_goes_on(tmp_path):
    search = _start(tmp_path, *_search(tmp_path))
    try:
        (tmp_path / "go0").touch()
        log = tmp_path / "run" / "points.jsonl"
        _wait(lambda: log.is_file() and log.stat().st_size, search)
        watch = _start(tmp_path, "report", "run", "--watch")
        _wait(_followed(tmp_path / "run" / "report.html"), search, watch)
        watch.send_signal(signal.SIGINT)
        printed, told = watch.communicate(timeout=60)
        assert (watch.returncode, printed) == (130, "")
        assert told.splitlines()[-1].startswith("hwsim: stopped by SIGINT")
        assert "Traceback" not in told
        assert search.poll() is None
        search.send_signal(signal.SIGTERM)
        search.communicate(timeout=60)
        told_of = []
        study = follow_report(tmp_path / "run", lambda study, page: told_of.append(page))  # nobody works on it now
        assert told_of == [tmp_path / "run" / "report.html"]
        assert told_of[0].read_text() == render(study)
        assert "The study is not finished." in render(study)
    finally:
        search.kill()


def test_a_folder_is_held_while_somebody_works_in_it(tmp_path):
    assert not is_held(tmp_path)
    with owned(tmp_path / "run", "study"):
        assert is_held(tmp_path / "run")
    assert not is_held(tmp_path / "run")
    with pytest.raises(TraceError, match=r"a study's folder must hold manifest\.json"):
        follow_report(tmp_path / "run")


def test_the_open_page_reads_its_file_again_until_it_is_worked_on(study):
    text = render(study, 2.5)
    assert 'id="follow" class="quiet" aria-live="polite" data-every-s="2.5"' in text
    assert text.count('id="follow"') == 1


def test_a_sweep_under_way_has_a_page_though_its_designs_have_no_details_yet(tiny_trace, tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    seen = []
    hwsim.sweep(space_from_dict(samples.SPACE, "here"), tiny_trace, watch=seen.append)
    assert seen[0].front != ()
    assert all("causes" not in point.detail for point in seen[0].points)
    text = render(seen[0], 3.0)
    assert "The study is not finished." in text
    assert f"{len(seen[0].points)} different designs" in text
    assert 'id="follow"' in text
