"""Tables as files: CSV that any spreadsheet opens, and Parquet where pyarrow is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.storage import write_whole
from hwsim.storage.tables import table_text

if TYPE_CHECKING:
    from hwsim.evaluation.explanation import Table


def write_tables(tables: Sequence[Table], folder: str | Path) -> list[Path]:
    """Write each table as ``NAME.csv``, and ``NAME.parquet`` with pyarrow, into `folder`; returns the paths.

    A column that mixes numbers and names is text in Parquet, as its columns have one type.

    Raises:
        StorageError: a file cannot be written.
    """
    where = Path(folder)
    written: list[Path] = []
    where.mkdir(parents=True, exist_ok=True)
    for table in tables:
        name = table.name.replace(" ", "_")
        written.append(write_whole(where / f"{name}.csv", table_text(table.columns, table.rows)))
        if importlib.util.find_spec("pyarrow"):
            written.append(write_whole(where / f"{name}.parquet", _parquet(table)))
    return written


def _parquet(table: Table) -> bytes:
    import io

    import pyarrow
    import pyarrow.parquet

    columns = {}
    for place, name in enumerate(table.columns):
        values = [row[place] for row in table.rows]
        kinds = {type(value) for value in values if value is not None}
        mixed = len(kinds) > 1 and not kinds <= {int, float}
        if kinds <= {int, float} and len(kinds) > 1:
            values = [None if value is None else float(value) for value in values]
        columns[name] = [None if value is None else str(value) for value in values] if mixed else values
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()
