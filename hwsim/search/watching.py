"""Who watches a search that runs: the study so far, handed over now and then, and left in its folder.

Decides that watching costs at most a twentieth of the search: a study so far is made when `LEAST_S` have passed, and
twenty times what the last one took. A search that draws logs every design; one that sweeps keeps its front in memory,
so it leaves that here, in a file that its end removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.search.points import PointLog

if TYPE_CHECKING:
    from hwsim.search.study import Study

Progress = Callable[[int, int, str], None]
"""Called with (designs done, designs in all, what is under way)."""

Watch = Callable[["Study"], None]
"""Called with an unfinished study: what is known so far, its front among it."""

SO_FAR = "front.jsonl"
"""The front so far of a sweep under way, as lines of a log; gone when the sweep is through."""

LEAST_S = 1.0
"""Least time between two studies so far."""

SHARE = 20
"""A study so far is made again when this many times what the last one took have passed."""


def watched(
    progress: Progress, so_far: Callable[[], Study], *watches: Watch, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """The progress that also hands the study so far to who watches, not too often.

    Args:
        progress: called each time.
        so_far: makes the study of this moment.
        watches: who gets it; without any, nothing is made.
        clock: seconds, rising.
    """
    if not watches:
        return progress
    due = clock()

    def advance(done: int, total: int, note: str) -> None:
        nonlocal due
        progress(done, total, note)
        if (began := clock()) < due:
            return
        study = so_far()
        for watch in watches:
            watch(study)
        due = clock() + max(LEAST_S, SHARE * (clock() - began))

    return advance


def left_in(folder: Path) -> Watch:
    """Who watches by writing the front so far into the study's folder, where it is read as the study's points."""

    def leave(study: Study) -> None:
        PointLog(folder, SO_FAR).rewrite(study.points)

    return leave
