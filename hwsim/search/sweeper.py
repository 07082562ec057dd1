"""The designs of a space on their way to its front: trials measured, plans decided, blocks priced as columns.

Workers measure accuracies, decide the plans that several trials ask for, and then price spans of the sweep, each of
which gives back its front and, where a table is written, its rows, in the order of the sweep.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
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
from hwsim.evaluation.steps import result
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
from hwsim.timing.planning import Decision
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

AHEAD = 3
"""Spans a worker that are under way or wait to be taken."""

SPAN, SPANS = 1 << 16, 32
"""Designs of a span at most, unless a trial has more than so many spans of them."""

DETAILED = 16
"""Designs whose details are one call to a worker."""


@dataclass
class _Trial:
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

    trial: _Trial
    block: Block
    checked: Checked | None
    decision: Decision | HwsimError | None


Rows = tuple[
    NDArray[np.int64], dict[str, NDArray[np.int16]], NDArray[np.int8], Mapping[str, NDArray[np.float64]]
]  # fmt: skip


@dataclass(slots=True)
class _Kept:
    """Rows of the table that another process will write."""

    rows: list[Rows] = field(default_factory=list)

    def append(
        self,
        numbers: NDArray[np.int64],
        places: dict[str, NDArray[np.int16]],
        status: NDArray[np.int8],
        values: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """As of `PartWriter`."""
        self.rows.append((numbers, places, status, values))


@dataclass(frozen=True, slots=True)
class Swept:
    """What a span came to: its front, the values of that by number, counts as of `Sweeper`, and the rows of the table
    where one is written, as `PartWriter.append` takes them."""

    costs: NDArray[np.float64]
    numbers: NDArray[np.int64]
    values: dict[int, dict[str, float]]
    counts: dict[int, int]
    plans: frozenset[str]
    feasible: int
    rows: tuple[Rows, ...]


@dataclass
class Sweeper:
    """A sweep under way.

    Args:
        space: what is swept.
        evaluators: by model; the first serves designs that name none.
        pool: where all is computed, None for this process.
        writer: of the table, or None.
        low: blocks that begin before this place in the order of the sweep are left out.
        high: and those that begin there or behind.
    """

    space: DesignSpace
    evaluators: dict[str, Evaluator]
    pool: Pool | None = None
    writer: PartWriter | _Kept | None = None
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

    @property
    def plans(self) -> int:
        """Different plans that were decided."""
        return len(self.planned)

    def run(self, progress: Progress) -> None:
        """Price every design of the space, or of the span that is asked for, less what is stored."""
        total, done = min(self.high, self.space.size) - self.low, sum(self.counts.values())

        def told(designs: int) -> None:
            nonlocal done
            done += designs
            progress(min(done, total), total, f"{self.plans} plans, {len(self.front.numbers)} on the front")

        if self.pool is None:
            for asked in self._ahead():
                self._take(asked.trial, asked.block, self._columns(asked))
                told(len(asked.block.numbers))
        else:
            for designs in self._spread(self.pool):
                told(designs)
        if isinstance(self.writer, PartWriter):
            self.writer.flush()

    def span(self, low: int, high: int, tabled: bool) -> Swept:
        """Price the blocks that begin in a span of the sweep; a sweeper may be asked for one after another."""
        self.low, self.high, self.writer = low, high, _Kept() if tabled else None
        self.counts, self.planned, self.feasible = dict.fromkeys(STATUS, 0), set(), 0
        self.front, self._values = RunningFront(len(self.goals)), {}
        for asked in self._ahead():
            self._take(asked.trial, asked.block, self._columns(asked))
        values = {number: self._values[number] for number in self.front.numbers.tolist()}
        rows = () if self.writer is None else tuple(self.writer.rows)
        return Swept(
            self.front.costs, self.front.numbers, values, self.counts, frozenset(self.planned), self.feasible, rows
        )

    def _spread(self, pool: Pool) -> Iterator[int]:
        """Sweep spans side by side; how many designs each has, in the order of the sweep."""
        self._decide(pool, self._opened(self._wanted()))
        given = *self._given(), self.writer is not None
        waiting: deque[Job] = deque()
        for low, high in self._spans():
            waiting.append(pool.submit(sweep_elsewhere, *given, low, high))
            if len(waiting) > AHEAD * pool.size:
                yield self._join(waiting.popleft().result())
        while waiting:
            yield self._join(waiting.popleft().result())

    def _decide(self, pool: Pool, opened: Iterable[_Trial]) -> None:
        """Let workers decide the plans that designs share, once for all trials and spans that ask for them."""
        wanted: dict[str, tuple[Evaluator, Decided]] = {}
        seen: set[tuple[object, ...]] = set()
        for trial in opened:
            if trial.refused or trial.half.base.objective != "nominal":
                continue
            machines = trial.half.planned()
            with contextlib.suppress(HwsimError):
                alike = *trial.half.parts_made, *trial.step(next(machines)).read
                if alike in seen:
                    continue
                seen.add(alike)
            for machine in trial.half.planned():
                with contextlib.suppress(HwsimError):
                    step = trial.step(machine)
                    if not trial.evaluator.knows(step):
                        wanted[step.key] = trial.evaluator, step
        jobs = [(evaluator, step, pool.submit(result, step)) for evaluator, step in wanted.values()]
        for evaluator, step, job in jobs:
            try:
                evaluator.keep(step, job.result())
            except LostWorkers:
                raise
            except HwsimError:
                continue

    def _given(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What a worker needs to make this sweep its own."""
        traces = tuple((str(one.trace.path.resolve()), one.trace.digest) for one in self.evaluators.values())
        return json.dumps(self.space.to_dict()), traces

    def _spans(self) -> Iterator[tuple[int, int]]:
        """What is left of the sweep in spans of at most one trial."""
        begin, stored = self._stored
        low = max(self.low, begin + stored)
        for first, half in zip(self.firsts, self.halves, strict=True):
            size = max(SPAN, -(-half.size // SPANS))
            for start in range(first, first + half.size, size):
                end = min(start + size, first + half.size)
                if max(low, start) < min(self.high, end):
                    yield max(low, start), min(self.high, end)

    def _join(self, made: Swept) -> int:
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

    def detailed(self, points: Sequence[Point]) -> list[Point]:
        """Points as `evaluate` has them, with breakdowns and sources."""
        asked = [points[at : at + DETAILED] for at in range(0, len(points), DETAILED)]
        given = self._given()
        if self.pool is None:
            return [point for some in asked for point in self.details(some)]
        jobs = [self.pool.submit(details_elsewhere, *given, tuple(some)) for some in asked]
        return [point for job in jobs for point in job.result()]

    def details(self, points: Iterable[Point]) -> list[Point]:
        """The same, in this process."""
        found = []
        for point in points:
            design = self.space.design(dict(point.point))
            evaluator = self.evaluators[design.model] if design.model else self.main
            made = evaluator(design.accelerator)
            found.append(replace(point, values=made.values(), detail=made.detail()))
        return found

    def _opened(self, places: Iterable[int]) -> list[_Trial]:
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
            trial = _Trial(half, evaluator, pricer, self.firsts[place])
            try:
                trial.accuracy = evaluator.accuracy(half.base.policy)
                evaluator.additions(half.base.policy)
            except LostWorkers:
                raise
            except HwsimError:
                trial.refused = True
            self._trials[trial.first] = trial
        return [self._trials[self.firsts[place]] for place in places]

    def _wanted(self) -> list[int]:
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
        for trial in self._opened(self._wanted()):
            for place, block in trial.blocks():
                if not self.low <= place < self.high:
                    continue
                if stored > 0:
                    stored -= len(block.numbers)
                    continue
                yield self._ask(trial, block)

    def _ask(self, trial: _Trial, block: Block) -> _Asked:
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
        self._forget()
        if self.writer is not None:
            self.writer.append(numbers, self._places(trial.half, block.numbers), columns.status, values)

    def _forget(self) -> None:
        """Let go of values of designs that left the front."""
        if len(self._values) > 4 * len(self.front.numbers) + 1024:
            members = set(self.front.numbers.tolist())
            self._values = {number: one for number, one in self._values.items() if number in members}

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


def sweep_elsewhere(
    tables: str, traces: tuple[tuple[str, str], ...], tabled: bool, low: int, high: int
) -> Swept:  # fmt: skip
    """`Sweeper.span` on the space of these tables; accuracies, toggles and shared plans are those of the memo."""
    return _made(tables, traces).span(low, high, tabled)


def details_elsewhere(tables: str, traces: tuple[tuple[str, str], ...], points: tuple[Point, ...]) -> list[Point]:
    """`Sweeper.details` on the space of these tables."""
    return _made(tables, traces).details(points)


@lru_cache(maxsize=1)
def _made(tables: str, traces: tuple[tuple[str, str], ...]) -> Sweeper:
    space = space_from_dict(json.loads(tables), "here")
    return Sweeper(space, open_evaluators(space, [load_trace(path) for path, _ in traces]))
