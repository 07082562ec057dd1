"""The Pareto front: designs that no other design beats in every objective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the non-dominated rows of `costs`.

    Args:
        costs: float64 ``[points, objectives]``, smaller is better. A row with NaN is never on the front.

    Returns:
        bool ``[points]``. Of rows that are equal, the first one is kept.
    """
    points = len(costs)
    kept = np.logical_not(np.isnan(costs).any(axis=1))
    order = np.lexsort(costs.T[::-1])  # a row can only be dominated by one before it
    chosen = np.zeros(points, np.bool_)
    best = np.empty((0, costs.shape[1]))
    for index in order:
        if not kept[index]:
            continue
        row = costs[index]
        if not (best <= row).all(axis=1).any():  # equal rows count as dominated: the first stays
            best = np.vstack([best, row])
            chosen[index] = True
    return chosen


def knee(costs: NDArray[np.float64]) -> int:
    """Index of the row nearest to the ideal point after scaling each objective's logarithm to 0..1.

    Args:
        costs: float64 ``[points, objectives]``, positive, smaller is better; at least one row.
    """
    logs = np.log(costs)
    low, high = logs.min(axis=0), logs.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return int(np.argmin((((logs - low) / spread) ** 2).sum(axis=1)))
