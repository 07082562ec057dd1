"""The report: one self-contained HTML file, written from a study and nothing else.

No server, no network, no script from elsewhere: the page can be mailed and opens in ten years. Figures are inline
SVG from matplotlib; a short script of our own sorts the table and tells which design a mark is. Rejected: Plotly,
whose library alone is 4.8 MB a page.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import ArgumentError
from hwsim.evaluation.objectives import MEASURES
from hwsim.report import confirmed, figures
from hwsim.report.style import colours
from hwsim.storage import owned, write_whole

if TYPE_CHECKING:
    from hwsim.search.study import Point, Study

_TEMPLATE = Path(__file__).parent / "report.html.j2"
MOST_BARS = 24
"""Designs that the breakdowns show; a longer front is thinned evenly, ends kept, and the page says so."""


def write_report(study: Study | str | Path, out: str | Path, force: bool = False) -> Path:
    """Write ``report.html`` and its picture ``front.png`` into the folder `out`; return the page's path.

    Args:
        study: a study, or the folder of one (finished or not).
        out: the study's folder, an empty one, or one to make.
        force: also write into a folder that holds something else.

    Raises:
        ArgumentError: the study has no feasible design, so there is nothing to show, or the folder holds something
            else.
        StorageError: the folder cannot be written.
    """
    if isinstance(study, str | Path):
        from hwsim.search import load_study

        study = load_study(study)
    if not study.pareto:
        raise ArgumentError(
            "a report needs at least one feasible design",
            got=f"{len(study.points)} points",
            where=study.manifest["space"],
        )
    with owned(out, "study", force=force, beside=("report.html", "front.png")) as folder:
        write_whole(folder / "front.png", figures.overview(study))
        return write_whole(folder / "report.html", render(study))


def render(study: Study) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure3"] = significant
    return environment.get_template(_TEMPLATE.name).render(**_context(study))


def significant(value: Any) -> str:
    """A number with four significant digits and no exponent where it can be helped; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == 0:
        return f"{value}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _context(study: Study) -> dict[str, Any]:
    front = study.pareto
    names = {point.number: short_name(point) for point in study.points if point.reason is None}
    bars = [
        front[index]
        for index in np.unique(np.linspace(0, len(front) - 1, min(len(front), MOST_BARS)).round().astype(int))
    ]
    columns = list(dict.fromkeys([*study.objectives, *(name for name in front[0].values)]))
    pairs = _views(study.objectives)
    return {
        "study": study,
        "manifest": study.manifest,
        "front": front,
        "names": names,
        "columns": columns,
        "chances": study.chances(),
        "labels": {name: figures.label(name) for name in columns},
        "highlights": _highlights(study),
        "views": [
            {"id": f"v{number}", "svg": figures.pareto_view(study, x, y, f"v{number}")}
            for number, (x, y) in enumerate(pairs)
        ],
        "shades": colours(figures.families(study)),
        "energy": figures.breakdown(bars, "energy_pj", "µJ per pass", 1e-6, "Where the energy goes", names),
        "area": figures.breakdown(bars, "area_um2", "mm²", 1e-6, "Where the area goes", names),
        "bars": bars,
        "gates": confirmed.section(study, names),
        "heat": figures.heat_map(table) if (table := _heat_table(study)) else None,
        "sources": _sources(front),
        "failed": [point for point in study.points if point.reason is not None],
        "infeasible": sum(not point.feasible and point.reason is None for point in study.points),
        "parameters": list(study.manifest["parameters"]),
        "data": json.dumps(_marks(study, names)).replace("</", "<\\/"),
    }


def short_name(point: Point) -> str:
    """A design in a few words: arithmetic, array, dataflow."""
    detail = point.detail
    return f"#{point.number} {detail.get('numerics', '')} · {detail.get('array', '')}".strip()


def _views(objectives: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of objectives, accuracy on the y axis where it takes part."""
    first, *rest = objectives
    return [(other, first) for other in rest] + list(itertools.combinations(rest, 2))[:3]


def _highlights(study: Study) -> list[tuple[str, Point]]:
    from hwsim.search.pareto import knee

    front = study.pareto
    costs = np.array([study.cost(point) for point in front])
    found = [
        (_SUPERLATIVE.get(name, f"best {name}"), front[int(costs[:, axis].argmin())])
        for axis, name in enumerate(study.objectives)
    ]
    found[0] = ("most accurate", found[0][1])
    shifted = costs - costs.min(axis=0) + 1e-9 if (costs <= 0).any() else costs
    return [*found, ("the knee: nearest to the ideal", front[knee(shifted)])]


_SUPERLATIVE = {one.column: one.superlative for one in MEASURES}


def _heat_table(study: Study) -> dict[str, dict[str, float]]:
    """SQNR by layer for each numerics of the study, best first; numerics with the same figures share a column."""
    table: dict[str, dict[str, float]] = {}
    for point in study.points:
        if point.reason is None and point.detail.get("sqnr_db"):
            table.setdefault(point.detail["numerics"], point.detail["sqnr_db"])
    alike: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for name, column in table.items():
        alike.setdefault(tuple((layer, round(value, 1)) for layer, value in column.items()), []).append(name)
    named = {
        names[0] + (f" (and {len(names) - 1} alike)" if len(names) > 1 else ""): dict(column)
        for column, names in alike.items()
    }
    return dict(sorted(named.items(), key=lambda entry: -float(np.mean(list(entry[1].values())))))


def _sources(points: tuple[Point, ...]) -> list[tuple[str, str]]:
    """Every coefficient's source that the front's numbers rest on, once each."""
    seen: dict[tuple[str, str], None] = {}
    for point in points:
        for part, source in point.detail.get("sources", {}).items():
            seen.setdefault((part, source))
    return sorted(seen)


def _marks(study: Study, names: dict[int, str]) -> dict[str, Any]:
    """What the script needs to say which design a mark is: by family and membership, in drawing order."""
    on_front = {point.number for point in study.pareto}
    marks: dict[str, list[int]] = {}
    for point in study.points:
        if point.feasible:
            member = "front" if point.number in on_front else "all"
            marks.setdefault(f"{member}:{figures.family(point)}", []).append(point.number)
    texts = {
        point.number: f"{names[point.number]} — "
        + ", ".join(f"{figures.label(name)} {significant(point.values[name])}" for name in study.objectives)
        for point in study.points
        if point.feasible
    }
    return {"marks": marks, "texts": texts}
