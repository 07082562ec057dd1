"""Numbers that know where they come from and why they may be wrong, and named sums of them.

An error is a factor (×/÷): the truth is expected within one standard deviation of the logarithm, between value / f
and value × f. It is kept by cause ("sram table", "logic 10 to 7 nm"): two numbers that share a cause err together,
numbers of different causes err on their own. In a sum, shares of one cause add linearly and causes in quadrature
(first order in the logarithm); `hwsim.cost.likelihood` compares two sums. Plus-minus percentages were rejected: a
factor of two down is not minus 100 %, and without causes two designs of one node look as uncertain against each
other as on their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hwsim.errors import ArgumentError

PERCENTILE_95 = 1.959963984540054  # standard deviations that hold 95 % of a normal distribution


@dataclass(frozen=True, slots=True, init=False)
class Quantity:
    """A value, its unit, its source, and how much each cause may shift its logarithm.

    Args:
        value: the number.
        unit: ``"pJ"``, ``"um2"``, ``"fJ/bit"`` and so on.
        source: where it comes from, in a phrase.
        relative_error: the factor of an error of its own, less one; its cause is the source.
        errors: factors, 1 or more, by cause.
        sigmas: the same as standard deviations of the natural logarithm, by cause.

    Raises:
        ArgumentError: an error is below zero, or a factor below one.
    """

    value: float
    unit: str
    source: str
    sigmas: tuple[tuple[str, float], ...]  # standard deviation of the natural logarithm by cause, causes in order

    def __init__(
        self,
        value: float,
        unit: str,
        source: str,
        relative_error: float = 0.0,
        *,
        errors: Mapping[str, float] | None = None,
        sigmas: Iterable[tuple[str, float]] = (),
    ) -> None:
        shifts = dict(sigmas)
        factors = dict(errors or {})
        if relative_error:
            factors[source] = factors.get(source, 1.0) * (1 + relative_error)
        for cause, factor in factors.items():
            if not factor >= 1:
                raise ArgumentError("an error must be a factor of at least 1", got=factor, where=f"quantity.{cause}")
            shifts[cause] = shifts.get(cause, 0.0) + math.log(factor)
        held = tuple(sorted((cause, sigma) for cause, sigma in shifts.items() if sigma))
        for name, entry in (("value", value), ("unit", unit), ("source", source), ("sigmas", held)):
            object.__setattr__(self, name, entry)

    @property
    def errors(self) -> dict[str, float]:
        """Factors by cause."""
        return {cause: math.exp(sigma) for cause, sigma in self.sigmas}

    @property
    def sigma(self) -> float:
        """Standard deviation of the natural logarithm, all causes in quadrature."""
        return math.hypot(*(sigma for _, sigma in self.sigmas))

    @property
    def error_factor(self) -> float:
        """The factor of all causes together."""
        return math.exp(self.sigma)

    @property
    def relative_error(self) -> float:
        """`error_factor` less one: how far the upper end lies above the value, as a part of it."""
        return self.error_factor - 1 if self.sigmas else 0.0

    @property
    def low(self) -> float:
        """Lower end of the interval: the value divided by the factor."""
        return self.value / self.error_factor

    @property
    def high(self) -> float:
        """Upper end of the interval: the value times the factor."""
        return self.value * self.error_factor

    def scaled(
        self, factor: float, error: float = 0.0, source: str = "", errors: Mapping[str, float] | None = None
    ) -> Quantity:
        """The value times an exact or uncertain `factor`.

        Args:
            factor: a number.
            error: its relative error, whose cause is `source` (or ``"scaling"``).
            source: a note that follows the source.
            errors: factors of its error by cause.
        """
        if not error and not errors:
            note = f"{self.source}; {source}" if source else self.source
            return _made(self.value * factor, self.unit, note, self.sigmas)
        return self.times(Quantity(factor, "", source or "scaling", error, errors=errors), self.unit, source)

    def times(self, other: Quantity, unit: str, source: str = "") -> Quantity:
        """The product, in `unit`: the shares of one cause add. The source is this one's, then `source`."""
        note = f"{self.source}; {source}" if source else self.source
        if not self.sigmas or not other.sigmas:
            return _made(self.value * other.value, unit, note, self.sigmas or other.sigmas)
        shifts = dict(self.sigmas)
        for cause, sigma in other.sigmas:
            shifts[cause] = shifts.get(cause, 0.0) + sigma
        return Quantity(self.value * other.value, unit, note, sigmas=shifts.items())

    def with_unit(self, unit: str) -> Quantity:
        """The same number in another unit, where a factor of `scaled` carried bits or operations."""
        return _made(self.value, unit, self.source, self.sigmas)

    def with_source(self, source: str) -> Quantity:
        """The same number and causes under another phrase."""
        return _made(self.value, self.unit, source, self.sigmas)

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} ×/÷ {self.error_factor:.2f}"


