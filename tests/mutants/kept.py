"""What is known of planted faults already: a line of a log for each, found by the texts that it depends on."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path


class Log:
    """What is known of faults already, a line a fault."""

    def __init__(self, path: Path, resume: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._rows: dict[str, tuple[bool, str, float]] = {}
        for line in lines:
            key, *row = json.loads(line)
            self._rows[key] = (bool(row[0]), str(row[1]), float(row[2]))
        self._path, self._lock = path, threading.Lock()

    def get(self, *texts: str) -> tuple[bool, str, float] | None:
        """Whether it was seen, by which test, in how many seconds."""
        return self._rows.get(_digest(texts))

    def put(self, row: tuple[bool, str, float], *texts: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._rows[_digest(texts)] = row
            file.write(json.dumps([_digest(texts), *row]) + "\n")


def _digest(texts: Iterable[str]) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(f"{len(text)} {text}".encode())
    return found.hexdigest()[:32]
