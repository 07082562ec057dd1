"""The user's cache: what was computed once and may be computed again.

Decides that a cache is never needed and never trusted. A record carries its key and a SHA-256 of both; one that is
damaged, of another key, or of another user's hand is absent. A folder that cannot be written makes hwsim slower, not
fail. Kinds: ``memo`` (accuracies and toggles, lines with checksums), ``synth`` (netlists), ``jit`` (machine code).

The command line asks where the cache is before it knows whether anybody needs it, so that what reads and writes
records is imported by who does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import HwsimError, StorageError

KINDS = {"memo": (".jsonl",), "synth": (".netlist",), "jit": (".nbi", ".nbc")}
"""Kinds of records, each a folder of the cache, and how the names of their files end."""

_MAGIC = b"hwsim cache 1\n"
LARGEST = 1 << 29


def root() -> Path | None:
    """The user's cache directory of hwsim: ``$HWSIM_CACHE_DIR``, else below the XDG cache directory; None for a user
    who has no home."""
    if named := os.environ.get("HWSIM_CACHE_DIR"):
        return Path(named)
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "hwsim"
    try:
        return Path.home() / ".cache" / "hwsim"
    except RuntimeError:
        return None


def folder(kind: str, *below: str) -> Path | None:
    """The folder of a kind of records, made; None where it cannot be written."""
    base = root()
    if base is None:
        return None
    path = base.joinpath(kind, *below)
    return path if _writable(path) else None


@functools.cache
def _writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError):
        return False
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK) and _ours(path)


def _ours(path: Path) -> bool:
    """Whether a file is this user's or the system's: machine code of another user's hand is not run."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return False
    return state.st_uid in (os.geteuid(), 0) and not state.st_mode & stat.S_IWOTH


def load(path: Path, key: str) -> bytes | None:
    """The record at `path` that was stored under `key`; None where there is no such one, whole and ours."""
    payload = _payload(path)
    if payload is None or payload[0] != key:
        return None
    return payload[1]


def _payload(path: Path) -> tuple[str, bytes] | None:
    """Key and bytes of a record, None for what is none."""
    if not _ours(path):
        return None
    from hwsim.storage import read_bytes

    try:
        data = read_bytes(path, "record", StorageError, LARGEST)
    except HwsimError:
        return None
    if not data.startswith(_MAGIC):
        return None
    digest, _, rest = data[len(_MAGIC) :].partition(b"\n")
    if _digest(rest) != digest:
        return None
    key, _, payload = rest.partition(b"\n")
    return key.decode("utf-8", errors="replace"), payload


def store(path: Path, key: str, payload: bytes) -> None:
    """Keep a record; a cache that cannot be written is only slower. `key` is one line."""
    from hwsim.storage import write_whole

    rest = key.encode() + b"\n" + payload
    with contextlib.suppress(HwsimError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _MAGIC + _digest(rest) + b"\n" + rest)


def _digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).hexdigest().encode()


def lines(path: Path, start: int = 0) -> tuple[list[bytes], int]:
    """Whole lines of an appended record from a byte on, and the first byte behind them; none of what is not ours, not
    there, or begun anew."""
    with contextlib.suppress(OSError, ValueError):
        if path.stat().st_size == start:
            return [], start
    if not _ours(path):
        return [], start
    from hwsim.storage import read_bytes

    try:
        data = read_bytes(path, "record", StorageError, LARGEST, start)
    except HwsimError:
        return [], start
    whole = data.rfind(b"\n") + 1
    return data[:whole].split(b"\n"), start + whole


@dataclass(frozen=True, slots=True)
class Held:
    """What the cache holds of one kind.

    Attributes:
        kind: of `KINDS`.
        path: its folder.
        files: how many.
        size_bytes: of all of them.
        damaged: those whose checksum is wrong, or that are another user's.
    """

    kind: str
    path: Path
    files: int
    size_bytes: int
    damaged: tuple[Path, ...] = ()


def survey(verify: bool = False) -> list[Held]:
    """What the cache holds; with `verify` every record is read and checked."""
    found = []
    for kind in KINDS:
        files = list(_files(kind))
        size = sum(path.lstat().st_size for path in files)
        damaged = tuple(path for path in files if not _whole(path, kind)) if verify else ()
        base = root()
        found.append(Held(kind, base / kind if base else Path(), len(files), size, damaged))
    return found


def clear() -> int:
    """Remove every record and the folders that this empties; other files stay. Returns how many records went."""
    count = 0
    for kind in KINDS:
        parents = set()
        for path in _files(kind):
            with contextlib.suppress(OSError):
                path.unlink()
                count += 1
                parents.add(path.parent)
        for parent in sorted(parents, key=lambda one: -len(one.parts)):
            with contextlib.suppress(OSError):
                parent.rmdir()
    _writable.cache_clear()
    return count


def _files(kind: str) -> Iterator[Path]:
    base, found = root(), list[Path]()
    with contextlib.suppress(OSError, ValueError):  # a folder that cannot be has no files
        if base is not None and (base / kind).is_dir():
            found = sorted((base / kind).rglob("*"))
    for path in found:
        if path.suffix in KINDS[kind] and not path.is_dir():
            yield path


def _whole(path: Path, kind: str) -> bool:
    if kind != "memo":
        return _payload(path) is not None
    if not _ours(path):
        return False
    from hwsim.storage import parse_line

    try:
        for line in lines(path)[0]:
            if line:
                parse_line(line, str(path), StorageError)
    except HwsimError:
        return False
    return True
