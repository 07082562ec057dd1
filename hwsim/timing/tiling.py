"""Which tiles of a GEMM lie on chip, so that DRAM moves the fewest bits.

A tile of each operand lies in its memory, double buffered. For a loop order over tiles, an operand is fetched again
for every pass of a loop that does not index it, if a loop that does index it runs inside; loops with one pass do not
count. Partial sums that leave between two passes over K are written and read back at accumulator width. The search
takes every tile height along N and K that is a fold of the array doubled some times, or the whole, the tallest tile
along M that still fits, and all six orders.

Mapping search over arbitrary factorisations was rejected: peers spend seconds to minutes a GEMM on it, and the
doubled tiles are within a factor two of any other. More memory never costs traffic, because every tiling that fits a
smaller memory is also tried for the larger.
"""

from __future__ import annotations

from typing import NamedTuple

from hwsim.jit import njit

ORDERS = ("mnk", "mkn", "nmk", "nkm", "kmn", "knm")


class Tiling(NamedTuple):
    """The best tiling found: what moves between DRAM and chip, in elements, and the tile.

    `order` lists the loops, outermost first. `partial` counts sums written out unfinished, each read back once.
    """

    a: int
    b: int
    partial: int
    order: str
    tile_m: int
    tile_n: int
    tile_k: int


def best_tiling(
    shape: tuple[int, int, int],
    granule: tuple[int, int, int],
    bits: tuple[float, float, float],
    capacity_bits: tuple[float, float, float],
) -> Tiling | None:
    """The tiling with the fewest DRAM bits, or None where not even one granule fits.

    Args:
        shape: M, N, K.
        granule: what the array takes at once along M, N, K; tiles are multiples of it, or the whole.
        bits: of an element of a, of b, and of a partial sum.
        capacity_bits: what each memory holds of one buffer.
    """
    found = _search(*shape, *granule, *bits, *capacity_bits)
    order, tile_m, tile_n, tile_k, a, b, visits = found
    if order < 0:
        return None
    return Tiling(a, b, shape[0] * shape[1] * (visits - 1), ORDERS[order], tile_m, tile_n, tile_k)


@njit
def _search(
    m: int,
    n: int,
    k: int,
    unit_m: int,
    unit_n: int,
    unit_k: int,
    bits_a: float,
    bits_b: float,
    bits_sum: float,
    room_a: float,
    room_b: float,
    room_sum: float,
) -> tuple[int, int, int, int, int, int, int]:
    best = (-1, 0, 0, 0, 0, 0, 0)
    least = 0.0
    tile_n = min(unit_n, n)
    while True:
        tile_k = min(unit_k, k)
        while True:
            widest = min(room_a / (bits_a * tile_k), room_sum / (bits_sum * tile_n))
            tile_m = m if widest >= m else int(widest) // unit_m * unit_m
            if tile_m > 0 and bits_b * tile_n * tile_k <= room_b:
                pm, pn, pk = -(-m // tile_m), -(-n // tile_n), -(-k // tile_k)
                for order in range(6):
                    # positions of the loops, 0 outermost, as in ORDERS
                    at_m, at_n, at_k = 0, 0, 0
                    if order == 0:
                        at_m, at_n, at_k = 0, 1, 2
                    elif order == 1:
                        at_m, at_n, at_k = 0, 2, 1
                    elif order == 2:
                        at_m, at_n, at_k = 1, 0, 2
                    elif order == 3:
                        at_m, at_n, at_k = 2, 0, 1
                    elif order == 4:
                        at_m, at_n, at_k = 1, 2, 0
                    else:
                        at_m, at_n, at_k = 2, 1, 0
                    again_a = pn if (pm > 1 and at_m > at_n) or (pk > 1 and at_k > at_n) else 1
                    again_b = pm if (pn > 1 and at_n > at_m) or (pk > 1 and at_k > at_m) else 1
                    visits = pk if (pm > 1 and at_m > at_k) or (pn > 1 and at_n > at_k) else 1
                    a, b = m * k * again_a, n * k * again_b
                    moved = a * bits_a + b * bits_b + 2 * (visits - 1) * (m * n * bits_sum)
                    if best[0] < 0 or moved < least:
                        least = moved
                        best = (order, tile_m, tile_n, tile_k, a, b, visits)
            if tile_k == k:
                break
            tile_k = min(tile_k * 2, k)
        if tile_n == n:
            break
        tile_n = min(tile_n * 2, n)
    return best
