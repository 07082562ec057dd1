"""The best row block of fused products in the room that a memory leaves.

Fused products share blocks of rows; the columns of each are worked on in pieces, and an operand b either lies on chip
whole or is streamed for every block. The grid and the cost are those of `hwsim.timing.tiles`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit, register_jitable
from hwsim.timing.counts import (
    A_VIEW,
    B_BITS,
    CAUSAL,
    PROBLEMS,
    ROWS,
    SIZE,
    SUM_BITS,
    K,
    N,
    array_counts,
)  # fmt: skip
from hwsim.timing.tiles import (
    ARRAY_IN,
    ARRAY_OUT,
    ARRAY_W,
    BLOCK_ROWS,
    DOUBLE_OUT,
    DOUBLE_W,
    FIRST_ROW_BITS,
    LEAST_ENERGY,
    LEVEL_W,
    POOL_IN,
    POOL_OUT,
    POOL_W,
    REGISTERS_IN,
    REGISTERS_W,
    ROWS_COMMON,
    STORE_BITS,
    VECTOR_CYCLES,
    cost_of,
    fill_price,
    floor_of,
    least_of,
    put,
)  # fmt: skip

# of one of several fused products
MODE, PER_BLOCK, ROW_FACTOR, B_PER_BLOCK, B_COUNT, IN_ROW, IN_CHUNK, OUT_ROW, OUT_CHUNK, FUSED_SOURCE = range(
    SIZE, SIZE + 10
)
FUSED_WAITS = SIZE + 10  # whether its operand b comes from the DRAM, for the first block of the first product
FUSED = SIZE + 11
PLAIN, FIRST, SECOND = 0, 1, 2


@register_jitable
def streamed_bits(par: Any, tile_m: Any, blocks: Any, outer: Any) -> Any:
    """Bits of operand b of one of several fused products that pass where it is streamed for every row block."""
    stream = outer * blocks * par[B_PER_BLOCK] * par[B_BITS]
    if par[CAUSAL] > 0:  # a masked triangle: a row block reads as far as its last row sees
        side = par[N] if par[CAUSAL] == 1 else par[K]
        behind = side - par[ROWS] if side > par[ROWS] else side * 0
        seen = (blocks - 1) * behind + tile_m * ((blocks - 1) * blocks // 2) + side
        stream = -(-stream * seen // (blocks * side))
    return stream


@register_jitable
def fused_counts(par: Any, tile_m: Any, blocks: Any, outer: Any, chunk: Any) -> Any:
    """`array_counts` of one of several fused products.

    Args:
        par: the product.
        tile_m: common rows of a block.
        blocks: row blocks of one sequence of common rows, of which there are `outer`.
        chunk: columns (or depth, where it accumulates) that are worked on at a time.
    """
    sequence = par[PROBLEMS] * par[ROWS] // (outer * par[PER_BLOCK] * par[ROW_FACTOR])
    last = sequence - (blocks - 1) * tile_m
    units = outer * par[PER_BLOCK]
    if par[MODE] == SECOND:
        tile_n, tile_k = par[N], chunk
    else:
        tile_n, tile_k = chunk, par[K]
    return array_counts(
        par,
        units * blocks,
        (tile_m * par[ROW_FACTOR], last * par[ROW_FACTOR]),
        (units * (blocks - 1), units),
        tile_n,
        tile_k,
    )


@njit
def fused_table(
    pars: NDArray[np.float64],
    common: float,
    block: float,
    grid_m: NDArray[np.float64],
    pieces: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the array does for every row block and number of pieces, whatever the memories: for each stage cycles,
    multipliers of a, of b and of visits, the share that a mask leaves, columns worked on, bits of a streamed b."""
    table = np.empty((len(grid_m), len(pieces), len(pars), 7))
    outer = common / block
    for row in range(len(grid_m)):
        tile_m = grid_m[row]
        blocks = np.ceil(block / tile_m)
        for column in range(len(pieces)):
            for stage in range(len(pars)):
                par = pars[stage]
                side = par[K] if par[MODE] == SECOND else par[N]
                chunk = np.ceil(side / pieces[column])
                if column > 0 and table[row, column - 1, stage, 5] == chunk:
                    put(table[row, column - 1, stage], table[row, column, stage])
                    continue
                counted = fused_counts(par, tile_m, blocks, outer, chunk)
                into = table[row, column, stage]
                into[0], into[1], into[2], into[3] = counted[0], counted[4], counted[5], counted[6]
                into[4], into[5] = counted[7] / counted[8], chunk
                into[6] = streamed_bits(par, tile_m, blocks, outer)
    return table


