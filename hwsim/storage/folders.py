"""Folders that hwsim writes: each carries its kind, and a lock while somebody works in it.

The file ``.hwsim`` in the folder says the kind, and is what the lock is on: `flock`, which the kernel takes away from
a process that dies. A folder is written where it is empty, new, of that kind already, or where the caller forces it.
Lock files that a process removes were rejected: they outlive the one that is killed. Record locks (`lockf`) too: a
process loses them when it closes any other handle of the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwsim.errors import ArgumentError, HwsimError, StorageError
from hwsim.storage.reading import parse_json, read_bytes
from hwsim.storage.writing import DRAFT

MARKER = ".hwsim"
LOOK_S = 0.2

KINDS = {
    "trace": "a trace",
    "study": "a study",
    "shard": "a shard of a sweep",
    "replication": "a study of a claim",
    "comparison": "a comparison of recipes",
    "calibration": "a calibration",
    "verification": "a verification",
    "recordings": "recordings of a device",
    "circuit": "a circuit",
    "export": "an export",
}
"""Kinds of folders, in words."""

_OLDER = {
    "comparison": ("losses.csv", "summary.csv"),
    "replication": ("study.md",),
    "calibration": ("calibration.md",),
    "verification": ("verify.json",),
}
"""Files by which folders are known that were written before they carried their kind."""


def kind_of(folder: Path) -> str | None:
    """The kind of a folder: what its ``.hwsim`` says, else what its files say; None where neither is known."""
    marker = folder / MARKER
    if marker.is_file():
        try:
            entry = parse_json(read_bytes(marker, "marker", StorageError, 4096), "marker", str(marker), StorageError)
        except HwsimError:
            return None
        kind = entry.get("kind") if isinstance(entry, dict) else None
        return kind if isinstance(kind, str) and kind in KINDS else None
    if (folder / "manifest.json").is_file():
        return _kind_of_manifest(folder / "manifest.json")
    for kind, names in _OLDER.items():
        if all((folder / name).is_file() for name in names):
            return kind
    return None


def _kind_of_manifest(path: Path) -> str | None:
    try:
        manifest = parse_json(read_bytes(path, "manifest", StorageError), "manifest", str(path), StorageError)
    except HwsimError:
        return None
    if not isinstance(manifest, dict):
        return None
    if "space_digest" in manifest:
        return "study"
    return "trace" if {"schema", "complete"} <= set(manifest) else None


@contextmanager
def owned(
    path: str | Path, kind: str, *, force: bool = False, beside: tuple[str, ...] = (), where: str = "out"
) -> Iterator[Path]:
    """The folder `path`, made where it is missing, ours alone until the block is left.

    Args:
        path: of the folder.
        kind: of `KINDS`.
        force: also take a folder that holds something else.
        beside: names of entries that do not make a folder a foreign one.
        where: for messages.

    Raises:
        ArgumentError: the folder holds something else, or another process works in it.
        StorageError: it cannot be made or written.
    """
    folder = Path(path)
    descriptor = _claim(folder, kind, force, beside, where)
    try:
        yield folder
    finally:
        os.close(descriptor)  # and the lock with it


def is_held(folder: Path) -> bool:
    """Whether some process works in the folder at this moment, by `owned`."""
    try:
        descriptor = os.open(folder / MARKER, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as refusal:
        return refusal.errno == errno.EWOULDBLOCK
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int) -> None:
    """Take the lock; one that is held no longer than `LOOK_S` is that of a process that looks whether it is free."""
    end = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_S / 100)
        else:
            return


def _claim(folder: Path, kind: str, force: bool, beside: tuple[str, ...], where: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = kind_of(folder)
        foreign = found is None and any(entry.name not in (MARKER, *beside) for entry in folder.iterdir())
        if not force and (foreign or found not in (None, kind)):
            held = KINDS[found] if found else "files of something else"
            raise ArgumentError(
                f"folder to write must be empty or hold {KINDS[kind]}; choose another, or force it",
                got=f"{folder} with {held}",
                where=where,
            )
        descriptor = os.open(folder / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _lock(descriptor)
            text = (json.dumps({"kind": kind}) + "\n").encode()
            if os.pread(descriptor, len(text) + 1, 0) != text:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, text, 0)
                os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        for draft in folder.glob(f"{DRAFT}*-*"):  # of a process that was killed: nobody else writes here
            with contextlib.suppress(OSError):
                draft.unlink()
    except ValueError as problem:
        if isinstance(problem, HwsimError):
            raise
        raise StorageError("path must hold no NUL", got=str(folder), where=where) from None
    except OSError as refusal:
        if refusal.errno == errno.EWOULDBLOCK:
            raise ArgumentError(
                "nobody else may work in the folder; wait for the other process, or choose another folder",
                got=str(folder),
                where=where,
            ) from None
        raise StorageError(f"folder must be writable, {refusal.strerror}", where=str(folder)) from None
    return descriptor
