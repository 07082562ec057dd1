"""Counts of one product or of fused products under a given tile: closed forms, from one source in two number types.

`single` and `fused` run compiled on float64 inside a search, and uncompiled on Python's integers for what a plan
reports, where nothing can overflow. Records are plain sequences, their fields the constants below.

With fn, fk, fm the folds of an array along N, K and M, ragged ones counted, summed over the tiles that lie on chip,
and pm, pn, pk the tiles:

========  ==============  ==================  ==============  =====================  ================
dataflow  folds           streamed steps      reads of a      reads of b             visits of a sum
========  ==============  ==================  ==============  =====================  ================
``ws``    fn fk pm        M fn fk             M K fn          N K pm                 fk
``is``    fm fk pn        N fm fk             M K pn          N K fm                 fk
``os``    fm fn pk        K' fm fn            M K fn          N K fm                 pk
``rs``    `FOLDS`         `STEPS` each        M K pn          N K `FOLDS` tiles      pk
========  ==============  ==================  ==============  =====================  ================

Reads of a and b are elements that leave the memory next to the array; a sum is written at every visit and read back
at all but the first. K' is K in steps of the unit. For tiles that are whole these are SCALE-Sim's counts. A masked
triangle is skipped where a whole fold of the array is masked. An array may leave rows and columns idle: of the halves
of its sides the ones with the fewest cycles are taken. Without a mask larger sides never read more, and a larger
array takes them where they are faster: it is never slower. Under a mask see `hwsim.timing.choosing`.
"""

from __future__ import annotations

from typing import Any

from hwsim.jit import register_jitable

# one product, or one of several fused
PROBLEMS, ROWS, N, K, WIDE, PACE, FLOW, OVERLAP, ARRAYS, CAUSAL = range(10)
B_BITS, SUM_BITS, A_VIEW, SIDE_R, SIDE_C = range(10, 15)
FOLDS, STEPS = 15, 16  # of a whole problem, for a dataflow that packs (`Dataflow.fold`)
SIZE = 17

WS, OS, IS, PACKED = 0, 1, 2, 3
NONE, FILL, IDEAL = 0, 1, 2


