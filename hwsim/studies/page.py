"""What a study leaves behind: tables as CSV, and one page of Markdown that says what they mean.

Decides that a page is made of facts that carry their conditions: tool, library, delay model and operands stand on
it, and so does the command that makes it again. Values in the CSV have six digits, which is more than any of them
deserves and enough to compare two runs; the page shows three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.storage import Digits, owned, table_text, write_whole

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns.

    Args:
        name: of the file, without ``.csv``.
        title: heading on the page.
        columns: names, all different.
        rows: one value a column.
        note: how the numbers were made.
        brief: column -> values; the page shows only rows with these, the file has all. None shows all.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""
    brief: Mapping[str, tuple[Value, ...]] | None = None

    def __post_init__(self) -> None:
        if len(set(self.columns)) < len(self.columns):
            raise AssertionError(f"columns of {self.name} must have different names")

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def select(self, where: Mapping[str, Value]) -> list[dict[str, Any]]:
        """Rows by column name that have the given values; all rows for ``{}``."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return [row for row in rows if all(row[name] == value for name, value in where.items())]


@dataclass(frozen=True, slots=True)
class Study:
    """A whole study.

    Args:
        name: as `hwsim.studies.run` knows it.
        title: heading of the page.
        question: what is being checked, with its source.
        findings: one sentence each, the most important first.
        conditions: what the numbers depend on, by name.
        tables: in the order of the page.
    """

    name: str
    title: str
    question: str
    findings: tuple[str, ...]
    conditions: Mapping[str, str]
    tables: tuple[Table, ...]


def write(study: Study, out: str | Path, force: bool = False) -> Path:
    """Write ``study.md`` and the tables into the folder `out`; returns the page's path."""
    with owned(out, "replication", force=force) as folder:
        for table in study.tables:
            write_whole(folder / f"{table.name}.csv", as_csv(table))
        return write_whole(folder / "study.md", as_markdown(study))


def as_csv(table: Table) -> str:
    """The table's text, one header line."""
    return table_text(table.columns, ([_cell(value) for value in row] for row in table.rows))


def _cell(value: Value) -> Value:
    return Digits(f"{value:.6g}") if isinstance(value, float) else value


def as_markdown(study: Study) -> str:
    """The page."""
    parts = [f"# {study.title}", study.question, "## Found", "\n".join(f"- {line}" for line in study.findings)]
    for table in study.tables:
        data = f"Data: `{table.name}.csv`" + (f", all {len(table.rows)} rows" if table.brief else "")
        parts += [f"## {table.title}", *([table.note] if table.note else []), _grid(table), data]
    conditions = [f"- {name}: {text}" for name, text in study.conditions.items()]
    parts += ["## Conditions", "\n".join(conditions), f"Made by `hwsim study {study.name}`."]
    return "\n\n".join(parts) + "\n"


def shown(value: Value) -> str:
    """A value as the page has it: three digits, more for whole numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value and abs(value) >= 1000:
            return f"{value:.0f}"
        return f"{value:.3g}"
    return str(value)


def percent(part: float) -> str:
    """``0.336`` as ``34 %``."""
    return f"{100 * part:.0f} %"


def _grid(table: Table) -> str:
    named = table.select({})
    if table.brief is not None:
        named = [row for row in named if all(row[name] in values for name, values in table.brief.items())]
    rows = [tuple(row.values()) for row in named]
    right = [
        all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) for i in range(len(table.columns))
    ]
    lines = [
        "| " + " | ".join(table.columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in right) + "|",
    ]
    lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)
