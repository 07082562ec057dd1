"""Every design of a sweep in a folder: ``points-00000.parquet``, ``points-00001.parquet`` and so on.

A part is written aside, flushed to the disk and renamed, so that a part that is there is whole; ``parts.json`` names
each with its rows and its SHA-256. A row is a design: its number, the values of its knobs (a byte each, the values
themselves stand once a part), why it has no values, and what it was judged by.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import MissingExtra, StorageError, TraceError
from hwsim.storage import Record, Rows, Text, Whole, checked, parse_json, read_bytes, write_whole

if TYPE_CHECKING:
    from hwsim.search.space import Parameter, Value

PARTS = "parts.json"
ROWS = 1 << 19
"""Designs of a part, at least; the last one has fewer."""

_PARTS = Rows(Record({"name": Text(255), "rows": Whole(), "sha256": Text(64)}))

_NAMES = "points-[0-9][0-9][0-9][0-9][0-9]"

INACTIVE = -1
"""Place of the value of a knob that a design does not have."""


class PartWriter:
    """Appends designs to the parts in a folder, bounded by `ROWS` and one block in memory.

    Args:
        folder: an existing one.
        parameters: knobs, in the order of the space.
        keep: go on behind the parts in the folder that are whole; else parts of an earlier sweep are removed.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, folder: Path, parameters: tuple[Parameter, ...], keep: bool = False) -> None:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise MissingExtra("pyarrow", install="pip install 'hwsim[parquet]'", where="sweep.out") from None
        self.folder, self.parameters = folder, parameters
        self._held: list[dict[str, NDArray[Any]]] = []
        self._rows = 0
        self.parts: list[dict[str, Any]] = whole_parts(folder) if keep else []
        clear_parts(folder, {part["name"] for part in self.parts})
        self._note()

    def append(
        self, numbers: NDArray[np.int64], places: Mapping[str, NDArray[np.int16]], status: NDArray[np.int8],
        values: Mapping[str, NDArray[np.float64]],
    ) -> None:  # fmt: skip
        """Add designs.

        Args:
            numbers: int64 ``[designs]``.
            places: for each knob, the place of its value among the knob's values, `INACTIVE` where it has none.
            status: why a design has no values (`hwsim.search.sweeping.STATUS`).
            values: by column, NaN where there is none.
        """
        missing = np.full(len(numbers), INACTIVE, np.int16)
        row = {f"knob {one.name}": places.get(one.name, missing) for one in self.parameters}
        held: dict[str, NDArray[Any]] = {"number": numbers, "status": status, **row, **values}
        self._held.append(held)
        self._rows += len(numbers)
        if self._rows >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        columns = {name: np.concatenate([one[name] for one in self._held]) for name in self._held[0]}
        arrays = {}
        for name, column in columns.items():
            if not name.startswith("knob "):
                arrays[name] = pa.array(column)
                continue
            knob = next(one for one in self.parameters if one.name == name.removeprefix("knob "))
            places = pa.array(column.astype(np.int8), mask=column == INACTIVE)
            arrays[knob.name] = pa.DictionaryArray.from_arrays(places, _values(knob.values))
        name = f"points-{len(self.parts):05d}.parquet"
        path = self.folder / name
        try:
            with path.with_suffix(".part").open("wb") as file:
                pq.write_table(pa.table(arrays), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            digest = _digest(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        except OSError as error:
            raise StorageError(f"the sweep's folder must be writable ({error.strerror})", where=str(path)) from None
        self.parts.append({"name": name, "rows": self._rows, "sha256": digest})
        self._note()
        self._held, self._rows = [], 0

    def _note(self) -> None:
        write_whole(self.folder / PARTS, json.dumps(self.parts, indent=1) + "\n")


def read_parts(folder: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """The parts in `folder`, one pyarrow Table after another.

    Raises:
        TraceError: a part is missing, or is not what was written.
    """
    import pyarrow.parquet as pq

    for part in _listed(folder):
        if not _is_whole(folder, part):
            raise TraceError("a part of a sweep must be what was written", got=part["name"], where=str(folder))
        yield pq.read_table(folder / part["name"], columns=columns)


def whole_parts(folder: Path) -> list[dict[str, Any]]:
    """Parts in `folder` up to the first that is missing or changed; none where no sweep began."""
    if not (folder / PARTS).is_file():
        return []
    return list(itertools.takewhile(lambda part: _is_whole(folder, part), _listed(folder)))


def clear_parts(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove the parts in `folder` but for those of some names, and halves of them; other files stay."""
    for path in (*folder.glob(f"{_NAMES}.parquet"), *folder.glob(f"{_NAMES}.part")):
        if path.name not in kept:
            path.unlink(missing_ok=True)
    if not kept:
        (folder / PARTS).unlink(missing_ok=True)


def columns_of(table: Any, parameters: tuple[Parameter, ...]) -> dict[str, NDArray[Any]]:
    """A table as `PartWriter.append` takes it: arrays by column, those of knobs as places of their values."""
    import pyarrow.compute as pc

    found = {name: table[name].combine_chunks() for name in table.column_names}
    for knob in parameters:
        column = pc.cast(found[knob.name], _values(knob.values).type)
        found[knob.name] = pc.fill_null(pc.index_in(column, value_set=_values(knob.values)), INACTIVE)
    arrays: dict[str, NDArray[Any]] = {name: column.to_numpy(zero_copy_only=False) for name, column in found.items()}
    return arrays | {knob.name: arrays[knob.name].astype(np.int16) for knob in parameters}


def _listed(folder: Path) -> list[dict[str, Any]]:
    index = folder / PARTS
    parts = parse_json(read_bytes(index, "parts", TraceError), "parts", str(index), TraceError)
    found: list[dict[str, Any]] = checked(parts, _PARTS, "parts", str(index), TraceError)
    return found


def _is_whole(folder: Path, part: Mapping[str, Any]) -> bool:
    path = folder / part["name"]
    return bool(Path(part["name"]).name == part["name"] and path.is_file() and _digest(path) == part["sha256"])


def _values(values: tuple[Value, ...]) -> Any:
    """The values of a knob as an array of one type: as text where they differ in it."""
    import pyarrow as pa

    kinds = {type(value) for value in values}
    alike = len(kinds) == 1 or kinds <= {int, float}
    return pa.array(
        [float(one) if kinds == {int, float} else one for one in values] if alike else [*map(str, values)]
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
