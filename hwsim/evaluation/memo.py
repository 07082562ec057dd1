"""What was measured once and stays true: accuracies and toggle counts, kept between runs.

The file's name carries a hash of every source that a value could depend on, of the versions of what multiplies and of
the processor's instructions (`hwsim.jit.environment`), and the key carries the model's, the trace's and the numerics'
identity, so that a value is either current or absent. One JSON line a value with its checksum, appended in one write:
readers and writers of several processes need no lock, and a torn or changed line is skipped.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwsim import cache
from hwsim.errors import HwsimError, StorageError
from hwsim.jit import environment, source_hash
from hwsim.storage import Shape, checked, format_line, parse_line


class Memo:
    """A dictionary on disk, by default in the user's cache directory.

    Args:
        path: the file; a cache that cannot be written works in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default()
        self._values: dict[str, Any] = {}
        for line in cache.lines(self.path) if self.path else ():
            with contextlib.suppress(HwsimError):
                entry = parse_line(line, "memo", StorageError)
                if set(entry) == {"key", "value"} and isinstance(entry["key"], str):
                    self._values[entry["key"]] = entry["value"]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, compute: Callable[[], Any], shape: Shape | None = None) -> Any:
        """The value of `key`, computed and kept if it is new. Values are what JSON holds; what was kept in another
        `shape` is computed again."""
        if key in self._values and shape is not None:
            try:
                checked(self._values[key], shape, "memo", key, StorageError)
            except StorageError:
                del self._values[key]
        if key not in self._values:
            self.put(key, compute())
        return self._values[key]

    def put(self, key: str, value: Any) -> None:
        """Keep a value; one that is not finite in memory only."""
        self._values[key] = value
        if self.path is None:
            return
        with contextlib.suppress(OSError, ValueError):
            line = format_line({"key": key, "value": value})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(b"\n" + line)  # a new line first, as a writer that died may have left half of one


def _default() -> Path | None:
    found = cache.folder("memo")
    if found is None:
        return None
    sources = source_hash(Path(__file__).with_name("__init__.py"))
    return found / f"{sources}-{hashlib.sha256(environment().encode()).hexdigest()[:8]}.jsonl"