@njit
def fused_tile(
    pars: NDArray[np.float64],
    step: NDArray[np.float64],
    room: NDArray[np.float64],
    base_reads: NDArray[np.float64],
    base_writes: NDArray[np.float64],
    prices: NDArray[np.float64],
    grid_m: NDArray[np.float64],
    pieces: NDArray[np.float64],
    table: NDArray[np.float64],
    used: NDArray[np.float64],
    bound: float,
) -> tuple[float, float, float, float, int]:
    """(cost, latency, rows, pieces, held) of the best row block of fused products, `bound` where none costs less.

    `held` has a bit for each product whose operand b lies on chip whole. `pieces` are in how many columns of an
    operand b, or for a product behind which the next one accumulates, of the result, are worked on at a time; `table`
    is their `fused_table`. `used` receives the bits of each pool that the best takes.
    """
    best = (bound, 0.0, 0.0, 0.0, 0)
    count, levels = len(pars), len(base_reads)
    most = np.zeros(len(room))
    reads, writes = np.empty(levels), np.empty(levels)
    array_reads, array_writes = np.empty(levels), np.empty(levels)
    pool_in, pool_w, pool_out = int(step[POOL_IN]), int(step[POOL_W]), int(step[POOL_OUT])
    weight_level = int(step[LEVEL_W])
    outer = step[ROWS_COMMON] / step[BLOCK_ROWS]
    fill_energy, fill_traffic, held_bits, held_room = (
        np.zeros(count),
        np.zeros(count),
        np.zeros(count),
        np.zeros(count),
    )
    base_energy, base_traffic = least_of(base_reads, base_writes, prices, step)
    base_energy -= step[LEAST_ENERGY]
    source_bits = 0
    for stage in range(count):
        par = pars[stage]
        fill_energy[stage], fill_traffic[stage] = fill_price(par[FUSED_SOURCE], weight_level, prices)
        held_bits[stage] = par[B_BITS] * par[B_COUNT]
        held_room[stage] = (
            par[B_BITS] * par[B_PER_BLOCK] * (step[DOUBLE_W] if par[B_COUNT] > par[B_PER_BLOCK] else 1.0)
        )
        source_bits |= int(par[FUSED_SOURCE] >= 0) << stage
    for row in range(len(grid_m)):
        tile_m = grid_m[row]
        blocks = np.ceil(step[BLOCK_ROWS] / tile_m)
        for column in range(len(pieces)):
            fits, parts, cycles = True, 1.0, 0.0
            at = table[row, column]
            for stage in range(count):
                par = pars[stage]
                side = par[K] if par[MODE] == SECOND else par[N]
                parts = max(parts, np.ceil(side / at[stage, 5]))
                cycles += at[stage, 0]
                share = at[stage, 5] / side
                need_in = tile_m * (par[IN_ROW] + par[IN_CHUNK] * share)
                need_out = tile_m * (par[OUT_ROW] + par[OUT_CHUNK] * share) * step[DOUBLE_OUT]
                if pool_in == pool_out:
                    fits &= need_in + need_out <= room[pool_in]
                else:
                    fits &= need_in <= room[pool_in] and need_out <= room[pool_out]
            if not fits:
                continue
            array_reads[:] = 0.0
            array_writes[:] = 0.0
            energy_least, traffic_least = base_energy, base_traffic
            for stage in range(count):
                par = pars[stage]
                shown = at[stage, 4]
                a = par[A_VIEW] * at[stage, 1] * shown
                b = par[B_BITS] * at[stage, 2] * shown
                sums = par[PROBLEMS] * par[ROWS] * par[N] * par[SUM_BITS] * shown
                array_reads[int(step[ARRAY_IN])] += a
                array_reads[int(step[ARRAY_W])] += b
                if step[REGISTERS_IN] >= 0:
                    array_writes[int(step[REGISTERS_IN])] += a
                if step[REGISTERS_W] >= 0:
                    array_writes[int(step[REGISTERS_W])] += b
                array_writes[int(step[ARRAY_OUT])] += sums * at[stage, 3]
                array_reads[int(step[ARRAY_OUT])] += sums * (at[stage, 3] - 1)
                fill = min(at[stage, 6], held_bits[stage])
                energy_least += fill * fill_energy[stage]
                traffic_least += fill * fill_traffic[stage]
            energy_array = 0.0
            for level in range(levels):
                energy_array += array_reads[level] * prices[level, 0] + array_writes[level] * prices[level, 1]
            if floor_of(energy_least + energy_array, traffic_least, cycles, step) >= best[0]:
                continue
            for held in range(1 << count):
                if held & ~source_bits:
                    continue
                held_all = 0.0
                energy, traffic = base_energy + energy_array, base_traffic
                for stage in range(count):
                    fill = at[stage, 6]
                    if held >> stage & 1:
                        held_all += held_room[stage]
                        fill = held_bits[stage]
                    energy += fill * fill_energy[stage]
                    traffic += fill * fill_traffic[stage]
                if held_all > room[pool_w] or floor_of(energy, traffic, cycles, step) >= best[0]:
                    continue
                most[:] = 0.0
                for stage in range(count):
                    par = pars[stage]
                    side = par[K] if par[MODE] == SECOND else par[N]
                    share = at[stage, 5] / side
                    weight_room = held_all
                    if not held >> stage & 1 and par[FUSED_SOURCE] >= 0:
                        weight_room += par[B_BITS] * share * step[DOUBLE_W]
                    need_in = tile_m * (par[IN_ROW] + par[IN_CHUNK] * share)
                    need_out = tile_m * (par[OUT_ROW] + par[OUT_CHUNK] * share) * step[DOUBLE_OUT]
                    for pool in range(len(room)):
                        need = 0.0
                        if pool == pool_w:
                            need += weight_room
                        if pool == pool_in:
                            need += need_in
                        if pool == pool_out:
                            need += need_out
                        most[pool] = max(most[pool], need)
                fits = True
                for pool in range(len(room)):
                    fits &= most[pool] <= room[pool]
                if not fits:
                    continue
                for level in range(levels):
                    reads[level] = base_reads[level] + array_reads[level]
                    writes[level] = base_writes[level] + array_writes[level]
                first = step[FIRST_ROW_BITS] * tile_m
                for stage in range(count):
                    par = pars[stage]
                    if par[FUSED_SOURCE] >= 0:
                        fill = held_bits[stage] if held >> stage & 1 else at[stage, 6]
                        reads[int(par[FUSED_SOURCE])] += fill
                        writes[weight_level] += fill
                if pars[0, FUSED_WAITS] > 0:
                    par = pars[0]
                    side = par[K] if par[MODE] == SECOND else par[N]
                    first += par[B_BITS] * (par[B_PER_BLOCK] if held & 1 else at[0, 5] / side)
                last = step[STORE_BITS] * tile_m / step[ROWS_COMMON]
                cost, latency = cost_of(
                    reads, writes, prices, first, last, cycles, step[VECTOR_CYCLES], outer * blocks * parts, step
                )
                if cost < best[0]:
                    best = (cost, latency, tile_m, pieces[column], held)
                    put(most, used)
    return best
