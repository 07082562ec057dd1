"""The search: Optuna proposes designs, the evaluator prices them, the log keeps them.

Optuna's NSGA-II asks for one generation at a time. Its state is never stored: a resumed study starts the sampler
again from the seed and answers from the log as long as the log knows the design, so that it goes the same way as a
run that was never interrupted, whatever the number of workers. Rejected: Optuna's own storages, which cost 5 to 40 ms
a trial, and a pickled sampler, which a killed process leaves one generation behind.
"""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hwsim
from hwsim.errors import ArgumentError, HwsimError, StorageError
from hwsim.evaluation import Evaluator, Memo, Metric, Synthesis
from hwsim.evaluation.objectives import measure
from hwsim.search.confirmation import confirm_front
from hwsim.search.polish import Key, polish
from hwsim.search.space import Design, DesignSpace, Value, load_space
from hwsim.search.study import LOG, MANIFEST, Point, PointLog, Study
from hwsim.search.workers import Pool, open_pool
from hwsim.trace import Trace, load_trace

if TYPE_CHECKING:
    from hwsim.arch import Accelerator


Progress = Callable[[int, int, str], None]
"""Called with (draws done, draws in all, what is under way)."""


@dataclass
class Explorer:
    """One search under way: the space, an evaluator for each model, and what is known so far."""

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    log: PointLog | None = None
    known: dict[tuple[tuple[str, Value], ...], Point] = field(default_factory=dict)
    pool: Pool | None = None
    synthesis: Synthesis | None = None

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

    def evaluate(self, number: int, design: Design) -> Point:
        """Price one design; a design that breaks a rule is a recorded outcome, not a crash."""
        evaluator = self.evaluators[design.model] if design.model else self.main
        try:
            result = evaluator(design.accelerator)
        except HwsimError as error:
            return Point(number, design.point, design.model, {}, reason=str(error))
        values = result.values()
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
            self.evaluators[name].plan(machines, self.pool.submit)


def search(explorer: Explorer, trials: int, seed: int, progress: Progress) -> dict[Key, Point]:
    """Draw `trials` designs with NSGA-II, evaluate each different one once; the points by their design."""
    import optuna

    drawn: dict[Key, Point] = {}

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, goals = explorer.space, explorer.goals
    sampler = optuna.samplers.NSGAIISampler(population_size=space.population, seed=seed)
    study = optuna.create_study(
        sampler=sampler, directions=["maximize" if goal == "max" else "minimize" for goal in goals.values()]
    )
    for start in range(0, trials, space.population):
        numbers = range(start, min(start + space.population, trials))
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


def explore(
    space: str | Path | DesignSpace,
    trace: Trace | str | Path | Iterable[Trace | str | Path],
    trials: int = 500,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    dask: str | None = None,
    gates: bool = False,
    budget: int | None = None,
    progress: Progress = lambda done, total, note: None,
) -> Study:
    """Search a design space on captured models: NSGA-II draws, then the front is polished knob by knob.

    A space that says how many plans it may take (``search.plans``), and takes no more, is swept instead: then every
    design is priced and the front is exact (`hwsim.sweep`); draws, seed and polishing do not count. The manifest's
    ``sampler`` says which it was.

    Args:
        space: a space, its name or its file.
        trace: the trace of the model, or several; options of the space that name a model use the trace of that name.
        trials: number of draws; equal draws are evaluated once.
        seed: of the sampler. The same seed, space and traces give the same points, also after an interruption and
            with any number of workers.
        out: folder for the log and the tables; without it nothing is written.
        resume: continue the study in `out`, if there is one.
        workers: processes that measure accuracy side by side.
        dask: address of a Dask scheduler whose workers measure accuracy, in place of local processes.
        budget: most designs that polishing prices (`hwsim.search.polish`); the space's ``search.polish`` if None.
        gates: also price the front by its own circuits (`confirm_front`); minutes of Yosys the first time.
        progress: called after every draw, and then after every design of the front that is priced in gates.

    Raises:
        ArgumentError: `out` holds a study and `resume` is false, or it is a study of something else;
            nothing answers at `dask`.
        MissingExtra: `dask` is given, and Dask is not installed.
    """
    if trials < 1:
        raise ArgumentError("trials must be at least 1", got=trials)
    space = space if isinstance(space, DesignSpace) else load_space(space)
    given = [one if isinstance(one, Trace) else load_trace(one) for one in listed(trace)]
    if space.plans and not resume:
        from hwsim.search.coarsening import plans_of
        from hwsim.search.sweeping import sweep

        left, _ = space.without({one.name for one in given})
        if plans_of(left, space.plans) <= space.plans:
            study = sweep(space, given, out, workers=workers, dask=dask, progress=progress)
            if gates:
                study = confirm_front(study, left, given, None, progress)
                if out is not None:
                    study.write(Path(out))
            return study
    explorer, opened, manifest = begin(space, given, trials, seed, out, resume)
    space, memo, folder = explorer.space, explorer.main.memo, None if out is None else Path(out)
    with (
        open_pool(workers, dask) as explorer.pool,
        Synthesis() if gates else contextlib.nullcontext() as explorer.synthesis,
    ):
        drawn = search(explorer, trials, seed, progress)
        certificate, found = polish(explorer, drawn, space.polish if budget is None else budget, progress, trials)
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


