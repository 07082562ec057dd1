"""The designs of a space on their way to its front: trials measured, plans decided, blocks priced as columns.

Where a table is written, columns are made here and plans in workers; where none is, each worker sweeps the trials
that share plans, and gives back their front.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
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
from hwsim.search.explorer import Explorer, open_evaluators
from hwsim.search.halves import Block, Half, Part, trials
from hwsim.search.parts import PartWriter
from hwsim.search.running import RunningFront
from hwsim.search.space import DesignSpace, space_from_dict
from hwsim.search.study import Point
from hwsim.search.workers import Pool
from hwsim.timing.planning import Decision, carry_out
from hwsim.trace import load_trace

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
            names = [*dict.fromkeys((self.main.metric.name, *STORED, *self.goals, *limited(self.space)))]
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


def values_of(
    space: DesignSpace, metric: Metric, columns: Columns, accuracy: float
) -> dict[str, NDArray[np.float64]]:
    """The accuracy, what is stored of every design, the objectives and the limits, by column."""
    wanted = dict.fromkeys((*STORED, *(name for name in space.objectives if name != "accuracy"), *limited(space)))
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


def limited(space: DesignSpace) -> list[str]:
    """Columns that the space's constraints bound."""
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
