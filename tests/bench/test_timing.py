"""Time of a step: the compiled event loop against SimPy, its rate, and the recurrence that a search calls."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.timing.events import run_events
from hwsim.timing.reference import simulate
from hwsim.timing.schedule import Run, Tile, latencies

pytestmark = pytest.mark.benchmark


def steps(tiles: int) -> list[Run]:
    """Two kinds of tiles in turn, eight at a time: the channel waits, then the array does."""
    return [Run(8, Tile(9, 5, 1, 2)), Run(8, Tile(3, 7, 2, 1))] * (tiles // 16)


def test_event_loop(bench):
    few = steps(4_096)
    bench.compare(
        "double-buffered pipeline, 4,096 tiles, 16,384 ends of jobs",
        {"hwsim event loop": lambda: run_events(few), "SimPy": lambda: simulate(few)},
        baseline="SimPy",
        at_least=True,
        repeats=5,
        warmup=1,
    )
    many = [Run(1_000_000, Tile(9, 5, 1, 2)), Run(1_000_000, Tile(3, 7, 2, 1))]
    bench.rate("event loop, 2 million tiles", lambda: run_events(many), 8_000_000, "events", bound=3e7)


def test_steps_of_a_search(bench, rng):
    """Thousands of candidates at once: each two runs of up to 10^9 tiles."""
    counts = rng.integers(1, 10**9, 20_000)
    durations = rng.integers(0, 10**4, (20_000, 4))
    bounds = np.arange(0, 20_001, 2)
    bench.rate(
        "recurrence, 10,000 steps of two runs",
        lambda: latencies(counts, durations, bounds),
        10_000,
        "steps",
        bound=1e5,
    )
