"""The search: an Optuna study proposes designs, the evaluator prices them, the log keeps them.

Its sampler (`hwsim.search.guided_sampler`) is asked for a batch at a time. Its state is never stored: a resumed
study starts it again from the seed and answers from the log as long as the log knows the design, so that it goes the
same way as a run that was never interrupted, whatever the number of workers. Rejected: Optuna's storages, which cost
5 to 40 ms a trial, and a pickled sampler, which a killed process leaves one batch behind.
"""

from __future__ import annotations

import contextlib
import math
import platform
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hwsim
from hwsim.errors import ArgumentError, HwsimError, LostWorkers
from hwsim.evaluation import Evaluation, Evaluator, Memo, Metric, Synthesis
from hwsim.evaluation.deployment import Deployed, deploy
from hwsim.evaluation.objectives import measure
from hwsim.jit import environment
from hwsim.search.manifest import MANIFEST, clear_study, read_manifest, write_manifest
from hwsim.search.parts import whole_parts
from hwsim.search.points import Point, PointLog
from hwsim.search.polish import Key
from hwsim.search.space import Design, DesignSpace, Value
from hwsim.search.space_file import load_space
from hwsim.search.watching import Progress
from hwsim.search.workers import Pool, sources
from hwsim.storage import owned, seed_checked
from hwsim.trace import Trace, load_trace

if TYPE_CHECKING:
    from hwsim.arch import Accelerator


MOST_TRIALS = 10_000_000

DRAWN = "guided by a surrogate, batches of {}"
"""What a study says of its sampler."""


@dataclass
class Explorer:
    """One search under way: the space, an evaluator for each model, and what is known so far."""

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    log: PointLog | None = None
    known: dict[tuple[tuple[str, Value], ...], Point] = field(default_factory=dict)
    pool: Pool | None = None
    synthesis: Synthesis | None = None
    claim: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def main(self) -> Evaluator:
        """The evaluator of the first trace: designs that name no model run this one."""
        return next(iter(self.evaluators.values()))

    @property
    def goals(self) -> dict[str, str]:
        """Each objective's column and whether it is to be small or large."""
        metric = self.main.metric
        records = [metric if name == "accuracy" else measure(name) for name in self.space.objectives]
        return {one.name if isinstance(one, Metric) else one.column: one.goal for one in records}

    def found(self) -> tuple[Point, ...]:
        """All points that are known at this moment, by number."""
        return tuple(sorted(self.known.values(), key=lambda point: point.number))

    def evaluate(self, number: int, design: Design) -> Point:
        """Price one design; a design that breaks a rule is a recorded outcome, not a crash."""
        evaluator = self.evaluators[design.model] if design.model else self.main
        try:
            made, whole = design.accelerator, design.deployment
            result: Evaluation | Deployed = evaluator(made) if whole is None else deploy(whole, made, evaluator)
        except LostWorkers:
            raise
        except HwsimError as error:
            return Point(number, design.point, design.model, {}, reason=str(error))
        values = result.values()
        if wrong := [name for name, value in values.items() if not math.isfinite(value)]:
            return Point(number, design.point, design.model, {}, reason=f"{wrong[0]} must be finite")
        over = {}
        for limit in self.space.constraints:
            value = values[self.main.metric.name if limit.column == "accuracy" else limit.column]
            over[limit.column] = limit.excess(value)
        point = Point(number, design.point, design.model, values, over, result.detail())
        if self.synthesis and point.feasible:
            self.synthesis.add(design.accelerator)
        return point

    def generation(
        self, numbers: Sequence[int], draws: Sequence[dict[str, Value]], progress: Progress, total: int
    ) -> list[Point]:
        """Points of one generation in the order of the draws; new ones are evaluated and logged one by one.

        A study that goes on with more draws than it began with has given some of their numbers to designs of its
        polishing; those draws are numbered behind all others.
        """
        given = {point.number for point in self.known.values()}
        behind = max(given, default=-1) + 1
        designs: dict[int, Design | HwsimError] = {}
        for number, draw in zip(numbers, draws, strict=True):
            if self.space.canonical(draw) not in self.known:
                try:
                    designs[number] = self.space.design(draw)
                except HwsimError as error:
                    designs[number] = error
        self._measure(designs.values())
        points = []
        for number, draw in zip(numbers, draws, strict=True):
            key = self.space.canonical(draw)
            if key not in self.known:
                design = designs[number]
                own = number
                if number in given:
                    own = max(behind, total)
                    behind = own + 1
                if isinstance(design, HwsimError):
                    point = Point(own, key, None, {}, reason=str(design))
                else:
                    point = self.evaluate(own, design)
                self.known[key] = point
                if self.log:
                    self.log.append(point)
            points.append(self.known[key])
            progress(number + 1, total, f"{len(self.known)} designs")
        return points

    def _measure(self, designs: Iterable[Design | HwsimError]) -> None:
        """Let the pool measure the accuracies that the designs need, and plan them."""
        if self.pool is None:
            return
        wanted: dict[str, list[Accelerator]] = {name: [] for name in self.evaluators}
        for design in designs:
            if isinstance(design, Design):
                wanted[design.model or self.main.trace.name].append(design.accelerator)
        for name, machines in wanted.items():
            self.evaluators[name].prepare((machine.policy for machine in machines), self.pool.submit)
            if not self.space.deploys:
                self.evaluators[name].plan(machines, self.pool.submit)


