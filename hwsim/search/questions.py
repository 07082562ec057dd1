"""An architect's question to a finished study: the best design under limits, and how far the answer can be trusted.

Decides what an answer is: the best design; the runner-up and the best of another arithmetic, each with its distance,
the chance that the best is really the better one, and what would turn the two; the designs that the model cannot tell
from the best; the limits that hold the answer where it is. Everything is read from the study, nothing is priced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.errors import ArgumentError
from hwsim.search.comparison import SURE, Comparison, chances, compare, uncertain
from hwsim.search.limits import Conditions, Where, column_of, conditions, goal_of, likely_kept, why_none

if TYPE_CHECKING:
    from hwsim.evaluation.objectives import Limit
    from hwsim.search.points import Point
    from hwsim.search.study import Study

NEAREST = 256
"""Designs, by rising distance, that are compared with the best one by chance."""


@dataclass(frozen=True, slots=True)
class Loosened:
    """What a limit costs: the nearest design that is better than the answer and breaks this limit alone.

    Attributes:
        limit: the one that is in the way.
        needed: what it would have to be.
        design: the design that it lets in.
        gain: the answer's value over that design's, or the reverse where large is better: above one.
    """

    limit: Limit
    needed: float
    design: Point
    gain: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        column: the measure that was asked for.
        goal: ``"min"`` or ``"max"``.
        asked: the conditions.
        candidates: number of designs that keep them.
        best: the design.
        runner_up: the next one; None where one design alone keeps the conditions.
        rival: the best design of another arithmetic, if there is one and it is not the runner-up.
        alike: designs that the model cannot tell from the best in this measure, nearest first.
        kept: how sure it is that the best really keeps each limit whose measure carries an error.
        loosened: what each limit that is in the way costs.
    """

    column: str
    goal: str
    asked: Conditions
    candidates: int
    best: Point
    runner_up: Comparison | None
    rival: Comparison | None
    alike: tuple[Point, ...]
    kept: tuple[tuple[Limit, float], ...]
    loosened: tuple[Loosened, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "asked": {
                "column": self.column,
                "goal": self.goal,
                "where": [str(one) for one in (*self.asked.limits, *self.asked.settings)],
            },
            "candidates": self.candidates,
            "best": _plain(self.best),
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict() | _plain(self.runner_up.other),
            "rival": None if self.rival is None else self.rival.to_dict() | _plain(self.rival.other),
            "alike": [point.number for point in self.alike],
            "kept": {str(one): chance for one, chance in self.kept},
            "loosened": [
                {"limit": str(one.limit), "needed": one.needed, "design": one.design.number, "gain": one.gain}
                for one in self.loosened
            ],
        }


def query(study: Study, minimize: str | None = None, where: Where = (), maximize: str | None = None) -> Answer:
    """The best design of a study under conditions.

    Args:
        study: finished or not.
        minimize: the measure to be small, by name (``"energy"``) or column (``"energy_uj"``).
        where: conditions (`hwsim.search.limits`) beside the study's own constraints.
        maximize: the measure to be large, in place of `minimize`.

    Raises:
        ArgumentError: not exactly one measure, one that is better the other way, or no design keeps the conditions:
            the message then names the limit and the nearest design.
        UnknownName: the study has no such measure or knob.
        DesignError: a bound that is no finite number, or is none of this measure.
    """
    column, goal = _objective(study, minimize, maximize)
    asked = conditions(where, study)
    able = [point for point in study.points if point.feasible]
    place = f"study {study.manifest['space']}"
    found = sorted(asked.kept(able), key=lambda point: (_cost(point, column, goal), point.number))
    if not found:
        raise why_none(asked, able, place)
    best, *rest = found
    other = next((point for point in rest if _arithmetic(point) != _arithmetic(best)), None)
    return Answer(
        column=column,
        goal=goal,
        asked=asked,
        candidates=len(found),
        best=best,
        runner_up=compare(best, rest[0], column, study.points) if rest else None,
        rival=compare(best, other, column, study.points) if other and other is not rest[0] else None,
        alike=tuple(_alike(best, rest[:NEAREST], column)),
        kept=tuple((one, sure) for one in asked.limits if (sure := likely_kept(one, best)) is not None),
        loosened=tuple(_loosened(asked, able, best, column, goal)),
    )


def _objective(study: Study, minimize: str | None, maximize: str | None) -> tuple[str, str]:
    if (minimize is None) == (maximize is None):
        raise ArgumentError(
            "one measure must be minimized or maximized", got={"minimize": minimize, "maximize": maximize},
            where="query",
        )  # fmt: skip
    name, goal = (minimize, "min") if maximize is None else (maximize, "max")
    assert name is not None
    column = column_of(name, study, "minimize" if goal == "min" else "maximize")
    if (better := goal_of(column, study)) != goal:
        way = "large" if better == "max" else "small"
        raise ArgumentError(f"{column} is better {way}; ask for that", where="query")
    return column, goal


def _cost(point: Point, column: str, goal: str) -> float:
    return point.values[column] * (-1.0 if goal == "max" else 1.0)


def _arithmetic(point: Point) -> Any:
    return point.detail.get("family", dict(point.point).get("unit"))


def _alike(best: Point, rest: list[Point], column: str) -> Iterable[Point]:
    made = [uncertain(point, column) for point in (best, *rest)]
    known = [one for one in made if one is not None]
    if len(known) < len(made):
        return [point for point in rest if point.values[column] == best.values[column]]
    less = chances(known[0], known[1:]) if rest else ()
    return [point for point, chance in zip(rest, less, strict=True) if chance < SURE]


def _loosened(asked: Conditions, able: list[Point], best: Point, column: str, goal: str) -> Iterable[Loosened]:
    for one in asked.limits:
        others = [
            point
            for point in able
            if asked.broken(point) == [one]
            and asked.set_so(point)
            and _cost(point, column, goal) < _cost(best, column, goal)
        ]
        if others:
            near = min(others, key=lambda point: (one.excess(point.values[one.column]), point.number))
            mine, its = best.values[column], near.values[column]
            yield Loosened(one, near.values[one.column], near, its / mine if goal == "max" else mine / its)


def _plain(point: Point) -> dict[str, Any]:
    return {
        "number": point.number, "point": dict(point.point), "values": dict(point.values),
        "numerics": point.detail.get("numerics"), "array": point.detail.get("array"),
    }  # fmt: skip
