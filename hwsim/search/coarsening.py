"""How large a sweep of a space would be, and the coarser grid of a space that is too large.

Of the knob with the most values every second one goes, ends kept, until the grid has at most as many designs as were
asked for.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from hwsim.errors import ArgumentError, HwsimError
from hwsim.search.halves import Half, Part, part_of, trials
from hwsim.search.space import DesignSpace, Parameter, Value


def plans_of(space: DesignSpace, most: int) -> int:
    """How many plans a sweep of a space takes, counted up to one more than `most`; trials that store their operands
    alike share some, which is not counted."""
    known: dict[tuple[str, ...], Part] = {}
    count = 0
    for trial in trials(space):
        with contextlib.suppress(HwsimError):
            count += Half(space, trial, known).count_plans(most - count)
        if count > most:
            break
    return count


def coarsened(space: DesignSpace, points: int) -> DesignSpace:
    """The space on a grid of at most `points` designs: of the knob with the most values, every second one goes, the
    first and the last kept, again and again. Knobs that make trials, and names, keep all of their values.

    Raises:
        ArgumentError: the coarsest grid is larger.
    """
    while space.size > points:
        able = [
            one
            for one in space.parameters
            if len(one.values) > 2 and part_of(space, one) is not None and _is_ordered(one)
        ]
        if not able:
            raise ArgumentError(
                f"points must be at least {space.size}, the coarsest grid of {space.name}", got=points, where="sweep"
            )
        chosen = max(able, key=lambda one: len(one.values))
        count = len(chosen.values)
        left = np.unique(np.linspace(0, count - 1, (count + 2) // 2).round().astype(int))
        fewer = replace(chosen, values=tuple(chosen.values[place] for place in left))
        space = replace(
            space, parameters=tuple(fewer if one.name == chosen.name else one for one in space.parameters)
        )
    return space


def kept_values(space: DesignSpace, grid: DesignSpace) -> dict[str, list[Value]]:
    """The values that a grid keeps of the knobs it thins."""
    return {
        one.name: list(one.values)
        for one, other in zip(grid.parameters, space.parameters, strict=True)
        if one.values != other.values
    }


def _is_ordered(parameter: Parameter) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values)
