"""The table that every check adds a row to: what was compared with what, on how many cases, and what was not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

COLUMNS = ("operation", "oracle", "cases", "bit-equal", "date", "note")


def today() -> str:
    """The date in UTC, ``2026-11-25``."""
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Args:
        operation: what of hwsim was checked.
        oracle: what it was compared with.
        cases: how many results were compared.
        differences: how many differed; None where nothing could be compared, and `note` says why.
        date: of the run, or of the recording that was replayed.
        note: the reason, the smallest case that differs, or what the number covers.
        bound: results were compared with a derived bound, as their bits are not defined.
    """

    operation: str
    oracle: str
    cases: int = 0
    differences: int | None = None
    date: str = ""
    note: str = ""
    bound: bool = False

    @property
    def verdict(self) -> str:
        """``yes``, ``within bound``, ``NO, 3 differ`` or ``not checked``."""
        if self.differences is None:
            return "not checked"
        if self.differences:
            return f"NO, {self.differences} differ"
        return "within bound" if self.bound else "yes"

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `COLUMNS`."""
        cases = f"{self.cases:,}" if self.differences is not None else ""
        return self.operation, self.oracle, cases, self.verdict, self.date, self.note


def skipped(operation: str, oracle: str, why: object) -> Row:
    """The row of a check that could not run."""
    return Row(operation, oracle, date=today(), note=str(why))


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a run."""

    rows: tuple[Row, ...]

    @property
    def cases(self) -> int:
        """Results compared."""
        return sum(row.cases for row in self.rows if row.differences is not None)

    @property
    def differences(self) -> int:
        """Results that differ without an explanation."""
        return sum(row.differences or 0 for row in self.rows)

    @property
    def unchecked(self) -> tuple[Row, ...]:
        """Rows that could not be checked here."""
        return tuple(row for row in self.rows if row.differences is None)

    @property
    def summary(self) -> str:
        """One sentence."""
        checked = len(self.rows) - len(self.unchecked)
        return (
            f"{checked} comparisons, {self.cases:,} cases, {self.differences:,} differences; "
            f"{len(self.unchecked)} comparisons could not be made here"
        )

    def to_json(self) -> str:
        """Rows as a JSON document that `from_json` reads."""
        return json.dumps({"rows": [asdict(row) for row in self.rows]}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Table:
        """The inverse of `to_json`."""
        rows: Sequence[dict[str, Any]] = json.loads(text)["rows"]
        return cls(tuple(Row(**row) for row in rows))

    def to_text(self) -> str:
        """Aligned columns for a terminal; every note on the line of its row."""
        cells = [COLUMNS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[n]) for line in cells) for n in range(len(COLUMNS) - 1)]
        lines = []
        for line in cells:
            aligned = [
                text.rjust(width) if name == "cases" else text.ljust(width)
                for name, text, width in zip(COLUMNS, line, widths, strict=False)
            ]
            lines.append("  ".join([*aligned, line[-1]]).rstrip())
        return "\n".join([*lines, "", self.summary])

    def to_markdown(self) -> str:
        """The table and its summary."""
        lines = [_line(COLUMNS), _line("---" for _ in COLUMNS), *(_line(row.cells()) for row in self.rows)]
        return f"# What was checked\n\n{self.summary}.\n\n" + "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
