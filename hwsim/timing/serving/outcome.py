"""What serving gave: when each request started, had its first token and its last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.timing.serving.requests import NS, Requests


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A run from an empty engine to an empty engine.

    Attributes:
        requests: what was asked.
        scheduled_ns, first_ns, last_ns: when each was first admitted, had its first and its last token, int64.
        preemptions: how often each had to give way.
        steps: of the engine.
        busy_ns: sum of their times.
        most_blocks: of the cache at once.
        sequences, tokens, rows: sums over the steps: requests in a step, new tokens, rows of the cache that are read.
        blocks_left: still held at the end, 0.
    """

    requests: Requests
    scheduled_ns: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    preemptions: NDArray[np.int64]
    steps: int
    busy_ns: int
    most_blocks: int
    sequences: int
    tokens: int
    rows: int
    blocks_left: int

    @property
    def ttft_s(self) -> NDArray[np.float64]:
        """Seconds from arrival to the end of the step that makes the first token."""
        return (self.first_ns - self.requests.arrival_ns) / NS

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Seconds from arrival to the last token."""
        return (self.last_ns - self.requests.arrival_ns) / NS

    @property
    def tpot_s(self) -> NDArray[np.float64]:
        """Seconds a token behind the first one, of the requests that have more than one."""
        more = self.requests.answer > 1
        return (self.last_ns - self.first_ns)[more] / NS / (self.requests.answer[more] - 1)

    @property
    def wait_s(self) -> NDArray[np.float64]:
        """Seconds from arrival to the first admission."""
        return (self.scheduled_ns - self.requests.arrival_ns) / NS

    @property
    def makespan_s(self) -> float:
        """Seconds from time 0 to the last token."""
        return float(self.last_ns.max() / NS)

    @property
    def tokens_s(self) -> float:
        """Tokens of answers a second."""
        return float(self.requests.answer.sum() / self.makespan_s)

    @property
    def mean_batch(self) -> float:
        """Requests in a step, in the mean over steps."""
        return self.sequences / self.steps

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Mean, median, 90th and 99th percentile of the three times, seconds."""
        found = {}
        for name, values in (("ttft_s", self.ttft_s), ("tpot_s", self.tpot_s), ("latency_s", self.latency_s)):
            if len(values):
                marks = np.percentile(values, (50, 90, 99))
                found[name] = {"mean": float(values.mean())} | {
                    f"p{mark}": float(value) for mark, value in zip((50, 90, 99), marks, strict=True)
                }
        return found

    def attainment(self, ttft_s: float = np.inf, tpot_s: float = np.inf) -> float:
        """Part of the requests that keep both limits; one of a single token keeps that of the others."""
        kept = self.ttft_s <= ttft_s
        more = self.requests.answer > 1
        kept[more] &= self.tpot_s <= tpot_s
        return float(kept.mean())