def search(explorer: Explorer, trials: int, seed: int, progress: Progress) -> dict[Key, Point]:
    """Price `trials` different designs as an Optuna study with a `GuidedSampler` asks for them, batch by batch; the
    points by their design."""
    with warnings.catch_warnings():  # in a notebook its tqdm misses ipywidgets, for bars that nobody asks it for
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna

        from hwsim.search.guided_sampler import GuidedSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, goals = explorer.space, explorer.goals
    sampler = GuidedSampler(space, seed, space.population)
    study = optuna.create_study(
        sampler=sampler, directions=["maximize" if goal == "max" else "minimize" for goal in goals.values()]
    )
    drawn: dict[Key, Point] = {}
    while len(drawn) < trials and (ready := sampler.ready()):  # whole batches, so that a longer search begins as this
        numbers = range(len(drawn), min(len(drawn) + ready, trials))
        asked = [study.ask() for _ in numbers]
        draws = [
            {knob.name: _drawn(trial.suggest_categorical(knob.name, knob.values)) for knob in space.parameters}
            for trial in asked
        ]
        for trial, point in zip(asked, explorer.generation(numbers, draws, progress, trials), strict=True):
            drawn[point.point] = point
            if point.reason is not None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            for name, value in point.violations.items():
                trial.set_constraint(name, value)
            study.tell(trial, [point.values[name] for name in goals])
    return drawn


def _drawn(value: Value | None) -> Value:
    assert value is not None  # no choice of a space is None
    return value


def begin(
    space: str | Path | DesignSpace,
    trace: Trace | str | Path | Iterable[Trace | str | Path],
    trials: int,
    seed: int,
    out: str | Path | None,
    resume: bool = False,
    force: bool = False,
) -> tuple[Explorer, list[Trace], dict[str, Any]]:
    """A search with its log open, its traces, and the manifest that stands in `out`; arguments as of `explore`.

    The folder is the search's alone until `Explorer.claim` is closed.
    """
    seed_checked(seed)
    space = space if isinstance(space, DesignSpace) else load_space(space)
    opened = [one if isinstance(one, Trace) else load_trace(one) for one in listed(trace)]
    memo = Memo()
    evaluators = open_evaluators(space, opened, memo)
    space, dropped = space.without(set(evaluators))
    explorer = Explorer(space, evaluators)
    manifest = manifest_of(explorer, opened, trials, seed, dropped)
    if out is not None:
        folder = explorer.claim.enter_context(owned(out, "study", force=force, beside=("traces",)))
        prepare(folder, manifest, resume, force)
        explorer.log = PointLog(folder)
        explorer.known = {point.point: point for point in explorer.log.read(mend=True)}
    return explorer, opened, manifest


