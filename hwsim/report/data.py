"""What the page's script works on: one JSON value made from a study.

Decides what is embedded: every measure and knob of every design shown, the chances between designs of the front, and
breakdowns of the front. Designs off the front beyond `MOST_DESIGNS` are thinned evenly, so that the page stays small
enough to be mailed; it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.evaluation.objectives import EVERY
from hwsim.report.figures import families, family, label
from hwsim.report.words import short_name

if TYPE_CHECKING:
    from hwsim.search.points import Point
    from hwsim.search.study import Study

MOST_DESIGNS = 6000
"""Designs off the front that the page holds."""
MOST_COMPARED = 200
"""Designs of the front whose breakdowns, and chances against each other, the page holds (beside the breakdowns of
those in gates and of the answers): the number of chances grows with the square."""

_BASIS = {one.column: one.basis for one in EVERY}
_GROUPED = {"vector": "vector unit", "leakage": "leakage"}


def page_data(study: Study, picks: Sequence[tuple[str, Point]]) -> dict[str, Any]:
    """Plain values; a measure that is not a number is None.

    Args:
        study: with at least one feasible design.
        picks: designs that the page answers with, each with what it is best in.
    """
    front = study.front
    shown = shown_designs(study)
    columns = columns_of(study)
    units = families(study)
    parameters = list(study.manifest["parameters"])
    goals = {one.column: one.goal for one in EVERY} | dict(study.manifest["goals"])
    chances, picked = study.chances(), [one for _, one in picks]
    return {
        "columns": [
            {
                "id": name, "label": label(name), "goal": goals.get(name, "max"), "error": _BASIS.get(name),
                "objective": name in study.objectives,
            }
            for name in columns
        ],
        "metric": study.manifest["metric"],
        "baseline": next(iter(study.manifest["baseline"].values())),
        "machines": [
            {"name": name, "v": [_number(values.get(column)) for column in columns]}
            for name, values in study.baselines.items()
        ],
        "knobs": parameters,
        "units": units,
        "designs": [
            {
                "n": point.number, "name": short_name(point), "unit": units.index(family(point)),
                "v": [_number(point.values.get(name)) for name in columns],
                "k": [dict(point.point).get(name) for name in parameters],
                "e": {what: _number(point.detail.get(key)) for what, key in _ERRORS.items()},
                **({"next": chances[point.number]} if point.number in chances else {}),
            }
            for point in shown
        ],
        "front": [point.number for point in front],
        "alike": _alike(study),
        "chances": _chances(front[:MOST_COMPARED]),
        "parts": {
            point.number: parts_of(point)
            for place, point in enumerate((*front, *picked))
            if place < MOST_COMPARED or place >= len(front) or point.number in study.confirmed
        },
        "picks": [[title, point.number] for title, point in picks],
    }  # fmt: skip


def columns_of(study: Study) -> list[str]:
    """Objectives, then every other measure."""
    return list(dict.fromkeys([*study.objectives, *study.front[0].values]))


def shown_designs(study: Study) -> list[Point]:
    """The front, then feasible designs off it, thinned evenly to `MOST_DESIGNS`, by number."""
    front = {point.number for point in study.front}
    others = [point for point in study.points if point.feasible and point.number not in front]
    if len(others) > MOST_DESIGNS:
        others = [others[place] for place in np.linspace(0, len(others) - 1, MOST_DESIGNS).round().astype(int)]
    return [*study.front, *sorted(others, key=lambda point: point.number)]


def parts_of(point: Point) -> dict[str, dict[str, float]]:
    """Energy (µJ) and area (mm²) by component, energy by layer and by level; the vector unit's parts are one."""
    detail = point.detail
    found = {
        "energy": _grouped(detail.get("energy_pj", {})),
        "area": _grouped(detail.get("area_um2", {})),
        "layer": _micro(detail.get("by_layer_pj", {})),
        "level": _micro(detail.get("by_level_pj", {})),
    }
    extra = {"traffic": detail.get("traffic_bits"), "steps": detail.get("steps")}
    return {what: parts for what, parts in {**found, **extra}.items() if parts}


_ERRORS = {"energy_pj": "energy_error", "area_um2": "area_error"}


def _grouped(parts: Mapping[str, float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in parts.items():
        head = name.split(".")[0]
        group = _GROUPED.get(head, name)
        sums[group] = sums.get(group, 0.0) + value
    return _micro(sums)


def _micro(parts: Mapping[str, float]) -> dict[str, float]:
    """Six digits are more than any of these numbers is worth."""
    return {name: float(f"{value * 1e-6:.6g}") for name, value in parts.items() if value}


def _number(value: Any) -> float | None:
    return float(f"{value:.7g}") if isinstance(value, int | float) and math.isfinite(value) else None


def _alike(study: Study) -> dict[int, list[int]]:
    """Each design of the front -> the one that stands for it, then the others of its set."""
    sets = [[one.design.number, *(point.number for point in one.others)] for one in study.thinned()]
    return {number: members for members in sets for number in members}


def _chances(front: Sequence[Point]) -> dict[str, Any]:
    """By basis of an error, how likely (per cent) the row's design takes less than the column's."""
    from hwsim.search.comparison import breakdown, chance_matrix

    found: dict[str, Any] = {"order": [point.number for point in front]}
    for what in ("energy_pj", "area_um2"):
        if all(what in point.detail.get("causes", {}) for point in front):
            matrix = chance_matrix([breakdown(point, what) for point in front])
            found[what] = np.rint(100 * matrix).astype(int).tolist()
    return found
