"""Compiled reading of ternary keys; `hwsim.datapaths.ternary.keys` defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit
def expand_rows(start: int, stop: int, keys: NDArray[Any], table: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """out ``[N, K]`` = the weights ``table[keys]`` ``[N, groups, group]`` in a row, cut at K."""
    group = table.shape[1]
    k = out.shape[1]
    whole = k // group
    for n in range(start, stop):
        row = out[n]
        for g in range(whole):
            for i in range(group):
                row[g * group + i] = table[keys[n, g], i]
        for place in range(whole * group, k):
            row[place] = table[keys[n, whole], place - whole * group]
