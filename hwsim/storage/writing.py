"""Writing: the whole file or none, whatever happens to the process or the machine."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from pathlib import Path
from typing import BinaryIO

from hwsim.errors import StorageError
from hwsim.storage.reading import file_kind

DRAFT = ".hwsim-"
"""How the names of files begin that are about to take the place of another."""

_count = itertools.count()


def write_whole(path: str | Path, data: bytes | str) -> Path:
    """Put `data` (text as UTF-8) in the place of the file `path`: a temporary file beside it, fsync, rename.

    A symbolic link keeps pointing to the file that is replaced.

    Returns:
        The path as it was given.

    Raises:
        StorageError: the system refuses, or the path is a folder, a pipe or a device.
    """
    given = Path(path)
    raw = data.encode() if isinstance(data, str) else data
    try:
        target = given.resolve()
        if target.exists() and not stat.S_ISREG(mode := target.stat().st_mode):
            raise StorageError("file to write must be a regular one", got=file_kind(mode), where=str(given))
        draft = target.with_name(f"{DRAFT}{os.getpid()}-{next(_count)}")
        try:
            with _begun(draft) as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
                if not os.path.lexists(draft):
                    number = (
                        file.fileno()
                    )  # as folder of an absolute path it only has Python call linkat, which follows
                    os.link(f"/proc/self/fd/{number}", draft, src_dir_fd=number, follow_symlinks=True)
            os.replace(draft, target)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        _settle(target.parent)
    except ValueError:
        raise StorageError("path must hold no NUL", got=str(given)) from None
    except RuntimeError:  # a loop of symbolic links
        raise StorageError("path must lead to a file", where=str(given)) from None
    except OSError as refusal:
        raise StorageError(f"file must be writable, {refusal.strerror}", where=str(given)) from refusal
    return given


def _begun(draft: Path) -> BinaryIO:
    """A new file to write: one without a name, so that nothing stays of a process that is killed while it writes;
    where the file system has none, the draft itself."""
    try:
        descriptor = os.open(draft.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as refusal:
        if refusal.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    else:
        if os.path.exists(f"/proc/self/fd/{descriptor}"):
            return os.fdopen(descriptor, "wb")
        os.close(descriptor)
    return draft.open("xb")


def _settle(folder: Path) -> None:
    """Have the rename itself on disk; file systems that cannot are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
