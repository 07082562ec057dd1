"""How often a sum that was drawn with its errors lies below another, pair by pair.

Apart from `hwsim.search.comparison`, as the code of a kernel is found by what its module imports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit
def less(
    start: int,
    stop: int,
    ones: NDArray[np.float64],
    others: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    found: NDArray[np.float64],
) -> None:
    """How likely each of rows start..stop of `ones` is less than each of `others`, where it is wanted.

    Args:
        start, stop: rows of `ones` and `found`.
        ones, others: draws of each sum, float64 ``[sums, draws]``; equal draws count half.
        wanted: pairs, bool ``[ones, others]``.
        found: float64 of that shape, which receives them.
    """
    count = ones.shape[1]
    for row in range(start, stop):
        for column in range(len(others)):
            if not wanted[row, column]:
                continue
            less, near = 0, 0
            for at in range(count):
                apart = others[column, at] - ones[row, at]
                is_near = abs(apart) <= 1e-12 * ones[row, at]  # sums of equal parts differ in their last bits
                near += is_near
                less += (apart > 0) & (not is_near)
            found[row, column] = less / count + near / count / 2
