"""The sweep: every design of a space priced, and its front exact.

Accuracies and toggles are measured once a trial, plans decided once a block (`hwsim.search.halves`), side by side
where there are workers; all else is columns. Memory holds the front, a few blocks and one part of the table.

A space that is too large is swept on a coarser grid (`hwsim.search.coarsening`).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, LostWorkers
from hwsim.evaluation import Evaluator, Metric
from hwsim.evaluation.columns import Checked, ColumnPricer
from hwsim.evaluation.machine_columns import CLOCK, MEMORY, OK, PLAN, Columns
from hwsim.evaluation.measures import decide_elsewhere
from hwsim.evaluation.objectives import MEASURES, measure
from hwsim.evaluation.pricing import additions_by_place, decided, judge, plan_key
from hwsim.search.certificate import Certificate, fidelities
from hwsim.search.coarsening import coarsened, kept_values
from hwsim.search.explorer import Explorer, listed, manifest_of, open_evaluators, prepare
from hwsim.search.halves import Block, Half, Part, trials
from hwsim.search.parts import PartWriter, read_parts
from hwsim.search.running import RunningFront, beaten
from hwsim.search.space import DesignSpace, load_space, space_from_dict
from hwsim.search.study import Point, PointLog, Study
from hwsim.search.workers import Pool, open_pool
from hwsim.storage import owned
from hwsim.timing.planning import Decision, carry_out
from hwsim.trace import Trace, load_trace

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.search.workers import Job

Progress = Callable[[int, int, str], None]

REFUSED = 4
STATUS = {
    OK: "priced",
    CLOCK: "clock above what the units reach",
    MEMORY: "a memory or supply that cannot be made",
    PLAN: "memories hold no tile of some stage",
    REFUSED: "no machine",
}
"""What the column ``status`` of the parts says."""

STORED = ("energy_uj", "area_mm2", "latency_ms", "dram_mbit")
"""Columns of the parts beside the accuracy, the objectives and the limits."""

AHEAD = 4
"""Blocks a worker whose plans are asked for before they are needed."""

KEPT = 4096
"""Decisions that are kept for blocks and details that ask for them again."""

DETAILED = 48
"""Designs of the front, evenly spaced by energy, that get breakdowns and sources; all others have values."""


@dataclass
class _Trial:
    """One trial under way."""

    half: Half
    evaluator: Evaluator
    pricer: ColumnPricer
    place: int
    first: int
    accuracy: float
    additions: dict[int, float]

    def key(self, judging: Accelerator) -> tuple[object, ...]:
        """What a decision of this trial depends on (`plan_key`), the model included."""
        return self.evaluator.trace.digest, *plan_key(self.evaluator.work, judging, self.additions)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A block, what is known without a plan, and its decision: made, under way, impossible, or not needed."""

    trial: _Trial
    block: Block
    checked: Checked | None
    decision: Decision | HwsimError | Job | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What some trials came to: their front, its values by number, and counts as of `Sweeper`."""

    costs: NDArray[np.float64]
    numbers: NDArray[np.int64]
    values: dict[int, dict[str, float]]
    counts: dict[int, int]
    plans: int
    feasible: int


@dataclass
class Sweeper:
    """A sweep under way.

    Args:
        space: what is swept.
        evaluators: by model; the first serves designs that name none.
        pool: where plans are decided, None for this process.
        writer: of the table, or None.
    """

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    pool: Pool | None = None
    writer: PartWriter | None = None
    counts: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STATUS, 0))
    plans: int = 0
    feasible: int = 0

    def __post_init__(self) -> None:
        self.goals = Explorer(self.space, self.evaluators).goals
        self.front = RunningFront(len(self.goals))
        self._known: dict[tuple[str, ...], Part] = {}
        self._decisions: dict[tuple[object, ...], Decision | HwsimError | Job] = {}
        self._pricers = {name: ColumnPricer(one) for name, one in self.evaluators.items()}
        self._values: dict[int, dict[str, float]] = {}
        self._trials: list[_Trial] = []

    @property
    def main(self) -> Evaluator:
        """The evaluator of the first trace."""
        return next(iter(self.evaluators.values()))

    def run(self, progress: Progress) -> None:
        """Price every design of the space: where no table is written, each arithmetic in a worker of its own."""
        total, done = self.space.size, 0
        self._measure()
        if self.pool is not None and self.writer is None:
            self._share(self.pool, progress)
            return
        for asked in self._ahead():
            self._take(asked.trial, asked.block, self._columns(asked))
            done += len(asked.block.numbers)
            progress(done, total, f"{self.plans} plans, {len(self.front.numbers)} on the front")
        if self.writer is not None:
            self.writer.flush()

    def only(self, places: Collection[int]) -> Swept:
        """Price the designs of some trials, given by their places among all."""
        self._measure(places)
        for asked in self._ahead():
            self._take(asked.trial, asked.block, self._columns(asked))
        values = {number: self._values[number] for number in self.front.numbers.tolist()}
        return Swept(self.front.costs, self.front.numbers, values, self.counts, self.plans, self.feasible)

    def _share(self, pool: Pool, progress: Progress) -> None:
        """Sweep trials side by side; those of one first knob together, as they share plans."""
        groups: dict[object, list[int]] = {}
        for one in self._trials:
            groups.setdefault(next(iter(one.half.trial.values()), None), []).append(one.place)
        traces = tuple((str(one.trace.path.resolve()), one.trace.digest) for one in self.evaluators.values())
        tables = json.dumps(self.space.to_dict())
        jobs = [
            (pool.submit(sweep_elsewhere, tables, traces, tuple(places)), places)
            for places in sorted(groups.values(), key=len, reverse=True)
        ]
        done = sum(self.counts.values())
        for job, places in jobs:
            made: Swept = job.result()
            self.front.add(made.costs, made.numbers)
            self._values |= made.values
            for status, count in made.counts.items():
                self.counts[status] += count
            self.plans += made.plans
            self.feasible += made.feasible
            done += sum(one.half.size for one in self._trials if one.place in places)
            progress(done, self.space.size, f"{self.plans} plans, {len(self.front.numbers)} on the front")

    def point(self, number: int) -> Point:
        """A member of the front, without details."""
        trial = self._trial_of(number)
        base = trial.half.base
        point = trial.half.point(number - trial.first)
        made = dict(point)
        array = self.space.machine(made)["array"]
        detail = {
            "family": base.policy.default.family,
            "numerics": base.policy.default.label,
            "datapath": base.policy.default.datapath.name,
            "array": f"{array['rows']}×{array['cols']} {array.get('dataflow', base.array.dataflow.name)}",
        }
        return Point(number, point, trial.half.model, self._values[number], self._over(self._values[number]), detail)

    def plan(self, points: Iterable[Point]) -> None:
        """Let the pool plan designs whose details are wanted and whose decisions are not known here."""
        wanted: dict[int, list[Accelerator]] = {}
        for point in points if self.pool is not None else ():
            trial = self._trial_of(point.number)
            machine = self.space.design(dict(point.point)).accelerator
            if trial.key(judge(machine)) not in self._decisions:
                wanted.setdefault(trial.place, []).append(machine)
        for trial in self._trials:
            if self.pool is not None and trial.place in wanted:
                trial.evaluator.plan(wanted[trial.place], self.pool.submit)

    def detailed(self, point: Point) -> Point:
        """The point as `evaluate` has it, with breakdowns and sources; its plan is not searched again."""
        trial = self._trial_of(point.number)
        machine = self.space.design(dict(point.point)).accelerator
        key = trial.key(judge(machine))
        if (found := self._decisions.get(key)) is not None:
            decision = _result(found)
            by_place = additions_by_place(trial.evaluator.work, trial.additions)
            trial.evaluator.remember(machine, carry_out(decision, trial.evaluator.work.graph, machine, by_place))
        result = trial.evaluator(machine)
        return replace(point, values=result.values(), detail=result.detail())

    def _measure(self, places: Collection[int] | None = None) -> None:
        """Trials with their accuracies, and toggles, measured side by side; all, or those at some places alone."""
        halves: list[tuple[Half, Evaluator]] = []
        for trial in trials(self.space):
            half = Half(self.space, trial, self._known)
            halves.append((half, self.evaluators[half.model] if half.model else self.main))
        if self.pool is not None:
            for evaluator in self.evaluators.values():
                policies = [half.base.policy for half, own in halves if own is evaluator]
                try:
                    evaluator.prepare(policies, self.pool.submit)
                except LostWorkers:
                    raise
                except HwsimError:
                    continue
        first = 0
        for place, (half, evaluator) in enumerate(halves):
            if places is not None and place not in places:
                first += half.size
                continue
            pricer = next(self._pricers[name] for name, one in self.evaluators.items() if one is evaluator)
            try:
                accuracy = evaluator.accuracy(half.base.policy)
                additions = evaluator.additions_by_record(half.base.policy)
            except LostWorkers:
                raise
            except HwsimError:
                self._refuse(Block(None, np.arange(half.size)), half, first)
            else:
                self._trials.append(_Trial(half, evaluator, pricer, place, first, accuracy, additions))
            first += half.size

    def _ahead(self) -> Iterator[_Asked]:
        """Blocks with their decisions, which workers make before they are needed."""
        waiting = deque[_Asked]()
        depth = AHEAD * self.pool.size if self.pool is not None else 0
        for trial in self._trials:
            for block in trial.half.blocks():
                waiting.append(self._ask(trial, block))
                if len(waiting) > depth:
                    yield waiting.popleft()
        yield from waiting

    def _ask(self, trial: _Trial, block: Block) -> _Asked:
        """A block with its decision, or the job that makes it, or why there is none."""
        if block.machines is None:
            return _Asked(trial, block, None, None)
        checked = trial.pricer.check(block.machines)
        if not (checked.status == OK).any():
            return _Asked(trial, block, checked, None)
        machine = judge(block.machines.machine(0))
        try:
            key = trial.key(machine)
        except HwsimError as error:
            return _Asked(trial, block, checked, error)
        if key not in self._decisions:
            self.plans += 1
            self._decisions[key] = self._decided(trial, machine)
            if len(self._decisions) > KEPT:
                del self._decisions[next(iter(self._decisions))]
        return _Asked(trial, block, checked, self._decisions[key])

    def _decided(self, trial: _Trial, machine: Accelerator) -> Decision | HwsimError | Job:
        if self.pool is not None:
            trace = trial.evaluator.trace
            return self.pool.submit(
                decide_elsewhere, str(trace.path.resolve()), trace.digest, machine, trial.additions
            )
        try:
            return decided(trial.evaluator.work, machine, trial.additions)
        except HwsimError as error:
            return error

    def _columns(self, asked: _Asked) -> Columns | None:
        machines = asked.block.machines
        if machines is None or asked.checked is None:
            return None
        counted = None
        if asked.decision is not None:
            try:
                counted = asked.trial.pricer.count(_result(asked.decision), machines.machine(0))
            except LostWorkers:
                raise
            except HwsimError:
                counted = None
        return asked.trial.pricer.price(machines, asked.checked, counted)

    def _take(self, trial: _Trial, block: Block, columns: Columns | None) -> None:
        if columns is None:
            self._refuse(block, trial.half, trial.first)
            return
        values = values_of(self.space, self.main.metric, columns, trial.accuracy)
        for status, count in zip(*np.unique(columns.status, return_counts=True), strict=True):
            self.counts[int(status)] += int(count)
        kept = columns.status == OK
        for limit in self.space.constraints:
            column = values[self.main.metric.name if limit.column == "accuracy" else limit.column]
            kept = kept & (column >= (-np.inf if limit.least is None else limit.least))
            kept = kept & (column <= (np.inf if limit.most is None else limit.most))
        costs = np.stack(
            [values[name] * (-1.0 if goal == "max" else 1.0) for name, goal in self.goals.items()], axis=1
        )
        kept = np.flatnonzero(kept & ~np.isnan(costs).any(axis=1))
        self.feasible += len(kept)
        numbers = block.numbers + trial.first
        self.front.add(costs[kept], numbers[kept])
        fresh = np.flatnonzero(np.isin(numbers, self.front.numbers))
        for place in fresh:
            number = int(numbers[place])
            if number not in self._values:
                self._values[number] = _every_value(self.main.metric, columns, trial.accuracy, int(place))
        if len(self._values) > 4 * len(self.front.numbers) + 1024:
            members = set(self.front.numbers.tolist())
            self._values = {number: one for number, one in self._values.items() if number in members}
        if self.writer is not None:
            self.writer.append(numbers, self._places(trial.half, block.numbers), columns.status, values)

    def _refuse(self, block: Block, half: Half, first: int) -> None:
        count = len(block.numbers)
        self.counts[REFUSED] += count
        if self.writer is not None:
            names = [*dict.fromkeys((self.main.metric.name, *STORED, *self.goals, *_limited(self.space)))]
            nothing = {name: np.full(count, np.nan) for name in names if name != "accuracy"}
            places = self._places(half, block.numbers)
            self.writer.append(block.numbers + first, places, np.full(count, REFUSED, np.int8), nothing)

    def _places(self, half: Half, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.int16]]:
        places = half.places(numbers)
        for knob in self.space.parameters:
            if knob.name in half.trial:
                places[knob.name] = np.full(len(numbers), knob.values.index(half.trial[knob.name]), np.int16)
        return places

    def _over(self, values: Mapping[str, float]) -> dict[str, float]:
        return {
            limit.column: limit.excess(values[self.main.metric.name if limit.column == "accuracy" else limit.column])
            for limit in self.space.constraints
        }

    def _trial_of(self, number: int) -> _Trial:
        return max((one for one in self._trials if one.first <= number), key=lambda one: one.first)


def sweep_elsewhere(tables: str, traces: tuple[tuple[str, str], ...], places: tuple[int, ...]) -> Swept:
    """`Sweeper.only` on the space of these tables; accuracies and toggles are those that the memo has."""
    space, evaluators = _opened(tables, traces)
    return Sweeper(space, evaluators).only(places)


@lru_cache(maxsize=1)
def _opened(tables: str, traces: tuple[tuple[str, str], ...]) -> tuple[DesignSpace, dict[str, Evaluator]]:
    space = space_from_dict(json.loads(tables), "here")
    return space, open_evaluators(space, [load_trace(path) for path, _ in traces])


def sweep(
    space: str | Path | DesignSpace,
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    out: str | Path | None = None,
    points: int | None = None,
    workers: int = 1,
    dask: str | None = None,
    force: bool = False,
    table: bool = True,
    progress: Progress = lambda done, total, note: None,
) -> Study:
    """Price every design of a space; the study's points are the front, exact.

    Args:
        space: a space, its name or its file.
        traces: the trace of the model, or several; options of the space that name a model use the trace of that name.
        out: folder for the table of all designs (`hwsim.search.parts`, needs pyarrow) and of the front; without it
            nothing is written.
        table: False leaves the table out: then workers sweep whole arithmetics side by side.
        points: most designs: a larger space is swept on a coarser grid (`coarsened`). None sweeps all.
        workers: processes that measure accuracies and decide plans side by side.
        dask: address of a Dask scheduler in place of local processes.
        force: also write into a folder that holds something else, and replace a study that is there.
        progress: called after every block with designs done, designs in all, and a note.

    Returns:
        A study whose certificate says what was exhausted. Designs that are equal in every objective are one: the
        first of the space stands for all.

    Raises:
        ArgumentError: `out` holds a study or something else, or another process works in it, nothing answers
            at `dask`, or `points` is below 1.
        MissingExtra: a table is written and pyarrow is not installed, or `dask` is and Dask is not.
    """
    space = space if isinstance(space, DesignSpace) else load_space(space)
    opened = [one if isinstance(one, Trace) else load_trace(one) for one in listed(traces)]
    evaluators = open_evaluators(space, opened)
    space, dropped = space.without(set(evaluators))
    grid = space if points is None else coarsened(space, points)
    sweeper = Sweeper(grid, evaluators)
    manifest = manifest_of(Explorer(grid, evaluators), opened, grid.size, 0, dropped)
    manifest |= {"sampler": "sweep", "coarsened": kept_values(space, grid)}
    with contextlib.ExitStack() as stack:
        folder = None
        if out is not None:
            folder = stack.enter_context(owned(out, "study", force=force, beside=("traces",)))
            prepare(folder, manifest, False, force)
            sweeper.writer = PartWriter(folder, grid.parameters) if table else None
        return _swept(sweeper, space, grid, manifest, folder, (workers, dask), progress)


def _swept(
    sweeper: Sweeper,
    space: DesignSpace,
    grid: DesignSpace,
    manifest: dict[str, Any],
    folder: Path | None,
    where: tuple[int, str | None],
    progress: Progress,
) -> Study:
    """The sweep itself, in a folder that is this process's alone."""
    began = time.monotonic()
    with open_pool(*where) as sweeper.pool:
        sweeper.run(progress)
        points_of = [sweeper.point(int(number)) for number in np.sort(sweeper.front.numbers)]
        detailed = _with_details(sweeper, points_of)
    facts = {
        "finished": True, "designs": grid.size, "plans": sweeper.plans, "feasible": sweeper.feasible,
        "seconds": round(time.monotonic() - began, 3),
        "status": {STATUS[status]: count for status, count in sweeper.counts.items() if count},
        "certificate": certify(sweeper, folder if sweeper.writer else None, grid == space).to_dict(),
    }  # fmt: skip
    study = Study(tuple(detailed), manifest | facts)
    if folder is not None:
        log = PointLog(folder)
        for point in study.points:
            log.append(point)
        study.write(folder)
    return study


