"""Pipeline parallelism: stages that pass micro-batches on; closed form, recurrence, SimPy.

``1f1b`` starts as few micro-batches as keep the pipeline full and then alternates forward and backward; ``gpipe``
does all forwards first. Both take ``(m + p - 1) (f + b)`` where stages are equal; 1F1B holds fewer activations.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, UnknownName
from hwsim.jit import njit

Schedule = Literal["1f1b", "gpipe"]


def equal_stages(stages: int, batches: int, forward: float, backward: float) -> float:
    """Time of a step where all stages are equal and passing on takes none."""
    return (batches + stages - 1) * (forward + backward)


def bubble(stages: int, batches: int, chunks: int = 1) -> float:
    """Idle time over ideal time, of equal stages that are cut into `chunks` interleaved ones."""
    return (stages - 1) / (batches * chunks)


def held(stage: int, stages: int, batches: int) -> int:
    """Micro-batches whose activations stage `stage`, counted from 0, holds at most in 1F1B."""
    return min(batches, stages - stage)


def order(schedule: Schedule, stage: int, stages: int, batches: int) -> NDArray[np.int64]:
    """Jobs of a stage in order: micro-batch k forward as k, backward as -k - 1.

    Raises:
        UnknownName: another schedule.
    """
    if schedule == "gpipe":
        ahead = batches
    elif schedule == "1f1b":
        ahead = held(stage, stages, batches)
    else:
        raise UnknownName("schedule", schedule, ("1f1b", "gpipe"))
    jobs = list(range(ahead))
    for done in range(batches):
        jobs.append(-done - 1)
        if ahead + done < batches:
            jobs.append(ahead + done)
    return np.array(jobs, dtype=np.int64)


def pipeline_ns(
    forward: NDArray[np.int64], backward: NDArray[np.int64], batches: int, passing: int = 0,
    schedule: Schedule = "1f1b",
) -> int:  # fmt: skip
    """Nanoseconds of a training step.

    Args:
        forward, backward: of a micro-batch in each stage, ns, ``[stages]``.
        batches: micro-batches.
        passing: from a stage to its neighbour, ns; it keeps no stage busy.
        schedule: of the jobs.

    Raises:
        ArgumentError: stages of both directions differ in number, or a time is negative.
    """
    jobs = _jobs(forward, backward, batches, passing, schedule)
    return int(_run(jobs, np.asarray(forward, np.int64), np.asarray(backward, np.int64), batches, passing))


def _jobs(forward: Any, backward: Any, batches: int, passing: int, schedule: Schedule) -> NDArray[np.int64]:
    stages = len(forward)
    if stages != len(backward) or not stages or batches < 1 or min(*forward, *backward, passing) < 0:
        raise ArgumentError(
            "must have a time of each stage in both directions, at least 0, and a micro-batch",
            got=(stages, len(backward), batches),
            where="pipeline",
        )
    return np.array([order(schedule, stage, stages, batches) for stage in range(stages)])


@njit
def _run(
    jobs: NDArray[np.int64], forward: NDArray[np.int64], backward: NDArray[np.int64], batches: int, passing: int
) -> int:
    stages = len(jobs)
    ends = np.full((2, stages, batches), -1, dtype=np.int64)
    free = np.zeros(stages, dtype=np.int64)
    at = np.zeros(stages, dtype=np.int64)
    left = jobs.size
    while left:
        for stage in range(stages):
            while at[stage] < 2 * batches:
                job = jobs[stage, at[stage]]
                ready = np.int64(0)
                if job >= 0 and stage > 0:
                    ready = ends[0, stage - 1, job]
                elif job < 0 and stage < stages - 1:
                    ready = ends[1, stage + 1, -job - 1]
                if ready < 0:
                    break
                if (job >= 0 and stage > 0) or (job < 0 and stage < stages - 1):
                    ready += passing
                took = forward[stage] if job >= 0 else backward[stage]
                free[stage] = max(free[stage], ready) + took
                if job >= 0:
                    ends[0, stage, job] = free[stage]
                else:
                    ends[1, stage, -job - 1] = free[stage]
                at[stage] += 1
                left -= 1
    return int(free.max())


def simulate_pipeline(
    forward: NDArray[np.int64], backward: NDArray[np.int64], batches: int, passing: int = 0,
    schedule: Schedule = "1f1b",
) -> int:  # fmt: skip
    """`pipeline_ns` in SimPy: a process a stage, an event a micro-batch and direction."""
    import simpy

    jobs = _jobs(forward, backward, batches, passing, schedule)
    stages = len(jobs)
    env = simpy.Environment()
    arrived = [[[env.event() for _ in range(batches)] for _ in range(stages)] for _ in range(2)]
    finished = [0]
    for batch in range(batches):
        arrived[0][0][batch].succeed()

    def passed_on(event: Any) -> Generator[Any, None, None]:
        yield env.timeout(passing)
        event.succeed()

    def stage(number: int) -> Generator[Any, None, None]:
        for job in jobs[number].tolist():
            back, batch = int(job < 0), (job if job >= 0 else -job - 1)
            if not back or number < stages - 1:
                yield arrived[back][number][batch]
            yield env.timeout(int((backward if back else forward)[number]))
            target = number - 1 if back else number + 1
            if 0 <= target < stages:
                env.process(passed_on(arrived[back][target][batch]))
            finished[0] = max(finished[0], int(env.now))

    for number in range(stages):
        env.process(stage(number))
    env.run()
    return int(finished[0])
