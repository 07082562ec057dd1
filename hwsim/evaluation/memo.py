"""What was measured once and stays true: accuracies and toggle counts, kept between runs.

The file's name carries a hash of every source that a value could depend on, and the key carries the model's, the
trace's and the numerics' identity, so that a value is either current or absent. One JSON line a value, appended in
one write: readers and writers of several processes need no lock, and a torn line is skipped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwsim.jit import cache_root, source_hash


class Memo:
    """A dictionary on disk, by default in the user's cache directory.

    Args:
        path: the file; a cache that cannot be written works in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_root() / "memo" / f"{source_hash(Path(__file__).with_name('__init__.py'))}.jsonl"
        self._values: dict[str, Any] = {}
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError):
                    entry = json.loads(line)
                    self._values[entry["key"]] = entry["value"]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        """The value of `key`, computed and kept if it is new. Values are what JSON holds."""
        if key not in self._values:
            self.put(key, compute())
        return self._values[key]

    def put(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._values[key] = value
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(json.dumps({"key": key, "value": value}).encode() + b"\n")
