"""DropCompute: workers that stop at a threshold, so that the slowest one does not hold up all others.

A worker computes M micro-batches and then takes part in an all-reduce. What happens at the threshold has three
meanings, which differ by up to one micro-batch: `preempt` stops at once and loses what runs (the paper's text);
`finish` looks at the clock between micro-batches, so that what runs is finished and counts (the published training
code); `before` does not start what would end at the threshold or later (the published choice of the threshold, which
looks at recorded times). Source: Giladi et al., arXiv 2306.10598, and its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, sqrt
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UnknownName

Meaning = Literal["preempt", "finish", "before"]
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)
EULER_GAMMA = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a threshold does, in the mean over steps.

    Attributes:
        threshold_s: seconds of computing in a step.
        kept: part of the micro-batches that count.
        compute_s: until the last worker stops.
        speed_up: micro-batches a second, over those without a threshold.
    """

    threshold_s: float
    kept: float
    compute_s: float
    speed_up: float


def simulate(times: NDArray[np.float64], threshold_s: float, overhead_s: float, meaning: Meaning) -> Dropped:
    """Apply a threshold to recorded or drawn times.

    Args:
        times: seconds of each micro-batch, ``[steps, workers, micro-batches]``.
        threshold_s: of the sum.
        overhead_s: what a step adds to the slowest worker: the all-reduce, the update.
        meaning: of the threshold.

    Raises:
        UnknownName: another meaning.
    """
    ends = np.cumsum(times, axis=2)
    whole = ends[..., -1]
    done = counted(times, threshold_s, meaning)
    stops = np.minimum(whole, threshold_s) if meaning == "preempt" else np.where(done, ends, 0.0).max(axis=2)
    kept, compute = float(done.mean()), float(stops.max(axis=1).mean())
    plain = float(whole.max(axis=1).mean())
    return Dropped(threshold_s, kept, compute, kept * (plain + overhead_s) / (compute + overhead_s))


def counted(times: NDArray[np.float64], threshold_s: float, meaning: Meaning) -> NDArray[np.bool_]:
    """Which micro-batches count, ``[steps, workers, micro-batches]``.

    Raises:
        UnknownName: another meaning.
    """
    ends = np.cumsum(times, axis=2)
    if meaning == "preempt":
        done = ends <= threshold_s
    elif meaning == "finish":
        done = ends - times < threshold_s
    elif meaning == "before":
        done = ends < threshold_s
    else:
        raise UnknownName("meaning", meaning, MEANINGS)
    return np.asarray(done)


def best(times: NDArray[np.float64], overhead_s: float, meaning: Meaning, thresholds: int = 200) -> Dropped:
    """The threshold of most micro-batches a second, of `thresholds` between half of the fastest step and the slowest
    one; the largest one is no threshold, so that the speed-up is at least 1."""
    whole = times.sum(axis=2)
    tries = np.linspace(0.5 * whole.min(), whole.max() * (1 + 1e-12) + 1e-30, thresholds)
    found = [simulate(times, float(one), overhead_s, meaning) for one in tries]
    return max(found, key=lambda one: one.speed_up)


def expected_slowest(workers: int, batches: int, mean_s: float, spread_s: float) -> float:
    """Mean seconds of the slowest worker, of sums that are nearly normal: the mean of an extreme value law."""
    if workers == 1:
        return batches * mean_s
    law = NormalDist()
    extreme = (1 - EULER_GAMMA) * law.inv_cdf(1 - 1 / workers) + EULER_GAMMA * law.inv_cdf(1 - 1 / (e * workers))
    return batches * mean_s + spread_s * sqrt(batches) * extreme


def expected(
    workers: int, batches: int, mean_s: float, spread_s: float, threshold_s: float, overhead_s: float
) -> Dropped:
    """`simulate` in closed form, for the meaning `preempt` and times of a mean and a spread."""
    law = NormalDist()
    counts = np.arange(1, batches + 1)
    kept = sum(law.cdf((threshold_s - m * mean_s) / (spread_s * sqrt(m))) for m in counts) / batches
    plain = expected_slowest(workers, batches, mean_s, spread_s)
    compute = min(threshold_s, plain)
    return Dropped(threshold_s, kept, compute, kept * (plain + overhead_s) / (compute + overhead_s))


def best_expected(workers: int, batches: int, mean_s: float, spread_s: float, overhead_s: float) -> Dropped:
    """The best of `expected` over 400 thresholds up to the mean of the slowest worker."""
    most = expected_slowest(workers, batches, mean_s, spread_s)
    tries = np.linspace(0.5 * batches * mean_s, most, 400)
    found = [expected(workers, batches, mean_s, spread_s, float(one), overhead_s) for one in tries]
    return max(found, key=lambda one: one.speed_up)
