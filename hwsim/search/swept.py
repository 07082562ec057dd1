"""What a span of a sweep came to, on its way from the process that priced it to the one that keeps the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = tuple[
    NDArray[np.int64], dict[str, NDArray[np.int16]], NDArray[np.int8], Mapping[str, NDArray[np.float64]]
]  # fmt: skip


@dataclass(slots=True)
class Kept:
    """Rows of the table that another process will write."""

    rows: list[Rows] = field(default_factory=list)

    def append(
        self,
        numbers: NDArray[np.int64],
        places: dict[str, NDArray[np.int16]],
        status: NDArray[np.int8],
        values: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """As of `PartWriter`."""
        self.rows.append((numbers, places, status, values))


@dataclass(frozen=True, slots=True)
class Swept:
    """What a span came to: its front, the values of that by number, counts as of `Sweeper`, and the rows of the table
    where one is written, as `PartWriter.append` takes them."""

    costs: NDArray[np.float64]
    numbers: NDArray[np.int64]
    values: dict[int, dict[str, float]]
    counts: dict[int, int]
    plans: frozenset[str]
    feasible: int
    rows: tuple[Rows, ...]