def listed(traces: Trace | str | Path | Iterable[Trace | str | Path]) -> list[Trace | str | Path]:
    """One trace or several, as a list."""
    return [traces] if isinstance(traces, Trace | str | Path) else list(traces)


def open_evaluators(space: DesignSpace, traces: Iterable[Trace], memo: Memo | None = None) -> dict[str, Evaluator]:
    """An evaluator for each trace, by its model, of the fidelities that a space asks for."""
    traces, memo = list(traces), memo or Memo()
    names = [one.name for one in traces]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ArgumentError("traces must be of models of different names", got=twice, where="trace")
    return {
        one.name: Evaluator(one, space.accuracy, space.energy, space.metric_options, memo, space.noise_seed)
        for one in traces
    }


def manifest_of(
    explorer: Explorer, traces: Sequence[Trace], trials: int, seed: int, dropped: list[str]
) -> dict[str, Any]:
    """What a study says of itself: the space, its tables and limits, the goals, the traces and their digests."""
    space = explorer.space
    return {
        "space": space.name,
        "title": space.title,
        "space_digest": space.digest,
        "space_size": space.size,
        "space_tables": space.to_dict(),
        "left_out": dropped,
        "parameters": {parameter.name: list(parameter.values) for parameter in space.parameters},
        "constraints": [str(limit) for limit in space.constraints],
        "objectives": list(explorer.goals),
        "goals": explorer.goals | {explorer.main.metric.name: explorer.main.metric.goal},
        "metric": explorer.main.metric.name,
        "accuracy": space.accuracy,
        "energy": space.energy,
        "traces": {
            trace.name: {
                "path": str(trace.path),
                "digest": trace.digest,
                "macs": trace.workload.macs,
                **trace.manifest,
            }
            for trace in traces
        },
        "baseline": {name: evaluator.baseline for name, evaluator in explorer.evaluators.items()},
        "sampler": DRAWN.format(space.population),
        "trials": trials,
        "seed": seed,
        "hwsim": hwsim.__version__,
        "sources": sources(),
        "environment": environment(),
        "python": platform.python_version(),
        "finished": False,
    }


_SAME = ("space_digest", "seed", "accuracy", "energy", "sampler", "sources", "environment")


def prepare(folder: Path, manifest: dict[str, Any], resume: bool, force: bool) -> None:
    """Make the folder a study that has begun: a new one, or the one that it holds where both are of one kind."""
    if force and not resume:
        clear_study(folder)
    if begun(folder):
        if not resume:
            raise ArgumentError(
                "the folder for a new study must not hold one; resume it, or choose another folder",
                got=str(folder),
                where="out",
            )
        _check_same(read_manifest(folder), manifest, folder)
    write_manifest(folder, manifest)


def begun(folder: Path) -> bool:
    """Whether a folder holds a study with designs, finished or not."""
    log = PointLog(folder).path
    return (folder / MANIFEST).is_file() and bool((log.is_file() and log.stat().st_size) or whole_parts(folder))


def _check_same(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a study by other means than it began with, or with fewer draws than it was asked for."""
    for key in _SAME:
        if before.get(key) != now[key]:
            raise ArgumentError(
                f"a study is resumed with the {key} it began with ({before.get(key)})",
                got=now[key],
                where=str(folder),
            )
    if before.get("trials", 0) > now["trials"]:
        raise ArgumentError(
            f"a study is resumed with at least the trials it began with ({before['trials']})",
            got=now["trials"],
            where=str(folder),
        )
    old, new = ({name: trace.get("digest") for name, trace in one["traces"].items()} for one in (before, now))
    if old != new:
        raise ArgumentError(f"a study is resumed on the traces it began with ({old})", got=new, where=str(folder))
