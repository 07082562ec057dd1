"""A front thinned by the model's error: sets of designs of which the model cannot say that one is better.

Decides when a design stands for another: in no objective is the other surely better. Surely, where the objective
carries an error, is at least `hwsim.search.comparison.SURE`, errors of one cause together; where it is computed
exactly, by more than a stated part. The design that stands for most others comes first, so that few designs stand
for the whole front. Rejected: boxes in the space of objectives. They know no shared error, and their edges part
designs that are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.search.comparison import SURE, chance_matrix, uncertain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwsim.search.points import Point
    from hwsim.search.study import Study

EQUAL = 0.01
"""Part of a latency or an accuracy on which no choice hangs."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A design of the front, and others of it that the model cannot call better."""

    design: Point
    others: tuple[Point, ...]


def thinned(study: Study, within: float = EQUAL) -> tuple[Alike, ...]:
    """The front as few designs that stand for all of it, in the order of `Study.front`.

    Args:
        study: finished or not.
        within: part by which an objective without an error (latency, accuracy) may differ and still count as equal.

    Raises:
        ArgumentError: `within` is below zero.
    """
    if not within >= 0:
        raise ArgumentError("must be a part, 0 or more", got=within, where="thinned.within")
    front = study.front
    if not front:
        return ()
    covers = stands_for(study, front, within)
    left = np.ones(len(front), np.bool_)
    sets: dict[int, tuple[int, ...]] = {}
    while left.any():
        counts = np.where(left, (covers & left).sum(axis=1), -1)
        chosen = int(counts.argmax())  # the first of equal ones, which has the least energy
        own = np.flatnonzero(covers[chosen] & left)
        sets[chosen] = tuple(int(place) for place in own if place != chosen)
        left[own] = False
    return tuple(Alike(front[place], tuple(front[other] for other in sets[place])) for place in sorted(sets))


def stands_for(study: Study, points: Sequence[Point], within: float) -> NDArray[np.bool_]:
    """Whether the row's design is surely beaten by the column's in no objective, bool ``[points, points]``."""
    costs = np.array([study.cost(point) for point in points])
    kept = np.ones((len(points), len(points)), np.bool_)
    estimated = []
    for axis, column in enumerate(study.objectives):
        made = [uncertain(point, column) for point in points]
        known = [one for one in made if one is not None]
        if len(known) == len(made):
            estimated.append(known)
        else:
            mine, theirs = costs[:, axis][:, None], costs[:, axis][None, :]
            kept &= mine <= theirs + within * np.abs(theirs)
    for known in estimated:  # pairs that the exact objectives have parted need no chance
        less = chance_matrix(known, kept.T).T
        kept &= np.where(np.isnan(less), False, less < SURE)
    np.fill_diagonal(kept, True)
    return kept
