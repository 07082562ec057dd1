"""How designs are written, on a page and in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwsim.search.points import Point


def short_name(point: Point) -> str:
    """A design in a few words: arithmetic, array, dataflow."""
    detail = point.detail
    return f"#{point.number} {detail.get('numerics', '')} · {detail.get('array', '')}".strip()
