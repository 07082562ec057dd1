"""Number formats: a finite set of numbers, its words, and the ways to round into it.

>>> from hwsim import formats
>>> e2m1 = formats.get("e2m1")
>>> e2m1.max, e2m1.encode([0.3, -5.0, 100.0]).tolist()
(6.0, [1, 14, 7])
"""

from __future__ import annotations

from hwsim.errors import UnknownName
from hwsim.formats.catalog import CATALOG
from hwsim.formats.facts import ROUNDINGS, Rounding
from hwsim.formats.format import Format

__all__ = ["ROUNDINGS", "Format", "Rounding", "get", "names"]


def get(name: str | Format) -> Format:
    """The format called `name`; a `Format` is returned as it is.

    Raises:
        UnknownName: no such format.
    """
    if isinstance(name, Format):
        return name
    if name not in CATALOG:
        raise UnknownName("format", name, CATALOG)
    return CATALOG[name]


def names() -> list[str]:
    """The names of all formats."""
    return list(CATALOG)
