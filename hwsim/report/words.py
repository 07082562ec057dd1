"""How numbers and designs are written, on a page and in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.search.study import Point


def significant(value: Any) -> str:
    """A number with four significant digits and no exponent where it can be helped; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == 0:
        return f"{value}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def short_name(point: Point) -> str:
    """A design in a few words: arithmetic, array, dataflow."""
    detail = point.detail
    return f"#{point.number} {detail.get('numerics', '')} · {detail.get('array', '')}".strip()
