"""What a group moves, whatever its tile.

A group's numbers are made once. The search (`hwsim.timing.choosing`) weighs them as float64; `hwsim.timing.steps`
counts the step that is reported from the same numbers and the same formulas, in Python's integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.timing import counts as c
from hwsim.timing import tiles as t
from hwsim.timing.fusing import Fusion, fill_rows
from hwsim.timing.groups import DRAM, Flow, Part, Places
from hwsim.timing.stages import Staged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwsim.timing.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Objective:
    """What a plan minimises: a weighted sum of DRAM bits, pJ and cycles; `halves` whether masked products may leave a
    part of the array idle for it (`hwsim.timing.choosing`)."""

    traffic: float
    energy: float
    time: float
    halves: bool = True


@dataclass(slots=True)
class Group:
    """Numbers of a group for given places of its tensors."""

    parts: tuple[Part, ...]
    how: Fusion | None
    flows: list[Flow]
    pars: list[list[Any]]
    step: list[Any]
    levels: int


def prepare(
    staged: Staged, parts: tuple[Part, ...], how: Fusion | None, places: Places, wires: Wiring, aim: Objective
) -> Group:
    """The numbers of a group; `how` is None for a group of one stage."""
    flows: list[Flow] = []
    first_row = 0
    levels, (level_in, _, level_out) = wires.outer, wires.outer
    inside = {name for name, _, _ in how.inside} if how else set()
    for name in places.loads:
        flows.append(Flow(parts[0].stage.layer, name, staged.bits[name], (0,), (levels[places.home[name]],)))
    seen: set[str] = set()
    for part in parts:
        layer = part.stage.layer
        for name, bits in part.extra:
            if name in inside:
                flows.append(Flow(layer, name, bits, (level_in,)))
            elif places.home[name] == DRAM:
                flows += [Flow(layer, name, bits, (0,), (level_in,)), Flow(layer, name, bits, (level_in,))]
                first_row += bits
            else:
                flows.append(Flow(layer, name, bits, (levels[places.home[name]],)))
        for name in part.stage.writes:
            bits = staged.made_bits.get(name, staged.bits[name])
            if places.home.get(name, DRAM) != DRAM:
                flows.append(Flow(layer, name, bits, (), (levels[places.home[name]],)))
            if name in places.stores:
                flows.append(Flow(layer, name, bits, (level_out,), (level_out, 0)))
            if name in inside and any(name == other for other_part in parts for other, _ in other_part.extra):
                flows.append(Flow(layer, name, bits, (), (level_in,)))
        if part.problem is not None:
            problem = part.problem
            sums = int(problem[c.PROBLEMS] * problem[c.ROWS] * problem[c.N] * problem[c.SUM_BITS])
            flows.append(Flow(layer, f"{layer}:partial", sums, (wires.array[t.OUTPUT],)))
            flows += inner_flows(part, wires)
        if how is not None and part.problem is not None:
            narrow = int(part.problem[c.A_VIEW])
            if part.a_source in inside:
                if part.raw:
                    raw = staged.bits[part.a_source]
                    flows += [Flow(layer, part.a_source, raw, (), (level_in,)),
                              Flow(layer, part.a_source, raw, (level_in,)),
                              Flow(layer, part.a_source, narrow, (), (level_in,))]  # fmt: skip
                elif part.a_source not in seen:
                    seen.add(part.a_source)
                    flows.append(Flow(layer, part.a_source, narrow, (), (level_in,)))
            else:
                home = places.home[part.a_source]
                if part.a_source not in seen:
                    seen.add(part.a_source)
                    if home == DRAM or part.a_source in places.loads:
                        first_row += part.a_bits
                    if home == DRAM:
                        flows.append(Flow(layer, part.a_source, part.a_bits, (0,), (level_in,)))
                    elif levels[home] != level_in:
                        flows.append(Flow(layer, part.a_source, part.a_bits, (levels[home],), (level_in,)))
                if part.raw:
                    flows += [Flow(layer, part.a_source, part.a_bits, (level_in,)),
                              Flow(layer, part.a_source, narrow, (), (level_in,))]  # fmt: skip
    stores = sum(flow.bits for flow in flows if 0 in flow.written)
    vector = sum(part.vector_cycles + (part.pre_cycles if how else 0) for part in parts)
    common, block = (how.common, how.block) if how else (1, 1)
    step: list[Any] = [
        *wires.outer,
        *wires.array,
        *wires.pool,
        *wires.double,
        int(wires.overlaps),
        vector,
        stores,
        Fraction(first_row, common),
        common,
        block,
        aim.traffic,
        aim.energy,
        aim.time,
        wires.bits_per_cycle,
        0.0,
        sum(least_cycles(part) for part in parts),
        *wires.registers[:2],
    ]
    pars = []
    if how is None:
        if parts[0].problem is not None:
            pars.append(_single(staged, parts[0], places, wires))
    else:
        table = fill_rows(staged, parts, how, places, wires.outer, wires.double[t.INPUT])
        for place, part in enumerate(parts):
            pars.append(_fused(part, how, place, places, wires, table[place]))
    return Group(parts, how, flows, pars, step, len(wires.names))


def inner_flows(part: Part, wires: Wiring) -> list[Flow]:
    """What passes between levels on chip inside the outermost, and in the registers of the units.

    Every boundary is tiled alone, for the whole product, so that the fewest bits pass it; a product whose tile on the
    level above is smaller than that passes more, which is left out. A register is read once a multiplication.
    """
    problem, layer = part.problem, part.stage.layer
    assert problem is not None
    flows: list[Flow] = []
    partial = f"{layer}:partial"
    rows_all = problem[c.PROBLEMS] * problem[c.ROWS]
    sums = int(rows_all * problem[c.N] * problem[c.SUM_BITS])
    operands = (
        (part.a_source, int(problem[c.A_VIEW])),
        (part.b_source, int(problem[c.B_BITS] * problem[c.PROBLEMS])),
        (partial, sums),
    )
    for depth in range(max(len(levels) for levels in wires.inner)):
        rooms = [
            wires.capacities[levels[depth]] / wires.double[operand] if depth < len(levels) else inf
            for operand, levels in enumerate(wires.inner)
        ]
        _, *times = t.inner_passes(
            np.array(problem, np.float64),
            np.array(rooms),
            *(t.grid(int(problem[side])) for side in (c.ROWS, c.N, c.K)),
        )
        for operand, levels in enumerate(wires.inner):
            if depth >= len(levels):
                continue
            above, level = (wires.outer[operand], *levels)[depth], levels[depth]
            name, bits = operands[operand]
            if operand == t.OUTPUT:
                again = bits * (int(times[operand]) - 1)
                flows += [Flow(layer, name, again, (level,), (above,)), Flow(layer, name, again, (above,), (level,))]
            else:
                flows.append(Flow(layer, name, bits * int(times[operand]), (above,), (level,)))
    steps = int(rows_all * problem[c.N])
    for operand, level in enumerate(wires.registers):
        name, bits = operands[operand]
        each = (rows_all * problem[c.K], problem[c.PROBLEMS] * problem[c.N] * problem[c.K], steps)[operand]
        if level >= 0:
            every = -(-bits * steps * int(problem[c.K]) // int(each))
            flows.append(Flow(layer, name, every, (level,), (level,) if operand == t.OUTPUT else ()))
    return flows


def least_cycles(part: Part) -> float:
    """Cycles of the array at least, whatever the tile."""
    problem = part.problem
    return 0.0 if problem is None else float(least(problem)[3])


def least_energy(part: Part, wires: Wiring) -> float:
    """pJ of what passes between the array and the memories beside it at least, its results' way out not counted."""
    problem = part.problem
    if problem is None:
        return 0.0
    a, b, visits, _, share = least(problem)
    price = wires.prices
    array_in, array_w, array_out = wires.array
    sums = problem[c.PROBLEMS] * problem[c.ROWS] * problem[c.N] * problem[c.SUM_BITS]
    moved = (
        problem[c.A_VIEW] * a * price[array_in, 0]
        + problem[c.B_BITS] * b * price[array_w, 0]
        + sums * (visits * price[array_out, 1] + (visits - 1) * price[array_out, 0])
    )
    return float(moved * share)


