"""Successive refinement: many candidates measured cheaply, fewer dearly, and how far the cheap measure was right.

A stage measures what the stage before kept, and keeps a part of it: whole fronts of its measure and of what is known
exactly (energy, area), the best first, so that a cheap arithmetic is not dropped for one that is only more accurate.
Of the front that is cut, candidates evenly spaced by the measure stay. What a stage measured is shown beside the next
one's: rank correlations say what keeping by it was worth. Only the last stage's values are results.

Rejected: keeping by the measure alone, which keeps the accurate end of every front and loses the cheap one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.search.pareto import front

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to measure.

    Attributes:
        name: how reports call it.
        measure: of a candidate by its number; smaller is better, NaN where it has none.
        share: part of those measured that the next stage measures again.
    """

    name: str
    measure: Callable[[int], float]
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ArgumentError("share must be a part above zero", got=self.share, where=f"stage {self.name}")


@dataclass(frozen=True, slots=True)
class Round:
    """What a stage did.

    Attributes:
        name: of the stage.
        measured: numbers of the candidates, int64, ascending.
        values: of these, float64.
        kept: those that the next stage measures.
        spearman, kendall: rank correlation with the stage before, on what both measured; NaN for the first stage.
    """

    name: str
    measured: Integers
    values: Floats
    kept: Integers
    spearman: float
    kendall: float


def refine(stages: Sequence[Stage], exact: Floats) -> tuple[Round, ...]:
    """Measure candidates stage by stage.

    Args:
        stages: from cheap to dear.
        exact: what is known of each candidate anyway, float64 ``[candidates, measures]``, smaller is better.

    Returns:
        A round a stage; the last one's ``kept`` are all that it measured and that have a value.
    """
    rounds: list[Round] = []
    left = np.arange(len(exact))
    for place, stage in enumerate(stages):
        values = np.array([stage.measure(int(one)) for one in left], np.float64)
        known = ~np.isnan(values)
        agreement = (np.nan, np.nan)
        if rounds:
            before = rounds[-1].values[np.isin(rounds[-1].measured, left)]
            agreement = spearman(before[known], values[known]), kendall(before[known], values[known])
        count = int(known.sum())
        wanted = count if place == len(stages) - 1 else min(count, max(1, round(stage.share * count)))
        costs = np.column_stack([values[known], exact[left][known]])
        kept = left[known][_best(costs, wanted)]
        rounds.append(Round(stage.name, left, values, kept, *agreement))
        left = kept
    return tuple(rounds)


def layers(costs: Floats) -> Integers:
    """How many fronts lie before each row's own: 0 for the front of all rows, 1 for that of the rest, and so on.

    Args:
        costs: float64 ``[rows, measures]`` without NaN, smaller is better. Of equal rows the first lies before the
            others.
    """
    found = np.zeros(len(costs), np.int64)
    left = np.arange(len(costs))
    number = 0
    while len(left):
        best = front(costs[left])
        found[left[best]] = number
        left, number = left[~best], number + 1
    return found


def _best(costs: Floats, count: int) -> Integers:
    """Places of `count` rows, ascending: whole layers, and of the next one an even choice by the first measure."""
    number = layers(costs)
    chosen: list[int] = []
    for layer in range(int(number.max(initial=0)) + 1):
        own = np.flatnonzero(number == layer)
        room = count - len(chosen)
        if len(own) > room:
            own = own[np.argsort(costs[own, 0], kind="stable")]
            own = own[np.unique(np.linspace(0, len(own) - 1, room).round().astype(int))]
        chosen += own.tolist()
        if len(chosen) >= count:
            break
    return np.array(sorted(chosen), np.int64)


def ranks(values: ArrayLike) -> Floats:
    """Places in ascending order from 1; equal values share the mean of theirs."""
    array = np.asarray(values, np.float64)
    _, place, count = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Floats = (last - (count - 1) / 2)[place]
    return mean


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rho: the correlation of `ranks`; NaN for fewer than two pairs, or where either is constant."""
    a, b = ranks(one), ranks(other)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))


def kendall(one: ArrayLike, other: ArrayLike) -> float:
    """Kendall's tau-b: concordant less discordant pairs, by the pairs that are tied in neither; NaN as `spearman`."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    upper = np.triu_indices(len(a), 1)
    x, y = np.sign(a[:, None] - a)[upper], np.sign(b[:, None] - b)[upper]
    scale = np.sqrt(float((x != 0).sum()) * float((y != 0).sum()))
    return float((x * y).sum() / scale) if scale else float("nan")
