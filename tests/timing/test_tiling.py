"""DRAM traffic of tilings: hand-counted cases, bounds, monotone in memory, and a literal walk over the loops."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.timing.tiling import ORDERS, Tiling, best_tiling

UNIT = (1, 4, 4)
BITS = (8.0, 8.0, 32.0)


def traffic(tiling: Tiling) -> float:
    return tiling.a * BITS[0] + tiling.b * BITS[1] + 2 * tiling.partial * BITS[2]


def walk(shape: tuple[int, int, int], tile: tuple[int, int, int], order: str) -> tuple[int, int, int]:
    """Elements of a and b fetched and sums spilled by running the tiled loops with one tile of each on chip."""
    spans = {name: range(0, size, step) for name, size, step in zip("mnk", shape, tile, strict=True)}
    size, step = dict(zip("mnk", shape, strict=True)), dict(zip("mnk", tile, strict=True))
    moved = {"mk": 0, "nk": 0, "mn": 0}
    held: dict[str, Any] = dict.fromkeys(moved)
    seen: set[tuple[int, int]] = set()
    for at in itertools.product(*(spans[name] for name in order)):
        place = dict(zip(order, at, strict=True))
        for operand in moved:
            wanted = tuple(place[name] for name in operand)
            if held[operand] == wanted:
                continue
            held[operand] = wanted
            elements = 1
            for name in operand:
                elements *= min(step[name], size[name] - place[name])
            if operand == "mn":
                moved["mn"] += elements if wanted in seen else 0
                seen.add(wanted)  # type: ignore[arg-type]
            else:
                moved[operand] += elements
    return moved["mk"], moved["nk"], moved["mn"]


def test_all_on_chip_moves_everything_once() -> None:
    found = best_tiling((64, 64, 64), UNIT, BITS, (1e9, 1e9, 1e9))
    assert found is not None
    assert (found.a, found.b, found.partial) == (64 * 64, 64 * 64, 0)


def test_one_operand_on_chip_is_enough() -> None:
    """All weights fit, activations do not: a row of inputs at a time still moves everything once."""
    found = best_tiling((1000, 64, 64), UNIT, BITS, (8.0 * 64, 8.0 * 64 * 64, 32.0 * 64))
    assert found is not None
    assert (found.a, found.b, found.partial) == (64_000, 64 * 64, 0)


def test_too_little_memory() -> None:
    assert best_tiling((8, 8, 8), UNIT, BITS, (8.0 * 3, 1e9, 1e9)) is None
    assert best_tiling((8, 8, 8), UNIT, BITS, (1e9, 8.0 * 15, 1e9)) is None
    assert best_tiling((8, 8, 8), UNIT, BITS, (1e9, 1e9, 32.0 * 3)) is None


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
rooms = st.tuples(st.integers(2, 300), st.integers(10, 300), st.integers(4, 300))


@settings(deadline=None)
@given(sizes, rooms, st.tuples(*[st.floats(1, 4)] * 3))
def test_bounds_fit_and_monotone(
    shape: tuple[int, int, int], room: tuple[int, int, int], more: tuple[float, float, float]
) -> None:
    m, n, k = shape
    capacity = tuple(elements * bits for elements, bits in zip(room, BITS, strict=True))
    found = best_tiling(shape, UNIT, BITS, capacity)  # type: ignore[arg-type]
    larger = best_tiling(shape, UNIT, BITS, tuple(c * f for c, f in zip(capacity, more, strict=True)))  # type: ignore[arg-type]
    if found is None:
        return
    assert larger is not None
    assert traffic(larger) <= traffic(found)
    assert found.a >= m * k
    assert found.b >= n * k
    tile = found.tile_m, found.tile_n, found.tile_k
    assert tile[0] * tile[2] * BITS[0] <= capacity[0]
    assert tile[1] * tile[2] * BITS[1] <= capacity[1]
    assert tile[0] * tile[1] * BITS[2] <= capacity[2]
    assert walk(shape, tile, found.order) == (found.a, found.b, found.partial)


def test_orders_are_all_orders() -> None:
    assert sorted(ORDERS) == sorted("".join(order) for order in itertools.permutations("mnk"))
