"""The figures of a report, each a function from a study to an ``<svg>`` element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.evaluation.accuracy import PERFECT_DB
from hwsim.evaluation.objectives import MEASURES
from hwsim.report.style import GRID, INK, MUTED, colours, styled, to_png, to_svg

if TYPE_CHECKING:
    from hwsim.search.study import Point, Study

BRIGHTEST_DB = 60.0
"""Where the colours of a heat map end: what is better is as good as exact."""

LABELS = {one.column: one.label for one in MEASURES} | {"bits_per_byte": "bits per byte", "sqnr_db": "SQNR, dB"}


def label(name: str) -> str:
    """What an axis or a column of this objective is called."""
    return LABELS.get(name, name.replace("_", " "))


def family(point: Point) -> str:
    """What a design is coloured by: the name of its arithmetic."""
    return str(point.detail.get("family", "design"))


def families(study: Study) -> list[str]:
    """All families of a study, the ones with most designs on the front first."""
    front = [family(point) for point in study.pareto]
    every = {family(point) for point in study.points if point.reason is None}
    return sorted(every, key=lambda name: (-front.count(name), name))


def pareto_view(study: Study, x: str, y: str, view: str) -> str:
    """All feasible designs over two objectives, the front ringed, its staircase in these two drawn.

    The marks of a family form the SVG group ``VIEW:FAMILY``, in the order of the study's points, which is what the
    page's script needs to tell a mark's design.
    """
    with styled():
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(5.4, 4.0))
        _draw_view(axes, study, x, y, view)
        return to_svg(figure)


def overview(study: Study) -> bytes:
    """A PNG for a README: the first objective over each of the others, side by side."""
    with styled():
        import matplotlib.pyplot as plt

        first, *rest = study.objectives
        rest = rest[:3] or [first]
        figure, row = plt.subplots(1, len(rest), figsize=(4.6 * len(rest), 4.1), sharey=True, squeeze=False)
        for axes, x in zip(row[0], rest, strict=True):
            _draw_view(axes, study, x, first, "overview")
            axes.set_ylabel(label(first) if axes is row[0][0] else "")
        handles, names = row[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper center", ncols=len(names), fontsize=9, bbox_to_anchor=(0.5, 1.06))
        figure.tight_layout()
        return to_png(figure)


def _draw_view(axes: Any, study: Study, x: str, y: str, view: str) -> None:
    shade = colours(families(study))
    shown = [point for point in study.points if point.feasible]
    on_front = {point.number for point in study.pareto}
    for name, colour in shade.items():
        for member, marks in (("all", False), ("front", True)):
            group = [point for point in shown if family(point) == name and (point.number in on_front) == marks]
            dots = axes.scatter(
                [point.values[x] for point in group],
                [point.values[y] for point in group],
                s=34 if marks else 11,
                c=colour,
                alpha=0.95 if marks else 0.35,
                edgecolors="white" if marks else "none",
                linewidths=0.7,
                zorder=3 if marks else 2,
                label=name if marks else None,
            )
            dots.set_gid(f"{view}:{member}:{name}")
    _staircase(axes, study, shown, x, y)
    for machine, held in study.baselines.items():
        axes.scatter(held[x], held[y], s=40, marker="D", c=INK, zorder=4)
        axes.annotate(machine, (held[x], held[y]), xytext=(5, 4), textcoords="offset points", fontsize=8)
    for name, set_scale in ((x, axes.set_xscale), (y, axes.set_yscale)):
        values = np.array([point.values[name] for point in shown])
        if name != study.manifest["metric"] and values.min() > 0 and values.max() / values.min() > 5:
            set_scale("log")
            _decades(axes.xaxis if name == x else axes.yaxis)
    _frame_metric(axes, study, shown, x, y)
    axes.set_xlabel(label(x))
    axes.set_ylabel(label(y))


def _decades(axis: Any) -> None:
    """Ticks at 1, 2 and 5 of each decade, at 1 alone where there are many, written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _staircase(axes: Any, study: Study, shown: Sequence[Point], x: str, y: str) -> None:
    """The front in just these two objectives, both signed so that smaller is better."""
    goals = study.manifest["goals"]
    sign = {name: -1.0 if goals.get(name) == "max" else 1.0 for name in (x, y)}
    best, steps = np.inf, []
    for point in sorted(shown, key=lambda point: (sign[x] * point.values[x], sign[y] * point.values[y])):
        if (value := sign[y] * point.values[y]) < best:
            best = value
            steps.append((point.values[x], point.values[y]))
    axes.step(*zip(*steps, strict=True), where="post", color=INK, linewidth=1.0, alpha=0.6, zorder=1)


