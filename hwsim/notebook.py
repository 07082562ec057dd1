"""How a value looks where a notebook shows it: a heading and small tables, plain HTML that any page can hold.

Rooms from the store of traces upward use it for ``_repr_html_``; it knows none of them. Styles stand in the elements,
since a notebook keeps no style sheet of ours.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_CELL = "padding:0.1em 0.8em 0.1em 0"


def significant(value: Any) -> str:
    """A number with four significant digits and no exponent where it can be helped; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == 0:
        return f"{value}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def heading(text: str, note: str = "") -> str:
    """A line in bold, and what is less important behind it."""
    more = f" <span style='opacity:0.7'>{html.escape(note)}</span>" if note else ""
    return f"<div><b>{html.escape(text)}</b>{more}</div>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], left: int = 1) -> str:
    """A table: the first `left` columns are names, the others numbers, set to the right."""
    sides = [f"{_CELL};text-align:{'left' if place < left else 'right'}" for place in range(len(columns))]
    head = "".join(f"<th style='{side}'>{html.escape(name)}</th>" for side, name in zip(sides, columns, strict=True))
    lines = (
        "".join(
            f"<td style='{side}'>{html.escape(significant(value))}</td>"
            for side, value in zip(sides, row, strict=True)
        )
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
