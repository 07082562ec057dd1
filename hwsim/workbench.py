"""Where the files of the workbench are: models, design spaces, machines, traces.

A user's own file and ours are found by the same rule: a path that was given, else the name below the current
folder's workbench, else below ``hwsim/share`` (where a wheel puts our files), else below the root of the checkout.
Package resources (`importlib.resources`) were rejected: an editable install does not show the data-only packages.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from hwsim.errors import ArgumentError, UnknownName

PACKAGE = Path(__file__).resolve().parent

LONGEST = 255
"""Bytes that a name in a path may have."""

_KINDS = {"models": "model", "dse": "design space", "dse/machines": "machine", "traces": "trace"}


def roots() -> tuple[Path, ...]:
    """Folders that hold a workbench, the nearest first: the current one, the installed one, the checkout's."""
    return Path.cwd(), PACKAGE / "share", PACKAGE.parent


def names(folder: str, suffix: str) -> list[str]:
    """Names that `find` knows in `folder` (``"models"``, ``"dse"``, ``"dse/machines"``), sorted.

    With the suffix ``""`` the members are folders, else files of that suffix. A leading ``_`` or ``.`` hides one.
    """
    found = {
        entry.name.removesuffix(suffix)
        for root in roots()
        if (root / folder).is_dir()
        for entry in (root / folder).iterdir()
        if not entry.name.startswith(("_", "."))
        and (entry.is_file() and entry.suffix == suffix if suffix else entry.is_dir())
    }
    return sorted(found)


def find(folder: str, name: str | Path, suffix: str = "") -> Path:
    """The file (the folder, with suffix ``""``) that `name` means in the workbench folder `folder`.

    A name with a separator or with the suffix is a path and must exist: `ArgumentError` otherwise. A bare name is
    looked up in `roots`, then tried as a path: `UnknownName` lists what there is.
    """
    kind = _KINDS.get(folder, folder)
    if "\0" in str(name) or any(len(os.fsencode(part)) > LONGEST for part in Path(name).parts):
        raise ArgumentError(f"names must have at most {LONGEST} bytes, none of them NUL", got=str(name), where=kind)
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ArgumentError("user of a path must exist", got=str(name), where=kind) from None
    if len(path.parts) > 1 or path.is_absolute() or (suffix and path.suffix == suffix):
        if not path.exists():
            raise ArgumentError("file must exist", got=str(name), where=kind)
        return path
    for root in roots():
        candidate = root / folder / f"{name}{suffix}"
        if candidate.is_dir() if not suffix else candidate.is_file():
            return candidate
    if path.exists() and path.name:
        return path
    raise UnknownName(kind, str(name), names(folder, suffix))


def shown(path: str | Path) -> str:
    """`path` as a reader knows it: relative to the current folder where it lies below, else whole."""
    path = Path(path).absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def imported(file: Path) -> dict[str, str]:
    """Texts, by path, of a user's own modules that a Python file imports, directly or through others.

    What is remembered of a file depends on them. Modules of Python, of installed packages and of this one are left
    out, and of a package of the user's own every file counts, one that is no Python by its text alone. Imports are
    read, not run.
    """
    found: dict[str, str] = {}
    waiting = [file.resolve()]
    while waiting:
        at = waiting.pop()
        if str(at) not in found:
            found[str(at)] = at.read_text(encoding="utf-8", errors="backslashreplace")
            waiting += _own_modules(found[str(at)], at.parent)
    del found[str(file.resolve())]
    return dict(sorted(found.items()))


def _own_modules(text: str, folder: Path) -> Iterator[Path]:
    """Files that the import statements of a text mean, those of this module's user."""
    names: set[str] = set()
    try:
        tree: ast.AST = ast.parse(text)
    except (SyntaxError, ValueError):  # a byte 0 is a ValueError before Python 3.12
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    for top in sorted({name.partition(".")[0] for name in names} - {"hwsim", *sys.stdlib_module_names}):
        spec = PathFinder.find_spec(top, [str(folder), *sys.path])
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        origin = Path(spec.origin).resolve()
        if not any(origin.is_relative_to(Path(one).resolve()) for one in (sys.prefix, sys.base_prefix)):
            yield from sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