def _frame_metric(axes: Any, study: Study, shown: Sequence[Point], x: str, y: str) -> None:
    """The float32 model as a dotted line where an axis is its metric; the axis is cut where designs are useless."""
    name = study.manifest["metric"]
    reference = next(iter(study.manifest["baseline"].values()))
    for axis, draw, limit in ((y, axes.axhline, axes.set_ylim), (x, axes.axvline, axes.set_xlim)):
        if axis != name or reference is None:
            continue
        draw(reference, color=MUTED, linestyle=":", linewidth=1.1, zorder=1)
        sign = -1.0 if study.manifest["goals"][name] == "max" else 1.0
        costs = sign * np.array([point.values[name] for point in shown])
        best = min(sign * reference, costs.min())
        worst = max(np.quantile(costs, 0.8), best + 0.02 * abs(best))
        margin = 0.05 * (worst - best)
        limit(*sorted((sign * (best - margin), sign * (worst + margin))))


def breakdown(
    points: Sequence[Point], part: str, unit: str, scale: float, title: str, names: Mapping[int, str]
) -> str:
    """Stacked bars, one a design: where ``detail[part]`` goes, in `unit` after multiplying by `scale`."""
    with styled():
        import matplotlib.pyplot as plt

        components = sorted(
            {name for point in points for name in point.detail[part]},
            key=lambda name: -sum(point.detail[part].get(name, 0.0) for point in points),
        )
        shade = colours(components)
        figure, axes = plt.subplots(figsize=(11.2, 0.9 + 0.27 * len(points)))
        rows = np.arange(len(points))
        left = np.zeros(len(points))
        for name in components:
            widths = np.array([point.detail[part].get(name, 0.0) for point in points]) * scale
            axes.barh(rows, widths, left=left, color=shade[name], height=0.72, label=name.replace("_", " "))
            left += widths
        axes.set_yticks(rows, [names[point.number] for point in points], fontsize=8.5)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(unit)
        axes.set_title(title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)
        return to_svg(figure)


def parity(points: Sequence[Point], study: Study) -> str:
    """Fitted over synthesised, energy and area of the units' logic, with the line of equals and a band of 10 %."""
    with styled():
        import matplotlib.pyplot as plt

        shade = colours(families(study))
        figure, row = plt.subplots(1, 2, figsize=(11.2, 4.2))
        for axes, exact, fitted, scale, name in (
            (row[0], "gates_logic_pj", "trace_logic_pj", 1e-6, "energy, µJ per pass"),
            (row[1], "synthesized_logic_um2", "fitted_logic_um2", 1e-6, "area, mm²"),
        ):
            pairs = {
                point.number: tuple(getattr(study.confirmed[point.number], side) * scale for side in (exact, fitted))
                for point in points
            }
            ends = np.array([min(map(min, pairs.values())) / 1.3, max(map(max, pairs.values())) * 1.3])
            axes.fill_between(ends, ends * 0.9, ends * 1.1, color=GRID, linewidth=0, zorder=0, label="± 10 %")
            axes.plot(ends, ends, color=MUTED, linewidth=0.9, zorder=1)
            for group, colour in shade.items():
                marks = [pairs[point.number] for point in points if family(point) == group]
                if marks:
                    x, y = zip(*marks, strict=True)
                    axes.scatter(x, y, s=26, c=colour, edgecolors="white", linewidths=0.6, label=group, zorder=2)
            axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
            _decades(axes.xaxis)
            _decades(axes.yaxis)
            axes.set_xlabel(f"gates: {name}" if axes is row[0] else f"synthesized: {name}")
            axes.set_ylabel(f"trace: {name}" if axes is row[0] else f"fitted: {name}")
        row[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)
        return to_svg(figure)


def heat_map(table: Mapping[str, Mapping[str, float]]) -> str:
    """SQNR in dB of each layer (rows) under each numerics (columns), measured on the trace's operands."""
    with styled():
        import matplotlib.pyplot as plt

        columns = list(table)
        rows = list(dict.fromkeys(layer for column in table.values() for layer in column))
        cells = np.array([[table[column].get(layer, np.nan) for column in columns] for layer in rows])
        figure, axes = plt.subplots(figsize=(2.2 + 0.52 * len(columns), 1.4 + 0.24 * len(rows)))
        axes.grid(visible=False)
        top = min(max(30.0, float(np.nanmax(cells))), BRIGHTEST_DB)
        image = axes.imshow(cells, aspect="auto", cmap="viridis", vmin=0.0, vmax=top)
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        for (row, column), value in np.ndenumerate(cells):
            if np.isfinite(value):
                shade = "white" if value < top / 2 else INK
                text = f"{value:.0f}" if value < PERFECT_DB else "exact"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=shade)
        bar = figure.colorbar(
            image, ax=axes, fraction=0.025, pad=0.015, extend="max" if np.nanmax(cells) > top else None
        )
        bar.set_label("SQNR, dB")
        bar.outline.set_edgecolor(GRID)
        axes.set_title("Layer × numerics: signal to quantization noise")
        return to_svg(figure)
