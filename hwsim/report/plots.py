"""Figures for a notebook or a paper: matplotlib axes of a study, an evaluation, a design.

Each function draws into the axes that it is given, or makes some, and returns them, so that a caller sets titles,
limits and size as ever and saves by ``axes.figure.savefig("front.pdf")``. Nothing global is set.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hwsim.errors import ArgumentError, UnknownName
from hwsim.notebook import significant
from hwsim.report.figures import draw_view, families
from hwsim.report.style import GRID, INK, colours, settings, styled
from hwsim.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hwsim.evaluation import Evaluation
    from hwsim.search.points import Point
    from hwsim.search.study import Study

By = Literal["component", "layer", "level"]

_DETAIL = {"component": "energy_pj", "layer": "by_layer_pj", "level": "by_level_pj"}
KINDS = ("svg", "pdf", "png")
SIZE = (6.4, 4.2)
"""Inches, as a column of a paper takes it at full width."""


def plot_pareto(study: Study, x: str = "", y: str = "", axes: Axes | None = None) -> Axes:
    """Every feasible design of a study in two of its measures, the front marked and joined, baselines as diamonds.

    Args:
        study: with at least one feasible design.
        x, y: columns of `Point.values`, ``"energy_uj"``; the second and the first objective without them.
        axes: to draw into.

    Raises:
        UnknownName: no such column. ArgumentError: the study has no feasible design.
    """
    if not study.front:
        raise ArgumentError("a figure needs at least one feasible design", where=f"study {study.manifest['space']}")
    y, x = y or study.objectives[0], x or study.objectives[-1 if len(study.objectives) < 2 else 1]
    for name in (x, y):
        if name not in study.front[0].values:
            raise UnknownName("measure of the study", name, study.front[0].values)
    with settings():
        target = _axes(axes)
        draw_view(target, study, x, y)
        if len(families(study)) > 1:
            target.legend(fontsize=8)
    return target


def plot_breakdown(found: Evaluation | Point, by: By = "component", axes: Axes | None = None, most: int = 12) -> Axes:
    """Energy in µJ by component, layer or level as bars, the largest first.

    Args:
        found: an evaluation, or a design of a study.
        by: what a bar is.
        axes: to draw into.
        most: bars; what is smaller is one bar, "others".

    Raises:
        UnknownName: another `by`. ArgumentError: the design has no breakdown, as one that failed.
    """
    if by not in _DETAIL:
        raise UnknownName("by", by, _DETAIL)
    parts = sorted(_parts(found, by).items(), key=lambda part: -part[1])
    shown, rest = parts[:most], parts[most:]
    if rest:
        shown = [*shown, (f"{len(rest)} others", sum(value for _, value in rest))]
    with settings():
        target = _axes(axes)
        names, values = [name for name, _ in shown], [value * 1e-6 for _, value in shown]
        target.barh(range(len(shown)), values, color=next(iter(colours(["energy"]).values())))
        target.set_yticks(range(len(shown)), names)
        target.invert_yaxis()
        for place, value in enumerate(values):
            target.annotate(
                f"{significant(value)}", (value, place), xytext=(3, 0), textcoords="offset points", va="center",
                fontsize=8,
            )  # fmt: skip
        target.set_xlabel("energy, µJ per pass")
    return target


def plot_layers(found: Evaluation | Point, axes: Axes | None = None) -> Axes:
    """Energy of each layer in µJ in the order of the run, and its SQNR in dB where it was replayed, on a second axis.

    Raises:
        ArgumentError: the design has no breakdown by layer.
    """
    energies = _parts(found, "layer")
    sqnr: Mapping[str, float] = _detail(found).get("sqnr_db", {})
    with settings():
        target = _axes(axes)
        shade = colours(["energy", "sqnr"])
        places = {name: place for place, name in enumerate(energies)}
        target.bar(list(places.values()), [value * 1e-6 for value in energies.values()], color=shade["energy"])
        target.set_xticks(list(places.values()), list(places), rotation=60, ha="right", fontsize=7)
        target.set_ylabel("energy, µJ per pass")
        known = [(places[name], value) for name, value in sqnr.items() if name in places]
        if known:
            second = target.twinx()
            second.plot(*zip(*known, strict=True), "o", color=shade["sqnr"], markersize=4)
            second.set_ylabel("SQNR, dB", color=shade["sqnr"])
            second.grid(visible=False)
        target.tick_params(colors=INK)
        target.grid(color=GRID, axis="y")
    return target


def write_figures(study: Study, folder: str | Path, kinds: tuple[str, ...] = ("svg", "pdf")) -> list[Path]:
    """Write the figures of a study for a paper into `folder`: the front in each pair of objectives with the first,
    and the energy of the least-energy design by component and by layer, where it is known; returns the paths.

    Raises:
        UnknownName: a kind that is not one of `KINDS`. ArgumentError: the study has no feasible design.
    """
    import io

    import matplotlib.pyplot as plt

    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("kind of figure", kind, KINDS)
    first, *rest = study.objectives
    drawn: dict[str, Callable[[Axes], object]] = {
        f"front-{x}": functools.partial(plot_pareto, study, x, first) for x in rest or [first]
    }
    least = min(study.front, key=lambda point: point.values.get("energy_uj", 0.0))
    if least.detail.get("energy_pj"):
        drawn["energy-component"] = functools.partial(plot_breakdown, least, "component")
    if least.detail.get("by_layer_pj"):
        drawn["energy-layer"] = functools.partial(plot_layers, least)
    where = Path(folder)
    written: list[Path] = []
    where.mkdir(parents=True, exist_ok=True)
    for name, draw in drawn.items():
        with styled():
            figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
            draw(axes)
            for kind in kinds:
                buffer = io.BytesIO()
                figure.savefig(buffer, format=kind, bbox_inches="tight", metadata=_DATELESS[kind])
                written.append(write_whole(where / f"{name}.{kind}", buffer.getvalue()))
        plt.close(figure)
    return written


_DATELESS: Mapping[str, Any] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""So that the same study gives the same bytes."""


def _axes(axes: Axes | None) -> Axes:
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    made: Axes = plt.subplots(figsize=SIZE, layout="constrained")[1]
    return made


def _detail(found: Evaluation | Point) -> Mapping[str, Any]:
    detail = found.detail
    made: Mapping[str, Any] = detail() if callable(detail) else detail
    return made


def _parts(found: Evaluation | Point, by: By) -> Mapping[str, float]:
    parts: Mapping[str, float] = _detail(found).get(_DETAIL[by], {})
    if not parts:
        raise ArgumentError(f"the design must have a breakdown by {by}", where="plot")
    return parts