def _made(value: float, unit: str, source: str, sigmas: tuple[tuple[str, float], ...]) -> Quantity:
    """A quantity of causes that are those of another: in order, none twice, none zero. Designs have thousands."""
    made = object.__new__(Quantity)
    for name, entry in (("value", value), ("unit", unit), ("source", source), ("sigmas", sigmas)):
        object.__setattr__(made, name, entry)
    return made


def factor_of_percentile(relative_error: float) -> float:
    """The factor of one standard deviation of what is off by at most `relative_error` in 95 % of the cases."""
    return math.exp(math.log1p(relative_error) / PERCENTILE_95)


def total(quantities: Iterable[Quantity], source: str | None = None) -> Quantity:
    """The sum of quantities of one unit, correctly rounded whatever their order (`math.fsum`).

    Shares of one cause are weighted by value and add; the source is that of the largest part unless given.

    Raises:
        ArgumentError: no quantities, or different units.
    """
    return weighted(((one, 1.0) for one in quantities), source)


def weighted(terms: Iterable[tuple[Quantity, float]], source: str | None = None) -> Quantity:
    """The sum of quantities times exact numbers, as `total` has it.

    Raises:
        ArgumentError: no quantities, or different units.
    """
    found = [(one, one.value * times) for one, times in terms]
    units = {one.unit for one, _ in found}
    if len(units) != 1:
        raise ArgumentError("quantities must share one unit", got=sorted(units), where="cost.total")
    value = math.fsum(amount for _, amount in found)
    shares: dict[str, list[float]] = {}
    for one, amount in found:
        for cause, sigma in one.sigmas:
            shares.setdefault(cause, []).append(amount * sigma)
    shifts = {cause: math.fsum(parts) / value for cause, parts in shares.items()} if value else {}
    largest, _ = max(found, key=lambda term: term[1])
    return Quantity(value, units.pop(), source or largest.source, sigmas=shifts.items())


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Named quantities of one unit that add up to `total`, correctly rounded in any order (`math.fsum`).

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
        return math.fsum(part.value for part in self.parts.values())

    @property
    def total(self) -> Quantity:
        """The sum as a quantity: shares of one cause add, different causes in quadrature."""
        source = f"sum of {len(self.parts)} parts"
        return total(self.parts.values(), source) if self.parts else Quantity(0.0, self.unit, source)

    def __getitem__(self, name: str) -> Quantity:
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        whole = self.total
        return {
            "unit": self.unit,
            "fidelity": self.fidelity,
            "total": self.value,
            "error_factor": whole.error_factor,
            "relative_error": whole.relative_error,
            "errors": whole.errors,
            "parts": {
                name: {
                    "value": part.value,
                    "error_factor": part.error_factor,
                    "relative_error": part.relative_error,
                    "errors": part.errors,
                    "source": part.source,
                }
                for name, part in self.parts.items()
            },
        }


def add(breakdowns: Iterable[Breakdown]) -> Breakdown:
    """One breakdown whose parts are the sums of the parts of the same name.

    A part's source is that of its largest contribution; its causes are weighted by value.

    Raises:
        ArgumentError: nothing to add, or different units or fidelities.
    """
    found = list(breakdowns)
    kinds = {(one.unit, one.fidelity) for one in found}
    if len(kinds) != 1:
        raise ArgumentError("breakdowns must share one unit and fidelity", got=sorted(kinds), where="cost.add")
    members: dict[str, list[Quantity]] = {}
    for one in found:
        for name, part in one.parts.items():
            members.setdefault(name, []).append(part)
    unit, fidelity = kinds.pop()
    return Breakdown({name: total(parts) for name, parts in members.items()}, fidelity, unit)
