"""A search on a Dask cluster whose driver, workers or scheduler are killed has the points of a search alone.

A worker that is gone costs what it had in hand; without its scheduler the driver says so and goes on with a new one.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .killing import Scene
from .test_processes import MODEL, SPACE

pytest.importorskip("distributed", reason="needs Dask (pip install 'hwsim[dask]')")

EXPLORE = ("explore", "space.toml", "--trace", "trace", "--trials", "12", "--no-gates", "--out", "run")
SLOWLY = "def metric(model):\n    time.sleep(0.4)"


@dataclass
class Cluster:
    """A scheduler and two workers, each started again when it is gone."""

    scene: Scene
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads((self.scene.folder / "scheduler.json").read_text())["address"])

    def mend(self) -> None:
        """Have all three run."""
        scheduler = self.running.get("scheduler")
        if scheduler is None or scheduler.poll() is not None:
            self.end()
            (self.scene.folder / "scheduler.json").unlink(missing_ok=True)
            self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
            end = time.monotonic() + 120
            while not (self.scene.folder / "scheduler.json").exists() and time.monotonic() < end:
                time.sleep(0.1)
        for name in ("worker a", "worker b"):
            if name not in self.running or self.running[name].poll() is not None:
                self._close(name)
                self._start(name, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        from distributed import Client

        with Client(self.address, timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=300)

    def _start(self, name: str, *options: str) -> None:
        module = f"distributed.cli.dask_{name.partition(' ')[0]}"
        self.running[name] = self.scene.start(
            "--scheduler-file", "scheduler.json", *options, program=("-m", module), heard=False
        )

    def end(self) -> None:
        """End all three."""
        for name in list(self.running):
            self._close(name)

    def _close(self, name: str) -> None:
        process = self.running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait(60)


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(Scene(folder / "cluster"))  # with a mark and temporary files of its own
    try:
        cluster.mend()
        yield cluster
    finally:
        cluster.end()


def _points(folder: Path) -> list[tuple[object, ...]]:
    lines = map(json.loads, (folder / "run" / "points.jsonl").read_text().splitlines())
    return [(one["number"], one["point"], one["values"], one["reason"]) for one in lines]


@pytest.mark.slow
def test_whoever_dies_the_points_are_those_of_a_search_alone(tmp_path):
    rounds = 20
    scene, chosen = Scene(tmp_path), random.Random(4)
    (tmp_path / "model.py").write_text(
        MODEL.format(folder=str(tmp_path), act="pass").replace("def metric(model):", SLOWLY)
    )
    (tmp_path / "space.toml").write_text(SPACE)
    scene.run("capture", "model.py:build", "--out", "trace")
    scene.run(*EXPLORE)
    expected = _points(tmp_path)
    told: dict[str, int] = {}
    with _cluster(tmp_path) as cluster:
        _clear(scene)
        began = time.monotonic()
        scene.run(*EXPLORE, "--dask", cluster.address)
        takes = time.monotonic() - began
        assert _points(tmp_path) == expected
        _clear(scene)
        for turn in range(rounds):
            victim = ("driver", "worker a", "scheduler", "worker b")[turn % 4]
            cluster.mend()
            with scene.start(*EXPLORE, "--resume", "--dask", cluster.address) as driver:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    driver.wait(takes * chosen.uniform(0.1, 0.9))
                whole = driver.poll() is not None
                killed = driver if victim == "driver" else cluster.running[victim]
                killed.send_signal(signal.SIGKILL)
                killed.wait(60)  # a process takes a while to die, and looks as if it ran until then
                said = driver.communicate(timeout=300)[1]
            outcome = f"{victim}: {'too late' if whole else driver.returncode}"
            told[outcome] = told.get(outcome, 0) + 1
            print(f"dask: round {turn + 1} of {rounds}, {outcome}", flush=True)
            assert "Traceback" not in said, said
            assert driver.returncode in ({"driver": (0, -9), "scheduler": (0, 2)}.get(victim, (0,))), (victim, said)
            assert scene.left() == [], victim
            if driver.returncode == 0:
                assert _points(tmp_path) == expected, victim
                _clear(scene)
        cluster.mend()
        scene.run(*EXPLORE, "--resume", "--dask", cluster.address)
        assert _points(tmp_path) == expected
    assert [*scene.left(), *cluster.scene.processes()] == []
    print(f"dask: {told}")


def _clear(scene: Scene) -> None:
    shutil.rmtree(scene.folder / "run", ignore_errors=True)
    scene.forget()
