"""What a question allows: limits on measures, values of knobs, and the one line that says why nothing is left.

A condition is written as on a command line (``"area_mm2<=0.5"``, ``"unit=nvfp4"``) or as an entry of a dictionary:
``{"area_mm2": 0.5}`` (the bound on the side that hurts), ``{"tokens_s": {"min": 200}}``, ``{"unit": "nvfp4"}``.
Rejected: Python expressions. They cannot be checked, and cannot say which part left nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.cost import Breakdown, Quantity
from hwsim.errors import ArgumentError, UnknownName
from hwsim.evaluation.objectives import EVERY, Limit, limit
from hwsim.search.comparison import LARGE, chances, uncertain

if TYPE_CHECKING:
    from hwsim.search.points import Point
    from hwsim.search.study import Study

Where = Mapping[str, Any] | Iterable[str]
_CONDITION = re.compile(r"\s*(?P<name>[\w.-]+)\s*(?P<sign><=|>=|!=|=)\s*(?P<value>.+?)\s*")
_BOUND = {"<=": "max", ">=": "min"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Values that a knob may or may not have."""

    knob: str
    values: tuple[Any, ...]
    wanted: bool = True

    def keeps(self, point: Point) -> bool:
        """Whether the design has one of the values, or none of them where they are not wanted."""
        return (dict(point.point).get(self.knob) in self.values) == self.wanted

    def __str__(self) -> str:
        return f"{self.knob} {'=' if self.wanted else '≠'} {' or '.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Limits on measures and settings of knobs, all of which a design must keep."""

    limits: tuple[Limit, ...]
    settings: tuple[Setting, ...]

    def kept(self, points: Iterable[Point]) -> list[Point]:
        """The designs that keep all."""
        return [point for point in points if not self.broken(point) and self.set_so(point)]

    def set_so(self, point: Point) -> bool:
        """Whether its knobs are set as asked."""
        return all(setting.keeps(point) for setting in self.settings)

    def broken(self, point: Point) -> list[Limit]:
        """The limits that a design breaks."""
        return [one for one in self.limits if one.excess(point.values[one.column]) > 0]


def column_of(name: str, study: Study, where: str) -> str:
    """The column of a measure, by name or column; ``"accuracy"`` is the metric of the study's models.

    Raises:
        UnknownName: the study has no such measure.
    """
    metric = study.manifest["metric"]
    columns = {one.name: one.column for one in EVERY} | {"accuracy": metric}
    column: str = columns.get(name, name)
    known = {key for point in study.points if point.reason is None for key in point.values}
    if column not in known:
        raise UnknownName("measure", name, known | {"accuracy"}, where=where)
    return column


def goal_of(column: str, study: Study) -> str:
    """``"min"`` or ``"max"``: what a measure is better as."""
    goals = {one.column: one.goal for one in EVERY} | dict(study.manifest["goals"])
    return str(goals.get(column, "max"))


def conditions(where: Where, study: Study) -> Conditions:
    """Read `where` (module docstring) for a study.

    Raises:
        ArgumentError: a condition is not of the stated form, or a bound is none for this measure.
        UnknownName: neither a measure nor a knob of the study.
        DesignError: a bound that is no finite number, a maximum of zero or less, a minimum above the maximum.
    """
    entries = list(where.items()) if isinstance(where, Mapping) else [_split(one) for one in where]
    bounds: dict[str, dict[str, Any]] = {}
    settings = []
    for name, asked in entries:
        if name in study.manifest["parameters"]:
            settings.append(_setting(name, asked, study.manifest["parameters"][name]))
            continue
        column = _column_of_condition(name, study)
        found = _bounds(asked, column, study, f"where.{name}")
        for side, bound in found.items():
            tighter = min if side == "max" else max
            both = bounds.setdefault(column, {})
            both[side] = tighter(both[side], bound) if side in both else bound
    metric = study.manifest["metric"]
    limits = []
    for column, entry in bounds.items():
        checked = limit("accuracy" if column == metric else column, entry, f"where.{column}")
        limits.append(Limit(column, checked.least, checked.most))
    return Conditions(tuple(limits), tuple(settings))


def _column_of_condition(name: str, study: Study) -> str:
    """As `column_of`, for a name that may also have been meant as a knob's."""
    try:
        return column_of(name, study, "where")
    except UnknownName as error:
        known = [*error.known, *study.manifest["parameters"]]
        raise UnknownName("a condition's measure or knob", name, known, where="where") from None


def _split(text: str) -> tuple[str, Any]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ArgumentError("a condition must be NAME<=NUMBER, NAME>=NUMBER or KNOB=VALUE", got=text, where="where")
    return match["name"], (match["sign"], match["value"])


