"""Continuous batching, compiled: one event a step, requests as rows of arrays.

The rules of a step, which `hwsim.timing.serving.reference` states again in objects:

1. Requests that run are served in the order of their admission: one that decodes takes one token, one whose prompt is
   not through takes as much of it as the step's budget of tokens still has.
2. A request needs a block of the cache for every started `block` tokens. Where none is free, the request that was
   admitted last gives all its blocks back and waits at the front; its prompt and its answer so far are computed
   again.
3. If none had to give way, waiting requests are admitted, those that gave way first (the last one foremost), then
   arrivals in order, while budget, places and blocks last.
4. A request whose tokens are all computed at the end of the step has made one more token; at its last it leaves.

A request that arrives at the very end of a step is there when the next one is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit
from hwsim.timing.serving.cost import StepCost, step_ns
from hwsim.timing.serving.outcome import Outcome
from hwsim.timing.serving.requests import Requests


@dataclass(frozen=True, slots=True)
class Engine:
    """What bounds a step.

    Attributes:
        cost: seconds of a step.
        budget: tokens of a step at most.
        sequences: requests of a step at most.
        blocks: of the cache.
        block: tokens of a block.
    """

    cost: StepCost
    budget: int = 2048
    sequences: int = 256
    blocks: int = 1 << 40
    block: int = 16

    def __post_init__(self) -> None:
        if min(self.budget, self.sequences, self.blocks, self.block) < 1:
            raise ArgumentError("must be at least 1", got=self, where="Engine")

    def check(self, requests: Requests) -> None:
        """That the longest request fits the cache alone.

        Raises:
            ArgumentError: it does not, so that it would never end.
        """
        longest = int((requests.prompt + requests.answer - 1).max())
        if -(-longest // self.block) > self.blocks:
            raise ArgumentError(
                f"the cache must hold the longest request, {-(-longest // self.block)} blocks",
                got=self.blocks,
                where="Engine.blocks",
            )


def serve(engine: Engine, requests: Requests) -> Outcome:
    """Serve all requests, from an empty engine to an empty engine.

    Raises:
        ArgumentError: a request is longer than the cache.
    """
    engine.check(requests)
    limits = np.array([engine.budget, engine.sequences, engine.blocks, engine.block], dtype=np.int64)
    times, counts, totals = _serve(engine.cost.table, limits, requests.arrival_ns, requests.prompt, requests.answer)
    return Outcome(requests, times[0], times[1], times[2], counts, *(int(one) for one in totals))


@njit
def _serve(
    table: NDArray[np.float64],
    limits: NDArray[np.int64],
    arrival: NDArray[np.int64],
    prompt: NDArray[np.int64],
    answer: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    budget, places, capacity, block = limits[0], limits[1], limits[2], limits[3]
    count = len(arrival)
    times = np.full((3, count), -1, dtype=np.int64)  # scheduled first, first token, last token
    preempted = np.zeros(count, dtype=np.int64)
    computed = np.zeros(count, dtype=np.int64)
    made = np.zeros(count, dtype=np.int64)
    held = np.zeros(count, dtype=np.int64)
    running = np.empty(min(places, count), dtype=np.int64)
    taken = np.empty(min(places, count), dtype=np.int64)
    stack = np.empty(count, dtype=np.int64)  # who gave way, the last one on top
    runs, waits, next_one, free = 0, 0, 0, capacity
    now, steps, busy, most, all_sequences, all_tokens, all_rows = 0, 0, 0, 0, 0, 0, 0
    while True:
        if runs == 0 and waits == 0:
            if next_one == count:
                break
            now = max(now, arrival[next_one])
        left, gave_way, place = budget, False, 0
        logits, pairs, rows = 0, 0, 0
        while place < runs and left > 0:
            one = running[place]
            new = min(prompt[one] + made[one] - computed[one], left)
            short = computed[one] + new - held[one] * block
            need = (short + block - 1) // block if short > 0 else 0
            while need > free:
                runs -= 1
                victim = running[runs]
                free += held[victim]
                held[victim] = 0
                computed[victim] = 0
                preempted[victim] += 1
                stack[waits] = victim
                waits += 1
                gave_way = True
                if runs == place:
                    break
            if runs == place:
                break
            free -= need
            held[one] += need
            taken[place] = new
            left -= new
            place += 1
            before = computed[one]
            pairs += new * before + new * (new + 1) // 2
            rows += before + new
            logits += before + new == prompt[one] + made[one]
        while not gave_way and left > 0 and place == runs and runs < places:
            if waits > 0:
                one = stack[waits - 1]
            elif next_one < count and arrival[next_one] <= now:
                one = next_one
            else:
                break
            new = min(prompt[one] + made[one], left)
            need = (new + block - 1) // block
            if need > free:
                break
            if waits > 0:
                waits -= 1
            else:
                next_one += 1
                times[0, one] = now
            free -= need
            held[one] = need
            running[runs] = one
            taken[place] = new
            left -= new
            runs += 1
            place += 1
            pairs += new * (new + 1) // 2
            rows += new
            logits += new == prompt[one] + made[one]
        tokens = budget - left
        most = max(most, capacity - free)
        took = step_ns(table, tokens, place, logits, pairs, rows)
        now += took
        steps += 1
        busy += took
        all_sequences += place
        all_tokens += tokens
        all_rows += rows
        kept = 0
        for row in range(place):
            one = running[row]
            computed[one] += taken[row]
            if computed[one] == prompt[one] + made[one]:
                made[one] += 1
                if made[one] == 1:
                    times[1, one] = now
                if made[one] == answer[one]:
                    times[2, one] = now
                    free += held[one]
                    held[one] = 0
                    continue
            running[kept] = one
            kept += 1
        for row in range(place, runs):
            running[kept] = running[row]
            kept += 1
        runs = kept
    totals = np.array([steps, busy, most, all_sequences, all_tokens, all_rows, capacity - free], dtype=np.int64)
    return times, preempted, totals
