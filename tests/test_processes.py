"""However the driver ends, nothing of it stays: one line, a status, no worker, no tool, no temporary folder.

The work is a model whose metric sleeps in workers, and a Yosys that sleeps: both say when they have begun, so that
the signal comes while they are at it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwsim
from tests import samples
from tests.killing import Scene

MODEL = (
    samples.LINEAR
    + """
import multiprocessing, os, time
from collections.abc import Iterator
from pathlib import Path
def metric(model):
    if multiprocessing.parent_process() is not None:
        Path({folder!r}, f"worker.{{os.getpid()}}").write_text("")
        {act}
    with torch.no_grad():
        return float(model(next(batches())).square().mean())
"""
)

SPACE = """
name = "tiny"
search = { population = 6, accuracy = "rerun" }
[machine]
array = { rows = 8, cols = 8, dataflow = "ws", overlap = "fill" }
technology = { clock_ghz = 0.5, node_nm = 16 }
[machine.memory]
activation_kib = 128
weight_kib = 128
output_kib = 128
port_bits = 256
output_bits = 32
dram = "lpddr4"
dram_gbyte_s = 12.8
[machine.numerics]
activation = "int4.channel"
weight = "int4.channel"
datapath = { family = "integer", a_bits = 4, b_bits = 4, acc_bits = 16 }
[parameters]
bits = { choice = [8, 12, 16], sets = "numerics.datapath.acc_bits" }
rows = { choice = [4, 8], sets = "array.rows" }
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _gone(pids, seconds=20.0):
    end = time.monotonic() + seconds
    while any(map(_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return [pid for pid in pids if _alive(pid)]


def _waits_for(folder: Path, pattern: str, count: int, process: subprocess.Popen[str]) -> list[int]:
    end = time.monotonic() + 300
    while len(found := list(folder.glob(pattern))) < count:
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"{process.poll()}: {process.communicate()[1]}")
        time.sleep(0.05)
    return [int(path.suffix[1:]) for path in found]


def _heeds_signals() -> None:
    """What a shell in the background or nohup ignores is ignored by its children, and hwsim leaves it so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _start(tmp_path: Path, *arguments: str, path: str = "") -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "tmp"),
        "HWSIM_CACHE_DIR": os.environ.get("HWSIM_CACHE_DIR", str(tmp_path / "cache")),
        "PYTHONPATH": str(Path(hwsim.__file__).parent.parent), "PATH": f"{path}{os.environ['PATH']}",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "hwsim", *arguments], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=_heeds_signals,
    ) as driver:  # fmt: skip
        try:
            yield driver
        finally:
            driver.kill()  # a failed test waits for nobody


@pytest.fixture
def problem(tmp_path):
    """Writes the model with what its metric does in a worker, and captures it."""

    def make(act: str) -> tuple[str, ...]:
        (tmp_path / "model.py").write_text(MODEL.format(folder=str(tmp_path), act=act))
        (tmp_path / "space.toml").write_text(SPACE)
        hwsim.capture(f"{tmp_path / 'model.py'}:build", out=tmp_path / "trace")
        return (
            "explore", "space.toml", "--trace", "trace", "--trials", "12", "--no-gates", "--workers", "2",
            "--out", "run",
        )  # fmt: skip

    return make


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
SEARCHED = [pytest.param(*one, marks=[pytest.mark.slow] * (one[1] in (143, 129))) for one in SIGNALS]


@pytest.mark.parametrize(("number", "status"), SEARCHED, ids=lambda value: getattr(value, "name", ""))
def test_a_search_takes_its_workers_with_it(problem, tmp_path, number, status):
    with _start(tmp_path, *problem("time.sleep(600)")) as driver:
        workers = _waits_for(tmp_path, "worker.*", 2, driver)
        driver.send_signal(number)
        _, told = driver.communicate(timeout=60)
    assert driver.returncode == status
    assert _gone(workers) == []
    assert "Traceback" not in told
    if number != signal.SIGKILL:
        last = [line for line in told.splitlines() if not line.startswith("exploring")]
        assert last == [
            f"hwsim: stopped by {number.name}; what is finished is kept, and the same command "
            "(explore, sweep: with --resume) goes on"
        ]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interruption_of_the_whole_group_is_one_line(problem, tmp_path):
    with _start(tmp_path, *problem("time.sleep(600)")) as driver:
        workers = _waits_for(tmp_path, "worker.*", 2, driver)
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
        _, told = driver.communicate(timeout=60)
    assert (driver.returncode, _gone(workers)) == (130, [])
    assert told.count("\n") == 1, told


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(problem, tmp_path):
    arguments = problem("time.sleep(1)")
    with _start(tmp_path, *arguments) as driver:
        first = _waits_for(tmp_path, "worker.*", 1, driver)[0]
        os.kill(first, signal.SIGKILL)
        _, told = driver.communicate(timeout=300)
    assert (driver.returncode, "Traceback" in told) == (0, False), told
    points = [json.loads(line) for line in (tmp_path / "run" / "points.jsonl").read_text().splitlines()]
    assert [point["number"] for point in points if point["reason"]] == []
    alone = hwsim.explore(tmp_path / "space.toml", tmp_path / "trace", trials=12)
    assert [(point["number"], point["values"]) for point in points] == [
        (point.number, dict(point.values)) for point in alone.points
    ]


YOSYS = """#!/bin/sh
if [ "$1" = -V ]; then echo "Yosys 0.0"; exit 0; fi
touch "$TOLD/tool.$$"
sleep 600
"""


@pytest.mark.parametrize(("number", "status"), SIGNALS, ids=lambda value: getattr(value, "name", ""))
def test_a_synthesis_takes_its_tool_and_its_folder_with_it(tmp_path, number, status, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("yosys", "yosys-abc"):
        (tmp_path / "bin" / name).write_text(YOSYS)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("TOLD", str(tmp_path))
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    with _start(tmp_path, "synth", "mul_u2x2_array", path=f"{tmp_path / 'bin'}:") as driver:
        tools = _waits_for(tmp_path, "tool.*", 1, driver)
        driver.send_signal(number)
        _, told = driver.communicate(timeout=60)
    assert driver.returncode == status
    assert _gone(tools) == []
    assert "Traceback" not in told
    end = time.monotonic() + 20
    while list((tmp_path / "tmp").iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert list((tmp_path / "tmp").iterdir()) == []


SWALLOWED = """
import os, signal, time
from hwsim.errors import Stopped
from hwsim.guard import stopping
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):  # the exception comes here, where Python only prints it
            pass
