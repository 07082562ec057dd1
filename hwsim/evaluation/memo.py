"""What was measured once and stays true: the results of steps (`hwsim.evaluation.steps`), kept between runs.

A step's key is its content and its code. The file's name carries a hash of every source that a result could depend
on, of the versions of what multiplies and of the processor's instructions (`hwsim.jit.environment`), so that a result
is either current or absent, and stale ones lie in files that nobody opens. One JSON line a result with its checksum,
appended in one write: readers and writers of several processes need no lock, and a torn or changed line is skipped.
What another process has appended meanwhile is read before anything is measured again. A line is parsed, and its
checksum compared, when its result is asked for: a sweep asks for some of thousands.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, TypeVar

from hwsim import cache
from hwsim.errors import HwsimError, StorageError
from hwsim.evaluation.steps import Step
from hwsim.jit import environment, source_hash
from hwsim.storage import Record, Text, checked, format_line, line_body, parse_body

T = TypeVar("T")

_HEAD = b'{"key":"'


class Memo:
    """Results by step, by default in the user's cache directory.

    Args:
        path: the file; a cache that cannot be written works in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default()
        self._lines: dict[bytes, bytes] = {}
        self._found: dict[str, Any] = {}
        self._read = 0
        self._catch_up()

    def __contains__(self, step: Step[Any]) -> bool:
        """Whether there is a result, by its line's checksum; one in another shape is measured by who asks for it."""
        key = step.key
        return key in self._found or bool(self._text(key))

    def get(self, step: Step[T]) -> T:
        """The result of a step, measured and kept if it is new."""
        key = step.key
        if not self._known(key, step):
            self._put(key, step, step.result())
        found: T = self._found[key]
        return found

    def put(self, step: Step[T], result: T) -> None:
        """Keep a result that was measured elsewhere; one that is not finite in memory only."""
        self._put(step.key, step, result)

    def _known(self, key: str, step: Step[Any]) -> bool:
        """Whether a result is there; what was kept in another shape is not."""
        if key not in self._found and (text := self._text(key)):
            del self._lines[key.encode()]
            with contextlib.suppress(HwsimError):
                entry = parse_body(text, "memo", StorageError)
                checked(entry, Record({"key": Text(), "value": step.codec.shape}), "memo", key, StorageError)
                self._found[key] = step.codec.decode(entry["value"])
        return key in self._found

    def _text(self, key: str) -> str:
        """What the line of a key says, empty without one whose checksum is right; a spoilt one is let go, so that it
        hides nothing that was appended behind it."""
        named = key.encode()
        for line in (self._lines.get(named), None):
            if line is None:
                self._catch_up()
                line = self._lines.get(named, b"")
            with contextlib.suppress(StorageError):
                return line_body(line.decode("utf-8", errors="replace"), "memo", StorageError)
            self._lines.pop(named, None)
        return ""

    def _catch_up(self) -> None:
        """Keep the lines behind those that were read, by the key that each begins with."""
        lines, self._read = cache.lines(self.path, self._read) if self.path else ([], 0)
        for line in lines:
            if line.startswith(_HEAD):
                self._lines[line[len(_HEAD) : line.find(b'"', len(_HEAD))]] = line

    def _put(self, key: str, step: Step[T], result: T) -> None:
        self._found[key] = result
        if self.path is None:
            return
        with contextlib.suppress(OSError, ValueError):
            line = format_line({"key": key, "value": step.codec.encode(result)})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(b"\n" + line)  # a new line first, as a writer that died may have left half of one


def _default() -> Path | None:
    found = cache.folder("memo")
    if found is None:
        return None
    sources = source_hash(Path(__file__).with_name("__init__.py"))
    return found / f"{sources}-{hashlib.sha256(environment().encode()).hexdigest()[:8]}.jsonl"
