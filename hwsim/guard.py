"""What must not outlive this process: tools, workers, temporary folders.

Decides that a process of its own watches: it reads the end of a pipe that this process holds, learns over it what
is under way, and when the pipe closes, however this process ended, it kills what is left and removes the folders.
Signals of the terminal do not reach it. Rejected: a signal of the kernel at the parent's death (it follows the thread
that started the child, and removes no folder), and cleaning at exit (nothing runs at ``kill -9``).

`stopping` turns SIGINT, SIGTERM and SIGHUP into `Stopped`, so that every block on the way out ends what it began.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from hwsim.errors import Stopped, StorageError

_WATCHER = """
import os, shutil, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
groups, folders = set(), set()
for line in sys.stdin.buffer:
    sign, kind, what = line[:1], line[1:2], line[2:-1]
    held = groups if kind == b"g" else folders
    (held.add if sign == b"+" else held.discard)(what)
for group in groups:
    try:
        os.killpg(int(group), signal.SIGKILL)
    except OSError:
        pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""

_lock = threading.Lock()
_watcher: tuple[int, int] | None = (
    None  # the process that it serves, as a fork inherits the pipe; its end of the pipe
)


def _channel() -> int:
    """The end of the pipe that this process holds; the first call starts the watcher. -1 where it cannot start."""
    global _watcher
    with _lock:
        if _watcher is None or _watcher[0] != os.getpid():
            reading, writing = os.pipe()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _WATCHER],
                    stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                    cwd="/",
                )  # fmt: skip
            except OSError:
                os.close(writing)
                writing = -1
            else:
                process.returncode = 0  # it outlives its Popen on purpose; no warning of a child that still runs
            finally:
                os.close(reading)
            _watcher = os.getpid(), writing
        return _watcher[1]


def _tell(message: bytes) -> None:
    """Send a line to the watcher. One that is gone is not missed."""
    with contextlib.suppress(OSError):
        os.write(_channel(), message + b"\n")


_ANNOUNCED = """trap '' PIPE; echo "+g$$" 2>&- >&0; trap - PIPE; exec "$@" </dev/null"""


@contextlib.contextmanager
def watched(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which ends at the end of the block or of this process. It tells the watcher of
    itself before it becomes `command`: this process may be killed at the instant at which it has started it.

    Args:
        command: program and arguments.
        options: of `subprocess.Popen`, other than ``stdin``, which is empty.
    """
    channel, process = _channel(), None
    try:
        process = subprocess.Popen(
            command if channel < 0 else ["/bin/sh", "-c", _ANNOUNCED, "sh", *command],
            stdin=subprocess.DEVNULL if channel < 0 else channel, start_new_session=True, **options,
        )  # fmt: skip
        yield process
    finally:
        if process is not None:
            if process.returncode is None:
                end_group(process.pid)
            with process:  # waits for it, and closes its pipes
                pass
            _tell(b"-g%d" % process.pid)


def end_group(pid: int) -> None:
    """Kill every process of a group that is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A new folder below the system's temporary one, removed at the end of the block or of this process, which may
    come before the folder is there: the watcher hears of it first.

    Raises:
        StorageError: the block found no room for a file.
    """
    path = Path(tempfile.gettempdir(), prefix + secrets.token_hex(8))
    name = os.fsencode(path)
    _tell(b"+f" + name)
    try:
        path.mkdir(mode=0o700)
        yield path
    except OSError as refusal:
        if refusal.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise StorageError(f"temporary folder must have room, {refusal.strerror}", where=str(path)) from refusal
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _tell(b"-f" + name)


AGAIN_S = 0.02
"""How soon a signal comes again that a finalizer has swallowed."""

_waiting: list[list[int]] = []  # lists that a signal goes to, of the blocks that hold it back
_watching = 0


def is_stopping() -> bool:
    """Whether `stopping` is at work."""
    return _watching > 0


@contextlib.contextmanager
def held_back(asked: list[int]) -> Iterator[None]:
    """Let a signal of `stopping` wait in `asked` for the end of the block, which must be left whole."""
    _waiting.append(asked)
    try:
        yield
    finally:
        _waiting.remove(asked)
    if asked and not _waiting:
        raise Stopped(asked[0])


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into `Stopped` while the block runs; a second one ends the process at once.

    A signal that was ignored before stays ignored (``nohup``). One that comes while Python runs a finalizer, where an
    exception goes no further, comes again shortly after. Only the main thread may call this.
    """
    seen: list[int] = []
    told = sys.unraisablehook

    def lost(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, Stopped):
            told(what)
            return
        number = seen.pop()
        threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()

    def stop(number: int, frame: FrameType | None) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        if _waiting:
            for asked in _waiting:
                asked.append(number)
            return
        raise Stopped(number)

    global _watching
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    _watching += 1
    sys.unraisablehook = lost
    try:
        yield
    finally:
        _watching -= 1
        sys.unraisablehook = told
        for number, handler in before.items():
            signal.signal(number, handler)
