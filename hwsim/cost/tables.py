"""Data files of this package: comma-separated tables under a comment that says where the numbers come from.

Lines that start with ``#`` are comments; ``#: key = value`` states a fact about the whole table. Pandas was rejected
here: six small tables are read on the first use of a cost, and importing it takes longer than everything else.
"""

from __future__ import annotations

import csv
from pathlib import Path

from hwsim.errors import ArgumentError

FOLDER = Path(__file__).parent / "data"


def read(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Facts about the table, and its rows by column name.

    Raises:
        ArgumentError: no such file, or a row with another number of columns.
    """
    if not path.is_file():
        raise ArgumentError("file must exist", got=str(path), where="cost")
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = dict(line[2:].partition("=")[::2] for line in lines if line.startswith("#:"))
    body = [line for line in lines if line and not line.startswith("#")]
    rows = []
    for row in csv.DictReader(body):
        if None in row or None in row.values():
            raise ArgumentError(
                "every row must have the columns of the head", got=list(row.values()), where=str(path)
            )
        rows.append(row)
    return {key.strip(): value.strip() for key, value in facts.items()}, rows
