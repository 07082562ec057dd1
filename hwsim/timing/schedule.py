"""When the tiles of a step run: the double-buffered pipeline as a recurrence over maximum and plus.

Every tile passes the same short chain of stages (`Chain`), by default load, compute, vector, store. A stage runs on a
resource, and a resource does one thing at a time. A job, tile i at stage s, starts as soon as

* stage s - 1 has finished tile i,
* its resource has finished the job before it in the resource's order, and
* the slot that it fills is free: where the stage has b buffers, the stage `until` places later has finished tile
  i - b.

The order of a resource is fixed before anything runs: by i + offset(s), the earlier stage first where these are
equal. The offset grows by one where tiles can spread out over two buffers: while tile i is computed, i + 1 is loaded
and i - 1 is stored, and the channel serves load i + 2, store i, load i + 3, store i + 1. A job without cycles takes
its turn like every other. All constraints point backwards in that order, so nothing can deadlock, every start is a
maximum of sums, and no duration can grow while the latency falls; nor does a third or fourth buffer cost time, as it
changes no order. Serving whoever asks first was rejected: there a shorter transfer can overtake and make the whole
step slower.

Equal tiles come in runs. Inside a run the finish times repeat themselves sooner or later but for a constant (Baccelli
et al., Synchronization and Linearity, 1992, theorem 3.109); Brent's method finds the period and the rest of the run
is one multiplication. A run of 10^9 tiles costs what its first few do, and is exact to the cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit

LIMIT = 1 << 62
"""All durations of a step together stay below this, so that no sum leaves int64."""


class Tile(NamedTuple):
    """Cycles of one tile at each stage of `CHAIN`, integers from 0.

    `compute` is the larger of the array's cycles and of what its busiest on-chip port needs meanwhile: reads of this
    tile, and the writes of the fill that runs in its shadow.
    """

    load: int
    compute: int
    vector: int
    store: int


@dataclass(frozen=True, slots=True)
class Run:
    """`count` equal tiles one after another; `tile` has one duration a stage: a `Tile`, a tuple for other chains."""

    count: int
    tile: tuple[int, ...]


class Stage(NamedTuple):
    """One stage of a chain.

    Attributes:
        name: the stage called ``"compute"`` is the one whose stalls are told.
        resource: what it occupies; stages with the same resource wait for each other.
        buffers: slots for its results; 0 where it works in place, in the slots of an earlier stage.
        until: how many stages later the slot becomes free.
    """

    name: str
    resource: str
    buffers: int = 0
    until: int = 1


@dataclass(frozen=True)
class Chain:
    """The stages that every tile passes, in order.

    Raises:
        ArgumentError: no stage or two are called ``"compute"``, buffers below 0 or above 64, a slot that no later
            stage frees, or a boundary between two stages that no buffer bounds.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if [stage.name for stage in self.stages].count("compute") != 1:
            names = [stage.name for stage in self.stages]
            raise ArgumentError("must have one stage called compute", got=names, where="chain.stages")
        bounded = set[int]()
        for place, stage in enumerate(self.stages):
            where = f"chain.{stage.name}"
            if not 0 <= stage.buffers <= 64:
                raise ArgumentError("must lie in 0..64", got=stage.buffers, where=f"{where}.buffers")
            if stage.buffers:
                if not 1 <= stage.until < len(self.stages) - place:
                    raise ArgumentError("must lead to a later stage", got=stage.until, where=f"{where}.until")
                bounded |= set(range(place, place + stage.until))
        for place in set(range(len(self.stages) - 1)) - bounded:
            pair = self.stages[place].name, self.stages[place + 1].name
            raise ArgumentError("must have a buffer that bounds what lies between", got=pair, where="chain.stages")

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources, by first use."""
        return tuple(dict.fromkeys(stage.resource for stage in self.stages))

    @cached_property
    def core(self) -> int:
        """Place of the stage called ``"compute"``."""
        return [stage.name for stage in self.stages].index("compute")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """How many tiles each stage lags behind the first in the order in which resources serve."""
        found = [0]
        for place in range(1, len(self.stages)):
            spread = [
                found[earlier] + min(stage.buffers, 2) - 1
                for earlier, stage in enumerate(self.stages[:place])
                if stage.buffers and earlier + stage.until >= place
            ]
            found.append(min(found[-1] + 1, *spread))
        return tuple(found)

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """For the kernels: resource, buffers, freeing stage and offset of every stage, int64 ``[stages, 4]``."""
        return np.array(
            [
                (self.resources.index(stage.resource), stage.buffers, place + stage.until, offset)
                for place, (stage, offset) in enumerate(zip(self.stages, self.offsets, strict=True))
            ],
            dtype=np.int64,
        )

    @cached_property
    def depth(self) -> int:
        """For the kernels: finish times remembered of a stage: a power of two, from 2, no less than any buffers."""
        return 1 << max(1, (max(stage.buffers for stage in self.stages) - 1).bit_length())


def standard(operands: int = 2, results: int = 2) -> Chain:
    """Load, compute, vector, store with one channel for both transfers, and so many buffers for a tile of each.

    The vector unit works in place: a result buffer is free again when its tile is stored.
    """
    return Chain(
        (
            Stage("load", "channel", operands),
            Stage("compute", "array", results, until=2),
            Stage("vector", "vector"),
            Stage("store", "channel"),
        )
    )


CHAIN = standard()
"""Both buffers double."""


class Times(NamedTuple):
    """Cycles of a step; ``latency == first_load + compute + sum(stalls) + last_store``, `compute` the core's cycles.

    Attributes:
        latency: until the last tile is stored.
        first_load: until the first tile starts to compute.
        last_store: after the last tile is computed.
        busy: cycles of each resource.
        stalls: cycles that the core waits between its first and last tile: for ``"input"``, then for a free
            ``"output"`` slot, then for another stage on its ``"shared"`` resource.
    """

    latency: int
    first_load: int
    last_store: int
    busy: dict[str, int]
    stalls: dict[str, int]


def evenly(tiles: int, totals: Sequence[int]) -> list[Run]:
    """Runs of `tiles` tiles that share the cycles `totals` of each stage, the longer ones, by one cycle, first.

    No tile gets shorter where a total grows, so the latency cannot fall either.

    Raises:
        ArgumentError: fewer than one tile.
    """
    if tiles < 1:
        raise ArgumentError("must be at least 1", got=tiles, where="tiles")
    borders = sorted({0, tiles, *(total % tiles for total in totals)})
    return [
        Run(end - begin, tuple(total // tiles + (begin < total % tiles) for total in totals))
        for begin, end in pairwise(borders)
    ]


def latency(runs: Sequence[Run], chain: Chain = CHAIN) -> Times:
    """Times of a step whose tiles come in `runs`; exact for any count.

    Raises:
        ArgumentError: a count or duration that is no integer from 0, a tile with too few or many durations, or
            durations that add up to 2^62 cycles or more.
    """
    counts, durations, work = arrays(runs, chain)
    found = np.zeros(6, dtype=np.int64)
    recurrence(counts, durations, 0, len(counts), chain.table, chain.core, chain.depth, found)
    busy = dict.fromkeys(chain.resources, 0)
    for stage, cycles in zip(chain.stages, work, strict=True):
        busy[stage.resource] += cycles
    total, first, last, *stalls = map(int, found)
    return Times(total, first, last, busy, dict(zip(("input", "output", "shared"), stalls, strict=True)))


def arrays(runs: Sequence[Run], chain: Chain) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Counts int64 ``[runs]``, durations int64 ``[runs, stages]``, and cycles of each stage over all runs.

    Raises:
        ArgumentError: as `latency`.
    """
    for place, run in enumerate(runs):
        if len(run.tile) != len(chain.stages):
            rule = f"must have {len(chain.stages)} durations"
            raise ArgumentError(rule, got=tuple(run.tile), where=f"runs[{place}].tile")
    numbers = np.array([(run.count, *run.tile) for run in runs]).reshape(len(runs), 1 + len(chain.stages))
    if len(runs) and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        for place, run in enumerate(runs):
            for name, value in (("count", run.count), *(("tile", duration) for duration in run.tile)):
                if not isinstance(value, (int, np.integer)) or value < 0:
                    raise ArgumentError("must be an integer from 0", got=value, where=f"runs[{place}].{name}")
    tiles = np.maximum(numbers[:, 1:].astype(np.float64).sum(axis=1), 1)
    _bound(float((np.maximum(numbers[:, 0], 1) * tiles).sum()))
    counts, durations = numbers[:, 0].astype(np.int64), numbers[:, 1:].astype(np.int64)
    return counts, durations, (counts @ durations).tolist()