@register_jitable
def folds_of(size: Any, tile: Any, unit: Any) -> Any:
    """Folds along one side: whole tiles, and a ragged last one."""
    tiles = -(-size // tile)
    return (tiles - 1) * -(-tile // unit) + -(-(size - (tiles - 1) * tile) // unit)


@register_jitable
def visible(rows: Any, cols: Any, unit: Any) -> Any:
    """Columns of blocks of `unit` that rows of a masked triangle reach: numerator and denominator of the share."""
    behind = cols - rows if cols > rows else cols * 0  # columns that every row sees
    blocks = -(-cols // unit)
    first = behind // unit + 1
    if first >= blocks:
        return blocks * rows, blocks * rows
    hidden = unit * ((first + blocks - 1) * (blocks - first) // 2) - behind * (blocks - first)
    return blocks * rows - hidden, blocks * rows


@register_jitable
def array_counts(par: Any, tiles: Any, fm_rows: Any, fm_tiles: Any, tile_n: Any, tile_k: Any) -> Any:
    """Cycles, folds, used rows and columns, and multipliers of reads of a, of b and of visits.

    Args:
        par: the product.
        tiles: row tiles of all problems together.
        fm_rows: rows of a whole row tile and of a last, ragged one.
        fm_tiles: whole row tiles and ragged ones, of all problems together.
        tile_n, tile_k: columns and depth of a tile.

    Returns:
        (cycles, folds, rows used, columns used, a, b, visits, shown, of): b counts whole reads of one operand b;
        ``shown / of`` is the share of all four that a mask leaves.
    """
    n, k, wide = par[N], par[K], par[WIDE]
    rows_all = par[PROBLEMS] * par[ROWS]
    pn, pk = -(-n // tile_n), -(-k // tile_k)
    one = par[PROBLEMS] * 0 + 1
    best = (one - 2, one, one, one, one, one, one, one, one)
    used_r = par[SIDE_R]
    while True:
        used_c = par[SIDE_C]
        hopeless = False
        while True:
            unit = used_r * wide
            if par[FLOW] == WS:
                fn, fk = folds_of(n, tile_n, used_c), folds_of(k, tile_k, unit)
                folds, steps = fn * fk * tiles, rows_all * fn * fk
                a, b, visits = fn, tiles, fk
                edge = 2 * used_r + used_c - 2
                mask = used_c if par[CAUSAL] == 1 else unit
            elif par[FLOW] == IS:
                fk = folds_of(k, tile_k, unit)
                fm = fm_tiles[0] * -(-fm_rows[0] // used_c) + fm_tiles[1] * -(-fm_rows[1] // used_c)
                folds, steps = fm * fk * pn, n * fm * fk
                a, b, visits = pn, fm, fk
                edge = 2 * used_r + used_c - 2
                mask = used_c if par[CAUSAL] == 1 or used_c > unit else unit
            elif par[FLOW] == PACKED:
                folds, steps = par[FOLDS] * par[PROBLEMS], par[FOLDS] * par[STEPS] * par[PROBLEMS]
                a, b, visits = pn, tiles * par[FOLDS], pk
                edge = used_r + used_c - 2
                mask = used_c
            else:
                fn = folds_of(n, tile_n, used_c)
                fm = fm_tiles[0] * -(-fm_rows[0] // used_r) + fm_tiles[1] * -(-fm_rows[1] // used_r)
                folds, steps = fm * fn * pk, folds_of(k, tile_k, wide) * fm * fn
                a, b, visits = fn, fm, pk
                edge = used_r + used_c - 2
                mask = used_r if par[CAUSAL] == 2 or used_r > used_c else used_c
            shown, of = one, one
            if par[CAUSAL] > 0:
                shown, of = visible(par[ROWS], n if par[CAUSAL] == 1 else k, mask)
            cycles = -(-steps * par[PACE] * -(-folds // par[ARRAYS]) * shown // (folds * of))
            if best[0] >= 0 and cycles >= best[0] and par[CAUSAL] == 0:
                hopeless = used_c == par[SIDE_C]
                break  # fewer rows or columns never take fewer steps
            if par[OVERLAP] == FILL:
                cycles += edge
            elif par[OVERLAP] == NONE:
                cycles += -(-folds * shown // (of * par[ARRAYS])) * edge
            if best[0] < 0 or cycles < best[0]:
                best = (cycles, folds, used_r, used_c, a, b, visits, shown, of)
            if used_c == 1 or par[FLOW] == PACKED or (par[OVERLAP] == IDEAL and par[CAUSAL] == 0):
                break
            used_c = used_c // 2
        if used_r == 1 or par[FLOW] == PACKED or (par[OVERLAP] == IDEAL and par[CAUSAL] == 0) or hopeless:
            break
        used_r = used_r // 2
    return best


@register_jitable
def pipeline(first: Any, last: Any, load: Any, store: Any, compute: Any, vector: Any, tiles: Any) -> Any:
    """Cycles of a double-buffered run of equal tiles: the first tile's load, what is slowest in the steady state, the
    last tile's work and its store. Never below any of the totals, never above their sum."""
    rest = tiles - 1
    steady = max(load - first + store - last, compute * rest / tiles, vector * rest / tiles)
    return first + last + (compute + vector) / tiles + steady


@register_jitable
def passes(par: Any, tile_m: Any, tile_n: Any, tile_k: Any, order: Any) -> Any:
    """How often operand a and b are brought on chip, and how often partial sums are, for an order of the loops over
    tiles: an operand again for every pass of a loop that does not index it, if one that does runs inside."""
    pm, pn, pk = -(-par[ROWS] // tile_m), -(-par[N] // tile_n), -(-par[K] // tile_k)
    at_m = (0, 0, 1, 2, 1, 2)[order]
    at_n = (1, 2, 0, 0, 2, 1)[order]
    at_k = (2, 1, 2, 1, 0, 0)[order]
    a, b, visits = pm * 0 + 1, pm * 0 + 1, pm * 0 + 1
    if (pm > 1 and at_m > at_n) or (pk > 1 and at_k > at_n):
        a = pn
    if (pn > 1 and at_n > at_m) or (pk > 1 and at_k > at_m):
        b = pm
    if (pm > 1 and at_m > at_k) or (pn > 1 and at_n > at_k):
        visits = pk
    return pm, pn, pk, a, b, visits