def values_of(
    space: DesignSpace, metric: Metric, columns: Columns, accuracy: float
) -> dict[str, NDArray[np.float64]]:
    """The accuracy, what is stored of every design, the objectives and the limits, by column."""
    wanted = dict.fromkeys((*STORED, *(name for name in space.objectives if name != "accuracy"), *_limited(space)))
    count = len(columns.status)
    values = {metric.name: np.where(columns.status == OK, accuracy, np.nan)}
    for name in wanted:
        if name != "accuracy":
            one = measure(name)
            found: Any = one.of(cast("Any", columns))
            values[one.column] = np.where(columns.status == OK, found, np.full(count, np.nan))
    return values


def _every_value(metric: Metric, columns: Columns, accuracy: float, place: int) -> dict[str, float]:
    row: Any = columns.row(place)
    return {metric.name: accuracy} | {one.column: float(np.ravel(one.of(row))[0]) for one in MEASURES}


def _limited(space: DesignSpace) -> list[str]:
    return [limit.column for limit in space.constraints]


def _result(decision: Decision | HwsimError | Job) -> Decision:
    """A decision, or what its job gives.

    Raises:
        HwsimError: there is none.
    """
    if isinstance(decision, HwsimError):
        raise decision
    if isinstance(decision, Decision):
        return decision
    made: Decision = decision.result()
    return made


