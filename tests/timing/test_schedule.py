"""Time of a step: by hand; recurrence, event loop and SimPy cycle for cycle; what must hold of every machine."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.timing.events import run_events
from hwsim.timing.reference import plain, program, simulate
from hwsim.timing.schedule import CHAIN, LIMIT, Chain, Run, Stage, Tile, evenly, latencies, latency, standard


def draw_chain(rng: random.Random) -> Chain:
    """A random chain of two to seven stages; drawn again where something between two stages is unbounded."""
    while True:
        stages = rng.randint(2, 7)
        core = rng.randrange(stages)
        found = tuple(
            Stage(
                "compute" if place == core else f"stage{place}",
                f"resource{rng.randrange(stages)}",
                rng.choice([0, 1, 2, 2, 3, 4]) if place < stages - 1 else 0,
                rng.randint(1, max(1, stages - 1 - place)),
            )
            for place in range(stages)
        )
        try:
            return Chain(found)
        except ArgumentError:
            continue


def draw_runs(rng: random.Random, stages: int) -> list[Run]:
    most = rng.choice([1, 3, 20, 1000])
    return [
        Run(rng.choice([0, 1, 2, 5, 40, 150]), tuple(rng.randint(0, most) for _ in range(stages)))
        for _ in range(rng.randint(0, 4))
    ]


def draw(seed: int) -> tuple[list[Run], Chain]:
    """A machine and what it runs: every third the standard chain, single, double or triple buffered."""
    rng = random.Random(seed)
    chain = draw_chain(rng) if seed % 3 else standard(rng.randint(1, 3), rng.randint(1, 3))
    return draw_runs(rng, len(chain.stages)), chain


def test_three_tiles_by_hand():
    """Loads 4, compute 6, vector 1, store 2.

    ``channel``: load 0 0-4, load 1 4-8, load 2 10-14 (its buffer is free when tile 0 is computed), store 0 14-16,
    store 1 17-19 (vector 16-17), store 2 23-25. ``array``: 4-10, 10-16, 16-22: tile 2 waits for nothing, as store 0
    is done at 16. The vector unit ends at 11, 17, 23.
    """
    assert plain([Run(3, Tile(4, 6, 1, 2))]) == [[4, 10, 11, 16], [8, 16, 17, 19], [14, 22, 23, 25]]
    found = latency([Run(3, Tile(4, 6, 1, 2))])
    assert found == (
        25, 4, 3, {"channel": 18, "array": 18, "vector": 3}, {"input": 0, "output": 0, "shared": 0},
    )  # fmt: skip


def test_the_same_tiles_with_single_buffers_by_hand():
    """Nothing overlaps: each tile takes 4 + 6 + 1 + 2, as the channel serves its store before the next load."""
    chain = standard(1, 1)
    assert chain.offsets == (0, 0, 0, 0)
    found = latency([Run(3, Tile(4, 6, 1, 2))], chain)
    assert (found.latency, found.first_load, found.last_store) == (3 * 13, 4, 3)
    assert found.stalls == {"input": 2 * (1 + 2 + 4), "output": 0, "shared": 0}


@pytest.mark.parametrize(
    ("tile", "count", "expected"),
    [
        (Tile(0, 7, 0, 0), 1000, 7 * 1000),  # the array alone
        (Tile(2, 7, 1, 3), 1000, 2 + 7 * 1000 + 1 + 3),  # one load, the array without a gap, one store
        (Tile(9, 7, 0, 0), 1000, 9 * 1000 + 7),  # every cycle a load, the last tile computed
        (Tile(0, 0, 0, 5), 1000, 5 * 1000),
        (Tile(0, 3, 11, 0), 1000, 3 + 11 * 1000),  # the vector unit never waits after the first tile
    ],
)
def test_steady_states_by_hand(tile, count, expected):
    assert latency([Run(count, tile)]).latency == expected


def test_order_of_the_channel():
    """Load i + 2, store i, load i + 3, store i + 1: as the docstring says."""
    assert CHAIN.offsets == (0, 1, 2, 2)
    order = [(CHAIN.stages[place].name, tile) for tile, place in program(CHAIN, 4, "channel")]
    names = "load 0, load 1, load 2, store 0, load 3, store 1, store 2, store 3"
    assert ", ".join(f"{name} {tile}" for name, tile in order) == names


def test_a_deeper_hierarchy_is_one_more_stage_a_level():
    """DRAM, global buffer, operand memory, array: tile 0 passes all three, then the slowest stage sets the pace."""
    chain = Chain(
        (Stage("load", "dram", 2), Stage("fill", "bus", 2), Stage("compute", "array", 2), Stage("drain", "bus", 2),
         Stage("store", "dram"))
    )  # fmt: skip
    found = latency([Run(100, (3, 5, 20, 5, 3))], chain)
    assert found == (
        3 + 5 + 100 * 20 + 5 + 3, 8, 8, {"dram": 600, "bus": 1000, "array": 2000},
        {"input": 0, "output": 0, "shared": 0},
    )  # fmt: skip


def same(seeds: range) -> None:
    for seed in seeds:
        runs, chain = draw(seed)
        found = latency(runs, chain).latency
        jobs = sum(run.count for run in runs) * len(chain.stages)
        assert run_events(runs, chain) == (found, jobs), seed
        assert simulate(runs, chain)[0] == found, seed


def test_recurrence_equals_event_loop_equals_simpy():
    same(range(200))


@pytest.mark.slow
def test_recurrence_equals_event_loop_equals_simpy_on_many_machines():
    same(range(200, 2200))


def test_recurrence_equals_its_words_on_random_machines():
    for seed in range(300):
        runs, chain = draw(seed)
        ends, found, core = plain(runs, chain), latency(runs, chain), chain.core
        if not ends:
            assert found.latency == 0
            continue
        tiles = [run.tile for run in runs for _ in range(run.count)]
        starts = [row[core] - tile[core] for row, tile in zip(ends, tiles, strict=True)]
        last = ends[-1][-1]
        assert found[:3] == (last, starts[0], last - ends[-1][core]), seed
        stage, stalls = chain.stages[core], [0, 0, 0]
        for tile in range(1, len(ends)):  # causes in the order in which they end
            idle = ends[tile - 1][core]
            fed = max(idle, ends[tile][core - 1] if core else 0)
            bounded = stage.buffers and tile >= stage.buffers
            room = max(fed, ends[tile - stage.buffers][core + stage.until] if bounded else 0)
            stalls = [stalls[0] + fed - idle, stalls[1] + room - fed, stalls[2] + starts[tile] - room]
        assert list(found.stalls.values()) == stalls, seed


def test_huge_counts_are_exact():
    """Counts as the recurrence in words can still do; then the same period goes on to 10^9."""
    for seed in range(60):
        rng = random.Random(seed)
        chain = draw_chain(rng) if seed % 2 else standard(rng.randint(1, 3), rng.randint(1, 3))
        tile = tuple(rng.randint(0, 9) for _ in chain.stages)
        tail = Run(7, tuple(rng.randint(0, 9) for _ in chain.stages))
        ends = plain([Run(5000, tile), tail], chain)
        assert latency([Run(5000, tile), tail], chain).latency == ends[-1][-1]
        # the periods of so small a graph divide 27720 = lcm(1..12): 27720 tiles more are a whole number of them
        one, two, three = (latency([Run(5000 + 27720 * n, tile), tail], chain).latency for n in (0, 1, 2))
        assert three - two == two - one
        periods = 36000
        huge = latency([Run(5000 + 27720 * periods, tile), tail], chain)
        assert huge.latency == one + periods * (two - one)


def test_a_run_in_two_parts_is_the_run():
    for seed in range(300):
        rng = random.Random(seed)
        chain = draw_chain(rng)
        tile = tuple(rng.randint(0, 9) for _ in chain.stages)
        first, second = rng.randint(0, 100), rng.randint(0, 100)
        before = Run(rng.randint(0, 9), tuple(rng.randint(0, 9) for _ in chain.stages))
        parts = [before, Run(first, tile), Run(second, tile)]
        assert latency(parts, chain) == latency([before, Run(first + second, tile)], chain), seed


def test_no_duration_can_grow_while_the_latency_falls():
    for seed in range(400):
        runs, chain = draw(seed)
        rng = random.Random(~seed)
        if not runs:
            continue
        before = latency(runs, chain).latency
        at, place = rng.randrange(len(runs)), rng.randrange(len(chain.stages))
        tile = list(runs[at].tile)
        tile[place] += rng.choice([1, 10])
        slower = [*runs[:at], Run(runs[at].count, tuple(tile)), *runs[at + 1 :]]
        assert latency(slower, chain).latency >= before
        longer = [*runs[:at], Run(runs[at].count + 1, runs[at].tile), *runs[at + 1 :]]
        assert latency(longer, chain).latency >= before


def test_between_the_busiest_resource_and_no_overlap():
    for seed in range(400):
        runs, chain = draw(seed)
        found = latency(runs, chain)
        assert max(found.busy.values()) <= found.latency <= sum(found.busy.values())


def test_more_buffers_never_cost_time():
    for seed in range(300):
        rng = random.Random(seed)
        runs = draw_runs(rng, 4)
        by_operands = [latency(runs, standard(buffers, 2)).latency for buffers in (1, 2, 3, 4)]
        by_results = [latency(runs, standard(2, buffers)).latency for buffers in (1, 2, 3, 4)]
        assert by_operands == sorted(by_operands, reverse=True), (seed, runs)
        assert by_results == sorted(by_results, reverse=True), (seed, runs)


def test_many_steps_at_once():
    steps = [draw_runs(random.Random(seed), 4) for seed in range(100)]
    flat = [run for step in steps for run in step]
    bounds = np.cumsum([0, *map(len, steps)])
    counts = np.array([run.count for run in flat])
    durations = np.array([run.tile for run in flat])
    found = latencies(counts, durations, bounds)
    assert found.tolist() == [latency(step).latency for step in steps]


def test_totals_are_shared_evenly():
    """7 and 10 cycles over 4 tiles: 2 2 2 1 and 3 3 2 2."""
    assert evenly(4, (7, 10)) == [Run(2, (2, 3)), Run(1, (2, 2)), Run(1, (1, 2))]
    assert evenly(3, (6, 0, 9, 3)) == [Run(3, (2, 0, 3, 1))]
    for seed in range(200):
        rng = random.Random(seed)
        tiles, totals = rng.randint(1, 60), [rng.randint(0, 10 ** rng.randint(0, 6)) for _ in range(4)]
        runs = evenly(tiles, totals)
        assert [sum(run.count * run.tile[stage] for run in runs) for stage in range(4)] == totals
        assert sum(run.count for run in runs) == tiles
        more = [total + rng.choice([0, 1, 100]) for total in totals]
        assert latency(evenly(tiles, more)).latency >= latency(runs).latency
    with pytest.raises(ArgumentError, match=r"^tiles: must be at least 1, got 0$"):
        evenly(0, (1, 1, 1, 1))


def test_mistakes():
    with pytest.raises(ArgumentError, match=r"^runs\[1\].tile: must be an integer from 0, got -1$"):
        latency([Run(1, Tile(0, 1, 2, 3)), Run(1, Tile(0, -1, 0, 0))])
    with pytest.raises(ArgumentError, match=r"^runs\[0\].count: must be an integer from 0, got 1.5$"):
        latency([Run(1.5, Tile(0, 1, 2, 3))])
    with pytest.raises(ArgumentError, match=r"^runs\[0\].tile: must have 4 durations, got \(1, 2\)$"):
        latency([Run(1, (1, 2))])
    with pytest.raises(ArgumentError, match=r"^all durations together: must be below 2\^62, got"):
        latency([Run(LIMIT // 2, Tile(1, 1, 0, 0))])
    assert latency([Run(LIMIT // 4, Tile(1, 1, 0, 0))]).latency == LIMIT // 4 + 1
    with pytest.raises(ArgumentError, match=r"^all durations together: must be below 2\^62, got"):
        latencies(np.array([LIMIT // 2]), np.array([[1, 1, 0, 0]]), np.array([0, 1]))
    with pytest.raises(ArgumentError, match=r"^all durations together: must be below 2\^62, got"):
        latencies(np.full(8, LIMIT // 4), np.zeros((8, 4), dtype=np.int64), np.array([0, 8]))  # the counts alone
    with pytest.raises(ArgumentError, match=r"^runs: must be integers from 0, got -1$"):
        latencies(np.array([1]), np.array([[1, -1, 0, 0]]), np.array([0, 1]))
    with pytest.raises(ArgumentError, match=r"^durations: must have the shape \(1, 4\), got \(1, 3\)$"):
        latencies(np.array([1]), np.array([[1, 1, 0]]), np.array([0, 1]))
    with pytest.raises(ArgumentError, match=r"^bounds: must ascend within 0..1"):
        latencies(np.array([1]), np.array([[1, 1, 0, 0]]), np.array([0, 2]))


def test_chains_that_cannot_be():
    with pytest.raises(ArgumentError, match=r"^chain.stages: must have one stage called compute, got \['load'\]$"):
        Chain((Stage("load", "channel"),))
    with pytest.raises(ArgumentError, match=r"^chain.load.buffers: must lie in 0..64, got 65$"):
        Chain((Stage("load", "channel", 65), Stage("compute", "array")))
    with pytest.raises(ArgumentError, match=r"^chain.compute.until: must lead to a later stage, got 1$"):
        Chain((Stage("load", "channel", 2), Stage("compute", "array", 2)))
    with pytest.raises(ArgumentError, match=r"bounds what lies between, got \('load', 'compute'\)$"):
        Chain((Stage("load", "channel"), Stage("compute", "array")))


def test_nothing_takes_no_time():
    for runs in ([], [Run(0, Tile(1, 2, 3, 4))], [Run(5, Tile(0, 0, 0, 0))]):
        assert latency(runs).latency == run_events(runs).latency == simulate(runs)[0] == 0
