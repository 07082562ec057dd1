"""The family of errors that a user can cause.

Every message has one shape, so that a person can act on it without reading code:
``where: rule, got value``. Whatever is not a `HwsimError` is a defect of hwsim and shows as a traceback.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from typing import Any

_NOTHING: Any = object()

LONGEST = 1000
"""Characters of a value that a message shows."""


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
        value = "" if got is _NOTHING else f", got {_shown(got)}"
        super().__init__(f"{place}{rule}{value}")


def _shown(got: Any) -> str:
    """A value as a message shows it: whole, or its ends where it is long."""
    text = repr(got)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"


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


class LostWorkers(HwsimError):
    """What measured for this run is gone: a worker that died again and again, or a cluster that answers no more."""


class LostTask(HwsimError):
    """A measurement that ended every worker that tried it: it costs its design, not the run."""


class Stopped(BaseException):
    """A signal asked this process to end. No ordinary handler catches it; what was begun is put away on the way."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def status(self) -> int:
        """The exit status by which a shell knows the signal: 130, 143 or 129."""
        return 128 + self.number


class MissingExtra(HwsimError, ImportError):
    """An optional package or system tool is needed here and is not installed."""

    def __init__(self, needed: str, *, install: str, where: str | None = None) -> None:
        self.needed, self.install = needed, install
        super().__init__(f"{needed} is needed, install it with: {install}", where=where)
