"""What designs of a space are judged by, for columns of them: the accuracy, the objectives, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwsim.evaluation import Metric
from hwsim.evaluation.machine_columns import OK, Columns
from hwsim.evaluation.objectives import MEASURES, measure
from hwsim.search.space import DesignSpace

STORED = ("energy_uj", "area_mm2", "latency_ms", "dram_mbit")
"""Columns of a table beside the accuracy, the objectives and the limits."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The measures of a space.

    Attributes:
        space: whose limits hold.
        metric: of its model, which stands for the accuracy.
        goals: ``"min"`` or ``"max"`` by the column of each objective.
    """

    space: DesignSpace
    metric: Metric
    goals: Mapping[str, str]

    @property
    def read(self) -> list[str]:
        """Columns that `judged` reads."""
        return [*dict.fromkeys((*self.goals, *map(self._column, self._limited)))]

    @property
    def kept(self) -> list[str]:
        """Columns of a table, the accuracy first."""
        return [self.metric.name, *(measure(name).column for name in self._wanted)]

    def judged(
        self, status: NDArray[np.int8], values: Mapping[str, NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Costs of designs, smaller is better, float64 ``[designs, objectives]``, and places of those that have them
        and keep every limit."""
        signs = {name: -1.0 if goal == "max" else 1.0 for name, goal in self.goals.items()}
        costs = np.stack([values[name] * sign for name, sign in signs.items()], axis=1)
        kept = status == OK
        for limit in self.space.constraints:
            column = values[self._column(limit.column)]
            kept = kept & (column >= (-np.inf if limit.least is None else limit.least))
            kept = kept & (column <= (np.inf if limit.most is None else limit.most))
        return costs, np.flatnonzero(kept & ~np.isnan(costs).any(axis=1))

    def values(self, columns: Columns, accuracy: float) -> dict[str, NDArray[np.float64]]:
        """What `kept` names, of all designs; NaN where there is no price."""
        found = {self.metric.name: np.where(columns.status == OK, accuracy, np.nan)}
        for name in self._wanted:
            one = measure(name)
            made: Any = one.of(cast("Any", columns))
            found[one.column] = np.where(columns.status == OK, made, np.full(len(columns.status), np.nan))
        return found

    def every(self, columns: Columns, accuracy: float, place: int) -> dict[str, float]:
        """All measures of one design."""
        row: Any = columns.row(place)
        return {self.metric.name: accuracy} | {one.column: float(np.ravel(one.of(row))[0]) for one in MEASURES}

    def over(self, values: Mapping[str, float]) -> dict[str, float]:
        """By limit, how far one design lies beyond it."""
        return {limit.column: limit.excess(values[self._column(limit.column)]) for limit in self.space.constraints}

    @property
    def _limited(self) -> list[str]:
        return [limit.column for limit in self.space.constraints]

    @property
    def _wanted(self) -> list[str]:
        names = dict.fromkeys((*STORED, *self.space.objectives, *self._limited))
        return [name for name in names if name != "accuracy"]

    def _column(self, limited: str) -> str:
        return self.metric.name if limited == "accuracy" else limited
