"""The figures of a report that are not drawn in the browser: its picture for a README, and the fits beside gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.evaluation.objectives import EVERY
from hwsim.report.style import GRID, INK, MUTED, colours, styled, to_png, to_svg

if TYPE_CHECKING:
    from hwsim.search.points import Point
    from hwsim.search.study import Study

LABELS = {one.column: one.label for one in EVERY} | {"bits_per_byte": "bits per byte", "sqnr_db": "SQNR, dB"}


def label(name: str) -> str:
    """What an axis or a column of this objective is called."""
    return LABELS.get(name, name.replace("_", " "))


def family(point: Point) -> str:
    """What a design is coloured by: the name of its arithmetic."""
    return str(point.detail.get("family", "design"))


def families(study: Study) -> list[str]:
    """All families of a study, the ones with most designs on the front first."""
    front = [family(point) for point in study.front]
    every = {family(point) for point in study.points if point.reason is None}
    return sorted(every, key=lambda name: (-front.count(name), name))


def overview(study: Study) -> bytes:
    """A PNG for a README: the first objective over each of the others, side by side."""
    with styled():
        import matplotlib.pyplot as plt

        first, *rest = study.objectives
        rest = rest[:3] or [first]
        figure, row = plt.subplots(1, len(rest), figsize=(4.6 * len(rest), 4.1), sharey=True, squeeze=False)
        for axes, x in zip(row[0], rest, strict=True):
            draw_view(axes, study, x, first)
            axes.set_ylabel(label(first) if axes is row[0][0] else "")
        handles, names = row[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper center", ncols=len(names), fontsize=9, bbox_to_anchor=(0.5, 1.06))
        figure.tight_layout()
        return to_png(figure)


def draw_view(axes: Any, study: Study, x: str, y: str) -> None:
    """Every feasible design in two measures, the front of both, baselines; labels and scales of the axes."""
    shade = colours(families(study))
    shown = [point for point in study.points if point.feasible]
    on_front = {point.number for point in study.front}
    for name, colour in shade.items():
        for marks in (False, True):
            group = [point for point in shown if family(point) == name and (point.number in on_front) == marks]
            axes.scatter(
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
