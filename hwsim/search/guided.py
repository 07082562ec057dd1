"""The search of a space that is too large to be priced whole: even draws, then what a surrogate says is worth it.

Decides the order: first `OPENING` designs a knob, drawn so that each value of each knob comes equally often; then
batches. A batch is taken from the neighbours, one and two knobs away, of the front so far, and from even draws. What
the surrogate hopes of each (its mean less `HOPE` standard deviations, in logarithms where costs are above zero) is
compared with the front: the candidate that is farthest from being beaten goes first, and counts as found for the next
one. A candidate that is beaten all the same waits for the last. So a front is polished where it still gives, and a
design is on it only when it was priced.

Rejected as default: Optuna's NSGA-II and TPE, and the market (`hwsim.studies.seeds` runs them beside it). Rejected:
the gain in hypervolume: one of 90 designs in four objectives takes 0.05 s, and candidates are thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

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

MOST_CANDIDATES = 4096
"""Candidates that are looked at for one batch; of more, as many drawn evenly."""


def knobs_of(space: DesignSpace) -> Knobs:
    """The knobs of a space; numbers are ordered."""
    return Knobs(
        tuple(len(one.values) for one in space.parameters),
        tuple(
            all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values)
            for one in space.parameters
        ),
    )


def canonical(space: DesignSpace, places: Places) -> Places:
    """Places of draws' values, int64 ``[draws, knobs]``, with those of inactive knobs at 0."""
    found = np.array(places, np.int64)
    names = [one.name for one in space.parameters]
    active = np.ones(found.shape, np.bool_)
    for column, knob in enumerate(space.parameters):
        for name, allowed in knob.when:
            other = names.index(name)
            able = np.array([value in allowed for value in space.parameters[other].values])
            active[:, column] &= active[:, other] & able[found[:, other]]
        found[~active[:, column], column] = 0
    return found


class Guide:
    """A search under way: what was priced, and what is worth pricing next.

    Args:
        knobs: of the space.
        seed: of the draws.
        canonical: of draws' places ``[draws, knobs]``, those of the designs that they are: inactive knobs at 0.
    """

    def __init__(
        self, knobs: Knobs, seed: int, canonical: Callable[[Places], Places] = lambda places: places
    ) -> None:
        self.knobs, self._canonical = knobs, canonical
        self._rng = np.random.default_rng(seed)
        self._seen: dict[bytes, int] = {}
        self._places: list[Places] = []
        self._costs: list[Floats | None] = []
        self._weights: Floats | None = None
        self._label_weights: Floats | None = None

    def tell(self, places: Sequence[int], costs: Sequence[float] | None) -> None:
        """A design was priced: costs, smaller is better, or None where it is none or breaks a limit."""
        (row,) = self._canonical(np.array([places], np.int64))
        if self._seen.setdefault(row.tobytes(), len(self._seen)) == len(self._places):
            self._places.append(row)
            self._costs.append(None if costs is None else np.array(costs, np.float64))

    def ask(self, count: int) -> list[tuple[int, ...]]:
        """Designs to price next, all different and not priced before: at most `count`, fewer where none are left."""
        able = [place for place, costs in enumerate(self._costs) if costs is not None]
        opened = len(self._seen) >= OPENING * len(self.knobs.sizes) and len(able) > 2
        rows = self._chosen(able, count) if opened else self._even(count)
        return [tuple(row) for row in rows.tolist()]

    def _even(self, count: int) -> Places:
        """Draws in which each value of each knob comes equally often, or, where a knob has more values than there are
        draws, at most once; less those that are known."""
        found = np.empty((0, len(self.knobs.sizes)), np.int64)
        for _ in range(8):
            columns = [
                self._rng.permutation(size)[:count]
                if size > count
                else self._rng.permutation(np.arange(count) % size)
                for size in self.knobs.sizes
            ]
            found = self._fresh(np.concatenate((found, np.stack(columns, axis=1))))
            if len(found) >= count:
                break
        return found[:count]

    def _fresh(self, places: Places) -> Places:
        """The different designs among draws that were not priced, in their order."""
        rows = self._canonical(places)
        known: dict[bytes, int] = {}
        for place, row in enumerate(rows):
            key = row.tobytes()
            if key not in self._seen:
                known.setdefault(key, place)
        return np.asarray(rows[list(known.values())])

    def _chosen(self, able: list[int], count: int) -> Places:
        costs = np.array([self._costs[place] for place in able])
        logs = (costs > 0).all(axis=0)
        scaled = np.where(logs, np.log(np.where(logs, costs, 1.0)), costs)
        low, high = scaled.min(axis=0), scaled.max(axis=0)
        scaled = (scaled - low) / np.where(high > low, high - low, 1.0)
        rows, members = np.array([self._places[place] for place in able]), front(scaled)
        candidates = self._candidates(rows[members], count)
        if not len(candidates):
            return candidates
        surrogate = Surrogate(self.knobs, rows, scaled, self._weights)
        self._weights = surrogate.weights
        means, sigmas = surrogate.told(candidates)
        hoped = np.round(means - HOPE * sigmas, DIGITS)
        gain = _gain(hoped, scaled[members]) - np.where(self._likely(candidates) < LIKELY, 1.0, 0.0)
        chosen: list[int] = []
        for _ in range(min(count, len(candidates))):
            chosen.append(int(gain.argmax()))
            gain = np.minimum(gain, _gain(hoped, hoped[chosen[-1:]]))
            gain[chosen] = -np.inf
        return np.asarray(candidates[chosen])

    def _candidates(self, members: Places, count: int) -> Places:
        """Designs one knob away from the front, as many two knobs away, and even draws; none of them known."""
        near = []
        for knob, size in enumerate(self.knobs.sizes):
            for value in range(size):
                moved = members[members[:, knob] != value]
                moved[:, knob] = value
                near.append(moved)
        once = np.concatenate(near)
        twice, knobs = once.copy(), self._rng.integers(len(self.knobs.sizes), size=len(once))
        twice[np.arange(len(once)), knobs] = self._rng.integers(np.array(self.knobs.sizes)[knobs])
        found = self._fresh(np.concatenate((once, twice, self._even(8 * count))))
        if len(found) <= MOST_CANDIDATES:
            return found
        return np.asarray(found[np.sort(self._rng.choice(len(found), MOST_CANDIDATES, replace=False))])

    def _likely(self, candidates: Places) -> Floats:
        """How likely each candidate is a design that keeps all limits, told from those that were and were not."""
        label = np.array([[0.0 if costs is None else 1.0] for costs in self._costs])
        if label.all():
            return np.ones(len(candidates))
        surrogate = Surrogate(self.knobs, np.array(self._places), label, self._label_weights)
        self._label_weights = surrogate.weights
        mean, _ = surrogate.told(candidates)
        return np.asarray(np.round(mean[:, 0], DIGITS))


def _gain(rows: Floats, members: Floats) -> Floats:
    """How far each row is from being beaten by any member: below zero, by how much it is."""
    gain = np.full(len(rows), np.inf)
    for member in members:
        np.minimum(gain, (member - rows).max(axis=1), out=gain)
    return gain
