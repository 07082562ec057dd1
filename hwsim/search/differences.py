"""Two designs of one study, or two machines, knob by knob and measure by measure.

Decides that a machine's knobs are the leaves of its table as a machine file has them, so that what differs is named
by the path that a user would edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.search.comparison import compare, knobs

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation import Evaluation
    from hwsim.search.points import Point


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of two designs.

    Attributes:
        column: its name with its unit.
        values: of the first and of the second.
        chance: how sure it is that the first is the better one; None where it is computed exactly or unknown.
    """

    column: str
    values: tuple[float, float]
    chance: float | None = None

    @property
    def ratio(self) -> float | None:
        """The second over the first; None where the first is zero."""
        return self.values[1] / self.values[0] if self.values[0] else None


@dataclass(frozen=True, slots=True)
class Difference:
    """What two designs differ in.

    Attributes:
        knobs: name -> the first's value and the second's, None where one has none.
        measures: every measure that both have.
        parts: components of energy (µJ) and area (mm²) of both, those that differ, by falling distance.
    """

    knobs: Mapping[str, tuple[Any, Any]]
    measures: tuple[Measured, ...]
    parts: Mapping[str, tuple[Measured, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""

        def plain(one: Measured) -> dict[str, Any]:
            return {"values": list(one.values), "ratio": one.ratio, "chance": one.chance}

        return {
            "knobs": {name: list(values) for name, values in self.knobs.items()},
            "measures": {one.column: plain(one) for one in self.measures},
            "parts": {unit: {one.column: plain(one) for one in rows} for unit, rows in self.parts.items()},
        }


def difference(one: Point, other: Point) -> Difference:
    """Two designs knob by knob, measure by measure, component by component."""
    measures = tuple(
        Measured(column, (one.values[column], other.values[column]), compare(one, other, column).chance)
        for column in one.values
        if column in other.values
    )
    return Difference(knobs(one, other), measures, _parts(one.detail, other.detail))


def as_point(machine: Accelerator, priced: Evaluation | None = None) -> Point:
    """A machine as a design whose knobs are the leaves of its table; with measures where it was evaluated."""
    from hwsim.search.points import Point

    knobs = tuple((name, value) for name, value in leaves(machine.to_dict()) if name != "name")
    if priced is None:
        return Point(0, knobs, None, {})
    return Point(0, knobs, None, priced.values(), detail=priced.detail())


def leaves(table: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested tables under its dotted path; tables in a list by their ``name``, else by their place."""
    if isinstance(table, Mapping):
        for key, value in table.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(table, list | tuple) and any(isinstance(one, Mapping) for one in table):
        for place, one in enumerate(table):
            yield from leaves(
                one, f"{path}.{one.get('name', place)}" if isinstance(one, Mapping) else f"{path}.{place}"
            )
    else:
        yield path, table


def _parts(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Measured, ...]]:
    found = {}
    for what, unit in (("energy_pj", "energy, µJ"), ("area_um2", "area, mm²")):
        ours, theirs = one.get(what, {}), other.get(what, {})
        rows = [
            Measured(name, (ours.get(name, 0.0) * 1e-6, theirs.get(name, 0.0) * 1e-6))
            for name in dict.fromkeys([*ours, *theirs])
        ]
        changed = [row for row in rows if row.values[0] != row.values[1]]
        found[unit] = tuple(sorted(changed, key=lambda row: -abs(row.values[1] - row.values[0])))
    return found
