"""System tools as processes: found on PATH, run in one folder, ended with all their children.

Each call has a time limit that also ends a tool's own children, and its temporary files lie in its folder. However
this process ends, its tools end with it (`hwsim.guard`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError, MissingExtra
from hwsim.guard import end_group, watched

TIMEOUT_S = 300.0
NICENESS = 10
AGAIN_S = 0.05
"""How soon tools are ended again that were being started."""

_PACKAGES = {"yosys": "yosys", "yosys-abc": "yosys", "iverilog": "iverilog", "vvp": "iverilog"}
NAMES = {"yosys": "Yosys", "yosys-abc": "Yosys' ABC", "iverilog": "Icarus Verilog", "vvp": "Icarus Verilog"}


_RUNNING: set[int] = set()


class ToolError(HwsimError):
    """A system tool refused its input or ran out of time; the message carries its first line of complaint."""


def find_tool(name: str) -> str:
    """The path of `name` on PATH; `MissingExtra` names the Debian package otherwise."""
    if path := shutil.which(name):
        return path
    raise MissingExtra(NAMES[name], install=f"apt install {_PACKAGES[name]}", where=name)


def available(*names: str) -> bool:
    """Whether all tools `names` (default: Yosys, its ABC and Icarus Verilog) are on PATH."""
    return all(shutil.which(name) for name in names or tuple(_PACKAGES))


def run(command: list[str], *, cwd: Path, timeout_s: float, stderr: int = subprocess.PIPE) -> str:
    """Standard output of a tool; a session of its own, so that the limit ends Yosys' ABC too.

    What the tool leaves behind when it is ended lies in `cwd`, which is removed.
    """
    environment = os.environ | {"TMPDIR": str(cwd)}
    with watched(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8", errors="replace"
    ) as process:
        _RUNNING.add(process.pid)
        with contextlib.suppress(OSError):  # tools often run beside a search, which is what somebody waits for
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        try:
            stdout, complaints = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError("must end within its limit in seconds", got=timeout_s, where=_name(command)) from None
        finally:
            _RUNNING.discard(process.pid)
    if process.returncode < 0:
        rule = f"must end by itself, it was ended by {signal.Signals(-process.returncode).name}"
        raise ToolError(rule, where=_name(command))
    if process.returncode:
        raise ToolError(_first_error(stdout, complaints or "", process.returncode), where=_name(command))
    return stdout


def end_all(jobs: Iterable[Future[Any]]) -> None:
    """End every tool that threads of this process wait for, whose calls raise `ToolError`, until all `jobs` are over:
    those that wait are cancelled, and a tool that is just being started is ended as soon as it runs."""
    held = [job for job in jobs if not job.cancel()]
    while held:
        for pid in list(_RUNNING):
            end_group(pid)
        held = list(wait(held, timeout=AGAIN_S).not_done)


def _name(command: list[str]) -> str:
    return NAMES[Path(command[0]).name]


def _first_error(stdout: str, stderr: str, code: int) -> str:
    lines = [line.strip() for line in (stderr + "\n" + stdout).splitlines() if line.strip()]
    marked = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (marked or lines or [f"ended with status {code}"])[0]
