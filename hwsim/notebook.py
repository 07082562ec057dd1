"""How a value looks where a notebook shows it: a heading and small tables, plain HTML that any page can hold, and a
bar while a call works.

Rooms from the store of traces upward use it for ``_repr_html_`` and `with_bar`; it knows none of them. Styles stand
in the elements, since a notebook keeps no style sheet of ours. The bar asks nothing but the kernel that runs: rich
and tqdm were rejected, whose bars need ipywidgets there.
"""

from __future__ import annotations

import functools
import html
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Advance = Callable[[int, int, Any], None]

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


LEAST_S = 0.2
"""Least time between two pictures of a bar."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML."""
    running = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(running, "kernel")


@contextmanager
def progress(title: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """A bar in the notebook's output, as an argument ``progress`` of the calls that take one: work done, work in all,
    and a note (a number is a loss). It shows rate and time left, and stays when the block is left.

    Args:
        title: what is under way.
        clock: seconds, rising.
    """
    shown: Any = None
    began, due, last = clock(), 0.0, ""

    def advance(done: int, total: int, note: Any) -> None:
        nonlocal shown, due, last
        now = clock()
        last = bar(title, done, total, f"loss {note:.3f}" if isinstance(note, float) else str(note), now - began)
        if now < due:
            return
        due = now + LEAST_S
        if shown is None:
            shown = _displayed(last)
        else:
            shown.update(_Html(last))

    try:
        yield advance
    finally:
        if shown is not None:
            shown.update(_Html(last))


def with_bar(title: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose argument ``progress`` is a bar in a notebook, unless the caller gives one."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if "progress" in kwargs or not in_notebook():
                return function(*args, **kwargs)
            with progress(title) as advance:
                kwargs["progress"] = advance
                return function(*args, **kwargs)

        return run

    return decorate


def bar(title: str, done: int, total: int, note: str, seconds: float) -> str:
    """A bar at one moment: how far, how fast, and how long it will take at that pace."""
    share = min(1.0, done / total) if total else 0.0
    words = [f"{done:,} of {total:,}", note]
    if done and seconds > 0:
        pace = done / seconds
        words.append(f"{pace:,.0f}/s" if pace >= 1 else f"{60 * pace:.2g}/min")
        words.append(f"{(total - done) / pace:.0f} s left" if done < total else f"{seconds:.1f} s")
    track = "display:inline-block;width:16em;height:0.7em;background:rgba(128,128,128,0.3);border-radius:0.35em"
    fill = f"display:block;width:{100 * share:.1f}%;height:100%;background:#0072B2;border-radius:0.35em"
    state = f"role='progressbar' aria-label='{html.escape(title)}' aria-valuenow='{done}' aria-valuemax='{total}'"
    told = html.escape(", ".join(word for word in words if word))
    return f"<div>{html.escape(title)} <span style='{track}' {state}><span style='{fill}'></span></span> {told}</div>"


class _Html:
    """HTML that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text


def _displayed(text: str) -> Any:
    """The handle of a new output of this notebook's cell."""
    return importlib.import_module("IPython.display").display(_Html(text), display_id=True)
