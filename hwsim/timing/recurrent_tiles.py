"""A layer whose keys and values come from its own outputs: which rows pass the memory when attention is tiled.

Such a layer (Recurrent Transformer, arXiv 2604.21215) must finish a position before the next one can attend to it, so
that row by row the whole cache is read at each position. But queries come from inputs and are known ahead: once the
positions up to i are finished, the last U of them, U the largest power of two that divides i, are added to the next U
queries, whose running results wait in memory. Every pair meets once, and ``N log2 N`` rows pass instead of
``N (N - 1) / 2``. The pair of a position with itself uses keys and values of its input and moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Tile:
    """Keys ``first_key`` to ``first_key + keys - 1`` are added to queries behind them, `queries` of them."""

    first_key: int
    keys: int
    queries: int

    @property
    def first_query(self) -> int:
        """The position behind the last key."""
        return self.first_key + self.keys


def tiles(count: int) -> Iterator[Tile]:
    """Tiles of `count` positions, in the order in which they can run.

    Raises:
        ArgumentError: no position.
    """
    if count < 1:
        raise ArgumentError("must have a position", got=count, where="tiles.count")
    for done in range(1, count):
        size = done & -done
        yield Tile(done - size, size, min(size, count - done))


def rows_by_row(count: int) -> int:
    """Rows of keys and values that are read row by row."""
    return count * (count - 1) // 2


def rows_tiled(count: int, on_chip: int = 0) -> int:
    """Rows that pass the memory: of keys with values, and of queries with their running results.

    Args:
        count: positions.
        on_chip: the largest tile whose rows stay on chip, a power of two, 0 for none. The chip then holds the rows of
            ``2 x on_chip`` positions; each row of keys is written once and each query read once instead of with every
            such tile: ``N (log2(N / on_chip) + 1)`` rows for powers of two.

    Raises:
        ArgumentError: no position, or a tile that is no power of two.
    """
    if on_chip & (on_chip - 1) or on_chip < 0:
        raise ArgumentError("must be a power of two, or 0", got=on_chip, where="rows_tiled.on_chip")
    large = sum(tile.keys + tile.queries for tile in tiles(count) if tile.keys > on_chip)
    return large + (2 * count if on_chip else 0)
