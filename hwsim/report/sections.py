"""The sections of a report, in the order of the page: a record each, with its template and what fills it.

A new section is a record in `SECTIONS` and a template of its id in ``templates``. What a section shows is either
written here, or drawn in the browser from `hwsim.report.data` by the function of its id in ``templates/report.js``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.evaluation.accuracy import PERFECT_DB
from hwsim.evaluation.objectives import EVERY
from hwsim.report import confirmed
from hwsim.report.data import MOST_COMPARED, columns_of, parts_of, shown_designs
from hwsim.report.figures import label
from hwsim.report.words import short_name

if TYPE_CHECKING:
    from hwsim.search import Answer
    from hwsim.search.points import Point
    from hwsim.search.study import Study

CLOSE = 0.02
"""Part by which a metric may be worse than float32's and count as kept, in the question after the best price."""
BRIGHTEST_DB = 60.0
"""Where the colours of the precision map end: what is better is as good as exact."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        id: of its template, its place on the page, and its function in the script.
        title: its head.
        context: what its template needs from a study, or None where the study has nothing for it.
    """

    id: str
    title: str
    context: Callable[[Study], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Question:
    """A question that the page answers: what is best, of which designs, and the study's answer."""

    title: str
    answer: Answer


def questions(study: Study) -> list[Question]:
    """The best design in each objective, and the cheapest of those that keep the model's metric."""
    metric, goals = study.manifest["metric"], study.manifest["goals"]
    superlative = {one.column: one.superlative for one in EVERY} | {metric: "most accurate"}
    order = [name for name in study.objectives if name != metric]
    if metric in study.objectives:
        order.append(metric)
    found = [Question(superlative.get(name, f"best {name}"), _ask(study, name)) for name in order]
    reference = next(iter(study.manifest["baseline"].values()))
    if reference and order[0] != metric and metric in goals:
        sign, part = (">=", 1 - CLOSE) if goals[metric] == "max" else ("<=", 1 + CLOSE)
        limit = reference * part
        able = [point for point in study.points if point.feasible]
        kept = [point for point in able if (point.values[metric] >= limit) == (goals[metric] == "max")]
        if kept and len(kept) < len(able):
            title = f"{superlative[order[0]]} within {CLOSE:.0%} of float32's {label(metric)}"
            found.insert(1, Question(title, _ask(study, order[0], (f"{metric}{sign}{limit:.9g}",))))
    return found


def _ask(study: Study, column: str, where: tuple[str, ...] = ()) -> Answer:
    goals = {one.column: one.goal for one in EVERY} | dict(study.manifest["goals"])
    return study.query(maximize=column, where=where) if goals[column] == "max" else study.query(column, where)


def _answer(study: Study) -> Mapping[str, Any]:
    return {"questions": questions(study), "knee": _knee(study)}


def _knee(study: Study) -> Point:
    from hwsim.search.pareto import knee

    costs = np.array([study.cost(point) for point in study.front])
    shifted = costs - costs.min(axis=0) + 1e-9 if (costs <= 0).any() else costs
    return study.front[knee(shifted)]


def _pareto(study: Study) -> Mapping[str, Any]:
    feasible = sum(point.feasible for point in study.points)
    return {"held_back": feasible - len(shown_designs(study)), "compared": len(study.front[:MOST_COMPARED])}


def _always(study: Study) -> Mapping[str, Any]:
    return {}


def _where_it_goes(study: Study) -> Mapping[str, Any] | None:
    return {"pass_": study.manifest["traces"]} if any(parts_of(point) for point in study.front) else None


def _anatomy(study: Study) -> Mapping[str, Any] | None:
    return {} if any(point.detail.get("traffic_bits") for point in study.front) else None


def _links(study: Study) -> Mapping[str, Any] | None:
    """What chips of the first designs of the front send each other in a step: name, times, seconds each, bits."""
    sharing = [point for point in study.front if point.detail.get("links")][:MOST_COMPARED]
    rows = [(short_name(point), *exchange) for point in sharing for exchange in point.detail["links"]]
    return {"rows": rows} if rows else None


def _gates(study: Study) -> Mapping[str, Any] | None:
    names = {point.number: short_name(point) for point in study.front}
    found = confirmed.section(study, names)
    return None if found is None else {"gates": found}


def _precision(study: Study) -> Mapping[str, Any] | None:
    """SQNR by layer for each numerics of the study, best first; numerics with the same figures share a column."""
    table: dict[str, dict[str, float]] = {}
    for point in study.points:
        if point.reason is None and point.detail.get("sqnr_db"):
            table.setdefault(point.detail["numerics"], point.detail["sqnr_db"])
    if not table:
        return None
    alike: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for name, column in table.items():
        alike.setdefault(tuple((layer, round(value, 1)) for layer, value in column.items()), []).append(name)
    named = {
        names[0] + (f" (and {len(names) - 1} alike)" if len(names) > 1 else ""): dict(column)
        for column, names in alike.items()
    }
    ordered = dict(sorted(named.items(), key=lambda entry: -float(np.mean(list(entry[1].values())))))
    layers = list(dict.fromkeys(layer for column in ordered.values() for layer in column))
    return {
        "layers": layers,
        "numerics": ordered,
        "exact": PERFECT_DB,
        "share": lambda value: round(100 * min(1.0, max(0.0, value / BRIGHTEST_DB))),
    }


def _checks(study: Study) -> Mapping[str, Any]:
    from hwsim.search import sentence

    known = study.certificate
    return {
        "certificate": known, "proven": sentence(known) if known else "", "reference": study.manifest["baseline"],
    }  # fmt: skip


def _assumed(study: Study) -> Mapping[str, Any]:
    """Every coefficient's source that the front's numbers rest on, once each, by quantity and part."""
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for point in study.front:
        for part, source in point.detail.get("sources", {}).items():
            quantity, _, name = part.rpartition(": ")
            head = name.split(".")[0].replace("_", " ")
            groups.setdefault(f"{quantity}: {head}" if quantity else head, {}).setdefault(source, {})[name] = None
    return {
        "groups": {
            head: {source: list(names) for source, names in sources.items()}
            for head, sources in sorted(groups.items())
        },
        "failed": [point for point in study.points if point.reason is not None],
        "infeasible": sum(not point.feasible and point.reason is None for point in study.points),
    }


def _remake(study: Study) -> Mapping[str, Any]:
    made = study.manifest
    return {
        "command": f"hwsim explore {made['space']} --trials {made['trials']} --seed {made['seed']}",
        "columns": columns_of(study),
    }


SECTIONS: tuple[Section, ...] = (
    Section("answer", "The answer", _answer),
    Section("pareto", "Pareto views", _pareto),
    Section("parallel", "All knobs and measures side by side", _always),
    Section("designs", "The designs", _always),
    Section("breakdown", "Where energy and area go", _where_it_goes),
    Section("anatomy", "One design inside: layers, levels, traffic, time", _anatomy),
    Section("links", "What chips send each other", _links),
    Section("precision", "Where the precision goes", _precision),
    Section("gates", "In gates", _gates),
    Section("checks", "How it was checked", _checks),
    Section("assumed", "What was assumed", _assumed),
    Section("remake", "Made by", _remake),
)
"""In the order of the page."""
