"""Data files of this package: comma-separated tables under a comment that says where the numbers come from.

Lines that start with ``#`` are comments; ``#: key = value`` states a fact about the whole table. Pandas was rejected
here: six small tables are read on the first use of a cost, and importing it takes longer than everything else.
"""

from __future__ import annotations

from pathlib import Path

from hwsim.errors import ArgumentError
from hwsim.storage import read_table, read_text

FOLDER = Path(__file__).parent / "data"
LARGEST = 1 << 24


def read(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Facts about the table, and its rows by column name.

    Raises:
        ArgumentError: no such file, one that is no table, or a row with another number of columns.
    """
    if not path.exists():
        raise ArgumentError("file must exist", got=str(path), where="cost")
    text = read_text(path, "table", ArgumentError, LARGEST)
    facts = dict(line[2:].partition("=")[::2] for line in text.splitlines() if line.startswith("#:"))
    rows = [row for _, row in read_table(path, "table", ArgumentError, LARGEST)]
    return {key.strip(): value.strip() for key, value in facts.items()}, rows
