"""Hypervolume: how much of a box of costs a set of designs dominates, and what one more design adds.

Decides the box: each objective from its best to its worst value in a set of designs, by logarithm where all are
positive, so that halving an energy counts alike everywhere; 1 is the whole box. A design at an edge of the box adds
nothing in that direction. Exact, by the limited set of While and others (WFG, IEEE Trans. Evol. Comput. 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.search.pareto import front

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds of each objective's cost, and whether its logarithm is taken.

    Attributes:
        low: best cost, by objective.
        high: worst cost, by objective.
        log: whether the objective is scaled by logarithm.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    log: tuple[bool, ...]

    def scaled(self, costs: Floats) -> Floats:
        """Costs ``[..., objectives]`` as parts of the box: 0 at its best, 1 at its worst, clipped to 0..1."""
        log = np.array(self.log)
        low, high = np.array(self.low), np.array(self.high)
        at = np.where(log, np.log(np.where(log, np.maximum(costs, np.finfo(float).tiny), 1.0)), costs)
        start = np.where(log, np.log(np.where(log, low, 1.0)), low)
        end = np.where(log, np.log(np.where(log, high, 1.0)), high)
        found: Floats = np.clip((at - start) / (end - start), 0.0, 1.0)
        return found


def box_of(costs: Floats) -> Box:
    """The box that holds all of `costs`, float64 ``[designs, objectives]``; an objective without spread gets one.

    Raises:
        ArgumentError: no design, or a cost that is no finite number.
    """
    if not len(costs) or not np.isfinite(costs).all():
        raise ArgumentError("a box needs designs with finite costs", got=f"{len(costs)} designs", where="box_of")
    low, high = costs.min(axis=0), costs.max(axis=0)
    high = np.where(high > low, high, low + np.maximum(np.abs(low), 1.0))
    return Box(tuple(low.tolist()), tuple(high.tolist()), tuple((low > 0).tolist()))


def hypervolume(scaled: Floats) -> float:
    """Part of the unit box that the rows of `scaled`, ``[designs, objectives]`` in 0..1, dominate."""
    if not len(scaled):
        return 0.0
    kept = scaled[front(scaled)]
    kept = kept[np.argsort(-kept[:, 0], kind="stable")]
    return float(sum(_exclusive(row, kept[place + 1 :]) for place, row in enumerate(kept)))


def added(scaled: Floats, row: Floats) -> float:
    """What `row`, ``[objectives]``, adds to the hypervolume of `scaled`, ``[designs, objectives]``."""
    return float(_exclusive(row, scaled[front(scaled)] if len(scaled) else scaled))


def _exclusive(row: Floats, others: Floats) -> float:
    own = float(np.prod(1.0 - row))
    if not own or not len(others):
        return own
    if row.shape[0] == 1:
        return max(0.0, float(others.min() - row[0]))
    return own - hypervolume(np.maximum(others, row))
