"""What a terminal sees while a search runs: bar, rate, time left, the front so far; a log sees plain lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwsim
from hwsim import cli
from hwsim.cli import terminal
from tests.terminals import on_a_terminal

COMMAND = (
    "explore", "mine_space.toml", "--trace", "gpt-small", "--trials", "6", "--polish", "0", "--no-gates", "--out",
    "run",
)  # fmt: skip


def test_a_pace_is_so_many_a_second_or_a_minute_and_what_is_left_of_it():
    assert terminal._pace(4.0, 20, 100) == ", 5/s, 20 s left"  # 20 in 4 s: 100 more take 20 s
    assert terminal._pace(60.0, 3, 2) == ", 3/min, 40 s left"
    assert terminal._pace(2.0, 2469, 1) == ", 1,234/s, 0 s left"  # 1234.5, even
    assert [terminal._pace(*one) for one in ((0.0, 5, 5), (5.0, 0, 5), (5.0, 5, 0))] == ["", "", ""]


def test_plain_lines_tell_every_tenth_with_rate_and_time_left(monkeypatch, capsys):
    now = iter(range(0, 400, 2))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: float(next(now)))
    advance = terminal._plain_lines("exploring")
    for done in range(41):
        advance(done, 40, f"{done} designs")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0] == "exploring: 0/40 0 designs"
    assert lines[5] == "exploring: 20/40 20 designs, 30/min, 40 s left"  # one every 2 s
    assert lines[10] == "exploring: 40/40 40 designs"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["new", "space", "mine_space"]) == 0
    return tmp_path


def _searched(folder):
    """What a search writes to a terminal of 150 columns, and what to its standard output."""
    environment = os.environ | {
        "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "40",
        "PYTHONPATH": str(Path(hwsim.__file__).parent.parent),
    }  # fmt: skip
    environment.pop("NO_COLOR", None)
    return on_a_terminal([sys.executable, "-m", "hwsim", *COMMAND], environment, folder, printed=True)


def test_a_terminal_sees_the_front_so_far_and_a_log_plain_lines(folder):
    shown, printed = _searched(folder)
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"the front so far, [1-9]\d* designs", words)
    assert "arithmetic" in words
    assert "energy_uj" in words
    assert re.search(r"exploring .* 6/6 .*\d/(s|min) .*left", words)
    assert "\x1b" not in printed
    assert "the front so far" not in printed
    done = subprocess.run(
        [sys.executable, "-m", "hwsim", *COMMAND, "--force"], cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"COLUMNS": "150", "PYTHONPATH": str(Path(hwsim.__file__).parent.parent)},
    )  # fmt: skip
    assert done.stdout == printed
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("exploring: 6/6 ")
    assert "the front so far" not in done.stderr