def certify(sweeper: Sweeper, folder: Path | None, whole: bool) -> Certificate:
    """Every neighbour of the front was priced; where the table was written it is read again, and no design in it may
    beat a member."""
    front, beaten_ones = sweeper.front, np.zeros(len(sweeper.front.numbers), np.bool_)
    if folder is not None:
        names = list(sweeper.goals)
        signs = np.array([-1.0 if goal == "max" else 1.0 for goal in sweeper.goals.values()])
        for table in read_parts(folder, ["number", "status", *names, *_read_limits(sweeper)]):
            costs = np.stack([table[name].to_numpy() for name in names], axis=1) * signs
            kept = table["status"].to_numpy() == OK
            for limit in sweeper.space.constraints:
                column = table[sweeper.main.metric.name if limit.column == "accuracy" else limit.column].to_numpy()
                kept = kept & (column >= (-np.inf if limit.least is None else limit.least))
                kept = kept & (column <= (np.inf if limit.most is None else limit.most))
            beaten_ones |= beaten(
                front.costs, front.numbers, np.ascontiguousarray(costs[kept]), table["number"].to_numpy()[kept]
            )
    proven = int((~beaten_ones).sum())
    return Certificate(
        len(front.numbers), proven, whole, 0, proven, grid=not whole, fidelity=fidelities(sweeper.space)
    )


def _read_limits(sweeper: Sweeper) -> list[str]:
    metric = sweeper.main.metric.name
    return [one for one in (metric if each == "accuracy" else each for each in _limited(sweeper.space))
            if one not in sweeper.goals]  # fmt: skip


def _with_details(sweeper: Sweeper, points: list[Point]) -> list[Point]:
    if not points:
        return points
    by = "energy_uj" if "energy_uj" in points[0].values else next(iter(points[0].values))
    order = sorted(range(len(points)), key=lambda place: points[place].values[by])
    chosen = {order[place] for place in np.linspace(0, len(order) - 1, min(len(order), DETAILED)).round().astype(int)}
    for name in sweeper.goals:
        chosen.add(min(range(len(points)), key=lambda place: points[place].values[name]))
        chosen.add(max(range(len(points)), key=lambda place: points[place].values[name]))
    sweeper.plan(points[place] for place in chosen)
    return [sweeper.detailed(point) if place in chosen else point for place, point in enumerate(points)]
