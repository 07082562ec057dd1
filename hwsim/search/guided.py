"""The search of spaces that are too large to be priced whole: draws spread evenly, then what a surrogate says is worth it.

Decides the order: first `OPENING` designs a knob, drawn so that each value of each knob comes equally often; then
batches. A batch is taken from the neighbours, one and two knobs away, of the front so far, and from even draws. What
the surrogate hopes of each (its mean less `HOPE` standard deviations, in logarithms where costs are above zero) is
compared with the front: the candidate that is farthest from being beaten goes first, and counts as found for the next
one. A candidate that is beaten all the same waits for the last. So a front is polished where it still gives, and a
design is on it only when it was priced.

Rejected as default, each measured in `reports/study-seeds`: Optuna's NSGA-II, TPE and Gaussian process, and the
market. Rejected: the expected gain in hypervolume. In four objectives it costs a second a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.search.pareto import front
from hwsim.search.surrogate import Floats, Knobs, Places, Surrogate

if TYPE_CHECKING:
    from hwsim.search.space import DesignSpace

OPENING = 4
"""Even draws, a knob."""

HOPE = 0.5
"""Standard deviations by which a candidate is hoped to be better than told."""

DIGITS = 6
"""Decimals of what candidates are compared by, so that the order in which a processor adds decides nothing."""

LIKELY = 0.5
"""How likely a candidate must be a design that keeps all limits."""


def knobs_of(space: DesignSpace) -> Knobs:
    """The knobs of a space; numbers are ordered."""
    return Knobs(
        tuple(len(one.values) for one in space.parameters),
        tuple(
            all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values)
            for one in space.parameters
        ),
    )


@dataclass
class Guide:
    """A search under way: what was priced, and what is worth pricing next.

    Args:
        knobs: of the space.
        seed: of the draws.
        canonical: of a draw's places, those of the design that it is: inactive knobs at 0.
    """

    knobs: Knobs
    seed: int
    canonical: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda places: places
    _seen: dict[tuple[int, ...], NDArray[np.float64] | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def tell(self, places: tuple[int, ...], costs: Sequence[float] | None) -> None:
        """A design was priced: costs, smaller is better, or None where it is none or breaks a limit."""
        self._seen[self.canonical(places)] = None if costs is None else np.array(costs, np.float64)

    def ask(self, count: int) -> list[tuple[int, ...]]:
        """Designs to price next, all different and not priced before: at most `count`, fewer where none are left."""
        able = [places for places, costs in self._seen.items() if costs is not None]
        opening = OPENING * len(self.knobs.sizes)
        if len(self._seen) < opening or len(able) < 3:
            return self._even(count)
        return self._chosen(able, count)

    def _even(self, count: int) -> list[tuple[int, ...]]:
        """Draws in which each value of each knob comes equally often, less those that are known."""
        found: dict[tuple[int, ...], None] = {}
        for _ in range(16):
            columns = [self.rng.permutation(np.arange(count) % size) for size in self.knobs.sizes]
            for row in zip(*columns, strict=True):
                places = self.canonical(tuple(int(one) for one in row))
                if places not in self._seen and len(found) < count:
                    found[places] = None
        return list(found)

    def _chosen(self, able: list[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
        costs = np.array([self._seen[places] for places in able])
        logs = (costs > 0).all(axis=0)
        scaled = np.where(logs, np.log(np.where(logs, costs, 1.0)), costs)
        low, high = scaled.min(axis=0), scaled.max(axis=0)
        scaled = (scaled - low) / np.where(high > low, high - low, 1.0)
        members = front(scaled)
        candidates = self._candidates([places for places, kept in zip(able, members, strict=True) if kept], count)
        if not len(candidates):
            return self._even(count)
        means, sigmas = Surrogate(self.knobs, np.array(able), scaled).told(candidates)
        hoped = np.round(means - HOPE * sigmas, DIGITS)
        likely = self._likely(candidates)
        beaten = scaled[members]
        gain = _gain(hoped, beaten) - np.where(likely < LIKELY, 1.0, 0.0)
        chosen: list[tuple[int, ...]] = []
        for _ in range(min(count, len(candidates))):
            place = int(gain.argmax())
            chosen.append(tuple(int(one) for one in candidates[place]))
            gain = np.minimum(gain, _gain(hoped, hoped[place][None]))
            gain[place] = -np.inf
        return chosen

    def _candidates(self, members: Iterable[tuple[int, ...]], count: int) -> Places:
        """Designs one knob away from the front, as many two knobs away, and even draws; none of them known."""
        found: dict[tuple[int, ...], None] = {}
        sizes = self.knobs.sizes
        for member in members:
            near = [
                (*member[:knob], value, *member[knob + 1 :])
                for knob, size in enumerate(sizes)
                for value in range(size)
                if value != member[knob]
            ]
            found |= dict.fromkeys(map(self.canonical, near))
            for one in near:
                knob = int(self.rng.integers(len(sizes)))
                found[self.canonical((*one[:knob], int(self.rng.integers(sizes[knob])), *one[knob + 1 :]))] = None
        found |= dict.fromkeys(self._even(8 * count))
        return np.array([places for places in found if places not in self._seen], np.int64)

    def _likely(self, candidates: Places) -> Floats:
        """How likely each candidate is a design that keeps all limits, told from those that were and were not."""
        label = np.array([[0.0 if costs is None else 1.0] for costs in self._seen.values()])
        if label.all():
            return np.ones(len(candidates))
        mean, _ = Surrogate(self.knobs, np.array(list(self._seen)), label).told(candidates)
        return np.asarray(np.round(mean[:, 0], DIGITS))


def _gain(rows: Floats, members: Floats) -> Floats:
    """How far each row is from being beaten by any member: below zero, by how much it is."""
    gain = np.full(len(rows), np.inf)
    for member in members:
        np.minimum(gain, (member - rows).max(axis=1), out=gain)
    return gain
