"""The family of errors that a user can cause.

Every message has one shape, so that a person can act on it without reading code:
``where: rule, got value``. Whatever is not a `HwsimError` is a defect of hwsim and shows as a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_NOTHING: Any = object()


class HwsimError(Exception):
    """A rule that the input broke.

    Args:
        rule: what must hold, as a clause: ``"block must divide 32"``.
        got: the value received; left out where there is none to show.
        where: the field's path, the file and line, or the layer: ``"machine.array.rows"``.
    """

    def __init__(self, rule: str, *, got: Any = _NOTHING, where: str | None = None) -> None:
        self.rule, self.got, self.where = rule, got, where
        place = f"{where}: " if where else ""
        value = "" if got is _NOTHING else f", got {got!r}"
        super().__init__(f"{place}{rule}{value}")


class ArgumentError(HwsimError, ValueError):
    """An argument of a call is outside what the function defines."""


class UnknownName(HwsimError, KeyError):
    """A name that no catalogue holds; the message suggests the nearest ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str], *, where: str | None = None) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(str(name), self.known, n=3, cutoff=0.5) or self.known
        super().__init__(f"{kind} must be one of {', '.join(near)}", got=name, where=where)

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


class DesignError(HwsimError):
    """A machine or a design space breaks a rule; `where` is the path of the field in its TOML file."""


class ModelError(HwsimError):
    """A model file cannot be used: no ``build``, not a module, NaN among its weights."""


class CaptureError(HwsimError):
    """A capture would have missed work of the model."""


class TraceError(HwsimError):
    """A stored trace is absent, truncated or fails its checksum."""


class StorageError(HwsimError):
    """The file system refused a write: disk full, no permission, not a directory."""


class MissingExtra(HwsimError, ImportError):
    """An optional package or system tool is needed here and is not installed."""

    def __init__(self, needed: str, *, install: str, where: str | None = None) -> None:
        self.needed, self.install = needed, install
        super().__init__(f"{needed} is needed, install it with: {install}", where=where)
