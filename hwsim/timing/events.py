"""The machine of `hwsim.timing.schedule` as a compiled event loop.

Events are ends of jobs. A resource has at most one job in flight, so the calendar is a flat array of one time a
resource, and the next event is the least of them; a heap over so few entries would only move them about. After an
event every idle resource looks at the next job of its program and starts it if the tile has arrived and a slot is
free. The recurrence gives the same times without a clock; the loop is the form that goes on to machines whose order
is not known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit
from hwsim.timing.schedule import CHAIN, Chain, Run, arrays

NEVER = np.iinfo(np.int64).max


class Happened(NamedTuple):
    """What the loop saw: cycles until the last event, and how many events there were (one a tile and stage)."""

    latency: int
    events: int


def run_events(runs: Sequence[Run], chain: Chain = CHAIN) -> Happened:
    """Simulate a step event by event.

    Raises:
        ArgumentError: as `hwsim.timing.schedule.latency`.
    """
    counts, durations, _ = arrays(runs, chain)
    now, events = _loop(counts, durations, chain.table, *turns(chain))
    return Happened(int(now), int(events))


def turns(chain: Chain) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First stage of every resource, ``[resources]``, and the stage whose turn is next, ``[stages]``; int64."""
    first = np.zeros(len(chain.resources), dtype=np.int64)
    after = np.zeros(len(chain.stages), dtype=np.int64)
    for row, resource in enumerate(chain.resources):
        places = [place for place, stage in enumerate(chain.stages) if stage.resource == resource]
        first[row], after[places] = places[0], places[1:] + places[:1]
    return first, after


@njit
def _loop(
    counts: NDArray[np.int64],
    durations: NDArray[np.int64],
    table: NDArray[np.int64],
    turn: NDArray[np.int64],
    after: NDArray[np.int64],
) -> tuple[int, int]:
    stages, resources = len(table), len(turn)
    total = counts.sum()
    if total == 0:
        return 0, 0
    calendar = np.full(resources, NEVER)  # when the job in flight ends
    running = np.zeros(resources, dtype=np.int64)  # its stage
    jobs = np.zeros(resources, dtype=np.int64)  # still to start
    done = np.zeros(
        stages + 1, dtype=np.int64
    )  # tiles that have left each stage; the last entry feeds the first stage
    done[stages] = total
    tile = np.zeros(stages, dtype=np.int64)  # whose turn it is next at each stage; none where outside 0..total - 1
    source, freed, room = np.zeros_like(tile), np.zeros_like(tile), np.zeros_like(tile)
    run_of, border = np.zeros_like(tile), np.zeros_like(tile)  # border: the first tile behind the current run
    for stage in range(stages):
        jobs[table[stage, 0]] += total
        tile[stage] = -table[stage, 3]
        source[stage] = stage - 1 if stage > 0 else stages
        freed[stage] = table[stage, 2] if table[stage, 1] > 0 else stages
        room[stage] = table[stage, 1]
        border[stage] = counts[0]
    now, events = 0, 0
    while True:
        for resource in range(resources):
            if calendar[resource] != NEVER or jobs[resource] == 0:
                continue
            stage = turn[resource]
            while tile[stage] < 0 or tile[stage] >= total:
                tile[stage] += 1
                stage = after[stage]
            turn[resource] = stage
            this = tile[stage]
            if this >= done[source[stage]] or this >= done[freed[stage]] + room[stage]:
                continue
            while this >= border[stage]:
                run_of[stage] += 1
                border[stage] += counts[run_of[stage]]
            calendar[resource] = now + durations[run_of[stage], stage]
            running[resource] = stage
            jobs[resource] -= 1
            tile[stage] = this + 1
            turn[resource] = after[stage]
        first, soonest = 0, calendar[0]
        for resource in range(1, resources):
            if calendar[resource] < soonest:
                first, soonest = resource, calendar[resource]
        if soonest == NEVER:
            return now, events
        now = soonest
        calendar[first] = NEVER
        done[running[first]] += 1
        events += 1
