"""The machine of `hwsim.timing.schedule` in two forms that are slow and easy to check.

`plain` is the recurrence, written once a tile. `simulate` is a SimPy model that knows no recurrence: every resource
(DMA channel, port, bus, array, vector unit) is a process that works through its program, takes a tile that has
arrived and a free slot, is busy, and hands both on; back-pressure is what happens when slots run out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from hwsim.timing.schedule import CHAIN, Chain, Run, arrays


def plain(runs: Sequence[Run], chain: Chain = CHAIN) -> list[list[int]]:
    """Finish times of every tile at every stage, ``[tiles][stages]``, by the recurrence as it stands in words.

    Raises:
        ArgumentError: as `hwsim.timing.schedule.latency`.
    """
    arrays(runs, chain)
    tiles = [run.tile for run in runs for _ in range(run.count)]
    ends = [[0] * len(chain.stages) for _ in tiles]
    free = dict.fromkeys(chain.resources, 0)
    for tile, place in program(chain, len(tiles)):
        stage = chain.stages[place]
        start = free[stage.resource]
        if place:
            start = max(start, ends[tile][place - 1])
        if stage.buffers and tile >= stage.buffers:
            start = max(start, ends[tile - stage.buffers][place + stage.until])
        ends[tile][place] = free[stage.resource] = start + tiles[tile][place]
    return ends


def program(chain: Chain, tiles: int, resource: str | None = None) -> Iterator[tuple[int, int]]:
    """Jobs as (tile, place of the stage) in the order in which they are served: all, or those of one `resource`."""
    for slot in range(tiles + chain.offsets[-1]):
        for place, stage in enumerate(chain.stages):
            tile = slot - chain.offsets[place]
            if 0 <= tile < tiles and resource in (None, stage.resource):
                yield tile, place


def simulate(runs: Sequence[Run], chain: Chain = CHAIN) -> tuple[int, int]:
    """Latency in cycles and number of SimPy events of the same machine.

    Raises:
        ArgumentError: as `hwsim.timing.schedule.latency`.
    """
    import simpy

    arrays(runs, chain)
    tiles = [run.tile for run in runs for _ in range(run.count)]
    env = simpy.Environment()
    arrived = [simpy.Container(env) for _ in chain.stages]  # tiles that wait in front of each stage
    slots = [simpy.Container(env, init=stage.buffers) if stage.buffers else None for stage in chain.stages]
    if tiles:
        arrived[0].put(len(tiles))

    def serve(resource: str) -> Generator[simpy.Event, Any, None]:
        for tile, place in program(chain, len(tiles), resource):
            yield arrived[place].get(1)
            space = slots[place]
            if space is not None:
                yield space.get(1)
            yield env.timeout(tiles[tile][place])
            if place + 1 < len(chain.stages):
                arrived[place + 1].put(1)
            for earlier, stage in enumerate(chain.stages):
                freed = slots[earlier]
                if freed is not None and earlier + stage.until == place:
                    freed.put(1)

    for resource in chain.resources:
        env.process(serve(resource))
    events = 0
    while env.peek() != float("inf"):
        env.step()
        events += 1
    return int(env.now), events