def least(problem: Sequence[Any]) -> tuple[float, float, float, float, float]:
    """Least multipliers of a, b and sums (`counts`), least cycles, and the share that a mask leaves at least."""
    rows, cols, wide = problem[c.SIDE_R], problem[c.SIDE_C], problem[c.WIDE]
    each, n, k = problem[c.ROWS], problem[c.N], problem[c.K]
    fn, fk = -(-n // cols), -(-k // (rows * wide))
    if problem[c.FLOW] == c.WS:
        a, b, visits, steps = fn, 1, fk, fn * fk * each
    elif problem[c.FLOW] == c.IS:
        fm = -(-each // cols)
        a, b, visits, steps = 1, fm, fk, fm * fk * n
    elif problem[c.FLOW] == c.PACKED:
        a, b, visits, steps = 1, 1, 1, problem[c.FOLDS] * problem[c.STEPS]
    else:
        fm = -(-each // rows)
        a, b, visits, steps = fn, fm, 1, fm * fn * -(-k // wide)
    share = 1.0
    if problem[c.CAUSAL]:
        shown, of = c.visible(each, n if problem[c.CAUSAL] == 1 else k, 1)
        share = shown / of
    cycles = problem[c.PROBLEMS] * steps * problem[c.PACE] * share / problem[c.ARRAYS]
    return a, b, visits, cycles, share


def _source(home: int, level: int, wires: Wiring) -> int:
    """The level that an operand is brought from, -1 where it lies where it is needed."""
    if home == DRAM:
        return 0
    return -1 if wires.outer[home] == level else wires.outer[home]


def _single(staged: Staged, part: Part, places: Places, wires: Wiring) -> list[Any]:
    problem = part.problem
    assert problem is not None
    level_in, level_w, _ = wires.outer
    rows = problem[c.PROBLEMS] * problem[c.ROWS]
    fixed, row = part.window if part.window else (0, part.a_bits / rows)
    a_source = _source(places.home[part.a_source], level_in, wires)
    b_source = _source(places.home[part.b_source], level_w, wires)
    kept = max((staged.bits[name] for name in part.stage.writes), default=0) / (rows * problem[c.N])
    extra = sum(bits for name, bits in part.extra if places.home[name] == DRAM)
    return [
        *problem,
        part.a_bits if a_source >= 0 else 0,
        row,
        fixed,
        row if part.raw else 0,
        part.a_bits if part.raw else 0,
        (min(part.a_bits, problem[c.A_VIEW]) if part.window else problem[c.A_VIEW]) if part.raw else 0,
        part.pre_cycles,
        int(part.whole_depth),
        int(part.whole_row),
        kept,
        extra / rows,
        a_source,
        b_source,
        part.b_total,
        int(a_source == 0 or part.a_source in places.loads),
        int(b_source == 0 or part.b_source in places.loads),
    ]


def _fused(part: Part, how: Fusion, place: int, places: Places, wires: Wiring, rows: list[float]) -> list[Any]:
    problem = part.problem
    assert problem is not None
    own = part.groups > 1
    numbers = list(problem)
    numbers[c.PROBLEMS] = part.batch if own else 1
    numbers[c.ROWS] = part.rows // part.batch if own else part.rows
    heads = how.per_block[place]
    per_block = max(1, heads * part.groups // part.batch) if own else 1
    source = _source(places.home[part.b_source], wires.outer[t.WEIGHT], wires)
    waits = int(source == 0 or part.b_source in places.loads)
    return [*numbers, how.modes[place], heads, how.factor[place], per_block, part.groups, *rows, source, waits]
