"""A sweep side by side: workers price spans of it, this process keeps the front and writes the table.

Workers first measure accuracies and decide the plans that several trials ask for; both lie in the memo then. Each
span gives back its front and, where a table is written, its rows; they are taken in the order of the sweep, a few
spans at a time, so that memory holds no more, and the table is that of one process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from hwsim.errors import HwsimError, LostWorkers
from hwsim.evaluation.steps import result
from hwsim.search.explorer import open_evaluators
from hwsim.search.parts import PartWriter
from hwsim.search.space_file import space_from_dict
from hwsim.search.sweeper import Sweeper, Trial
from hwsim.trace import load_trace

if TYPE_CHECKING:
    from hwsim.evaluation import Evaluator
    from hwsim.evaluation.decisions import Decided
    from hwsim.search.points import Point
    from hwsim.search.swept import Swept
    from hwsim.search.watching import Progress
    from hwsim.search.workers import Job, Pool

AHEAD = 3
"""Spans a worker that are under way or wait to be taken."""

SPAN, SPANS = 1 << 16, 32
"""Designs of a span at most, unless a trial has more than so many spans of them."""

DETAILED = 16
"""Designs whose details are one call to a worker."""

_ONE = threading.Lock()
"""Held by who uses this process's sweeper: a worker of a cluster may have several threads."""


def run(sweeper: Sweeper, progress: Progress) -> None:
    """Price every design of the space, or of the span that is asked for, less what is stored; in workers where the
    sweeper has some."""
    total, done = min(sweeper.high, sweeper.space.size) - sweeper.low, sum(sweeper.counts.values())
    for designs in sweeper.blocks() if sweeper.pool is None else _spread(sweeper, sweeper.pool):
        done += designs
        progress(min(done, total), total, f"{sweeper.plans} plans, {len(sweeper.front.numbers)} on the front")
    if isinstance(sweeper.writer, PartWriter):
        sweeper.writer.flush()


def detailed(sweeper: Sweeper, points: Sequence[Point]) -> Callable[[], list[Point]]:
    """Points as `evaluate` has them, with breakdowns and sources, when they are asked for; workers, where the sweeper
    has some, begin at once."""
    if sweeper.pool is None:
        return lambda: sweeper.details(points)
    given, starts = _given(sweeper), range(0, len(points), DETAILED)
    jobs = [sweeper.pool.submit(details_elsewhere, *given, tuple(points[at : at + DETAILED])) for at in starts]
    return lambda: [point for job in jobs for point in job.result()]


def _spread(sweeper: Sweeper, pool: Pool) -> Iterator[int]:
    """Sweep spans side by side; how many designs each has, in the order of the sweep."""
    given = *_given(sweeper), sweeper.writer is not None
    trials = sweeper.opened(sweeper.wanted())
    for _ in range(pool.size):  # workers start and open the traces while this process looks for plans to decide
        pool.submit(open_elsewhere, *_given(sweeper))
    _decide(pool, trials)
    waiting: deque[Job | Trial] = deque()

    def taken(one: Job | Trial) -> int:
        return sweeper.refuse(one) if isinstance(one, Trial) else sweeper.join(one.result())

    for trial, low, high in _spans(sweeper):
        if not trial.refused:
            waiting.append(pool.submit(sweep_elsewhere, *given, low, high))
        elif low == trial.first:  # its one block begins here; no worker is to try again what may have ended others
            waiting.append(trial)
        if len(waiting) > AHEAD * pool.size:
            yield taken(waiting.popleft())
    while waiting:
        yield taken(waiting.popleft())


def _decide(pool: Pool, opened: Iterable[Trial]) -> None:
    """Let workers decide the plans that designs share, once for all trials and spans that ask for them."""
    wanted: dict[str, tuple[Evaluator, Decided]] = {}
    seen: set[tuple[object, ...]] = set()
    for trial in opened:
        if trial.refused or trial.half.base.objective != "nominal":
            continue
        with contextlib.suppress(HwsimError):
            alike = *trial.half.parts_made, *trial.step(next(trial.half.planned())).read
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


def _spans(sweeper: Sweeper) -> Iterator[tuple[Trial, int, int]]:
    """What is left of the sweep in spans of at most one trial."""
    for trial in sweeper.opened(sweeper.wanted()):
        first, total = trial.first, trial.half.size
        size = max(SPAN, -(-total // SPANS))
        for start in range(first, first + total, size):
            low, high = max(sweeper.begins, start), min(sweeper.high, start + size, first + total)
            if low < high:
                yield trial, low, high


def _given(sweeper: Sweeper) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What a worker needs to make a sweep its own."""
    traces = tuple((str(one.trace.path.resolve()), one.trace.digest) for one in sweeper.evaluators.values())
    return json.dumps(sweeper.space.to_dict()), traces


def open_elsewhere(tables: str, traces: tuple[tuple[str, str], ...]) -> None:
    """Make the sweeper that spans of the space of these tables will ask for."""
    with _ONE:
        _made(tables, traces)


def sweep_elsewhere(
    tables: str, traces: tuple[tuple[str, str], ...], tabled: bool, low: int, high: int
) -> Swept:  # fmt: skip
    """`Sweeper.span` on the space of these tables; accuracies, toggles and shared plans are those of the memo."""
    with _ONE:
        return _made(tables, traces).span(low, high, tabled)


def details_elsewhere(tables: str, traces: tuple[tuple[str, str], ...], points: tuple[Point, ...]) -> list[Point]:
    """`Sweeper.details` on the space of these tables."""
    with _ONE:
        return _made(tables, traces).details(points)


@lru_cache(maxsize=1)
def _made(tables: str, traces: tuple[tuple[str, str], ...]) -> Sweeper:
    space = space_from_dict(json.loads(tables), "here")
    made = Sweeper(space, open_evaluators(space, [load_trace(path) for path, _ in traces]))
    gc.collect()
    gc.freeze()  # what lies there for good is not looked at again each time that a block's records are let go
    return made
