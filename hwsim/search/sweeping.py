"""The sweep: every design of a space priced, and its front exact.

Accuracies and toggles are measured once a trial, plans decided once a block (`hwsim.search.halves`); all else is
columns. Where there are workers, all of it is done side by side. Memory holds the front, a few spans of the sweep and
one part of the table.

Designs come in an order that the space alone decides, so that a sweep can go on where it was interrupted, or be one
of several shards (`hwsim.search.shards`).

A space that is too large is swept on a coarser grid (`hwsim.search.coarsening`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import ArgumentError
from hwsim.notebook import with_bar
from hwsim.search.certificate import Certificate, fidelities
from hwsim.search.coarsening import coarsened, kept_values
from hwsim.search.deploying import sweep_deployments
from hwsim.search.explorer import Explorer, begun, listed, manifest_of, open_evaluators, prepare
from hwsim.search.parts import PartWriter, read_parts
from hwsim.search.points import Point, PointLog
from hwsim.search.running import beaten
from hwsim.search.space import DesignSpace
from hwsim.search.space_file import load_space
from hwsim.search.spans import detailed, run
from hwsim.search.study import Study
from hwsim.search.sweeper import STATUS, Sweeper
from hwsim.search.watching import SO_FAR, Progress, Watch, left_in, watched
from hwsim.search.workers import open_pool
from hwsim.storage import owned
from hwsim.trace import Trace, load_trace

MOST_DETAILED = 2000
"""Designs of the front, evenly spaced by energy, that get breakdowns and sources; those beyond have values alone."""


@with_bar("sweeping")
def sweep(
    space: str | Path | DesignSpace,
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    out: str | Path | None = None,
    points: int | None = None,
    workers: int = 1,
    dask: str | None = None,
    force: bool = False,
    resume: bool = False,
    table: bool = True,
    progress: Progress = lambda done, total, note: None,
    watch: Watch | None = None,
) -> Study:
    """Price every design of a space; the study's points are the front, exact.

    Args:
        space: a space, its name or its file.
        traces: the trace of the model, or several; options of the space that name a model use the trace of that name.
        out: folder for the table of all designs (`hwsim.search.parts`, needs pyarrow) and of the front; without it
            nothing is written.
        points: most designs: a larger space is swept on a coarser grid (`coarsened`). None sweeps all.
        workers: processes that measure accuracies, decide plans and price designs side by side.
        dask: address of a Dask scheduler in place of local processes.
        force: also write into a folder that holds something else, and replace a study that is there.
        resume: go on with the sweep in `out`, if there is one: parts of the table that are whole are kept.
        table: False leaves the table out.
        progress: called after every block with designs done, designs in all, and a note.
        watch: called now and then with the front so far as a study, at most every second (`hwsim.search.watching`).

    Returns:
        A study whose certificate says what was exhausted. Designs that are equal in every objective are one: the
        first of the space stands for all.

    Raises:
        ArgumentError: `out` holds a study and `resume` is false, or it is of something else, or no study, or another
            process works in it; nothing answers at `dask`; or `points` is below 1.
        MissingExtra: a table is written and pyarrow is not installed, or `dask` is and Dask is not.
    """
    space = space if isinstance(space, DesignSpace) else load_space(space)
    if space.deploys:
        return sweep_deployments(space, traces, out, points, workers, dask, force, resume, progress)
    sweeper, manifest = begin_sweep(space, traces, points)
    with contextlib.ExitStack() as stack:
        folder = None
        if out is not None:
            folder = stack.enter_context(owned(out, "study", force=force, beside=("traces", "shards")))
            open_table(sweeper, folder, manifest, resume, force, table)
        began = time.monotonic()
        watches = [*([watch] if watch else []), *([left_in(folder)] if folder else [])]
        with open_pool(workers, dask) as sweeper.pool:
            run(sweeper, watched(progress, lambda: Study(sweeper.so_far(), manifest), *watches))
            return finish(sweeper, manifest, folder, began)


def begin_sweep(
    space: str | Path | DesignSpace,
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    points: int | None = None,
) -> tuple[Sweeper, dict[str, Any]]:
    """A sweep that has priced nothing, and what it says of itself; arguments as of `sweep`."""
    space = space if isinstance(space, DesignSpace) else load_space(space)
    if space.deploys:
        raise ArgumentError("a space of whole models is swept by one process: hwsim sweep", got=space.name)
    opened = [one if isinstance(one, Trace) else load_trace(one) for one in listed(traces)]
    evaluators = open_evaluators(space, opened)
    space, dropped = space.without(set(evaluators))
    grid = space if points is None else coarsened(space, points)
    manifest = manifest_of(Explorer(grid, evaluators), opened, grid.size, 0, dropped)
    return Sweeper(grid, evaluators), manifest | {"sampler": "sweep", "coarsened": kept_values(space, grid)}


def open_table(
    sweeper: Sweeper, folder: Path, manifest: dict[str, Any], resume: bool, force: bool, table: bool = True
) -> None:
    """Begin a study in a folder of this process alone; its table is a new one, or what an earlier one wrote."""
    goes_on = resume and begun(folder)
    prepare(folder, manifest, resume, force)
    if not table:
        return
    sweeper.writer = PartWriter(folder, sweeper.space.parameters, keep=goes_on)
    sweeper.restore(read_parts(folder, ["number", "status", *sweeper.judge.read]))


def finish(
    sweeper: Sweeper, manifest: dict[str, Any], folder: Path | None, began: float, plans: int | None = None
) -> Study:
    """The study of a sweep that is through, written where it has a folder; `began` as `time.monotonic` counts,
    `plans` those of other processes."""
    sweeper.recall()
    points = [sweeper.point(int(number)) for number in np.sort(sweeper.front.numbers)]
    details = _details(sweeper, points)
    certificate = certify(sweeper, folder if sweeper.writer else None, not manifest["coarsened"])
    facts = {
        "finished": True, "designs": sweeper.space.size, "plans": sweeper.plans if plans is None else plans,
        "feasible": sweeper.feasible,
        "seconds": round(time.monotonic() - began, 3),
        "status": {STATUS[status]: count for status, count in sweeper.counts.items() if count},
        "certificate": certificate.to_dict(),
    }  # fmt: skip
    study = Study(tuple(details()), manifest | facts)
    if folder is not None:
        PointLog(folder).rewrite(study.points)
        study.write(folder)
        (folder / SO_FAR).unlink(missing_ok=True)
    return study


def certify(sweeper: Sweeper, folder: Path | None, whole: bool) -> Certificate:
    """Every neighbour of the front was priced; where the table was written it is read again, and no design in it may
    beat a member."""
    front, beaten_ones = sweeper.front, np.zeros(len(sweeper.front.numbers), np.bool_)
    if folder is not None:
        for table in read_parts(folder, ["number", "status", *(names := sweeper.judge.read)]):
            columns = {name: table[name].to_numpy() for name in names}
            costs, kept = sweeper.judge.judged(table["status"].to_numpy(), columns)
            beaten_ones |= beaten(
                front.costs, front.numbers, np.ascontiguousarray(costs[kept]), table["number"].to_numpy()[kept]
            )
    proven = int((~beaten_ones).sum())
    return Certificate(
        len(front.numbers), proven, whole, 0, proven, grid=not whole, fidelity=fidelities(sweeper.space)
    )


def _details(sweeper: Sweeper, points: list[Point]) -> Callable[[], list[Point]]:
    """The points, `MOST_DETAILED` of them with details, when they are asked for."""
    if not points:
        return lambda: points
    by = "energy_uj" if "energy_uj" in points[0].values else next(iter(points[0].values))
    order = sorted(range(len(points)), key=lambda place: points[place].values[by])
    count = min(len(order), MOST_DETAILED)
    chosen = sorted({order[place] for place in np.linspace(0, len(order) - 1, count).round().astype(int)})
    made = detailed(sweeper, [points[place] for place in chosen])

    def whole() -> list[Point]:
        by_place = dict(zip(chosen, made(), strict=True))
        return [by_place.get(place, point) for place, point in enumerate(points)]

    return whole
