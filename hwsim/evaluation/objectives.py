"""What a design is judged by: one record a quantity, used as objective, as limit, as column and as label alike.

A new one is a literal in `MEASURES`. Accuracy has no record here: its name, unit and direction are the model's own
(`hwsim.evaluation.Metric`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hwsim.errors import DesignError, UnknownName


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity of an evaluation.

    Attributes:
        name: as a space's ``objectives`` name it.
        column: the same with its unit, as limits and tables name it.
        goal: whether it is to be small or large.
        label: for axes.
        superlative: what the best design in it is called.
        of: its value, from an evaluation or a deployment.
        basis: the breakdown whose error it carries, as `Evaluation.detail` names it: the measure, or its reciprocal
            where it is to be large, is that sum times numbers that the plan gives exactly. None where the whole is.
    """

    name: str
    column: str
    goal: Literal["min", "max"]
    label: str
    superlative: str
    of: Callable[[Any], float]
    basis: Literal["energy_pj", "area_um2"] | None = None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "energy", "energy_uj", "min", "energy, µJ per pass", "least energy",
        lambda one: one.energy_pj * 1e-6, "energy_pj",
    ),
    Measure("area", "area_mm2", "min", "area, mm²", "smallest", lambda one: one.area_um2 * 1e-6, "area_um2"),
    Measure("latency", "latency_ms", "min", "latency, ms per pass", "fastest", lambda one: one.latency_s * 1e3),
    Measure("power", "power_mw", "min", "power, mW", "least power", lambda one: one.power_w * 1e3, "energy_pj"),
    Measure(
        "edp", "edp_uj_ms", "min", "energy × delay, µJ·ms", "least energy × delay",
        lambda one: one.energy_pj * 1e-6 * one.latency_s * 1e3, "energy_pj",
    ),
    Measure(
        "dram", "dram_mbit", "min", "DRAM traffic, Mbit per pass", "least DRAM traffic",
        lambda one: (one.dram_read_bits + one.dram_write_bits) * 1e-6,
    ),
    Measure("throughput", "passes_s", "max", "passes per second", "most passes", lambda one: 1 / one.latency_s),
    Measure("tokens", "tokens_s", "max", "tokens per second", "most tokens", lambda one: one.tokens / one.latency_s),
    Measure(
        "efficiency", "tops_w", "max", "TOPS/W", "most operations per joule",
        lambda one: 2 * one.macs / one.energy_pj, "energy_pj",
    ),
    Measure(
        "density", "tops_mm2", "max", "TOPS/mm²", "most operations per area",
        lambda one: 2 * one.macs / one.latency_s * 1e-12 / (one.area_um2 * 1e-6), "area_um2",
    ),
)  # fmt: skip
"""Every quantity of a design, in the order of a table. An operation is a multiplication or an addition: two a MAC."""

PHASE_MEASURES: tuple[Measure, ...] = (
    Measure(
        "tokens_w", "tokens_s_w", "max", "tokens per second and watt", "most tokens per joule",
        lambda one: 1e12 / one.energy_per_token_pj, "energy_pj",
    ),
    Measure("memory", "memory_gb", "min", "memory of all chips, GB", "least memory",
            lambda one: one.memory_bytes * 1e-9),
    Measure("chip_memory", "chip_gb", "min", "memory of the fullest chip, GB", "least memory of a chip",
            lambda one: one.chip_bytes * 1e-9),
    Measure("attainment", "attainment", "max", "share of requests within their limits", "most requests in time",
            lambda one: one.attainment),
)  # fmt: skip
"""What a whole model in a phase has beside them (`hwsim.evaluation.deployment`)."""

EVERY = (*MEASURES, *PHASE_MEASURES)


def measure(name: str, where: str = "objectives") -> Measure:
    """The measure of a name or a column; `UnknownName` lists the known ones."""
    for known in EVERY:
        if name in (known.name, known.column):
            return known
    raise UnknownName("measure", name, ["accuracy", *(known.name for known in EVERY)], where=where)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a column of a feasible design must keep.

    Attributes:
        column: of `MEASURES`, or ``"accuracy"``.
        least: smallest value allowed, or None.
        most: largest value allowed, or None.
    """

    column: str
    least: float | None = None
    most: float | None = None

    def excess(self, value: float) -> float:
        """How far a value is outside, relative to the limit; zero or less inside. NaN is infinitely far."""
        if math.isnan(value):
            return math.inf
        over = -math.inf if self.most is None else (value - self.most) / (abs(self.most) or 1.0)
        under = -math.inf if self.least is None else (self.least - value) / (abs(self.least) or 1.0)
        return max(over, under)

    def __str__(self) -> str:
        sides = [f"{sign} {bound:g}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None]
        return f"{self.column} {' and '.join(sides)}"


def limit(column: str, bounds: object, where: str) -> Limit:
    """The limit that a table ``{min = NUMBER, max = NUMBER}`` states; one of both may be missing.

    Raises:
        DesignError: no such table, a bound that is no finite number, a maximum of a quantity that is never below zero
            set at or below it, or a minimum above the maximum.
        UnknownName: no such column.
    """
    if column != "accuracy" and measure(column, where).column != column:
        raise DesignError(f"must name the unit too: {measure(column, where).column}", got=column, where=where)
    if not isinstance(bounds, Mapping) or not bounds or set(bounds) - {"min", "max"}:
        raise DesignError("a limit must be {max = NUMBER}, {min = NUMBER} or both", got=bounds, where=where)
    for key, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise DesignError("a limit must be a finite number", got=bound, where=f"{where}.{key}")
    least, most = bounds.get("min"), bounds.get("max")
    if column != "accuracy" and most is not None and most <= 0:
        raise DesignError("no design can keep a maximum of zero or less", got=most, where=f"{where}.max")
    if least is not None and most is not None and least > most:
        raise DesignError("the minimum must not lie above the maximum", got=(least, most), where=where)
    return Limit(column, None if least is None else float(least), None if most is None else float(most))
