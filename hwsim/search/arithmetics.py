"""The search of a space whose arithmetics are too many to be measured: some of them, each on every machine.

A trial is one combination of the knobs outside of the hardware half (`hwsim.search.halves`). What it costs to know is
its accuracy and its flips; then the whole half is priced in columns, which takes less. So an Optuna study with a
`GuidedSampler` asks for trials, each is told as the best that its half reaches in each objective, and the front is
that of every machine of every trial, exact. Then trials one knob away are tried, as `hwsim.search.polish` does with
designs. What was measured lies in the memo: a search that was interrupted goes on with the trial it was at.

Rejected: the share of the front as what a trial is told for. It changes with every other trial, and a surrogate that
is told another value of what it knows learns nothing. Rejected: designs as trials, which measure one arithmetic again
and again in words of another machine and leave its half unseen.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError
from hwsim.evaluation.accuracy import mean_sqnr_db
from hwsim.search.certificate import Certificate, fidelities
from hwsim.search.explorer import DRAWN, Explorer, manifest_of, open_evaluators, prepare, search
from hwsim.search.halves import part_of
from hwsim.search.points import Point, PointLog
from hwsim.search.polish import polish
from hwsim.search.refinement import kendall, spearman
from hwsim.search.running import RunningFront
from hwsim.search.space import DesignSpace, Value
from hwsim.search.study import Study
from hwsim.search.sweeper import Sweeper
from hwsim.search.sweeping import finish
from hwsim.search.watching import SO_FAR, Progress, Watch, left_in, watched
from hwsim.search.workers import open_pool
from hwsim.storage import owned
from hwsim.trace import Trace

Key = tuple[tuple[str, Any], ...]


@dataclass
class Arithmetics(Explorer):
    """A search whose designs are trials: `space` has their knobs alone, `sweeper` prices their halves.

    Attributes:
        front: of every machine of every trial so far.
        values: of its members, by number.
        designs: machines that were priced.
    """

    sweeper: Sweeper = field(kw_only=True)
    front: RunningFront = field(init=False)
    values: dict[int, dict[str, float]] = field(init=False, default_factory=dict)
    counts: Counter[int] = field(init=False, default_factory=Counter)
    planned: set[str] = field(init=False, default_factory=set)
    feasible: int = field(init=False, default=0)
    designs: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.front = RunningFront(len(self.goals))

    @cached_property
    def _places(self) -> dict[Key, int]:
        """Each trial's place among all."""
        return {tuple(half.trial.items()): place for place, half in enumerate(self.sweeper.halves)}

    def generation(
        self, numbers: Sequence[int], draws: Sequence[dict[str, Value]], progress: Progress, total: int
    ) -> list[Point]:
        """Trials in the order of the draws; of each the best value of every objective, or why there is none."""
        fresh = dict.fromkeys(key for draw in draws if (key := self.space.canonical(draw)) not in self.known)
        self._ahead(fresh)
        points = []
        for number, draw in zip(numbers, draws, strict=True):
            key = self.space.canonical(draw)
            if key not in self.known:
                self.known[key] = self._priced(number, key)
            points.append(self.known[key])
            note = f"{len(self.known)} arithmetics, {self.designs:,} designs, {len(self.front.numbers)} on the front"
            progress(number + 1, total, note)
        return points

    def _ahead(self, keys: Iterable[Key]) -> None:
        """Let the pool measure trials side by side."""
        if self.pool is None:
            return
        for name, evaluator in self.evaluators.items():
            policies = []
            for half in (self.sweeper.halves[self._places[key]] for key in keys):
                if (half.model or self.main.trace.name) == name:
                    with contextlib.suppress(HwsimError):
                        policies.append(half.base.policy)
            evaluator.prepare(policies, self.pool.submit)

    def _priced(self, number: int, key: Key) -> Point:
        place = self._places[key]
        first, half = self.sweeper.firsts[place], self.sweeper.halves[place]
        own = self.sweeper.span(first, first + half.size, tabled=False)
        self.designs += half.size
        self.counts.update(own.counts)
        self.planned |= own.plans
        self.feasible += own.feasible
        if not len(own.numbers):
            return Point(number, key, half.model, {}, reason="no machine of this arithmetic keeps every limit")
        self.front.add(own.costs, own.numbers)
        known = self.values | own.values
        self.values = {member: known[member] for member in self.front.numbers.tolist()}
        best = own.costs.min(axis=0).tolist()
        signs = (-1.0 if goal == "max" else 1.0 for goal in self.goals.values())
        values = {name: cost * sign for name, cost, sign in zip(self.goals, best, signs, strict=True)}
        return Point(number, key, half.model, values)

    def so_far(self) -> tuple[Point, ...]:
        """The front at this moment by number, without details."""
        points = []
        for number, values in sorted(self.values.items()):
            place = bisect.bisect_right(self.sweeper.firsts, number) - 1
            half, over = self.sweeper.halves[place], self.sweeper.judge.over(values)
            points.append(Point(number, half.point(number - self.sweeper.firsts[place]), half.model, values, over))
        return tuple(points)

    def finished(self, manifest: dict[str, Any], began: float) -> Study:
        """The study of what was tried, with details; `began` as `time.monotonic` counts."""
        sweeper = self.sweeper
        sweeper.front, sweeper.counts = self.front, dict(self.counts)
        sweeper.planned, sweeper.feasible = self.planned, self.feasible
        return finish(sweeper, manifest, None, began)

    def certificate(self, study: Study, polished: int) -> Certificate:
        """What is known of the front: a member's other machines were all priced, and of its other arithmetics those
        that were tried."""
        tried = set(self.known)
        once, twice = {}, {}
        for key in {self._trial(point) for point in study.points}:
            near = [self.space.canonical(one) for one in self.space.neighbours(dict(key))]
            far = (one for other in near for one in self.space.neighbours(dict(other)))
            once[key] = tried.issuperset(near)
            twice[key] = once[key] and all(self.space.canonical(one) in tried for one in far)
        members = [self._trial(point) for point in study.points]
        return Certificate(
            len(members), sum(once[key] for key in members), len(tried) >= self.space.size, polished,
            sum(twice[key] for key in members), fidelity=fidelities(self.sweeper.space), arithmetics=len(tried),
            agreement=self._agreement(),
        )  # fmt: skip

    def _agreement(self) -> dict[str, float]:
        """How a replay ranks what was run again of the first model: what keeping by it would have been worth."""
        if self.space.accuracy != "rerun":
            return {}
        main, better = self.main, 1.0 if self.main.metric.goal == "min" else -1.0
        pairs: dict[str, tuple[float, float]] = {}
        for key, point in self.known.items():
            half = self.sweeper.halves[self._places[key]]
            if point.values and (half.model or main.trace.name) == main.trace.name:
                policy = half.base.policy
                with contextlib.suppress(HwsimError):
                    sqnr = mean_sqnr_db(main.sqnr_db(policy), main.trace)
                    pairs[policy.key] = -sqnr, better * main.accuracy(policy)
        cheap, dear = ([pair[side] for pair in pairs.values()] for side in (0, 1))
        rho, tau = spearman(cheap, dear), kendall(cheap, dear)
        return {} if math.isnan(rho) else {"arithmetics": len(pairs), "spearman": rho, "kendall": tau}

    def _trial(self, point: Point) -> Key:
        return self.space.canonical(dict(point.point))


