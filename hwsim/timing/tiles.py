"""The best tile of one product in the room that a memory leaves, and what any tile costs.

The searches here and of `hwsim.timing.fused_tiles` take every tile of a fixed grid (`grid`): that many pieces, or as
few rows as a piece can have. The grid does not depend on the memory, so that whatever fits a small memory is also
tried in a larger one: more memory never costs more. The cost is the objective's own: DRAM bits, energy, or cycles, of
everything that the step moves.

Rejected: arbitrary factorisations, on which peers spend seconds to minutes a product.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit
from hwsim.timing.counts import (
    A_VIEW,
    B_BITS,
    PROBLEMS,
    ROWS,
    SIZE,
    SUM_BITS,
    K,
    N,
    array_counts,
    passes,
    pipeline,
)

INPUT, WEIGHT, OUTPUT = 0, 1, 2

# what `step` adds to a product's own numbers: places in `par` of a single product
A_FILL, A_ROW, A_FIX, RAW_ROW, PRE_READ, PRE_WRITE, PRE_CYCLES, NEED_K, NEED_N, OUT_BITS, EXTRA_ROW = range(
    SIZE, SIZE + 11
)
A_SOURCE, B_SOURCE, B_TOTAL, A_WAITS, B_WAITS = range(SIZE + 11, SIZE + 16)  # waits: for the DRAM, at its first tile
SINGLE = SIZE + 16

# of a step
LEVEL_IN, LEVEL_W, LEVEL_OUT, ARRAY_IN, ARRAY_W, ARRAY_OUT, POOL_IN, POOL_W, POOL_OUT = range(9)
DOUBLE_IN, DOUBLE_W, DOUBLE_OUT, OVERLAPS, VECTOR_CYCLES, STORE_BITS, FIRST_ROW_BITS, ROWS_COMMON, BLOCK_ROWS = range(
    9, 18
)
WEIGHT_TRAFFIC, WEIGHT_ENERGY, WEIGHT_TIME, BITS_PER_CYCLE, LEAST_ENERGY, LEAST_CYCLES = range(18, 24)
REGISTERS_IN, REGISTERS_W = 24, 25
STEP = 26


@lru_cache(maxsize=4096)
def grid(size: int) -> NDArray[np.float64]:
    """Lengths of a tile along a side of `size`: 1, 2, 3, 4, 6, 8, 12, 16 .. pieces, down to a length of 1."""
    lengths, pieces = [size], 2
    while lengths[-1] > 1:
        lengths.append(-(-size // pieces))
        half = pieces & (pieces - 1) == 0
        pieces = pieces + max(1, pieces // 2) if half and pieces > 2 else (4 if pieces == 3 else pieces * 4 // 3 if
                                                                          pieces > 3 else 3)  # fmt: skip
    return np.array(list(dict.fromkeys(lengths)), np.float64)


@njit
def put(values: NDArray[np.float64], into: NDArray[np.float64]) -> None:
    """``into[:] = values`` of equal lengths: the slice would compile Numba's message for others, text and all, for as
    long as the whole search of a tile."""
    for place in range(len(into)):
        into[place] = values[place]


@njit
def cost_of(
    reads: NDArray[np.float64],
    writes: NDArray[np.float64],
    prices: NDArray[np.float64],
    first: float,
    last: float,
    cycles: float,
    vector: float,
    tiles: float,
    step: NDArray[np.float64],
) -> tuple[float, float]:
    """The objective's cost and the latency of a step.

    `prices` has a row a level: pJ of a bit read and written, bits a cycle of its read ports, write ports, of all.
    """
    energy, busy = 0.0, cycles
    for level in range(len(reads)):
        energy += reads[level] * prices[level, 0] + writes[level] * prices[level, 1]
        if level:
            busy = max(
                busy,
                reads[level] / prices[level, 2],
                writes[level] / prices[level, 3],
                (reads[level] + writes[level]) / prices[level, 4],
            )
    pace = step[BITS_PER_CYCLE]
    load, store = reads[0] / pace, writes[0] / pace
    if step[OVERLAPS] > 0:
        latency = pipeline(min(first / pace, load), min(last / pace, store), load, store, busy, vector, tiles)
    else:
        latency = load + store + busy + vector
    traffic = reads[0] + writes[0]
    cost = step[WEIGHT_TRAFFIC] * traffic + step[WEIGHT_ENERGY] * energy + step[WEIGHT_TIME] * latency
    return cost, latency


@njit
def least_of(
    reads: NDArray[np.float64], writes: NDArray[np.float64], prices: NDArray[np.float64], step: NDArray[np.float64]
) -> tuple[float, float]:
    """Energy of flows that every tile has, with the least of array and memories beside it; bits of DRAM."""
    energy = step[LEAST_ENERGY]
    for level in range(len(reads)):
        energy += reads[level] * prices[level, 0] + writes[level] * prices[level, 1]
    return energy, reads[0] + writes[0]


@njit
def floor_of(energy: float, traffic: float, cycles: float, step: NDArray[np.float64]) -> float:
    """What a step costs at least that moves so much and keeps the array busy so long."""
    time = max(traffic / step[BITS_PER_CYCLE], cycles, step[VECTOR_CYCLES])
    return float(step[WEIGHT_TRAFFIC] * traffic + step[WEIGHT_ENERGY] * energy + step[WEIGHT_TIME] * time)


@njit
def fill_price(source: float, level: int, prices: NDArray[np.float64]) -> tuple[float, float]:
    """Energy and DRAM bits of one bit that is brought from `source` into a level; nothing where it lies there."""
    if source < 0:
        return 0.0, 0.0
    return prices[int(source), 0] + prices[level, 1], 1.0 if source == 0 else 0.0


@njit
def single_tile(
    par: NDArray[np.float64],
    step: NDArray[np.float64],
    room: NDArray[np.float64],
    base_reads: NDArray[np.float64],
    base_writes: NDArray[np.float64],
    prices: NDArray[np.float64],
    grid_m: NDArray[np.float64],
    grid_n: NDArray[np.float64],
    grid_k: NDArray[np.float64],
    used: NDArray[np.float64],
    bound: float,
) -> tuple[float, float, float, float, float, int]:
    """(cost, latency, rows, columns, depth, order) of the best tile of one product, `bound` where none costs less.

    `used` receives the bits of each pool that it takes.
    """
    best = (bound, 0.0, 0.0, 0.0, 0.0, 0)
    none = (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    need = np.zeros(len(room))
    reads, writes = np.empty(len(base_reads)), np.empty(len(base_reads))
    rows_all = par[PROBLEMS] * par[ROWS]
    a_element = par[A_VIEW] / (rows_all * par[K])
    input_level, weight_level, output_level = int(step[LEVEL_IN]), int(step[LEVEL_W]), int(step[LEVEL_OUT])
    energy_base, traffic_base = least_of(base_reads, base_writes, prices, step)
    a_energy, a_traffic = fill_price(par[A_SOURCE], input_level, prices)
    b_energy, b_traffic = fill_price(par[B_SOURCE], weight_level, prices)
    spill_energy = prices[0, 0] + prices[0, 1] + prices[output_level, 0] + prices[output_level, 1]
    pre_energy = par[PRE_READ] * prices[input_level, 0] + par[PRE_WRITE] * prices[input_level, 1]
    for tile_n in grid_n:
        if par[NEED_N] > 0 and tile_n < par[N]:
            break
        for tile_k in grid_k:
            if par[NEED_K] > 0 and tile_k < par[K]:
                break
            pn, pk = np.ceil(par[N] / tile_n), np.ceil(par[K] / tile_k)
            weight_room = 0.0
            if par[B_SOURCE] >= 0:
                weight_room = par[B_BITS] * (tile_n / par[N]) * (tile_k / par[K])
                if pn * pk * par[PROBLEMS] > 1:
                    weight_room *= step[DOUBLE_W]
            if weight_room > room[int(step[POOL_W])]:
                continue
            for tile_m in grid_m:
                tiles = np.ceil(par[ROWS] / tile_m) * par[PROBLEMS]
                alone = tiles * pn * pk == 1
                need[:] = 0.0
                need[int(step[POOL_W])] += weight_room
                input_room = 0.0
                if par[A_SOURCE] >= 0:
                    input_room = (par[A_FIX] + tile_m * par[A_ROW]) * (tile_k / par[K])
                    if tiles * pk > 1:
                        input_room *= step[DOUBLE_IN]
                if par[RAW_ROW] > 0:
                    input_room += tile_m * tile_k * a_element
                extra = tile_m * par[EXTRA_ROW] * (tile_n / par[N])
                need[int(step[POOL_IN])] += input_room + (extra if alone else extra * step[DOUBLE_IN])
                output_room = tile_m * tile_n * max(par[SUM_BITS], par[OUT_BITS])
                need[int(step[POOL_OUT])] += output_room if alone else output_room * step[DOUBLE_OUT]
                fits = True
                for pool in range(len(room)):
                    fits &= need[pool] <= room[pool]
                if not fits:
                    continue
                done = 0
                counted = none
                for order in range(6):
                    _pm, _, _, again_a, again_b, visits = passes(par, tile_m, tile_n, tile_k, order)
                    same = 1 << int((again_a > 1) + 2 * (again_b > 1) + 4 * (visits > 1))
                    if done & same:
                        continue
                    done |= same
                    spill = rows_all * par[N] * (visits - 1) * par[SUM_BITS]
                    floor = floor_of(
                        energy_base
                        + again_a * (par[A_FILL] * a_energy + pre_energy)
                        + again_b * par[B_TOTAL] * b_energy
                        + spill * spill_energy,
                        traffic_base
                        + again_a * par[A_FILL] * a_traffic
                        + again_b * par[B_TOTAL] * b_traffic
                        + 2 * spill,
                        step[LEAST_CYCLES],
                        step,
                    )
                    if floor >= best[0]:
                        continue
                    if counted[0] < 0:
                        whole = np.floor(par[ROWS] / tile_m)
                        ragged = par[ROWS] - whole * tile_m
                        counted = array_counts(
                            par,
                            tiles,
                            (tile_m, ragged),
                            (whole * par[PROBLEMS], par[PROBLEMS] if ragged > 0 else 0.0),
                            tile_n,
                            tile_k,
                        )
                    share = counted[7] / counted[8]
                    put(base_reads, reads)
                    put(base_writes, writes)
                    if par[A_SOURCE] >= 0:
                        reads[int(par[A_SOURCE])] += par[A_FILL] * again_a
                        writes[input_level] += par[A_FILL] * again_a
                    reads[input_level] += par[PRE_READ] * again_a
                    writes[input_level] += par[PRE_WRITE] * again_a
                    if par[B_SOURCE] >= 0:
                        reads[int(par[B_SOURCE])] += par[B_TOTAL] * again_b
                        writes[weight_level] += par[B_TOTAL] * again_b
                    reads[0] += spill
                    writes[0] += spill
                    reads[output_level] += spill
                    writes[output_level] += spill
                    reads[int(step[ARRAY_IN])] += par[A_VIEW] * counted[4] * share
                    reads[int(step[ARRAY_W])] += par[B_BITS] * counted[5] * share
                    if step[REGISTERS_IN] >= 0:
                        writes[int(step[REGISTERS_IN])] += par[A_VIEW] * counted[4] * share
                    if step[REGISTERS_W] >= 0:
                        writes[int(step[REGISTERS_W])] += par[B_BITS] * counted[5] * share
                    sums = rows_all * par[N] * par[SUM_BITS] * share
                    writes[int(step[ARRAY_OUT])] += sums * counted[6]
                    reads[int(step[ARRAY_OUT])] += sums * (counted[6] - 1)
                    first = 0.0
                    if par[A_WAITS] > 0:
                        first += (par[A_FIX] + tile_m * par[A_ROW]) * (tile_k / par[K])
                    if par[B_WAITS] > 0:
                        first += par[B_BITS] * (tile_n / par[N]) * (tile_k / par[K])
                    last = step[STORE_BITS] * (tile_m * tile_n) / (rows_all * par[N])
                    cost, latency = cost_of(
                        reads,
                        writes,
                        prices,
                        first,
                        last,
                        counted[0],
                        step[VECTOR_CYCLES] + par[PRE_CYCLES] * again_a,
                        tiles * pn * pk,
                        step,
                    )
                    if cost < best[0]:
                        best = (cost, latency, tile_m, tile_n, tile_k, order)
                        put(need, used)
    return best


@njit
def inner_passes(
    par: NDArray[np.float64],
    rooms: NDArray[np.float64],
    grid_m: NDArray[np.float64],
    grid_n: NDArray[np.float64],
    grid_k: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """(bits, a, b, visits): how often the operands of a product pass into the next level inside the chip, least bits.

    `rooms` are of one buffer of that level for each operand, infinite for one that does not pass it.
    """
    best = (np.inf, 1.0, 1.0, 1.0)
    rows_all = par[PROBLEMS] * par[ROWS]
    counts_a, counts_b, counts_out = rooms[0] < np.inf, rooms[1] < np.inf, rooms[2] < np.inf
    for tile_n in grid_n:
        for tile_k in grid_k:
            if par[B_BITS] * (tile_n / par[N]) * (tile_k / par[K]) > rooms[1]:
                continue
            for tile_m in grid_m:
                if par[A_VIEW] / rows_all * tile_m * (tile_k / par[K]) > rooms[0]:
                    continue
                if tile_m * tile_n * par[SUM_BITS] > rooms[2]:
                    continue
                for order in range(6):
                    _, _, _, a, b, visits = passes(par, tile_m, tile_n, tile_k, order)
                    moved = 0.0
                    if counts_a:
                        moved += a * par[A_VIEW]
                    if counts_b:
                        moved += b * par[B_BITS] * par[PROBLEMS]
                    if counts_out:
                        moved += 2 * (visits - 1) * rows_all * par[N] * par[SUM_BITS]
                    if moved < best[0]:
                        best = (moved, a, b, visits)
    return best


__all__ = ["grid", "inner_passes", "single_tile"]
