"""What a record read from a file must look like: types, ranges and names, checked before anything uses it.

A shape is a small value; `checked` walks a record and names the field that does not fit. A schema library was
rejected for the same reason as in machine files: these few kinds are all that is needed, and none is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwsim.errors import HwsimError


class Mismatch(Exception):
    """A value that does not fit: the rule, the value, and the path of its field."""

    def __init__(self, rule: str, got: Any, path: str) -> None:
        super().__init__(rule)
        self.rule, self.got, self.path = rule, got, path


class Shape:
    """What a value must be."""

    def check(self, value: Any, path: str) -> None:
        """Raise `Mismatch` unless `value` fits; `path` is that of its field."""
        raise NotImplementedError


@dataclass(frozen=True)
class Whole(Shape):
    """A whole number within limits, no truth value."""

    least: int = 0
    most: int = 2**53

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise Mismatch(f"must be a whole number from {self.least} to {self.most}", value, path)


@dataclass(frozen=True)
class Real(Shape):
    """A finite number within limits."""

    least: float = -math.inf
    most: float = math.inf

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Mismatch("must be a finite number", value, path)
        if not self.least <= value <= self.most:
            raise Mismatch(f"must be a number from {self.least:g} to {self.most:g}", value, path)


@dataclass(frozen=True)
class Text(Shape):
    """A string of at most so many characters."""

    most: int = 4096

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not isinstance(value, str) or len(value) > self.most:
            raise Mismatch(f"must be text of at most {self.most} characters", value, path)


@dataclass(frozen=True)
class Flag(Shape):
    """True or false."""

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not isinstance(value, bool):
            raise Mismatch("must be true or false", value, path)


@dataclass(frozen=True)
class OneOf(Shape):
    """One of some values, None among them where it is listed."""

    values: tuple[Any, ...]

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not any(type(value) is type(known) and value == known for known in self.values):
            raise Mismatch(f"must be one of {', '.join(map(str, self.values))}", value, path)


@dataclass(frozen=True)
class Either(Shape):
    """What fits one of several shapes; the complaint is the last one's."""

    shapes: tuple[Shape, ...]

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        for shape in self.shapes[:-1]:
            try:
                return shape.check(value, path)
            except Mismatch:
                continue
        return self.shapes[-1].check(value, path)


@dataclass(frozen=True)
class Rows(Shape):
    """An array of one shape, of a length within limits."""

    of: Shape
    least: int = 0
    most: int = 1 << 24

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise Mismatch(f"must be an array of {self.least} to {self.most} values", value, path)
        for place, entry in enumerate(value):
            self.of.check(entry, f"{path}[{place}]")


@dataclass(frozen=True)
class Table(Shape):
    """A table whose keys are free and whose values share a shape."""

    of: Shape

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not isinstance(value, dict):
            raise Mismatch("must be a table", value, path)
        for key, entry in value.items():
            self.of.check(entry, f"{path}.{key}" if path else key)


@dataclass(frozen=True)
class Record(Shape):
    """A table of named fields: those of `needed` must be there, those of `optional` may be, others only if `open`."""

    needed: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)
    open: bool = False

    def check(self, value: Any, path: str) -> None:
        """As `Shape.check`."""
        if not isinstance(value, dict):
            raise Mismatch("must be a table", value, path)
        for key in self.needed:
            if key not in value:
                raise Mismatch(f"must have the field {key!r}", sorted(value)[:20], path)
        for key, entry in value.items():
            shape = self.needed.get(key) or self.optional.get(key)
            if shape is not None:
                shape.check(entry, f"{path}.{key}" if path else key)
            elif not self.open:
                raise Mismatch("must have known fields only", key, path)


def checked(value: Any, shape: Shape, what: str, where: str, error: type[HwsimError]) -> Any:
    """`value`, which fits `shape`.

    Raises:
        error: it does not; the message names `what`, the field and its value, `where` the file and line.
    """
    try:
        shape.check(value, "")
    except Mismatch as problem:
        name = f"{what}: {problem.path}" if problem.path else what
        raise error(f"{name} {problem.rule}", got=problem.got, where=where) from None
    return value
