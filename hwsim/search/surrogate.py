"""What designs that were not priced would cost, told from those that were: a mean, and how far off it may be.

A Gaussian process over knobs of listed values. Its kernel is a product over knobs of one plus a similarity: expanded,
every knob by itself, every pair, every triple, each higher order weighing less by `theta`. So it learns that a clock
costs what it costs whatever the array, from a few dozen designs. Values of a name are alike or not; values of numbers
are the more alike the nearer they stand in their list. `theta` is the likeliest of `THETAS`; the scale of the errors
is the one at which designs that were left out are off by one standard deviation.

Rejected: forests. They cost a package, know nothing of the order of values, and with 100 designs their intervals are
those of a histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

THETAS = (0.03, 0.1, 0.3, 1.0)
NUGGET = 1e-6
"""Part of the variance that is no knob's: steps of ceilings and of plans."""

MOST = 1024
"""Designs that are learned from: the latest ones."""

FEW = 256
"""Designs, evenly taken, that `theta` is chosen by."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Knobs of listed values.

    Attributes:
        sizes: number of values of each.
        ordered: whether they are numbers.
    """

    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]

    def alike(self, one: Places, other: Places, theta: float) -> Floats:
        """The kernel, float64 ``[one, other]``, 1 for equal designs; places are int64 ``[designs, knobs]``."""
        tables = []
        for size, ordered in zip(self.sizes, self.ordered, strict=True):
            places = np.arange(size)
            apart = np.abs(places[:, None] - places) / max(1, size - 1) if ordered else 1.0 - np.eye(size)
            tables.append(np.log((1 + theta * (1 - apart)) / (1 + theta)))
        left = np.concatenate([table[one[:, knob]] for knob, table in enumerate(tables)], axis=1)
        right = np.concatenate([np.eye(size)[other[:, knob]] for knob, size in enumerate(self.sizes)], axis=1)
        found: Floats = np.exp(left @ right.T)
        return found


class Surrogate:
    """Learned from priced designs.

    Args:
        knobs: of the space.
        places: place of each knob's value among its values, int64 ``[designs, knobs]``, all different.
        values: float64 ``[designs, measures]``, finite.

    Attributes:
        left_out: what each design was told by all others less what it is, float64 ``[designs, measures]``.
        left_out_sigma: the standard deviation that was told with it.
    """

    def __init__(self, knobs: Knobs, places: Places, values: Floats) -> None:
        self.knobs, self._places = knobs, places[-MOST:]
        values = values[-MOST:]
        self._mean, spread = values.mean(axis=0), values.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        scaled = (values - self._mean) / self._spread
        some = slice(None, None, -(-len(scaled) // FEW))
        self.theta = max(THETAS, key=lambda theta: self._likelihood(theta, self._places[some], scaled[some]))
        self._inverse = np.linalg.inv(self._kernel(self.theta, self._places))
        self._weights = self._inverse @ scaled
        own = np.diag(self._inverse)
        left_out, sigma = self._weights / own[:, None], 1 / np.sqrt(own)[:, None]
        self._scale = np.sqrt(np.mean((left_out / sigma) ** 2, axis=0)) * self._spread
        self.left_out, self.left_out_sigma = -left_out * self._spread, sigma * self._scale

    def _kernel(self, theta: float, places: Places) -> Floats:
        return self.knobs.alike(places, places, theta) + NUGGET * np.eye(len(places))

    def _likelihood(self, theta: float, places: Places, scaled: Floats) -> float:
        """Logarithm of the likelihood of all measures together, at the variances that suit them best."""
        kernel = self._kernel(theta, places)
        variance = np.maximum((scaled * np.linalg.solve(kernel, scaled)).mean(axis=0), 1e-12)
        size, measures = scaled.shape
        return float(-0.5 * (size * np.log(variance).sum() + measures * np.linalg.slogdet(kernel)[1]))

    def told(self, places: Places) -> tuple[Floats, Floats]:
        """Means and standard deviations of designs that were not priced, each float64 ``[designs, measures]``.

        Args:
            places: int64 ``[designs, knobs]``.
        """
        alike = self.knobs.alike(places, self._places, self.theta)
        variance = np.maximum(1.0 + NUGGET - np.einsum("ij,ij->i", alike @ self._inverse, alike), NUGGET)
        return alike @ self._weights * self._spread + self._mean, np.sqrt(variance)[:, None] * self._scale
