"""Least squares of relative errors, with the errors on points that the fit never saw.

Decides what "fitted" means: the coefficients minimise the sum of squared *relative* residuals, since a design of
10 um² must not be lost beside one of 10000. Coefficients of energies are kept from falling below zero: a flip cannot
give energy back. Areas may have negative coefficients (a multiplier of b bits is a b² - c b). Error bars come from
held-out points alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.features import Features
from hwsim.errors import ArgumentError

HELD_OUT_ONE_IN = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: what it is fitted by, and whether a fit must not see it."""

    name: str
    features: Features
    value: float
    held_out: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of one family.

    Attributes:
        coefficients: by feature.
        fitted, held_out: relative errors (prediction / measurement - 1) by point.
    """

    coefficients: Mapping[str, float]
    fitted: Mapping[str, float]
    held_out: Mapping[str, float]

    @property
    def median_error(self) -> float:
        """Median of the absolute errors on held-out points, on the fitted ones where none was held out."""
        return quantile(self.held_out or self.fitted, 0.5)

    @property
    def p95_error(self) -> float:
        """95th percentile of the same."""
        return quantile(self.held_out or self.fitted, 0.95)


def is_held_out(name: str) -> bool:
    """Whether a hash of the name puts it among the held-out ones: one in three, the same on every machine."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % HELD_OUT_ONE_IN == 0


def fit(points: Sequence[Point], *, positive: bool = False) -> Fit:
    """Coefficients of the points that are not held out.

    A feature that is zero in all of them gets the coefficient 0, as nothing is known of it.

    Args:
        points: all with the same features and values above zero.
        positive: whether no coefficient may be below zero.

    Raises:
        ArgumentError: no point to fit, points of different features, or a value that is not positive.
    """
    seen = [point for point in points if not point.held_out]
    if not seen:
        raise ArgumentError("a fit must have points that are not held out", got=len(points), where="fit")
    names = list(seen[0].features)
    for point in points:
        if list(point.features) != names:
            raise ArgumentError("points must have the same features", got=list(point.features), where=point.name)
        if not point.value > 0:
            raise ArgumentError("a value must be positive", got=point.value, where=point.name)
    matrix, values = _matrix(seen)
    found = _solve(matrix / values[:, None], positive)
    coefficients = dict(zip(names, map(float, found), strict=True))
    return Fit(
        coefficients,
        {point.name: predict(coefficients, point.features) / point.value - 1 for point in seen},
        {point.name: predict(coefficients, point.features) / point.value - 1 for point in points if point.held_out},
    )


def predict(coefficients: Mapping[str, float], features: Features) -> float:
    """The sum of coefficients times features."""
    return sum(coefficients[name] * value for name, value in features.items())


def quantile(errors: Mapping[str, float], part: float) -> float:
    """The quantile `part` of absolute errors."""
    return float(np.quantile(np.abs(list(errors.values())), part))


def _matrix(points: Sequence[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = [list(point.features.values()) for point in points]
    return np.array(rows, np.float64), np.array([point.value for point in points])


def _solve(matrix: NDArray[np.float64], positive: bool) -> NDArray[np.float64]:
    """Coefficients whose products with the rows are as near to one as can be."""
    scale = np.abs(matrix).max(axis=0)
    kept = list(np.flatnonzero(scale))
    found = np.zeros(matrix.shape[1])
    scaled, ones = matrix[:, kept] / scale[kept], np.ones(len(matrix))
    if positive:
        part = _without_negatives(scaled, ones)
    else:
        part = np.linalg.lstsq(scaled, ones, rcond=None)[0]
    found[kept] = part / scale[kept]
    return found


def _without_negatives(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares over coefficients of at least 0, by the active sets of Lawson and Hanson (1974, chapter 23)."""
    count = matrix.shape[1]
    used, found = np.zeros(count, bool), np.zeros(count)
    for _ in range(3 * count):
        gain = np.where(used, -np.inf, matrix.T @ (values - matrix @ found))
        if not count or gain.max() <= 1e-10 * len(matrix):
            break
        used[int(gain.argmax())] = True
        while True:
            part = np.zeros(count)
            part[used] = np.linalg.lstsq(matrix[:, used], values, rcond=None)[0]
            below = used & (part <= 0)
            if not below.any():
                break
            step = (found[below] / (found[below] - part[below])).min()
            found = found + step * (part - found)
            used &= found > 1e-14
            found[~used] = 0.0
        found = part
    return found
