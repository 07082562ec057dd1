"""A ring all-reduce chip by chip, over links that need not be equal: a recurrence, and SimPy.

In step s chip i sends one part to chip i + 1. It can when it has sent its part of step s - 1 and has what chip i - 1
sent then. Times are whole nanoseconds, so that both forms are equal to the last one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit


def ring_ns(times: NDArray[np.int64], steps: int | None = None) -> int:
    """Nanoseconds until the last part has arrived.

    Args:
        times: of a part over each chip's link to the next, ns, ``[chips]``.
        steps: parts that each chip sends; ``2 (chips - 1)`` of an all-reduce without it.

    Raises:
        ArgumentError: no chip or a negative time.
    """
    links = _checked(times)
    return int(_ring(links, 2 * (len(links) - 1) if steps is None else steps))


def _checked(times: NDArray[np.int64]) -> NDArray[np.int64]:
    links = np.asarray(times, dtype=np.int64)
    if not len(links) or links.min() < 0:
        raise ArgumentError("must be a time for each chip, at least 0", got=times, where="ring.times")
    return links


@njit
def _ring(times: NDArray[np.int64], steps: int) -> int:
    chips = len(times)
    ends, before = np.zeros(chips, dtype=np.int64), np.zeros(chips, dtype=np.int64)
    for _ in range(steps):
        before[:] = ends
        for chip in range(chips):
            ends[chip] = max(before[chip], before[chip - 1]) + times[chip]
    return int(ends.max())


def simulate_ring(times: NDArray[np.int64], steps: int | None = None) -> int:
    """`ring_ns` in SimPy: a process a chip, a mailbox between neighbours."""
    import simpy

    links = _checked(times)
    chips = len(links)
    count = 2 * (chips - 1) if steps is None else steps
    env = simpy.Environment()
    mail = [simpy.Store(env) for _ in range(chips)]

    def chip(number: int) -> Generator[Any, None, None]:
        for step in range(count):
            if step:
                yield mail[number].get()
            yield env.timeout(int(links[number]))
            yield mail[(number + 1) % chips].put(step)

    for number in range(chips):
        env.process(chip(number))
    env.run()
    return int(env.now)
