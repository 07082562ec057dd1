"""Bounds for a call on something hostile: the memory that it takes and the time.

Memory is what a call adds at its peak to what this process held before, which other tests have filled: Linux forgets
the peak when told so. Room that is asked for and never touched is no memory held, so that the address space may not
grow beyond the bound either. A call that does not end in `LONGEST_S` hangs.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

MOST_BYTES = 1 << 30
LONGEST_S = 300
HERE = Path("/proc/self")
MEASURED = sys.platform == "linux"


def _status_bytes(name: str) -> int:
    line = next(one for one in (HERE / "status").read_text().splitlines() if one.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _late(number: int, frame: FrameType | None) -> None:
    raise AssertionError(f"hangs: no end in {LONGEST_S} s")


@contextlib.contextmanager
def bounded(peaks: list[int]) -> Iterator[None]:
    """Run a block within the bounds, and add to `peaks` the bytes that it took at most.

    Raises:
        AssertionError: it took more than `MOST_BYTES`, or did not end.
        MemoryError: it asked for `MOST_BYTES` beyond what this process has.
    """
    before = signal.signal(signal.SIGALRM, _late)
    signal.alarm(LONGEST_S)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    held = 0
    if MEASURED:
        held = _status_bytes("VmRSS")
        (HERE / "clear_refs").write_text("5")
        resource.setrlimit(resource.RLIMIT_AS, (_status_bytes("VmSize") + MOST_BYTES, limits[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        if MEASURED:
            peaks.append(max(0, _status_bytes("VmHWM") - held))
    assert not peaks or peaks[-1] <= MOST_BYTES, f"{peaks[-1] >> 20} MiB"
