"""A design that was looked at, and the log of a study that grows by one line for each.

Every line carries its checksum, and a torn last one (the process was killed in it) is dropped. A finished study may
keep its log packed, a tenth of the size.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsim.errors import StorageError, TraceError
from hwsim.search.space import Value
from hwsim.storage import (
    Either,
    Flag,
    OneOf,
    Real,
    Record,
    Table,
    Text,
    Whole,
    checked,
    format_line,
    line_body,
    parse_body,
    parse_json,
    read_bytes,
    write_whole,
)  # fmt: skip
from hwsim.storage.lines import has_check

LOG = "points.jsonl"
PACKED = "points.jsonl.gz"
LARGEST_LOG = 1 << 30

_VALUE = Either((Flag(), Whole(-(2**53)), Text(), Real()))
_NUMBERS = Table(Real())
_OR_NONE = Either((OneOf((None,)), Text(1 << 16)))
_DETAIL = Record(
    {},
    {
        "numerics": Text(1 << 16), "array": Text(), "sqnr_db": _NUMBERS, "energy_pj": Table(Real(0.0)),
        "area_um2": Table(Real(0.0)),
        "causes": Record({"energy_pj": Table(_NUMBERS), "area_um2": Table(_NUMBERS)}),
        "sources": Table(Text(1 << 16)),
    },
    open=True,
)  # fmt: skip
_BARE = {
    "number": Whole(), "point": Table(_VALUE), "model": _OR_NONE, "values": _NUMBERS, "violations": _NUMBERS,
    "reason": _OR_NONE,
}  # fmt: skip
_HEAD, _POINT = Record(_BARE), Record(_BARE | {"detail": _DETAIL})
_BEGIN, _END = ',"detail":{', ',"reason":'
"""What stands around the details in a line; a quotation mark in a text is escaped, so neither can be in one."""
_NEVER_BELOW_ZERO = ("_uj", "_mm2", "_ms", "_mw", "_pj", "_ns", "_um2")


class Detail(Mapping[str, Any]):
    """Breakdowns and sources as a line of a log has them, read when the first of them is asked for.

    They are nine tenths of a line, and a question to a study looks at few of them. The line's checksum has said
    before that they are what was written; what is not well formed raises `TraceError` here.
    """

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where

    @property
    def broken_down(self) -> bool:
        """Whether there is a breakdown of the energy, told from the text alone."""
        return '"energy_pj":{"' in self._text

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        what = "details in a study's log"
        found = checked(parse_json(self._text, what, self._where, TraceError), _DETAIL, what, self._where, TraceError)
        return _whole(found, self._where)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluated design.

    `values` holds the objectives and limits by name with their unit (``energy_uj``), `detail` the breakdowns. A
    failed point has no values and says why in `reason`; a complete one may still break a constraint
    (`violations`: how far over its limit, relative).
    """

    number: int
    point: tuple[tuple[str, Value], ...]
    model: str | None
    values: Mapping[str, float]
    violations: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None

    @property
    def feasible(self) -> bool:
        """Whether the point was evaluated and keeps every constraint."""
        return self.reason is None and all(value <= 0 for value in self.violations.values())

    @property
    def broken_down(self) -> bool:
        """Whether `detail` has a breakdown of the energy."""
        return self.detail.broken_down if isinstance(self.detail, Detail) else bool(self.detail.get("energy_pj"))

    def to_json(self) -> str:
        """One line of the log."""
        return format_line(
            {
                "number": self.number, "point": dict(self.point), "model": self.model, "values": dict(self.values),
                "violations": dict(self.violations), "detail": dict(self.detail), "reason": self.reason,
            }
        ).decode()[:-1]  # fmt: skip

    @classmethod
    def from_json(cls, line: str, where: str = "points", needed: bool = True) -> Point:
        """Read one line of the log; `needed` says whether it must have a checksum.

        Raises:
            TraceError: it is no point, or a bit of it changed.
        """
        what = "a line of a study's log"
        body = line_body(line, where, TraceError, needed=needed, what=what)
        head, begin, rest = body.partition(_BEGIN)
        text, end, tail = rest.rpartition(_END)
        parted = bool(begin and end and needed)
        entry = parse_body(head + end + tail if parted else body, where, TraceError, what)
        record = checked(entry, _HEAD if parted else _POINT, what, where, TraceError)
        for name, value in record["values"].items():
            if name.endswith(_NEVER_BELOW_ZERO) and value < 0:
                raise TraceError(f"{name} of a point must not be below zero", got=value, where=where)
        if (record["reason"] is None) != bool(record["values"]):
            raise TraceError(
                "a point must have values, or a reason why it has none", got=record["reason"], where=where
            )
        detail = Detail("{" + text, where) if parted else _whole(record["detail"], where)
        return cls(**(record | {"point": tuple(record["point"].items()), "detail": detail}))


def _whole(detail: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Details of which every part has its causes."""
    for name, parts in detail.get("causes", {}).items():
        if set(parts) != set(detail.get(name, ())):
            raise TraceError(f"every part of {name} must have its causes", got=sorted(parts), where=where)
    return detail


class PointLog:
    """The append-only log of a study in a folder."""

    def __init__(self, folder: Path, name: str = LOG) -> None:
        self.path = folder / name

    def read(self, mend: bool = False) -> list[Point]:
        """All whole lines; without a log, those of the packed one.

        Args:
            mend: also cut a torn last line off the file, which only the log's writer may do: to anybody else a line
                that is being written looks torn.
        """
        if not self.path.exists():
            packed = self.path.with_name(PACKED)
            return self._points(_unpacked(packed)) if os.path.lexists(packed) else []
        text = read_bytes(self.path, "the log of points", TraceError)
        whole = text.rfind(b"\n") + 1
        if mend and whole < len(text):
            with contextlib.suppress(OSError):  # of somebody else, or on a disk that is read only
                os.truncate(self.path, whole)
        return self._points(text[:whole])

    def _points(self, text: bytes) -> list[Point]:
        points: list[Point] = []
        numbers: set[int] = set()
        designs: set[object] = set()
        lines = text.split(b"\n")[:-1]
        needed = any(map(has_check, lines))  # logs of earlier versions have none
        for number, line in enumerate(lines, 1):
            where = f"{self.path}:{number}"
            point = Point.from_json(line.decode("utf-8", errors="replace"), where, needed)
            if point.number in numbers or point.point in designs:
                raise TraceError("a design must stand once in a study's log", got=point.number, where=where)
            numbers.add(point.number)
            designs.add(point.point)
            points.append(point)
        return points

    def rewrite(self, points: Iterable[Point]) -> None:
        """Put these points in the place of all."""
        write_whole(self.path, "".join(f"{point.to_json()}\n" for point in points))

    def append(self, point: Point) -> None:
        """Add one point; on return it is with the operating system, so that a killed process does not lose it."""
        try:
            with self.path.open("ab", buffering=0) as log:
                log.write(point.to_json().encode() + b"\n")
        except OSError as error:
            raise StorageError(
                f"the log of points must be writable ({error.strerror})", where=str(self.path)
            ) from None


def _unpacked(path: Path) -> bytes:
    data = read_bytes(path, "the packed log", TraceError)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, LARGEST_LOG)
    except zlib.error as error:
        raise TraceError(f"the packed log must be whole ({error})", where=str(path)) from None
    if not unpacker.eof:
        raise TraceError(f"the packed log must be whole, of at most {LARGEST_LOG} bytes", where=str(path))
    return text
