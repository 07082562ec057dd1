"""The designs of a space on their way to its front: trials measured, plans decided, blocks priced as columns.

Where a table is written, columns are made here and plans in workers; where none is, each worker sweeps the trials
that share plans, and gives back their front.
"""

from __future__ import annotations

import bisect
import json
import math
import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, LostWorkers
from hwsim.evaluation import Evaluator
from hwsim.evaluation.columns import Checked, ColumnPricer
from hwsim.evaluation.machine_columns import CLOCK, MEMORY, OK, PLAN, Columns
from hwsim.evaluation.measures import decide_elsewhere
from hwsim.evaluation.pricing import additions_by_place, decided, judge, plan_key
from hwsim.evaluation.records import labels
from hwsim.search.explorer import Explorer, open_evaluators
from hwsim.search.halves import Block, Half, Part, trials
from hwsim.search.judging import Judge
from hwsim.search.parts import PartWriter
from hwsim.search.points import Point
from hwsim.search.running import RunningFront
from hwsim.search.space import DesignSpace
from hwsim.search.space_file import space_from_dict
from hwsim.search.watching import Progress
from hwsim.search.workers import Pool
from hwsim.timing.planning import Decision, carry_out
from hwsim.trace import load_trace

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.search.workers import Job

REFUSED = 4
STATUS = {
    OK: "priced",
    CLOCK: "clock above what the units reach",
    MEMORY: "a memory or supply that cannot be made",
    PLAN: "memories hold no tile of some stage",
    REFUSED: "no machine",
}
"""What the column ``status`` of the parts says."""

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
    first: int
    accuracy: float = math.nan
    additions: dict[int, float] = field(default_factory=dict)
    refused: bool = False
    keys: dict[Accelerator, tuple[object, ...]] = field(default_factory=dict)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Every design once, each block with its place in the order of the sweep."""
        place = self.first
        for block in [Block(None, np.arange(self.half.size))] if self.refused else self.half.blocks():
            yield place, block
            place += len(block.numbers)

    def key(self, judging: Accelerator) -> tuple[object, ...]:
        """What a decision of this trial depends on (`plan_key`), the model included."""
        if judging not in self.keys:
            self.keys[judging] = self.evaluator.trace.digest, *plan_key(self.evaluator.work, judging, self.additions)
        return self.keys[judging]


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
        low: blocks that begin before this place in the order of the sweep are left out.
        high: and those that begin there or behind.
    """

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    pool: Pool | None = None
    writer: PartWriter | None = None
    low: int = 0
    high: int = sys.maxsize
    counts: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STATUS, 0))
    plans: int = 0
    feasible: int = 0

    def __post_init__(self) -> None:
        self.goals = Explorer(self.space, self.evaluators).goals
        self.judge = Judge(self.space, self.main.metric, self.goals)
        self.front = RunningFront(len(self.goals))
        self._known: dict[tuple[str, ...], Part] = {}
        self._decisions: dict[tuple[object, ...], Decision | HwsimError | Job] = {}
        self._pricers = {name: ColumnPricer(one) for name, one in self.evaluators.items()}
        self._values: dict[int, dict[str, float]] = {}
        self.halves: list[Half] = []  # one a trial
        self.firsts: list[int] = []  # and the number of its first design
        self._trials: dict[int, _Trial] = {}
        self._stored: tuple[int, int] = (0, 0)
        first = 0
        for trial in trials(self.space):
            self.halves.append(Half(self.space, trial, self._known))
            self.firsts.append(first)
            first += self.halves[-1].size

    @property
    def main(self) -> Evaluator:
        """The evaluator of the first trace."""
        return next(iter(self.evaluators.values()))

    def run(self, progress: Progress) -> None:
        """Price every design of the space, or of the span that is asked for, less what is stored; where no table is
        written, each arithmetic in a worker of its own."""
        if self.pool is not None and self.writer is None:
            self._share(self.pool, progress)
            return
        total, done = min(self.high, self.space.size) - self.low, sum(self.counts.values())
        for asked in self._ahead():
            self._take(asked.trial, asked.block, self._columns(asked))
            done += len(asked.block.numbers)
            progress(min(done, total), total, f"{self.plans} plans, {len(self.front.numbers)} on the front")
        if self.writer is not None:
            self.writer.flush()

    def only(self, places: Collection[int]) -> Swept:
        """Price the designs of some trials, given by their places among all."""
        for asked in self._ahead(places):
            self._take(asked.trial, asked.block, self._columns(asked))
        values = {number: self._values[number] for number in self.front.numbers.tolist()}
        return Swept(self.front.costs, self.front.numbers, values, self.counts, self.plans, self.feasible)

    def _share(self, pool: Pool, progress: Progress) -> None:
        """Sweep trials side by side; those of one first knob together, as they share plans."""
        groups: dict[object, list[int]] = {}
        for place, one in enumerate(self._opened(range(len(self.halves)))):
            if one.refused:
                self._refuse(Block(None, np.arange(one.half.size)), one.half, one.first)
            else:
                groups.setdefault(next(iter(one.half.trial.values()), None), []).append(place)
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
            done += sum(self.halves[place].size for place in places)
            progress(done, self.space.size, f"{self.plans} plans, {len(self.front.numbers)} on the front")

    def restore(self, tables: Iterable[Any]) -> None:
        """Take designs that a table holds as priced, and go on behind them.

        Args:
            tables: parts of the table in the order of this sweep (`read_parts`): all columns, or ``number``,
                ``status`` and those that its judge reads.
        """
        for table in tables:
            numbers, status = table["number"].to_numpy(), table["status"].to_numpy()
            costs, kept = self.judge.judged(status, {name: table[name].to_numpy() for name in self.judge.read})
            self.front.add(costs[kept], numbers[kept])
            self.feasible += len(kept)
            for one, count in zip(*np.unique(status, return_counts=True), strict=True):
                self.counts[int(one)] += int(count)
            begin = self.firsts[bisect.bisect_right(self.firsts, numbers[-1]) - 1]
            before = self._stored[1] if self._stored[0] == begin else 0
            self._stored = begin, before + int((numbers >= begin).sum())

    def recall(self) -> None:
        """Price members of the front again that came from a table, which holds less than a point does."""
        missing = np.array([one for one in self.front.numbers if int(one) not in self._values], np.int64)
        of_trial = np.searchsorted(self.firsts, missing, side="right") - 1
        for trial in self._opened(np.unique(of_trial).tolist()):
            numbers = missing[of_trial == self.firsts.index(trial.first)] - trial.first
            for block in trial.half.block(numbers):
                asked = self._ask(trial, block)
                columns = self._columns(asked)
                assert columns is not None
                for place, number in enumerate(block.numbers + trial.first):
                    self._values[int(number)] = self.judge.every(columns, trial.accuracy, place)

    def so_far(self) -> tuple[Point, ...]:
        """The front at this moment by number, without details; members that a table holds come with the last."""
        return tuple(self.point(one) for one in np.sort(self.front.numbers).tolist() if one in self._values)

    def point(self, number: int) -> Point:
        """A member of the front, without details."""
        trial = self._trial_of(number)
        base = trial.half.base
        point = trial.half.point(number - trial.first)
        made = dict(point)
        array = self.space.machine(made)["array"]
        detail = labels(base) | {
            "array": f"{array['rows']}×{array['cols']} {array.get('dataflow', base.array.dataflow.name)}"
        }
        return Point(
            number, point, trial.half.model, self._values[number], self.judge.over(self._values[number]), detail
        )

    def plan(self, points: Iterable[Point]) -> None:
        """Let the pool plan designs whose details are wanted and whose decisions are not known here."""
        wanted: dict[int, list[Accelerator]] = {}
        for point in points if self.pool is not None else ():
            trial = self._trial_of(point.number)
            machine = self.space.design(dict(point.point)).accelerator
            if trial.key(judge(machine)) not in self._decisions:
                wanted.setdefault(trial.first, []).append(machine)
        for first, machines in wanted.items():
            if self.pool is not None:
                self._trials[first].evaluator.plan(machines, self.pool.submit)

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

    def _opened(self, places: Iterable[int]) -> list[_Trial]:
        """Trials by their places, with their accuracies, and toggles, measured side by side."""
        places = list(places)
        fresh = [place for place in places if self.firsts[place] not in self._trials]
        own = [self.evaluators[half.model] if half.model else self.main for half in self.halves]
        if self.pool is not None:
            for evaluator in self.evaluators.values():
                try:
                    policies = [self.halves[place].base.policy for place in fresh if own[place] is evaluator]
                    evaluator.prepare(policies, self.pool.submit)
                except LostWorkers:
                    raise
                except HwsimError:
                    continue
        for place in fresh:
            half, evaluator = self.halves[place], own[place]
            pricer = next(self._pricers[name] for name, one in self.evaluators.items() if one is evaluator)
            trial = _Trial(half, evaluator, pricer, self.firsts[place])
            try:
                trial.accuracy = evaluator.accuracy(half.base.policy)
                trial.additions = evaluator.additions_by_record(half.base.policy)
            except LostWorkers:
                raise
            except HwsimError:
                trial.refused = True
            self._trials[trial.first] = trial
        return [self._trials[self.firsts[place]] for place in places]

    def _ahead(self, places: Collection[int] | None = None) -> Iterator[_Asked]:
        """Blocks with their decisions, which workers make before they are needed; of the trials at some places."""
        waiting = deque[_Asked]()
        depth = AHEAD * self.pool.size if self.pool is not None else 0
        begin, stored = self._stored
        wanted = [
            place
            for place, (first, half) in enumerate(zip(self.firsts, self.halves, strict=True))
            if first >= begin
            and first + half.size > self.low
            and first < self.high
            and (places is None or place in places)
        ]
        for trial in self._opened(wanted):
            for place, block in trial.blocks():
                if not self.low <= place < self.high:
                    continue
                if stored > 0:
                    stored -= len(block.numbers)
                    continue
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
        values = self.judge.values(columns, trial.accuracy)
        for status, count in zip(*np.unique(columns.status, return_counts=True), strict=True):
            self.counts[int(status)] += int(count)
        costs, kept = self.judge.judged(columns.status, values)
        self.feasible += len(kept)
        numbers = block.numbers + trial.first
        self.front.add(costs[kept], numbers[kept])
        fresh = np.flatnonzero(np.isin(numbers, self.front.numbers))
        for place in fresh:
            number = int(numbers[place])
            if number not in self._values:
                self._values[number] = self.judge.every(columns, trial.accuracy, int(place))
        if len(self._values) > 4 * len(self.front.numbers) + 1024:
            members = set(self.front.numbers.tolist())
            self._values = {number: one for number, one in self._values.items() if number in members}
        if self.writer is not None:
            self.writer.append(numbers, self._places(trial.half, block.numbers), columns.status, values)

    def _refuse(self, block: Block, half: Half, first: int) -> None:
        count = len(block.numbers)
        self.counts[REFUSED] += count
        if self.writer is not None:
            nothing = {name: np.full(count, np.nan) for name in self.judge.kept}
            places = self._places(half, block.numbers)
            self.writer.append(block.numbers + first, places, np.full(count, REFUSED, np.int8), nothing)

    def _places(self, half: Half, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.int16]]:
        places = half.places(numbers)
        for knob in self.space.parameters:
            if knob.name in half.trial:
                places[knob.name] = np.full(len(numbers), knob.values.index(half.trial[knob.name]), np.int16)
        return places

    def _trial_of(self, number: int) -> _Trial:
        return self._trials[self.firsts[bisect.bisect_right(self.firsts, number) - 1]]


def sweep_elsewhere(tables: str, traces: tuple[tuple[str, str], ...], places: tuple[int, ...]) -> Swept:
    """`Sweeper.only` on the space of these tables; accuracies and toggles are those that the memo has."""
    space, evaluators = _opened(tables, traces)
    return Sweeper(space, evaluators).only(places)


@lru_cache(maxsize=1)
def _opened(tables: str, traces: tuple[tuple[str, str], ...]) -> tuple[DesignSpace, dict[str, Evaluator]]:
    space = space_from_dict(json.loads(tables), "here")
    return space, open_evaluators(space, [load_trace(path) for path, _ in traces])


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
