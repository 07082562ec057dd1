"""The front, polished: every design one knob away from a design of the front is tried until none is better.

A sampler leaves designs on its front that a single other value of a single knob beats. Polishing ends at a fixed
point, where the front holds against all of its one-knob neighbours, or at a budget of designs; the certificate says
which, and what share of the front is proven. Neighbours of designs with the least energy come first, so that a budget
that ends early has polished the part of the front that is asked for most.

Rejected: local search on weighted sums. It needs weights, and finds no member of a concave part of a front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.search.certificate import Certificate, fidelities
from hwsim.search.pareto import front

if TYPE_CHECKING:
    from hwsim.search.explorer import Explorer
    from hwsim.search.points import Point
    from hwsim.search.watching import Progress

Key = tuple[tuple[str, Any], ...]


def polish(
    explorer: Explorer, drawn: Mapping[Key, Point], budget: int, progress: Progress, first: int, batch: int = 48
) -> tuple[Certificate, dict[Key, Point]]:
    """Price one-knob neighbours of the front until it no longer moves, at most `budget` designs.

    What is known from an interrupted run is asked for again and answered from the log, so that a resumed study goes
    the way of an undisturbed one.

    Args:
        explorer: a search whose draws are done.
        drawn: what they gave.
        budget: most designs to price.
        progress: called after every design.
        first: number of the first new point.
        batch: designs priced between two looks at the front.

    Returns:
        What is known of the front, and all points, those of `drawn` among them.
    """
    seen, spent, done = dict(drawn), 0, set[Key]()
    while True:
        members = front_of(explorer, seen.values())
        wanted: dict[Key, dict[str, Any]] = {}
        for point in members:
            if point.point in done:
                continue
            new = {
                key: draw
                for draw in explorer.space.neighbours(dict(point.point))
                if (key := explorer.space.canonical(draw)) not in seen
            }
            if not new:
                done.add(point.point)
            if len(wanted) < batch:
                wanted |= new
        draws = list(wanted.values())[: budget - spent]
        if not draws:
            proven = sum(point.point in done for point in members)
            farther = sum(point.point in done and _two_knobs(explorer, point, seen) for point in members)
            whole, about = len(seen) >= explorer.space.size, fidelities(explorer.space)
            return Certificate(len(members), proven, whole, spent, farther, fidelity=about), seen
        numbers = range(first + spent, first + spent + len(draws))
        told = _told(progress, len(done), len(members))
        for key, point in zip(list(wanted), explorer.generation(numbers, draws, told, first + budget), strict=False):
            seen[key] = point
        spent += len(draws)


def _two_knobs(explorer: Explorer, point: Point, seen: Mapping[Key, Point]) -> bool:
    """Whether every design two knobs away was priced, too."""
    space = explorer.space
    return all(
        space.canonical(farther) in seen
        for near in space.neighbours(dict(point.point))
        for farther in space.neighbours(dict(space.canonical(near)))
    )


def _told(progress: Progress, done: int, members: int) -> Callable[[int, int, str], None]:
    return lambda made, total, note: progress(made, total, f"{note}, {done} of {members} on the front proven")


def front_of(explorer: Explorer, points: Iterable[Point]) -> list[Point]:
    """Members of the front of `points` by rising energy, by the first objective where energy is none."""
    goals = explorer.goals
    feasible = [point for point in points if point.feasible]
    if not feasible:
        return []
    signs = {name: -1.0 if goal == "max" else 1.0 for name, goal in goals.items()}
    costs = np.array([[point.values[name] * signs[name] for name in goals] for point in feasible])
    by = list(goals).index("energy_uj") if "energy_uj" in goals else 0
    kept = np.flatnonzero(front(costs))
    return [feasible[place] for place in kept[np.lexsort((kept, costs[kept, by]))]]