def search_arithmetics(
    space: DesignSpace,
    traces: Sequence[Trace],
    count: int,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    dask: str | None = None,
    budget: int | None = None,
    force: bool = False,
    progress: Progress = lambda done, total, note: None,
    watch: Watch | None = None,
) -> Study:
    """Price every machine of some arithmetics of a space; the study's points are the front of them all.

    Args:
        space: whose designs are machines on a trace, not whole models.
        traces: of the models.
        count: arithmetics that the sampler asks for.
        seed: of the draws; the same seed, space and traces give the same front, with any number of workers.
        out: folder of the study; without it nothing is written.
        resume: go on with the study in `out`, if there is one.
        workers: processes that measure side by side; one measures here, and no more than it needs.
        dask: address of a Dask scheduler in place of local processes.
        budget: most arithmetics one knob away from the best that are tried then; ``search.polish`` if None.
        force: also write into a folder that holds something else, and replace a study that is there.
        progress: called after every arithmetic.
        watch: called now and then with the front so far.

    Raises:
        ArgumentError: `out` holds a study and `resume` is false, or it is of something else, or no study, or another
            process works in it.
    """
    evaluators = open_evaluators(space, traces)
    space, dropped = space.without(set(evaluators))
    sweeper = Sweeper(space, evaluators)
    outer = replace(space, parameters=tuple(one for one in space.parameters if part_of(space, one) is None))
    explorer = Arithmetics(outer, evaluators, sweeper=sweeper)
    manifest = manifest_of(Explorer(space, evaluators), traces, count, seed, dropped)
    manifest |= {"sampler": f"arithmetics {DRAWN.format(space.population)}", "coarsened": {}}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        watches = [watch] if watch else []
        folder = None if out is None else stack.enter_context(owned(out, "study", force=force, beside=("traces",)))
        if folder is not None:
            prepare(folder, manifest, resume, force)
            watches.append(left_in(folder))
        explorer.pool = sweeper.pool = stack.enter_context(open_pool(workers, dask))
        told = watched(progress, lambda: Study(explorer.so_far(), manifest), *watches)
        drawn = search(explorer, count, seed, told)
        polished, _ = polish(explorer, drawn, space.polish if budget is None else budget, told, count)
        study = explorer.finished(manifest, began)
        known = explorer.certificate(study, polished.polished).to_dict()
        study = replace(study, manifest={**study.manifest, "designs": explorer.designs, "certificate": known})
        if folder is not None:
            PointLog(folder).rewrite(study.points)
            study.write(folder)
            (folder / SO_FAR).unlink(missing_ok=True)
    return study
