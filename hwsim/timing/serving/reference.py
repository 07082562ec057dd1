"""The engine of `hwsim.timing.serving.engine` as a SimPy model: slow, and easy to check against its rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.timing.serving.engine import Engine
from hwsim.timing.serving.outcome import Outcome
from hwsim.timing.serving.requests import Requests


@dataclass(slots=True, eq=False)
class _Request:
    number: int
    arrival: int
    prompt: int
    answer: int
    computed: int = 0
    made: int = 0
    blocks: int = 0
    preemptions: int = 0
    scheduled: int = -1
    first: int = -1
    last: int = -1

    @property
    def missing(self) -> int:
        """Tokens whose keys and values are not in the cache yet."""
        return self.prompt + self.made - self.computed


def simulate(engine: Engine, requests: Requests) -> Outcome:
    """Serve all requests, as `hwsim.timing.serving.serve` does.

    Raises:
        ArgumentError: a request is longer than the cache.
    """
    import simpy

    engine.check(requests)
    rows = zip(requests.arrival_ns.tolist(), requests.prompt.tolist(), requests.answer.tolist(), strict=True)
    everyone = [_Request(number, *row) for number, row in enumerate(rows)]
    model = _Model(simpy.Environment(), engine, everyone)
    model.env.process(model.arrivals())
    model.env.process(model.steps())
    model.env.run()
    columns = [np.array([getattr(one, name) for one in everyone], dtype=np.int64)
               for name in ("scheduled", "first", "last", "preemptions")]  # fmt: skip
    scheduled, first, last, preemptions = columns
    steps, busy, most, sequences, tokens, read = model.totals
    left = engine.blocks - model.free
    return Outcome(requests, scheduled, first, last, preemptions, steps, busy, most, sequences, tokens, read, left)


class _Model:
    def __init__(self, env: Any, engine: Engine, everyone: list[_Request]) -> None:
        self.env, self.engine, self.everyone = env, engine, everyone
        self.waiting: deque[_Request] = deque()
        self.running: list[_Request] = []
        self.free = engine.blocks
        self.left = len(everyone)
        self.woken = env.event()
        self.totals = [0] * 6  # steps, busy, most blocks, sequences, tokens, rows

    def arrivals(self) -> Generator[Any, None, None]:
        for one in self.everyone:
            if one.arrival > self.env.now:
                yield self.env.timeout(one.arrival - self.env.now)
            self.waiting.append(one)
            if not self.woken.triggered:
                self.woken.succeed()

    def steps(self) -> Generator[Any, None, None]:
        while self.left:
            if not self.waiting and not self.running:
                self.woken = self.env.event()
                yield self.woken
                yield self.env.timeout(0)
            batch = self.form()
            tokens = sum(new for _, new in batch)
            logits = sum(new == one.missing for one, new in batch)
            pairs = sum(sum(range(one.computed + 1, one.computed + new + 1)) for one, new in batch)
            rows = sum(one.computed + new for one, new in batch)
            took = self.engine.cost.step_ns(tokens, len(batch), logits, pairs, rows)
            used = self.engine.blocks - self.free
            steps, busy, most, *sums = self.totals
            sums = [old + new for old, new in zip(sums, (len(batch), tokens, rows), strict=True)]
            self.totals = [steps + 1, busy + took, max(most, used), *sums]
            yield self.env.timeout(took)
            yield self.env.timeout(0)  # who arrives now is there before the next step is formed
            for one, new in batch:
                self.finish(one, new)

    def form(self) -> list[tuple[_Request, int]]:
        batch: list[tuple[_Request, int]] = []
        left, gave_way = self.engine.budget, False
        for one in list(self.running):
            if left == 0 or one not in self.running:
                break
            new = min(one.missing, left)
            while self.needed(one, new) > self.free and self.running[-1] is not one:
                self.give_way(self.running[-1])
                gave_way = True
            if self.needed(one, new) > self.free:
                self.give_way(one)
                gave_way = True
                break
            self.grant(one, new)
            batch.append((one, new))
            left -= new
        while not gave_way and left and self.waiting and len(self.running) < self.engine.sequences:
            one = self.waiting[0]
            new = min(one.missing, left)
            if self.needed(one, new) > self.free or len(batch) < len(self.running):
                break
            self.waiting.popleft()
            if one.scheduled < 0:
                one.scheduled = self.env.now
            self.running.append(one)
            self.grant(one, new)
            batch.append((one, new))
            left -= new
        return batch

    def needed(self, one: _Request, new: int) -> int:
        return -(-(one.computed + new) // self.engine.block) - one.blocks

    def grant(self, one: _Request, new: int) -> None:
        need = self.needed(one, new)
        self.free -= need
        one.blocks += need

    def give_way(self, one: _Request) -> None:
        self.running.remove(one)
        self.free += one.blocks
        one.blocks = one.computed = 0
        one.preemptions += 1
        self.waiting.appendleft(one)

    def finish(self, one: _Request, new: int) -> None:
        one.computed += new
        if one.missing:
            return
        one.made += 1
        if one.made == 1:
            one.first = self.env.now
        if one.made == one.answer:
            one.last = self.env.now
            self.running.remove(one)
            self.free += one.blocks
            one.blocks = 0
            self.left -= 1