def _bound(cycles: float) -> None:
    if cycles >= LIMIT:
        raise ArgumentError("must be below 2^62", got=cycles, where="all durations together")


def latencies(
    counts: NDArray[np.int64], durations: NDArray[np.int64], bounds: NDArray[np.int64], chain: Chain = CHAIN
) -> NDArray[np.int64]:
    """Latencies of many steps at once, for searches.

    Args:
        counts: of every run of every step, int64 ``[runs]``.
        durations: cycles of a tile of every run at every stage, int64 ``[runs, stages]``.
        bounds: step j has the runs ``bounds[j]`` to ``bounds[j + 1] - 1``; int64 ``[steps + 1]``.
        chain: of every step.

    Returns:
        int64 ``[steps]``, what `latency` would say of each.

    Raises:
        ArgumentError: shapes that do not fit, negative values, or a step whose durations may reach 2^62 cycles.
    """
    if durations.shape != (len(counts), len(chain.stages)):
        raise ArgumentError(
            f"must have the shape ({len(counts)}, {len(chain.stages)})", got=durations.shape, where="durations"
        )
    if len(bounds) == 0 or bounds[0] < 0 or bounds[-1] > len(counts) or (np.diff(bounds) < 0).any():
        raise ArgumentError(f"must ascend within 0..{len(counts)}", got=bounds, where="bounds")
    if len(counts) and min(counts.min(), durations.min()) < 0:
        raise ArgumentError("must be integers from 0", got=int(min(counts.min(), durations.min())), where="runs")
    tiles = durations.astype(np.float64).sum(axis=1)
    work = np.concatenate(([0.0], np.cumsum(np.maximum(counts, 1) * np.maximum(tiles, 1))))
    if len(bounds) > 1:
        _bound(float((work[bounds[1:]] - work[bounds[:-1]]).max()))
    found = np.zeros(len(bounds) - 1, dtype=np.int64)
    _each(counts, durations, bounds, chain.table, chain.core, chain.depth, found)
    return found


