"""Commands that are killed again and again, and what they leave behind.

A round starts a command and ends it at a random moment by SIGKILL, SIGTERM or SIGINT; the next round goes on in the
same place. Whenever one comes to its end, and after the last round, what it made must be what an undisturbed run
makes. Between two rounds nothing may be left: no process (each carries a mark in its environment that what it starts
inherits) and no file below TMPDIR.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import hwsim
from hwsim import cache

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MARK = "HWSIM_KILL_TEST"


@dataclass
class Scene:
    """A folder in which commands run, with an empty memo and the machine code that is there already."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.forget()

    def forget(self) -> None:
        """Empty the cache but for machine code."""
        own, common = self.folder / "cache", cache.folder("jit")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        if common is not None:
            (own / "jit").symlink_to(common.resolve())

    def start(
        self,
        *command: str,
        program: tuple[str, ...] = ("-m", "hwsim"),
        most_bytes: int | None = None,
        heard: bool = True,
    ) -> subprocess.Popen[str]:
        """Start a program of Python, by default hwsim; no file that it writes may grow beyond `most_bytes`. What is
        not `heard` goes nowhere: a pipe that nobody reads fills, and its writer waits for ever."""
        arguments = [sys.executable, *program, *command]
        if most_bytes is not None:
            arguments = ["prlimit", f"--fsize={most_bytes}", *arguments]
        environment = os.environ | {
            "TMPDIR": str(self.folder / "tmp"), "HWSIM_CACHE_DIR": str(self.folder / "cache"), MARK: self.mark,
            "PYTHONPATH": str(Path(hwsim.__file__).parent.parent), "HWSIM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        end = subprocess.PIPE if heard else subprocess.DEVNULL
        return subprocess.Popen(
            arguments, cwd=self.folder, env=environment, text=True,
            stdout=end, stderr=end, start_new_session=True, preexec_fn=_heed,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        """Run a command of hwsim to its end; what it printed."""
        with self.start(*command) as process:
            printed, told = process.communicate(timeout=900)
        assert process.returncode == 0, told
        return printed

    def left(self, seconds: float = 30.0) -> list[str]:
        """Processes and temporary files that are there after some seconds, the sooner the better."""
        end = time.monotonic() + seconds
        while (found := [*self.processes(), *map(str, (self.folder / "tmp").iterdir())]) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def processes(self) -> list[str]:
        """Command lines of all that carries the mark."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
            except OSError:
                continue
        return found


def _heed() -> None:
    """Heed SIGINT also where this process was started to ignore it, as a shell does with what it puts behind."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tree(*paths: Path) -> dict[str, bytes]:
    """Bytes of every file below some paths, by its name; halves of files among them."""
    files = (file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))))
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def kill_rounds(
    scene: Scene,
    command: tuple[str, ...],
    made: Callable[[], object],
    clear: Callable[[], None],
    rounds: int,
    again: tuple[str, ...] = (),
    seed: int = 0,
) -> dict[str, int]:
    """Kill a command at `rounds` random moments.

    Args:
        scene: where.
        command: of hwsim.
        made: what an undisturbed run and a killed one must agree in; also looks for what must not be there.
        clear: removes what the command makes.
        rounds: how often.
        again: what is added to the command from the second round on.
        seed: of the moments; the signals take turns.

    Returns:
        How many rounds each signal ended, and how many had come to their end (``finished``).
    """
    scene.run(*command)
    expected = made()
    clear()
    scene.forget()
    began = time.monotonic()
    scene.run(*command)
    takes = time.monotonic() - began
    assert made() == expected, "two undisturbed runs differ"
    assert scene.left() == []
    clear()
    scene.forget()
    chosen, counts, fresh = random.Random(seed), {one.name: 0 for one in SIGNALS} | {"finished": 0}, True
    for turn in range(rounds):
        number = SIGNALS[turn % len(SIGNALS)]
        with scene.start(*command, *(() if fresh else again)) as process:
            try:
                process.wait(takes * chosen.uniform(0.02, 1.0))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            _, told = process.communicate(timeout=120)
        assert process.returncode in (0, -number, 128 + number), told
        assert "Traceback" not in told, told
        assert (left := scene.left()) == [], (number, left)
        fresh = False
        if process.returncode == 0:
            assert made() == expected, number
            counts["finished"] += 1
            clear()
            scene.forget()
            fresh = True
        else:
            counts[number.name] += 1
    scene.run(*command, *(() if fresh else again))
    assert made() == expected
    assert scene.left() == []
    return counts