def _bounds(asked: Any, column: str, study: Study, place: str) -> dict[str, Any]:
    """A limit as ``{"min": number, "max": number}``, one of both or both."""
    if isinstance(asked, Mapping):
        return dict(asked)
    if isinstance(asked, str):
        return _bounds(_split(f"{column}{asked}")[1], column, study, place)
    if isinstance(asked, tuple) and len(asked) == 2:
        sign, value = asked
        if sign not in _BOUND:
            raise ArgumentError("a measure must be bounded by <= or >=", got=sign, where=place)
        try:
            return {_BOUND[sign]: float(value)}
        except (TypeError, ValueError):
            raise ArgumentError("a bound must be a number", got=value, where=place) from None
    return {"max" if goal_of(column, study) == "min" else "min": asked}


def _setting(knob: str, asked: Any, values: Sequence[Any]) -> Setting:
    """Values of a knob; a text means the value that is written so."""
    sign, wanted = asked if isinstance(asked, tuple) and len(asked) == 2 else ("=", asked)
    if sign in _BOUND:
        numbers = [value for value in values if isinstance(value, int | float)]
        try:
            bound = float(wanted)
        except (TypeError, ValueError):
            raise ArgumentError("a bound must be a number", got=wanted, where=f"where.{knob}") from None
        return Setting(knob, tuple(one for one in numbers if (one <= bound if sign == "<=" else one >= bound)))
    chosen = []
    for one in wanted if isinstance(wanted, list | set | frozenset) else (wanted,):
        near = [value for value in values if value == one or str(value) == str(one)]
        if not near:
            raise UnknownName(f"value of {knob}", str(one), map(str, values), where=f"where.{knob}")
        chosen.append(near[0])
    return Setting(knob, tuple(chosen), sign == "=")


def why_none(asked: Conditions, points: Sequence[Point], where: str) -> ArgumentError:
    """The error of a question that no design answers: which limit, and the nearest design.

    Args:
        asked: the conditions.
        points: designs that were evaluated and keep the study's own limits; none of them keeps `asked`.
        where: the study.
    """
    if not points:
        return ArgumentError("a study must hold at least one feasible design to be asked", where=where)
    left = [point for point in points if asked.set_so(point)]
    if not left:
        return ArgumentError(f"no design of {len(points)} has {' and '.join(map(str, asked.settings))}", where=where)

    def excess(point: Point, limits: Iterable[Limit]) -> float:
        return max(one.excess(point.values[one.column]) for one in limits)

    for one in asked.limits:
        near = min(left, key=lambda point: (excess(point, [one]), point.number))
        if excess(near, [one]) > 0:
            return ArgumentError(
                f"no design of {len(left)} keeps {one}; the nearest, #{near.number}, has "
                f"{near.values[one.column]:.4g}",
                where=where,
            )
    near = min(left, key=lambda point: (excess(point, asked.limits), point.number))
    missed = " and ".join(f"{one} by {near.values[one.column]:.4g}" for one in asked.broken(near))
    together = " and ".join(map(str, asked.limits))
    return ArgumentError(
        f"each limit is kept by some design, but none of {len(left)} keeps {together}; the nearest, #{near.number}, "
        f"breaks {missed}",
        where=where,
    )


def why_no_front(study: Study) -> str:
    """Why a study has no feasible design: the limit that all break, else the design that breaks its limits least."""
    priced = [point for point in study.points if point.reason is None]
    if not priced:
        first = next((point.reason for point in study.points), "there is none")
        return f"none of {len(study.points)} designs could be built; the first: {first}"
    for column in priced[0].violations:
        near = min(priced, key=lambda point: (point.violations[column], point.number))
        if near.violations[column] > 0:
            return f"all of {len(priced)} designs break {_named(column, study)}; the nearest, {_missed(near, column)}"
    near = min(priced, key=lambda point: (max(point.violations.values()), point.number))
    worst = max(near.violations, key=lambda column: near.violations[column])
    return f"each limit is kept by some design, but no design keeps all; the nearest, {_missed(near, worst)}"


def _named(column: str, study: Study) -> str:
    """A limit as the manifest has it."""
    return next((text for text in study.manifest["constraints"] if text.startswith(f"{column} ")), column)


def _missed(point: Point, column: str) -> str:
    return f"#{point.number}, is over {column} by {point.violations[column]:.1%}"


def likely_kept(one: Limit, point: Point) -> float | None:
    """How sure it is that a design which keeps a limit really keeps it; None for what is computed exactly."""
    made = uncertain(point, one.column)
    if made is None:
        return None
    turned = one.column in LARGE
    sure = 1.0
    for bound, upper in ((one.most, True), (one.least, False)):
        if bound is None or not bound > 0 or not math.isfinite(bound):
            continue
        edge = Quantity(1 / bound if turned else bound, made.unit, "limit")
        less = float(chances(made, [Breakdown({"limit": edge}, made.fidelity, made.unit)])[0])
        sure += (less if upper != turned else 1 - less) - 1
    return max(0.0, sure)
