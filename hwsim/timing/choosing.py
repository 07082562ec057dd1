"""The best tile of a group, for given places of its tensors.

The numbers of a group (`hwsim.timing.moves`) are sums over its tensors. The search weighs thousands of places, so
what a place changes is kept, and tables of what the array does are shared by groups that repeat.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.timing import counts as c
from hwsim.timing import fused_tiles as f
from hwsim.timing import tiles as t
from hwsim.timing.groups import DRAM, Choice, Part, Places, totals
from hwsim.timing.moves import Group, Objective, least, least_energy

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwsim.timing.fusing import Fusion
    from hwsim.timing.wiring import Wiring

State = tuple[int | None, bool, bool]
"""Where a tensor of a group lies, None inside it, whether the group loads it whole and whether it stores it."""


class Skeleton:
    """A group's numbers as a sum: those with all that it shares in DRAM, and what another place of a tensor changes.

    Reads and writes of the levels, the step, and the products follow each other in one row of float64. The search
    weighs thousands of places, the tensors of which add up.
    """

    def __init__(self) -> None:
        self._base: NDArray[np.float64] | None = None
        self._reference: tuple[State, ...] = ()
        self._changes: dict[tuple[int, State], NDArray[np.float64]] = {}

    def numbers(self, states: tuple[State, ...], make: Callable[[tuple[State, ...]], Group]) -> NDArray[np.float64]:
        """The row for the tensors' `states`; `make` prepares the group where a change is not known yet."""
        if self._base is None:
            self._reference = tuple((home if home is None else DRAM, False, False) for home, _, _ in states)
            self._base = _flat(make(self._reference))
        row = self._base.copy()
        for number, (state, usual) in enumerate(zip(states, self._reference, strict=True)):
            if state != usual:
                change = self._changes.get((number, state))
                if change is None:
                    one = (*self._reference[:number], state, *self._reference[number + 1 :])
                    change = self._changes[number, state] = _flat(make(one)) - self._base
                row += change
        return row


def _flat(group: Group) -> NDArray[np.float64]:
    reads, writes = totals(group.flows, group.levels)
    return np.array(
        [float(value) for values in (reads, writes, group.step, *group.pars) for value in values], np.float64
    )


def choose(
    row: NDArray[np.float64], parts: tuple[Part, ...], how: Fusion | None, places: Places, wires: Wiring,
    aim: Objective,
) -> Choice:  # fmt: skip
    """The best tile of a group with the numbers `row` (`Skeleton`); cost is infinite where nothing fits."""
    levels = len(wires.names)
    reads, writes, step = row[:levels], row[levels : 2 * levels], row[2 * levels : 2 * levels + t.STEP]
    step[t.WEIGHT_TRAFFIC], step[t.WEIGHT_ENERGY], step[t.WEIGHT_TIME] = aim.traffic, aim.energy, aim.time
    step[t.BITS_PER_CYCLE] = wires.bits_per_cycle
    room = np.array(places.room, np.float64)
    used = np.zeros(len(room))
    if parts[0].problem is None:
        tiles = float(parts[0].vector_rows)
        cost, latency = t.cost_of(
            reads, writes, wires.prices, reads[0] / tiles, writes[0] / tiles, 0.0, step[t.VECTOR_CYCLES], tiles, step
        )
        return Choice(cost, latency, (), tuple(used.tolist()))
    pars = row[2 * levels + t.STEP :].reshape(len(parts), -1)
    best = Choice(inf, 0.0, ())
    tables: set[bytes] = set()
    for sides in _sides(pars) if aim.halves and aim.time > max(aim.traffic, aim.energy) else [()]:
        for par in pars:
            if par[c.CAUSAL] and sides:
                par[c.SIDE_R : c.SIDE_C + 1] = sides
        if sides and best.cost < inf:
            step[t.LEAST_CYCLES] = sum(least(par.tolist())[3] for par in pars)
            if aim.time * step[t.LEAST_CYCLES] >= best.cost:
                continue
        if how is None:
            par = pars[0]
            step[t.LEAST_ENERGY] = least_energy(parts[0], wires)
            found = t.single_tile(
                par, step, room, reads, writes, wires.prices,
                t.grid(int(par[c.ROWS])), t.grid(int(par[c.N])), t.grid(int(par[c.K])), used, best.cost,
            )  # fmt: skip
        else:
            widest = int(max(pars[:, c.N]))
            content, table = _array_table(pars[:, : f.B_COUNT].tobytes(), len(pars), how.common, how.block, widest)
            if content in tables:
                continue
            tables.add(content)
            found = f.fused_tile(
                pars, step, room, reads, writes, wires.prices, t.grid(how.block), _pieces(widest), table, used,
                best.cost,
            )  # fmt: skip
        if found[0] < best.cost:
            best = Choice(found[0], found[1], found[2:], tuple(used.tolist()), sides)
    return best


def _sides(pars: NDArray[np.float64]) -> list[tuple[float, ...]]:
    """Rows and columns that masked products may use: all, or fewer by halves; ``()`` alone where none is masked.

    Of sides within a limit `counts` takes the ones with the fewest cycles. A coarser fold skips less of a mask, and
    may read more from a port than a finer one that takes longer. So the limits are weighed by what the whole step
    costs: a larger array, whose limits include those of a smaller one, is never slower. Where time is not the aim,
    all are used, and so is a side that decides no mask: along it, more never read more.
    """
    halved: set[int] = set()
    for par in pars:
        if par[c.CAUSAL]:
            halved.update(_MASKING.get((int(par[c.FLOW]), int(par[c.CAUSAL])), ()))
            full = par[c.SIDE_R : c.SIDE_C + 1].tolist()
    if not halved:
        return [()]
    limits = []
    for place, side in enumerate(full):
        limits.append([side])
        while place in halved and limits[place][-1] > 1:
            limits[place].append(limits[place][-1] // 2)
    return [(row, col) for row in limits[0] for col in limits[1]]


_MASKING = {
    (c.WS, 1): (1,), (c.WS, 2): (0,), (c.IS, 1): (1,), (c.IS, 2): (0, 1), (c.OS, 1): (0, 1), (c.OS, 2): (0,),
}  # fmt: skip
"""Which sides, rows 0 and columns 1, decide how much of a mask is skipped, for a dataflow and a masked N 1 or K 2."""


@lru_cache(maxsize=4096)
def _pieces(widest: int) -> NDArray[np.float64]:
    """Numbers of pieces that the widest product of a group is worked on in."""
    return np.asarray(np.ceil(widest / t.grid(widest)))


@lru_cache(maxsize=512)
def _array_table(
    numbers: bytes, count: int, common: int, block: int, widest: int
) -> tuple[bytes, NDArray[np.float64]]:
    """`fused_table` of `count` products, and its bytes: layers that repeat, and machines of one array, share it."""
    # a copy may be written, as the operands of `single_tile`: what both call is compiled for one type of array
    pars = np.frombuffer(numbers, np.float64).reshape(count, -1).copy()
    table = np.asarray(f.fused_table(pars, float(common), float(block), t.grid(block), _pieces(widest)))
    return table.tobytes(), table


__all__ = ["Skeleton", "State", "choose"]
