"""Reading a TOML table field by field, so that every complaint carries the path of its field.

A schema library was rejected: the checks that matter (a scheme fits a unit) are not types, and one dependency less
starts faster.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from hwsim.arch.fields import HOMES, REQUIRED, Field
from hwsim.errors import DesignError

T = TypeVar("T")

_KINDS = {
    str: "a string", int: "an integer", float: "a number", bool: "true or false", dict: "a table", list: "an array",
}  # fmt: skip


LONGEST_NAME = 200


def checked_name(name: object, where: str) -> str:
    """`name` where it may stand on a line, in a table and in the name of a file: 1 to `LONGEST_NAME` printable
    characters."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise DesignError(f"must be 1 to {LONGEST_NAME} printable characters", got=name, where=where)
    return name


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

    def take(self, key: str, kind: type[T], default: T = REQUIRED) -> T:
        """The value of `key`, which must be of `kind` (an integer is a number, a truth value is neither).

        Raises:
            DesignError: the key is absent and has no default, or its value is of another type.
        """
        self._asked.append(key)
        if key not in self.table:
            if default is REQUIRED:
                raise DesignError(f"must be given, as {_KINDS[kind]}", where=self.path(key))
            return default
        value = self.table.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise DesignError(f"must be {_KINDS[kind]}", got=value, where=self.path(key))
        return value

    def take_all(self, fields: Iterable[Field]) -> dict[str, Any]:
        """The values of all `fields`, by key; `finish` is left to the caller.

        Raises:
            DesignError: as `take`, or a value that its field does not allow.
        """
        fields = list(fields)
        self.know(field.key for field in fields)
        self._complain(only_near=True)
        found = {}
        for field in fields:
            found[field.key] = value = self.take(field.key, field.kind, field.default)
            if value is not None:
                field.check(value, self.path(field.key))
        return found

    def take_optional(self, key: str, kind: type[T]) -> T | None:
        """As `take`, but None where the key is absent."""
        if key in self.table:
            return self.take(key, kind)
        self.know([key])
        return None

    def know(self, keys: Iterable[str]) -> None:
        """Make `keys` known, which are read later."""
        self._asked += keys

    def finish(self) -> None:
        """Complain about a key that nobody asked for, with the nearest one that somebody did."""
        self._complain(only_near=False)

    def _complain(self, only_near: bool) -> None:
        """`only_near` leaves alone what is near no key: somebody may still ask for it."""
        asked = dict.fromkeys(self._asked)
        for key, value in self.table.items():
            if key in asked and only_near:
                continue
            near = difflib.get_close_matches(key, asked, n=1)
            if near:
                raise DesignError(
                    f"is not a known key; {near[0]!r} is the nearest key", got=value, where=self.path(key)
                )
            if not only_near:
                if key in HOMES:
                    raise DesignError(
                        f"is not a known key here; it belongs to {HOMES[key]}", got=value, where=self.path(key)
                    )
                known = ", ".join(sorted(asked))
                raise DesignError(f"is not a known key; keys are {known}", got=value, where=self.path(key))
