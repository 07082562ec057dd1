"""Units of a user's own: a class in a Python file, named ``path/to/file.py:Class`` in a machine or a space.

The file is run once for each of its contents. Its path is kept as it was given, so that a machine that was read from
a file is written as the same file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
from functools import cache
from pathlib import Path
from typing import Any

from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.own_code import note


def class_in(name: str, where: str = "datapath.file") -> type[Datapath]:
    """The class that ``path/to/file.py:Class`` names.

    Raises:
        ArgumentError: another shape of name, no such file, a file that does not run, or no `Datapath` of that name.
    """
    path, _, kind = name.rpartition(":")
    if not path.endswith(".py") or not kind.isidentifier():
        raise ArgumentError("a unit's file must be 'path/to/file.py:Class'", got=name, where=where)
    file = Path(path).expanduser()
    if not file.is_file():
        raise ArgumentError("a unit's file must exist", got=str(file), where=where)
    text = file.read_text(encoding="utf-8", errors="backslashreplace")  # a key; Python says what it cannot read
    found = getattr(_module(str(file.resolve()), text), kind, None)
    if not (isinstance(found, type) and issubclass(found, Datapath)):
        raise ArgumentError(f"a unit's file must have a Datapath called {kind}", got=name, where=where)
    return _named(found, name)


@cache
def _named(found: type[Datapath], name: str) -> type[Datapath]:
    """The class, which writes itself as that file from now on."""
    found.file = name
    return found


@cache
def _module(path: str, text: str) -> Any:
    """The file as a module of its own, kept for as long as its text stays."""
    name = f"hwsim_unit_{hashlib.sha256(f'{path}:{text}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    note(path)
    linecache.checkcache(path)  # the key of a unit reads the source again
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        rule = f"a unit's file must run ({type(error).__name__}: {error})"
        raise ArgumentError(rule, got=path, where="datapath.file") from error
    return module
