"""Numbers that know where they come from, and named sums of them.

A bare float for an energy was rejected: a report could then no longer say which of its numbers were measured, which
were composed, and how wrong each may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value, its unit, its source and its relative error.

    Args:
        value: the number.
        unit: ``"pJ"``, ``"um2"``, ``"fJ/bit"`` and so on.
        source: where it comes from, in a phrase.
        relative_error: half width of the interval that the truth is expected in, as a part of the value.
    """

    value: float
    unit: str
    source: str
    relative_error: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.value * (1 - self.relative_error)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.value * (1 + self.relative_error)

    def scaled(self, factor: float, error: float = 0.0, source: str = "") -> Quantity:
        """The value times `factor`, whose own relative error is `error`; errors add."""
        note = f"{self.source}; {source}" if source else self.source
        return Quantity(self.value * factor, self.unit, note, self.relative_error + error)

    def with_unit(self, unit: str) -> Quantity:
        """The same number in another unit, where a factor of `scaled` carried bits or operations."""
        return Quantity(self.value, unit, self.source, self.relative_error)

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} ± {self.relative_error:.0%}"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Named quantities of one unit that add up to `total`.

    Args:
        parts: the quantities by component, in the order of a report.
        fidelity: how the numbers were made: ``"pann"``, ``"trace"``, ``"gates"``, ``"composed"``, ``"fitted"``,
            ``"synthesized"``.
        unit: the unit of all parts.

    Raises:
        ArgumentError: parts of different units.
    """

    parts: Mapping[str, Quantity]
    fidelity: str
    unit: str

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if part.unit != self.unit:
                raise ArgumentError(f"parts must be in {self.unit}", got=part.unit, where=f"breakdown.{name}")

    @property
    def value(self) -> float:
        """The sum of the parts."""
        return sum(part.value for part in self.parts.values())

    @property
    def total(self) -> Quantity:
        """The sum as a quantity. Errors add as if all parts erred the same way, which is the worst case."""
        value = self.value
        spread = sum(part.value * part.relative_error for part in self.parts.values())
        return Quantity(value, self.unit, f"sum of {len(self.parts)} parts", spread / value if value else 0.0)

    def __getitem__(self, name: str) -> Quantity:
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {
            "unit": self.unit,
            "fidelity": self.fidelity,
            "total": self.value,
            "relative_error": self.total.relative_error,
            "parts": {
                name: {"value": part.value, "relative_error": part.relative_error, "source": part.source}
                for name, part in self.parts.items()
            },
        }


def add(breakdowns: Iterable[Breakdown]) -> Breakdown:
    """One breakdown whose parts are the sums of the parts of the same name.

    A part's source is that of its largest contribution; relative errors are weighted by value.

    Raises:
        ArgumentError: nothing to add, or different units or fidelities.
    """
    found = list(breakdowns)
    kinds = {(one.unit, one.fidelity) for one in found}
    if len(kinds) != 1:
        raise ArgumentError("breakdowns must share one unit and fidelity", got=sorted(kinds), where="cost.add")
    values: dict[str, float] = {}
    spreads: dict[str, float] = {}
    largest: dict[str, Quantity] = {}
    for one in found:
        for name, part in one.parts.items():
            values[name] = values.get(name, 0.0) + part.value
            spreads[name] = spreads.get(name, 0.0) + part.value * part.relative_error
            if name not in largest or part.value > largest[name].value:
                largest[name] = part
    unit, fidelity = kinds.pop()
    parts = {
        name: Quantity(value, unit, largest[name].source, spreads[name] / value if value else 0.0)
        for name, value in values.items()
    }
    return Breakdown(parts, fidelity, unit)