def begin(
    space: str | Path | DesignSpace,
    trace: Trace | str | Path | Iterable[Trace | str | Path],
    trials: int,
    seed: int,
    out: str | Path | None,
    resume: bool = False,
) -> tuple[Explorer, list[Trace], dict[str, Any]]:
    """A search with its log open, its traces, and the manifest that stands in `out`; arguments as of `explore`."""
    space = space if isinstance(space, DesignSpace) else load_space(space)
    opened = [one if isinstance(one, Trace) else load_trace(one) for one in listed(trace)]
    memo = Memo()
    evaluators = open_evaluators(space, opened, memo)
    space, dropped = space.without(set(evaluators))
    explorer = Explorer(space, evaluators)
    manifest = _manifest(explorer, opened, trials, seed, dropped)
    if out is not None:
        explorer.log = PointLog(_prepare(Path(out), manifest, resume))
        explorer.known = {point.point: point for point in explorer.log.read()}
    return explorer, opened, manifest


def listed(traces: Trace | str | Path | Iterable[Trace | str | Path]) -> list[Trace | str | Path]:
    """One trace or several, as a list."""
    return [traces] if isinstance(traces, Trace | str | Path) else list(traces)


def open_evaluators(space: DesignSpace, traces: Iterable[Trace], memo: Memo | None = None) -> dict[str, Evaluator]:
    """An evaluator for each trace, by its model, of the fidelities that a space asks for."""
    memo = memo or Memo()
    return {
        one.name: Evaluator(one, space.accuracy, space.energy, space.metric_options, memo, space.noise_seed)
        for one in traces
    }


def _manifest(
    explorer: Explorer, traces: Sequence[Trace], trials: int, seed: int, dropped: list[str]
) -> dict[str, Any]:
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
        "goals": explorer.goals,
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
        "sampler": f"NSGA-II, population {space.population}",
        "trials": trials,
        "seed": seed,
        "hwsim": hwsim.__version__,
        "python": platform.python_version(),
        "finished": False,
    }


_SAME = ("space_digest", "seed")


def _prepare(folder: Path, manifest: dict[str, Any], resume: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).is_file() and (folder / LOG).is_file():
            if not resume:
                raise ArgumentError(
                    "the folder for a new study must not hold one; resume it, or choose another folder",
                    got=str(folder),
                    where="out",
                )
            before = json.loads((folder / MANIFEST).read_text())
            for key in _SAME:
                if before[key] != manifest[key]:
                    raise ArgumentError(
                        f"a study is resumed with the {key} it began with ({before[key]})",
                        got=manifest[key],
                        where=str(folder),
                    )
            digests = {name: trace["digest"] for name, trace in before["traces"].items()}
            if digests != (now := {name: trace["digest"] for name, trace in manifest["traces"].items()}):
                raise ArgumentError(
                    f"a study is resumed on the traces it began with ({digests})", got=now, where=str(folder)
                )
        else:
            (folder / LOG).touch()
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    except OSError as error:
        raise StorageError(f"the study's folder must be writable ({error.strerror})", where=str(folder)) from None
    return folder
