"""Cells of a study: calls that know nothing of each other, made in processes side by side, each kept once it is done.

A cell's key is its content, the code of its class and what this machine multiplies with, so that an interrupted study
goes on with what it has and never with what another version or another processor found. The log goes once the page is
written. Each cell computes on one thread of torch and of the kernels, whatever the number of workers: that number is
in no bit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hwsim import content
from hwsim.errors import StorageError
from hwsim.jit import environment
from hwsim.storage import format_line, parse_line, read_bytes

LOG = "cells.jsonl"

Advance = Callable[[int, int, str], None]
"""Called with (cells done, of how many, which) after each."""


class Cell(Protocol):
    """A frozen record that another process can be sent."""

    @property
    def label(self) -> str:
        """Which it is, for who waits."""

    def measure(self) -> dict[str, Any]:
        """What is found, as JSON has it: finite numbers, text, lists, tables, None."""


def measured(cells: Sequence[Cell], folder: Path, workers: int = 1, advance: Advance | None = None) -> list[Any]:
    """What every cell measures, in their order; what the log in `folder` holds is not measured again.

    Args:
        cells: most wanted first.
        folder: holds ``cells.jsonl``, a line a cell.
        workers: processes.
        advance: see `Advance`.

    Raises:
        ArgumentError: workers below 1. LostTask: a cell ends its process.
    """
    from hwsim.search.workers import open_pool

    path = folder / LOG
    keys = [content.digest(cell, environment()) for cell in cells]
    found = _stored(path)
    missing = [index for index, key in enumerate(keys) if key not in found]
    with open_pool(workers) as pool, path.open("ab") as log:
        started = {index: pool.submit(_measure, cells[index]) for index in missing} if pool is not None else {}
        for index in _as_done(missing, started):
            value = started[index].result() if index in started else _measure(cells[index])
            log.write(format_line({"key": keys[index], "value": value}))
            log.flush()
            found[keys[index]] = value
            if advance is not None:
                advance(sum(key in found for key in keys), len(cells), cells[index].label)
    return [found[key] for key in keys]


def forget(folder: Path) -> None:
    """Remove the log of a finished study."""
    (folder / LOG).unlink(missing_ok=True)


def _measure(cell: Cell) -> Any:
    """What a cell measures, as it comes back from the log."""
    return json.loads(json.dumps(cell.measure(), allow_nan=False))


def _as_done(missing: list[int], started: Mapping[int, Any]) -> Iterator[int]:
    """Indices as they are done; in their order where nothing was started or a worker died."""
    left = list(missing)
    while left:
        ready = next((index for index in left if index not in started or started[index].done), None)
        if ready is None and any(started[index].future.done() for index in left):
            ready = left[0]  # whoever waits for a task starts it again
        if ready is None:
            time.sleep(0.05)
            continue
        left.remove(ready)
        yield ready


def _stored(path: Path) -> dict[str, Any]:
    """Key -> value of the whole lines of a log; the last may have been cut."""
    if not path.exists():
        return {}
    found: dict[str, Any] = {}
    lines = read_bytes(path, "log of cells", StorageError, 1 << 30).splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        with path.open("r+b") as log:
            log.truncate(sum(map(len, lines[:-1])))
        lines.pop()
    for number, line in enumerate(lines, start=1):
        entry = parse_line(line.rstrip(b"\n"), f"{path}:{number}", StorageError)
        found[str(entry["key"])] = entry["value"]
    return found