try:
    with stopping():
        Last()
        time.sleep(60)
except Stopped as reason:
    print("stopped", reason.status)
"""


def test_a_signal_in_a_finalizer_is_not_lost():
    environment = os.environ | {"PYTHONPATH": str(Path(hwsim.__file__).parent.parent)}
    found = subprocess.run(
        [sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=30, check=True, env=environment
    )
    assert (found.stdout, found.stderr) == ("stopped 143\n", "")


DIES = """
import os, signal, subprocess
from pathlib import Path
from hwsim.guard import temporary_folder
from hwsim.rtl.tools.process import run
def dies(function):
    def made(*arguments, **named):
        function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    return made
with temporary_folder("first-"):  # starts the watcher
    pass
"""
AT_ONCE = {
    "folder": 'os.mkdir = dies(os.mkdir)\nwith temporary_folder("second-"):\n    pass',
    "tool": 'subprocess.Popen = dies(subprocess.Popen)\nrun(["sleep", "600"], cwd=Path.cwd(), timeout_s=600)',
}


@pytest.mark.parametrize("what", AT_ONCE)
def test_who_dies_at_the_instant_of_starting_leaves_nothing(tmp_path, what):
    scene = Scene(tmp_path)
    with scene.start(program=("-c", DIES + AT_ONCE[what])) as process:
        told = process.communicate(timeout=60)
    assert (process.returncode, told) == (-signal.SIGKILL, ("", ""))
    assert scene.left() == []
