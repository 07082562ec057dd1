"""The sweep of a space whose designs are chips of a whole model: every draw priced by its own plans, front exact.

Its parts are few and its knobs reach the model (batch, degrees), so that columns of one plan would share little.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hwsim.search.certificate import Certificate, fidelities
from hwsim.search.coarsening import coarsened, kept_values
from hwsim.search.explorer import Explorer, listed, manifest_of, open_evaluators, prepare
from hwsim.search.points import Point, PointLog
from hwsim.search.polish import front_of
from hwsim.search.space import DesignSpace
from hwsim.search.study import Study
from hwsim.search.watching import Progress
from hwsim.search.workers import open_pool
from hwsim.storage import owned
from hwsim.trace import Trace, load_trace

AT_ONCE = 64
"""Designs whose accuracies are measured side by side."""


def sweep_deployments(
    space: DesignSpace,
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    out: str | Path | None,
    points: int | None,
    workers: int,
    dask: str | None,
    force: bool,
    resume: bool,
    progress: Progress,
) -> Study:
    """Price every design; arguments and errors as of `hwsim.search.sweep`, but that the study holds all designs."""
    opened = [one if isinstance(one, Trace) else load_trace(one) for one in listed(traces)]
    evaluators = open_evaluators(space, opened)
    space, dropped = space.without(set(evaluators))
    grid = space if points is None else coarsened(space, points)
    explorer = Explorer(grid, evaluators)
    manifest = manifest_of(explorer, opened, grid.size, 0, dropped)
    manifest |= {"sampler": "sweep", "coarsened": kept_values(space, grid)}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = None
        if out is not None:
            folder = stack.enter_context(owned(out, "study", force=force, beside=("traces",)))
            prepare(folder, manifest, resume, force)
            explorer.log = PointLog(folder)
            explorer.known = {point.point: point for point in explorer.log.read()}
        explorer.pool = stack.enter_context(open_pool(workers, dask))
        draws, found = list(grid.draws()), list[Point]()
        for start in range(0, len(draws), AT_ONCE):
            some = draws[start : start + AT_ONCE]
            found += explorer.generation(range(start, start + len(some)), some, progress, len(draws))
        members = len(front_of(explorer, found))
        whole = not manifest["coarsened"]
        certificate = Certificate(members, members, whole, 0, members, not whole, fidelities(grid))
        facts = {
            "finished": True, "designs": len(found), "plans": len(found),
            "feasible": sum(point.feasible for point in found),
            "seconds": round(time.monotonic() - began, 3), "status": dict(Counter(map(_status, found))),
            "certificate": certificate.to_dict(),
        }  # fmt: skip
        study = Study(tuple(sorted(found, key=lambda point: point.number)), manifest | facts)
        if folder is not None:
            study.write(folder)
    return study


def _status(point: Point) -> str:
    if point.reason is not None:
        return point.reason.partition(": ")[2].partition(",")[0] or point.reason
    return "priced" if point.feasible else "outside a limit"