@njit
def _each(
    counts: NDArray[np.int64],
    durations: NDArray[np.int64],
    bounds: NDArray[np.int64],
    table: NDArray[np.int64],
    core: int,
    depth: int,
    found: NDArray[np.int64],
) -> None:
    one = np.zeros(6, dtype=np.int64)
    for step in range(len(found)):
        recurrence(counts, durations, bounds[step], bounds[step + 1], table, core, depth, one)
        found[step] = one[0]


@njit
def recurrence(
    counts: NDArray[np.int64],
    durations: NDArray[np.int64],
    begin: int,
    end: int,
    table: NDArray[np.int64],
    core: int,
    depth: int,
    found: NDArray[np.int64],
) -> None:
    """The kernel, for other kernels too: `found` becomes latency, first load, last store and the three stalls.

    Nothing is checked here: the caller keeps the durations of the runs `begin` to `end` - 1 below `LIMIT` in sum.
    """
    stages, mask = len(table), depth - 1
    found[:] = 0
    total = 0
    for run in range(begin, end):
        total += counts[run]
    if total == 0:
        return
    lead = table[stages - 1, 3]
    ends = np.zeros((stages, depth), dtype=np.int64)  # finish times of the last tiles of each stage
    free = np.zeros(stages, dtype=np.int64)  # finish time of the last job of each resource
    run_of = np.full(stages, begin)
    left = np.full(stages, counts[begin])
    old_ends, old_free, old_found = np.zeros_like(ends), np.zeros_like(free), np.zeros_like(found)
    mark, marked_run, span = 0, -1, 0
    slot = 0
    while slot < total + lead:
        for stage in range(stages):
            tile = slot - table[stage, 3]
            if tile < 0 or tile >= total:
                continue
            while left[stage] == 0:
                run_of[stage] += 1
                left[stage] = counts[run_of[stage]]
            left[stage] -= 1
            ready = ends[stage - 1, tile & mask] if stage > 0 else 0
            space = ends[table[stage, 2], (tile - table[stage, 1]) & mask] if table[stage, 1] > 0 else 0
            start = max(max(ready, space), free[table[stage, 0]])
            if stage == core:
                if tile == 0:
                    found[1] = start
                else:
                    before = ends[stage, (tile - 1) & mask]
                    fed = max(before, ready)
                    room = max(fed, space)
                    found[3] += fed - before
                    found[4] += room - fed
                    found[5] += start - room
            finish = start + durations[run_of[stage], stage]
            ends[stage, tile & mask] = finish
            free[table[stage, 0]] = finish
        slot += 1
        if slot <= lead or run_of[0] != run_of[stages - 1] or left[0] < depth:
            continue
        if marked_run == run_of[0] and (slot - mark) & mask == 0:
            shift = free[0] - old_free[0]
            if _shifted(ends, free, old_ends, old_free, table, shift):
                period = slot - mark
                times = left[0] // period
                ends += times * shift
                free += times * shift
                found += times * (found - old_found)
                left -= times * period
                slot += times * period
                continue
        if marked_run != run_of[0] or slot - mark == span:
            span = depth if marked_run != run_of[0] else 2 * span
            mark, marked_run = slot, run_of[0]
            old_ends[:] = ends
            old_free[:] = free
            old_found[:] = found
    found[0] = ends[stages - 1, (total - 1) & mask]
    found[2] = found[0] - ends[core, (total - 1) & mask]


@njit
def _shifted(
    ends: NDArray[np.int64],
    free: NDArray[np.int64],
    old_ends: NDArray[np.int64],
    old_free: NDArray[np.int64],
    table: NDArray[np.int64],
    shift: int,
) -> bool:
    """Whether all finish times are the old ones, `shift` cycles later."""
    for stage in range(len(ends)):
        if free[table[stage, 0]] - old_free[table[stage, 0]] != shift:
            return False
        for place in range(ends.shape[1]):
            if ends[stage, place] - old_ends[stage, place] != shift:
                return False
    return True
