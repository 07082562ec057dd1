"""What designs that were not priced would cost, told from those that were: a mean, and how far off it may be.

A Gaussian process a measure over knobs of listed values. Its kernel is a product over knobs of one plus a similarity
times the weight of the knob: expanded, every knob by itself, every pair, every triple. So it learns that a clock
costs what it costs whatever the array, and that an accuracy asks no array at all, from a few dozen designs. Values of
a name are alike or not; values of numbers are the more alike the nearer they stand in their list. Weights are the
likeliest, knob by knob, from those of the batch before; the scale of the errors is the one at which designs that were
left out are off by one standard deviation.

Rejected: forests of knobs. They cost a package, know nothing of the order of values, and with 100 designs their
intervals are those of a histogram; a forest of the fields of formats is another matter, and closer on accuracies
alone (`hwsim.search.forest`). One weight for all knobs: with it a search of 466 in 9,315 designs missed 0.4 % of the
hypervolume, where these miss 0.15 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

START = 0.3
LEAST, STEP, GREATEST = 1e-3, 4.0, 64.0
"""Weights of knobs: the first, the smallest, by what they are changed, and the greatest."""

NUGGET = 1e-6
"""Part of the variance that is no knob's: steps of ceilings and of plans."""

MOST = 1024
"""Designs that are learned from: the latest ones."""

FEW = 128
"""Designs, evenly taken, that weights are chosen by."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Knobs of listed values.

    Attributes:
        sizes: number of values of each.
        ordered: whether they are numbers.
    """

    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]

    def alike(self, one: Places, other: Places, weights: Floats) -> Floats:
        """The kernel, float64 ``[one, other]``, 1 for equal designs.

        Args:
            one: places of values, int64 ``[designs, knobs]``.
            other: as `one`.
            weights: of the knobs, float64 ``[knobs]``, above zero.
        """
        tables = []
        for size, ordered, weight in zip(self.sizes, self.ordered, weights, strict=True):
            places = np.arange(size)
            apart = np.abs(places[:, None] - places) / max(1, size - 1) if ordered else 1.0 - np.eye(size)
            tables.append(np.log1p(weight * (1 - apart)) - np.log1p(weight))
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
        weights: of knobs in each measure to begin with, float64 ``[measures, knobs]``; `START` without it.

    Attributes:
        weights: those that were found likeliest.
        left_out: what each design was told by all others less what it is, float64 ``[designs, measures]``.
        left_out_sigma: the standard deviation that was told with it.
    """

    def __init__(self, knobs: Knobs, places: Places, values: Floats, weights: Floats | None = None) -> None:
        self.knobs, self._places = knobs, places[-MOST:]
        values = values[-MOST:]
        self._mean, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (values - self._mean) / spread
        measures = scaled.shape[1]
        self.weights = np.full((measures, len(knobs.sizes)), START) if weights is None else weights.copy()
        some = slice(None, None, -(-len(scaled) // FEW))
        self._inverses, self._sums = [], []
        self.left_out, self.left_out_sigma = np.empty_like(scaled), np.empty_like(scaled)
        self._scale = np.empty(measures)
        for measure in range(measures):
            self._weigh(self.weights[measure], self._places[some], scaled[some, measure])
            inverse = np.linalg.inv(self._kernel(self.weights[measure], self._places))
            sums, own = inverse @ scaled[:, measure], np.diag(inverse)
            error = -sums / own
            self._scale[measure] = np.sqrt(np.mean(error**2 * own)) * spread[measure]
            self.left_out[:, measure] = error * spread[measure]
            self.left_out_sigma[:, measure] = self._scale[measure] / np.sqrt(own)
            self._inverses.append(inverse)
            self._sums.append(sums * spread[measure])

    def told(self, places: Places) -> tuple[Floats, Floats]:
        """Means and standard deviations of designs that were not priced, each float64 ``[designs, measures]``.

        Args:
            places: int64 ``[designs, knobs]``.
        """
        means, sigmas = [], []
        for measure, (inverse, sums) in enumerate(zip(self._inverses, self._sums, strict=True)):
            alike = self.knobs.alike(places, self._places, self.weights[measure])
            variance = 1.0 + NUGGET - np.einsum("ij,ij->i", alike @ inverse, alike)
            means.append(alike @ sums + self._mean[measure])
            sigmas.append(np.sqrt(np.maximum(variance, NUGGET)) * self._scale[measure])
        return np.stack(means, axis=1), np.stack(sigmas, axis=1)

    def _kernel(self, weights: Floats, places: Places) -> Floats:
        return self.knobs.alike(places, places, weights) + NUGGET * np.eye(len(places))

    def _weigh(self, weights: Floats, places: Places, scaled: Floats) -> None:
        """Move each weight in turn to where the values are likelier."""
        best = self._likelihood(weights, places, scaled)
        for knob, size in enumerate(self.knobs.sizes):
            for factor in (STEP, 1 / STEP) if size > 1 else ():
                while True:
                    moved = weights.copy()
                    moved[knob] = min(max(moved[knob] * factor, LEAST), GREATEST)
                    if moved[knob] == weights[knob] or (now := self._likelihood(moved, places, scaled)) <= best:
                        break
                    weights[knob], best = moved[knob], now

    def _likelihood(self, weights: Floats, places: Places, scaled: Floats) -> float:
        """Logarithm of the likelihood at the variance that suits the values best."""
        kernel = self._kernel(weights, places)
        variance = max(float(np.mean(scaled * np.linalg.solve(kernel, scaled))), 1e-12)
        return float(-0.5 * (len(scaled) * np.log(variance) + np.linalg.slogdet(kernel)[1]))
