"""The designs of a space on their way to its front: trials measured, plans decided, blocks priced as columns.

All of it in one process; `hwsim.search.spans` has several sweep side by side.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, LostWorkers
from hwsim.evaluation import Evaluator
from hwsim.evaluation.columns import Checked, ColumnPricer
from hwsim.evaluation.decisions import Decided
from hwsim.evaluation.machine_columns import CLOCK, MEMORY, OK, PLAN, Columns
from hwsim.evaluation.pricing import judge
from hwsim.evaluation.records import labels
from hwsim.search.explorer import Explorer
from hwsim.search.halves import Block, Half, Part, trials
from hwsim.search.judging import Judge
from hwsim.search.parts import PartWriter
from hwsim.search.points import Point
from hwsim.search.running import RunningFront
from hwsim.search.space import DesignSpace
from hwsim.search.swept import Kept, Swept
from hwsim.search.workers import Pool
from hwsim.timing.planning import Decision

if TYPE_CHECKING:
    from hwsim.arch import Accelerator

REFUSED = 4
STATUS = {
    OK: "priced",
    CLOCK: "clock above what the units reach",
    MEMORY: "a memory or supply that cannot be made",
    PLAN: "memories hold no tile of some stage",
    REFUSED: "no machine",
}
"""What the column ``status`` of the parts says."""


@dataclass
class Trial:
    """One trial under way."""

    half: Half
    evaluator: Evaluator
    pricer: ColumnPricer
    first: int
    accuracy: float = math.nan
    refused: bool = False
    steps: dict[Accelerator, Decided] = field(default_factory=dict)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Every design once, each block with its place in the order of the sweep."""
        place = self.first
        for block in [Block(None, np.arange(self.half.size))] if self.refused else self.half.blocks():
            yield place, block
            place += len(block.numbers)

    def step(self, machine: Accelerator) -> Decided:
        """The step that decides the plan of a machine of this trial."""
        judging = judge(machine)
        if judging not in self.steps:
            self.steps[judging] = self.evaluator.decision(judging)
        return self.steps[judging]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A block, what is known without a plan, and its decision: made, impossible, or not needed."""

    trial: Trial
    block: Block
    checked: Checked | None
    decision: Decision | HwsimError | None


@dataclass
class Sweeper:
    """A sweep under way.

    Args:
        space: what is swept.
        evaluators: by model; the first serves designs that name none.
        pool: where accuracies and toggles are measured, None for this process.
        writer: of the table, or None.
        low: blocks that begin before this place in the order of the sweep are left out.
        high: and those that begin there or behind.
    """

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    pool: Pool | None = None
    writer: PartWriter | Kept | None = None
    low: int = 0
    high: int = sys.maxsize
    counts: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STATUS, 0))
    planned: set[str] = field(default_factory=set)
    feasible: int = 0

    def __post_init__(self) -> None:
        self.goals = Explorer(self.space, self.evaluators).goals
        self.judge = Judge(self.space, self.main.metric, self.goals)
        self.front = RunningFront(len(self.goals))
        self._known: dict[tuple[str, ...], Part] = {}
        self._pricers = {name: ColumnPricer(one) for name, one in self.evaluators.items()}
        self._values: dict[int, dict[str, float]] = {}
        self.halves: list[Half] = []  # one a trial
        self.firsts: list[int] = []  # and the number of its first design
        self._trials: dict[int, Trial] = {}
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

    @property
    def plans(self) -> int:
        """Different plans that were decided."""
        return len(self.planned)

    def blocks(self) -> Iterator[int]:
        """Price what is left, block by block; how many designs each has."""
        for asked in self._ahead():
            self._take(asked.trial, asked.block, self._columns(asked))
            yield len(asked.block.numbers)

    def span(self, low: int, high: int, tabled: bool) -> Swept:
        """Price the blocks that begin in a span of the sweep; a sweeper may be asked for one after another."""
        self.low, self.high, self.writer = low, high, Kept() if tabled else None
        self.counts, self.planned, self.feasible = dict.fromkeys(STATUS, 0), set(), 0
        self.front, self._values = RunningFront(len(self.goals)), {}
        for _ in self.blocks():
            pass
        values = {number: self._values[number] for number in self.front.numbers.tolist()}
        rows = () if self.writer is None else tuple(self.writer.rows)
        return Swept(
            self.front.costs, self.front.numbers, values, self.counts, frozenset(self.planned), self.feasible, rows
        )

    def join(self, made: Swept) -> int:
        """Take what a span came to."""
        self.front.add(made.costs, made.numbers)
        self._values |= made.values
        self._forget()
        for status, count in made.counts.items():
            self.counts[status] += count
        self.planned |= made.plans
        self.feasible += made.feasible
        if self.writer is not None:
            for row in made.rows:
                self.writer.append(*row)
        return sum(made.counts.values())

    @property
    def begins(self) -> int:
        """Where in the order of the sweep the first design lies that is asked for and not stored."""
        return max(self.low, sum(self._stored))

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
        for trial in self.opened(np.unique(of_trial).tolist()):
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

    def details(self, points: Iterable[Point]) -> list[Point]:
        """Points as `evaluate` has them, with breakdowns and sources."""
        found = []
        for point in points:
            design = self.space.design(dict(point.point))
            evaluator = self.evaluators[design.model] if design.model else self.main
            made = evaluator(design.accelerator)
            found.append(replace(point, values=made.values(), detail=made.detail()))
        return found

    def opened(self, places: Iterable[int]) -> list[Trial]:
        """Trials by their places, with their accuracies, and toggles, measured side by side."""
        places = list(places)
        fresh = [place for place in places if self.firsts[place] not in self._trials]
        models = {place: self.halves[place].model for place in fresh}
        own = {place: self.evaluators[model] if model else self.main for place, model in models.items()}
        if self.pool is not None:
            for evaluator in self.evaluators.values():
                policies = []
                for place in fresh:
                    if own[place] is evaluator:
                        with contextlib.suppress(HwsimError):
                            policies.append(self.halves[place].base.policy)
                try:
                    evaluator.prepare(policies, self.pool.submit)
                except LostWorkers:
                    raise
                except HwsimError:
                    continue
        for place in fresh:
            half, evaluator = self.halves[place], own[place]
            pricer = next(self._pricers[name] for name, one in self.evaluators.items() if one is evaluator)
            trial = Trial(half, evaluator, pricer, self.firsts[place])
            try:
                trial.accuracy = evaluator.accuracy(half.base.policy)
                evaluator.additions(half.base.policy)
            except LostWorkers:
                raise
            except HwsimError:
                trial.refused = True
            self._trials[trial.first] = trial
        return [self._trials[self.firsts[place]] for place in places]

    def wanted(self) -> list[int]:
        """Places of the trials that have designs left."""
        begin, _ = self._stored
        return [
            place
            for place, (first, half) in enumerate(zip(self.firsts, self.halves, strict=True))
            if first >= begin and first + half.size > self.low and first < self.high
        ]

    def _ahead(self) -> Iterator[_Asked]:
        """What is left of the sweep, block by block, with the decision of each."""
        _, stored = self._stored
        for trial in self.opened(self.wanted()):
            for place, block in trial.blocks():
                if not self.low <= place < self.high:
                    continue
                if stored > 0:
                    stored -= len(block.numbers)
                    continue
                yield self._ask(trial, block)

    def _ask(self, trial: Trial, block: Block) -> _Asked:
        """A block with its decision, or why there is none."""
        if block.machines is None:
            return _Asked(trial, block, None, None)
        checked = trial.pricer.check(block.machines)
        if not (checked.status == OK).any():
            return _Asked(trial, block, checked, None)
        try:
            step = trial.step(block.machines.machine(0))
            self.planned.add(step.key)
            return _Asked(trial, block, checked, trial.evaluator.decided(step))
        except LostWorkers:
            raise
        except HwsimError as error:
            return _Asked(trial, block, checked, error)

    def _columns(self, asked: _Asked) -> Columns | None:
        machines = asked.block.machines
        if machines is None or asked.checked is None:
            return None
        counted = None
        if isinstance(asked.decision, Decision):
            with contextlib.suppress(HwsimError):
                counted = asked.trial.pricer.count(asked.decision, machines.machine(0))
        return asked.trial.pricer.price(machines, asked.checked, counted)

    def _take(self, trial: Trial, block: Block, columns: Columns | None) -> None:
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
        self._forget()
        if self.writer is not None:
            self.writer.append(numbers, self._places(trial.half, block.numbers), columns.status, values)

    def _forget(self) -> None:
        """Let go of values of designs that left the front."""
        if len(self._values) > 4 * len(self.front.numbers) + 1024:
            members = set(self.front.numbers.tolist())
            self._values = {number: one for number, one in self._values.items() if number in members}

    def refuse(self, trial: Trial) -> int:
        """Take a trial that has no accuracy; how many designs it has."""
        ((_, block),) = trial.blocks()
        self._refuse(block, trial.half, trial.first)
        return trial.half.size

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

    def _trial_of(self, number: int) -> Trial:
        return self._trials[self.firsts[bisect.bisect_right(self.firsts, number) - 1]]
