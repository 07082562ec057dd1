"""The Pareto front of a stream of designs, exact at every moment, in memory of the size of the front.

A design leaves for good as soon as another is at least as good in everything: dominance passes on, so that what
dominated it will dominate, or be dominated by, whatever comes. Of designs that are equal in every objective the one
of the lowest number stays, so that the front does not depend on the order of the stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


class RunningFront:
    """The front of everything that was added.

    Attributes:
        costs: float64 ``[members, objectives]``, smaller is better, by rising cost of the first objective.
        numbers: int64 ``[members]``.
    """

    def __init__(self, objectives: int) -> None:
        self.costs = np.empty((0, objectives))
        self.numbers = np.empty(0, np.int64)

    def add(self, costs: NDArray[np.float64], numbers: NDArray[np.int64]) -> None:
        """Add designs.

        Args:
            costs: float64 ``[designs, objectives]``, no NaN.
            numbers: int64 ``[designs]``, no two equal in the whole stream.
        """
        left = ~beaten(np.ascontiguousarray(costs), numbers, self.costs, self.numbers)
        costs = np.concatenate((self.costs, costs[left]))
        numbers = np.concatenate((self.numbers, numbers[left]))
        order = np.lexsort((numbers, *costs.T[::-1]))
        costs, numbers = costs[order], numbers[order]
        kept = _first_ones(costs)
        self.costs, self.numbers = costs[kept], numbers[kept]


@njit
def beaten(
    costs: NDArray[np.float64],
    numbers: NDArray[np.int64],
    others: NDArray[np.float64],
    their_numbers: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether some other design is as good as each in every objective and better in one, or equal with a lower
    number; ``[designs]``."""
    found = np.zeros(len(costs), np.bool_)
    last = 0
    for row in range(len(costs)):
        for turn in range(-1, len(others)):
            other = last if turn < 0 else turn  # what beat the one before often beats this one
            if other >= len(others):
                continue
            is_beaten, is_equal = True, True
            for column in range(costs.shape[1]):
                if others[other, column] > costs[row, column]:
                    is_beaten = False
                    break
                is_equal &= others[other, column] == costs[row, column]
            if is_beaten and (not is_equal or their_numbers[other] < numbers[row]):
                found[row] = True
                last = other
                break
    return found


@njit
def _first_ones(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows that no row before them equals or beats: of rows in lexicographic order, the front."""
    kept = np.zeros(len(costs), np.bool_)
    members = np.empty(len(costs), np.int64)
    count, last = 0, 0
    for row in range(len(costs)):
        is_beaten = False
        for turn in range(-1, count):
            other = members[last if turn < 0 else turn]
            if count == 0:
                break
            is_beaten = True
            for column in range(1, costs.shape[1]):
                if costs[other, column] > costs[row, column]:
                    is_beaten = False
                    break
            if is_beaten:
                last = last if turn < 0 else turn
                break
        if not is_beaten:
            kept[row] = True
            members[count] = row
            count += 1
    return kept
