"""Comma-separated tables: one writer that no spreadsheet runs, one reader with limits.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a return is a formula to a spreadsheet. Text that does is
written behind an apostrophe, which spreadsheets hide and `read_table` takes off; so is text that begins with one.
Numbers are written as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError, StorageError
from hwsim.storage.reading import read_text

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


class Digits(str):
    """Text of a number, which stands in a cell as it is."""

    __slots__ = ()


def without_formulas(value: Any) -> Any:
    """`value` as it may stand in a cell: text that a spreadsheet would run gets an apostrophe before it."""
    text = isinstance(value, str) and not isinstance(value, Digits)
    return f"'{value}" if text and value.startswith(_FORMULA) else value


def with_formulas(cell: str) -> str:
    """What `without_formulas` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The text of a table under its head, lines ended by ``\\n``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([without_formulas(name) for name in columns])
    writer.writerows([without_formulas(value) for value in row] for row in rows)
    return out.getvalue()


def read_table(
    path: str | Path,
    what: str,
    error: type[HwsimError] = StorageError,
    most_bytes: int = 1 << 26,
    columns: Sequence[str] = (),
) -> list[tuple[int, dict[str, str]]]:
    """(number of its line, cells by column) of every row of the table at `path`; lines that begin with ``#`` are
    comments. The head must have `columns`.

    Raises:
        error: no regular UTF-8 file, no head, two columns of one name, or a row with another number of cells.
    """
    lines = [
        (number, line)
        for number, line in enumerate(read_text(path, what, error, most_bytes).split("\n"), 1)
        if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True)
    found: list[tuple[int, dict[str, str]]] = []
    head: list[str] | None = None
    while True:
        place = lines[min(reader.line_num, len(lines) - 1)][0] if lines else 1
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            raise error(f"{what} must be comma-separated ({problem})", where=f"{path}:{place}") from None
        if cells is None:
            break
        cells = [with_formulas(cell) for cell in cells]
        if head is None:
            head = cells
            if len(set(head)) < len(head):
                raise error(f"columns of {what} must have different names", got=head, where=f"{path}:{place}")
            if missing := sorted(set(columns) - set(head)):
                raise error("columns are missing", got=", ".join(missing), where=str(path))
        elif len(cells) != len(head):
            raise error("every row must have the columns of the head", got=cells, where=f"{path}:{place}")
        else:
            found.append((place, dict(zip(head, cells, strict=True))))
    if head is None:
        raise error(f"{what} must have a head", where=str(path))
    return found
