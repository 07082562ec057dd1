"""Every design of a sweep in a folder: ``points-00000.parquet``, ``points-00001.parquet`` and so on.

A part is written aside, flushed to the disk and renamed, so that a part that is there is whole; ``parts.json`` names
each with its rows and its SHA-256. A row is a design: its number, the values of its knobs (a byte each, the values
themselves stand once a part), why it has no values, and what it was judged by.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
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

INACTIVE = -1
"""Place of the value of a knob that a design does not have."""


class PartWriter:
    """Appends designs to the parts in a folder, bounded by `ROWS` and one block in memory.

    Args:
        folder: an existing one; parts of an earlier sweep in it are removed.
        parameters: knobs, in the order of the space.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, folder: Path, parameters: tuple[Parameter, ...]) -> None:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise MissingExtra("pyarrow", install="pip install 'hwsim[parquet]'", where="sweep.out") from None
        self.folder, self.parameters = folder, parameters
        clear_parts(folder)
        self._held: list[dict[str, NDArray[Any]]] = []
        self._rows = 0
        self.parts: list[dict[str, Any]] = []

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
            self.parts.append({"name": name, "rows": self._rows, "sha256": digest})
            write_whole(self.folder / PARTS, json.dumps(self.parts, indent=1) + "\n")
        except OSError as error:
            raise StorageError(f"the sweep's folder must be writable ({error.strerror})", where=str(path)) from None
        self._held, self._rows = [], 0


def read_parts(folder: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """The parts in `folder`, one pyarrow Table after another.

    Raises:
        TraceError: a part is missing, or is not what was written.
    """
    import pyarrow.parquet as pq

    index = folder / PARTS
    parts = parse_json(read_bytes(index, "parts", TraceError), "parts", str(index), TraceError)
    for part in checked(parts, _PARTS, "parts", str(index), TraceError):
        path = folder / part["name"]
        if Path(part["name"]).name != part["name"] or not path.is_file() or _digest(path) != part["sha256"]:
            raise TraceError("a part of a sweep must be what was written", got=part["name"], where=str(folder))
        yield pq.read_table(path, columns=columns)


def clear_parts(folder: Path) -> None:
    """Remove the parts in `folder`; other files stay."""
    for path in (*folder.glob("points-[0-9][0-9][0-9][0-9][0-9].parquet"), folder / PARTS):
        path.unlink(missing_ok=True)


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
