"""The choice of a search: a space that is cheap to price whole is swept, of one whose arithmetics are dear the best
are asked for, and of any other designs are drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from hwsim.errors import ArgumentError
from hwsim.evaluation import Synthesis
from hwsim.notebook import with_bar
from hwsim.search.arithmetics import search_arithmetics
from hwsim.search.coarsening import plans_of
from hwsim.search.confirmation import confirm_front
from hwsim.search.explorer import MOST_TRIALS, begin, begun, listed, search
from hwsim.search.manifest import read_manifest
from hwsim.search.polish import polish
from hwsim.search.space import DesignSpace
from hwsim.search.space_file import load_space
from hwsim.search.study import Study
from hwsim.search.sweeping import sweep
from hwsim.search.watching import Progress, Watch, watched
from hwsim.search.workers import open_pool
from hwsim.storage import owned, seed_checked
from hwsim.trace import Trace, load_trace

DRAWS = 500
"""Designs of a search that was not told how many."""

WHOLE = "sweep", "arithmetics"
"""How the sampler of a study begins that prices hardware halves whole."""


@with_bar("exploring")
def explore(
    space: str | Path | DesignSpace,
    trace: Trace | str | Path | Iterable[Trace | str | Path],
    trials: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    dask: str | None = None,
    gates: bool = False,
    budget: int | None = None,
    force: bool = False,
    progress: Progress = lambda done, total, note: None,
    watch: Watch | None = None,
) -> Study:
    """Search a design space on captured models: all of it where that is cheap, else as many designs as asked for,
    chosen by a surrogate; then the front is polished knob by knob.

    A space that says how many plans it may take (``search.plans``), and takes no more, is swept if no number of draws
    is asked for: every arithmetic is measured, its hardware half priced whole, and the front exact (`hwsim.sweep`);
    seed and polishing do not count. One that says how many of its arithmetics are measured (``search.arithmetics``)
    is searched so: of each that the surrogate chooses the whole hardware half is priced
    (`hwsim.search.arithmetics`). The manifest's ``sampler`` says which it was.

    Args:
        space: a space, its name or its file.
        trace: the trace of the model, or several; options of the space that name a model use the trace of that name.
        trials: number of designs. None lets the space decide: it is swept, or searched with `DRAWS` of them.
        seed: of the draws. The same seed, space and traces give the same points, also after an interruption and
            with any number of workers.
        out: folder for the log and the tables; without it nothing is written.
        resume: continue the study in `out`, if there is one.
        workers: processes that measure accuracy side by side.
        dask: address of a Dask scheduler whose workers measure accuracy, in place of local processes.
        budget: most designs that polishing prices (`hwsim.search.polish`); the space's ``search.polish`` if None.
        gates: also price the front by its own circuits (`confirm_front`); minutes of Yosys the first time. Whole
            models, whose operands nobody has, are not.
        force: also write into a folder that holds something else, and replace a study that is there.
        progress: called after every draw, and then after every design of the front that is priced in gates.
        watch: called now and then with the study so far (`hwsim.search.watching`), at most every second.

    Raises:
        ArgumentError: `out` holds a study and `resume` is false, or it is a study of something else, or no study, or
            another process works in it; two traces are of models of one name; nothing answers at `dask`.
        LostWorkers: the cluster answers no more; `resume` goes on from what is finished.
        MissingExtra: `dask` is given, and Dask is not installed.
    """
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        raise ArgumentError(f"trials must be at least 1 and at most {MOST_TRIALS}", got=trials)
    if budget is not None and not 0 <= budget <= MOST_TRIALS:
        raise ArgumentError(f"polish must be from 0 to {MOST_TRIALS} designs", got=budget)
    seed_checked(seed)
    space = space if isinstance(space, DesignSpace) else load_space(space)
    given = [one if isinstance(one, Trace) else load_trace(one) for one in listed(trace)]
    if trials is None and not (resume and _was_drawn(out)):
        study = _whole_halves(space, given, seed, out, resume, workers, dask, budget, force, progress, watch)
        if study is not None:
            if gates and not space.deploys:
                with contextlib.nullcontext() if out is None else owned(out, "study", force=force):
                    study = confirm_front(study, space, given, None, progress)
                    if out is not None:
                        study.write(Path(out))
            return study
    trials = trials or DRAWS
    gates = gates and not space.deploys
    explorer, opened, manifest = begin(space, given, trials, seed, out, resume, force)
    space, memo, folder = explorer.space, explorer.main.memo, None if out is None else Path(out)
    with (
        explorer.claim,
        open_pool(workers, dask) as explorer.pool,
        Synthesis() if gates else contextlib.nullcontext() as explorer.synthesis,
    ):
        told = watched(progress, lambda: Study(explorer.found(), manifest), *([watch] if watch else []))
        drawn = search(explorer, trials, seed, told)
        certificate, found = polish(explorer, drawn, space.polish if budget is None else budget, told, trials)
        points = sorted(found.values(), key=lambda point: point.number)
        facts = {"finished": True, "designs": len(points), "certificate": certificate.to_dict()}
        study = Study(tuple(points), manifest | facts)
        if folder:
            study.write(folder)
        if gates:
            study = confirm_front(study, space, opened, memo, progress, explorer.synthesis)
            if folder:
                study.write(folder)
    return study


def _whole_halves(
    space: DesignSpace, given: list[Trace], seed: int, out: str | Path | None, resume: bool, workers: int,
    dask: str | None, budget: int | None, force: bool, progress: Progress, watch: Watch | None,
) -> Study | None:  # fmt: skip
    """The study of a space whose hardware halves are priced whole, of all arithmetics or of some; None for another
    space."""
    left, _ = space.without({one.name for one in given})
    if space.plans and (left.size if space.deploys else plans_of(left, space.plans)) <= space.plans:
        return sweep(
            space, given, out, workers=workers, dask=dask, force=force, resume=resume, table=False,
            progress=progress, watch=watch,
        )  # fmt: skip
    if not space.arithmetics:
        return None
    return search_arithmetics(
        space, given, space.arithmetics, seed, out, resume, workers, dask, budget, force, progress, watch
    )


def _was_drawn(out: str | Path | None) -> bool:
    """Whether a folder holds a study whose designs were drawn one by one."""
    return out is not None and begun(Path(out)) and not read_manifest(Path(out))["sampler"].startswith(WHOLE)
