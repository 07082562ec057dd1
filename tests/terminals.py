"""A command on a terminal: what it writes there, and what to a standard output that is none."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_a_terminal(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, printed: bool = False
) -> tuple[str, str]:
    """Run a command whose standard error is a terminal, and its standard output too unless that is to be kept apart
    (`printed`); what the terminal shows, and what was kept apart. The command must end well."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE if printed else theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 4096):
                shown += part
        apart = child.stdout.read().decode() if child.stdout is not None else ""
        assert child.wait() == 0, shown.decode()
    os.close(ours)
    return shown.decode(), apart
