"""Which operands of a product one unit sees, step after step: what is common to all units.

A row is one step of one unit: the elements that it takes at once along K, of a row m of operand a and a row n of
operand b, and the running sum before them. Their order is the dataflow's:

- ``ws``: the element of b stays, rows of a pass (m in turn); the sum comes from the neighbour's register;
- ``is``: the element of a stays, rows of b pass (n in turn);
- ``os``: the sum stays, K passes.

Taken are neighbouring rows of the operand that moves fast and evenly spread rows of the other one, from evenly spread
batches. Gates are simulated and inner flips are counted on the same rows, so that the two differ by their model of
the circuit alone; where one element follows another the operands change together, as at the reload of a tile. What a
step of a unit holds, the unit says itself (`hwsim.datapaths.base.Datapath.stream`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError

Dataflow = Literal["ws", "is", "os"]
Words = NDArray[np.uint64]

ORDERS = {"ws": (1, 2, 0), "is": (0, 2, 1), "os": (0, 1, 2)}
"""Axes m, n, step of K from slow to fast."""

PRODUCTS = 1 << 16
"""Products of one recorded product that a unit is followed through."""

LEAST_STEPS = 1 << 11
"""Steps that even a unit of many lanes is followed for."""

FAST, SLOW = 64, 8
"""Most rows of the operand that passes, and rows of the one that stays, as far as the budget goes."""

BATCHES = 4
"""Batches among which the steps are divided."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Steps of one unit, in order.

    Attributes:
        a: words at port a, ``[steps, lanes]``.
        b: words at port b, ``[steps, lanes]``; keys ``[steps, luts]`` for a lookup unit.
        scale_a, scale_b: scale bytes ``[steps, blocks]``, no column for units without.
        before: the running sum before the step, ``[steps, 1]``; of an add-only unit both sums, ``[steps, 2]``.
        first, last: whether a step begins and ends a dot product, bool ``[steps]``.
        tables: activations of one table after another, ``[rebuilds, lanes]``; no row for units without tables.
    """

    a: Words
    b: Words
    scale_a: Words
    scale_b: Words
    before: Words
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    tables: Words

    @property
    def steps(self) -> int:
        """Length of the stream."""
        return len(self.a)


def joined(parts: Sequence[Stream]) -> Stream:
    """Streams of one unit, one after another."""
    if len(parts) == 1:
        return parts[0]
    return Stream(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Stream)})


def check_dataflow(dataflow: str, where: str) -> None:
    """Raise `ArgumentError` unless `dataflow` is an order of `ORDERS`."""
    if dataflow not in ORDERS:
        raise ArgumentError(f"dataflow must be one of {', '.join(ORDERS)}", got=dataflow, where=where)


def budget(lanes: int, steps: int | None) -> int:
    """Steps to follow a unit of so many lanes for: `steps`, or what `PRODUCTS` and `LEAST_STEPS` ask for.

    Raises:
        ArgumentError: fewer than 2.
    """
    most = max(PRODUCTS // lanes, LEAST_STEPS) if steps is None else steps
    if most < 2:
        raise ArgumentError("steps must be at least 2", got=most, where="gates.steps")
    return most


def chosen_rows(m: int, n: int, dataflow: str, pairs: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a and of b whose pairs number at most about `pairs`."""

    def spread(rows: int, wanted: int) -> NDArray[np.intp]:
        return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.intp))

    if dataflow == "os":
        side = max(int(pairs**0.5), 1)
        return spread(m, side), spread(n, side)
    fast = max(min(pairs // SLOW, FAST, m if dataflow == "ws" else n), 2)
    slow = max(pairs // fast, 1)
    if dataflow == "ws":
        return np.arange(min(m, fast)), spread(n, slow)
    return spread(m, slow), np.arange(min(n, fast))


def places(m: int, n: int, steps: int, dataflow: str) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Indices m, n and step of K of every step, in the order of the dataflow."""
    axes = np.indices((m, n, steps))
    first, second, third = (one.transpose(ORDERS[dataflow]).reshape(-1) for one in axes)
    return first, second, third


def by_steps(words: NDArray[Any], steps: int, per_step: int, padding: int = 0) -> Words:
    """Unsigned words ``[rows, K']`` as ``[rows, steps, per_step]``, a ragged end filled with `padding`."""
    full = np.full((len(words), steps * per_step), padding, np.uint64)
    used = min(full.shape[1], words.shape[1])
    full[:, :used] = words[:, :used]
    return full.reshape(len(words), steps, per_step)
