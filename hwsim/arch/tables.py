"""Reading a TOML table field by field, so that every complaint carries the path of its field.

A schema library was rejected: the checks that matter (a scheme fits a unit) are not types, and one dependency less
starts faster.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from hwsim.errors import DesignError

T = TypeVar("T")

_REQUIRED: Any = object()
_KINDS = {str: "a string", int: "an integer", float: "a number", dict: "a table", list: "an array of tables"}


class TableReader:
    """One table of a machine file: values leave it by `take`, and `finish` complains about what is left.

    Args:
        table: the parsed TOML table.
        where: its path, for messages: ``"edge-nvfp4.array"``.
    """

    def __init__(self, table: object, where: str) -> None:
        if not isinstance(table, Mapping):
            raise DesignError("must be a table", got=table, where=where)
        self.table, self.where = dict(table), where
        self._asked: list[str] = []

    def path(self, key: str) -> str:
        """The path of the field `key`."""
        return f"{self.where}.{key}"

    def take(self, key: str, kind: type[T], default: T = _REQUIRED) -> T:
        """The value of `key`, which must be of `kind` (an integer is a number, a truth value is neither).

        Raises:
            DesignError: the key is absent and has no default, or its value is of another type.
        """
        self._asked.append(key)
        if key not in self.table:
            if default is _REQUIRED:
                raise DesignError(f"must be given, as {_KINDS[kind]}", where=self.path(key))
            return default
        value = self.table.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DesignError(f"must be {_KINDS[kind]}", got=value, where=self.path(key))
        return value

    def take_optional(self, key: str, kind: type[T]) -> T | None:
        """As `take`, but None where the key is absent."""
        if key in self.table:
            return self.take(key, kind)
        self.note(key)
        return None

    def finish(self) -> None:
        """Complain about a key that nobody asked for, with the nearest one that somebody did."""
        for key, value in self.table.items():
            near = difflib.get_close_matches(key, self._asked, n=1)
            known = f"'{near[0]}' is the nearest key" if near else f"keys are {', '.join(sorted(self._asked))}"
            raise DesignError(f"is not a known key; {known}", got=value, where=self.path(key))

    def note(self, key: str) -> None:
        """Make `key` known without reading it."""
        self._asked.append(key)


def one_of(value: T, allowed: Iterable[T], where: str) -> T:
    """`value`, which must be among `allowed`."""
    known = list(allowed)
    if value not in known:
        raise DesignError(f"must be one of {', '.join(map(str, known))}", got=value, where=where)
    return value


def positive(value: float, where: str) -> None:
    """Complain unless `value` is above zero and finite."""
    if not 0 < value < float("inf"):
        raise DesignError("must be positive and finite", got=value, where=where)


def power_of_two(value: int, where: str) -> None:
    """Complain unless `value` is a power of two."""
    if value < 1 or value & (value - 1):
        raise DesignError("must be a power of two", got=value, where=where)
