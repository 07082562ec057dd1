"""Text that every machine has: the Python standard library's own sources, as bytes.

Nothing is downloaded and the licence is clear. The price: the text differs between patch releases of Python, so
each figure measured on it carries the corpus hash, and figures of different hashes are not comparable. Tests of
the library, generated files and installed packages are left out, as distributions differ in them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError

LEFT_OUT = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "__pycache__", "lib2to3"})
"""Folder names whose files are not read."""

GENERATED = ("_sysconfigdata", "config-")
"""Beginnings of names of what holds the paths of the machine that built Python."""

VALIDATION_SHARE = 14
"""Of 256 values of the first byte of a path's SHA-1, those below this one select the validation split."""


@dataclass(frozen=True)
class Corpus:
    """Training and validation text: uint8 arrays, files in the order of their paths, a zero byte between two."""

    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    sha256: str
    python: str

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of training and validation text."""
        return self.sha256[:16]


def _sources(root: Path) -> list[Path]:
    found = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in LEFT_OUT and not name.startswith(GENERATED)]
        found += [Path(folder, name) for name in files if name.endswith(".py") and not name.startswith(GENERATED)]
    return sorted(path.relative_to(root) for path in found)


@functools.cache
def stdlib(root: Path | None = None) -> Corpus:
    """The sources below `root` (the running interpreter's standard library), split by the SHA-1 of the path.

    Raises:
        ModelError: there is less than 1 MiB of text, as in a Python without its sources.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    for path in _sources(root):
        held_out = hashlib.sha1(path.as_posix().encode(), usedforsecurity=False).digest()[0] < VALIDATION_SHARE
        parts[held_out].append((root / path).read_bytes())
    train, validation = b"\0".join(parts[False]), b"\0".join(parts[True])
    if len(train) < 1 << 20 or not validation:
        raise ModelError("at least 1 MiB of sources of the standard library", got=len(train), where=str(root))
    return Corpus(
        np.frombuffer(train, np.uint8),
        np.frombuffer(validation, np.uint8),
        hashlib.sha256(train + b"\0\0" + validation).hexdigest(),
        platform.python_version(),
    )
