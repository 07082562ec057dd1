"""Tilings of recurrent attention by enumeration; the integer planner beside exhaustive search."""

import itertools
import math

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.timing.integers import at_most, divides, equal, plan_integers, term, variable
from hwsim.timing.recurrent_tiles import Tile, rows_by_row, rows_tiled, tiles


@pytest.mark.parametrize("count", [1, 2, 7, 8, 64, 100, 256])
def test_each_pair_meets_once_and_only_finished_keys(count):
    seen = np.zeros((count, count), dtype=int)
    for done, tile in enumerate(tiles(count), start=1):
        assert tile.first_query == done  # keys up to here are finished
        seen[tile.first_query : tile.first_query + tile.queries, tile.first_key : tile.first_query] += 1
    assert (seen == np.tril(np.ones((count, count), dtype=int), -1)).all()


@pytest.mark.parametrize("count", [2, 8, 64, 256, 1024, 4096])
def test_rows_are_n_log_n(count):
    """N log2 N for powers of two; 10,240 instead of 523,776 at 1,024."""
    assert rows_tiled(count) == count * int(math.log2(count))
    for on_chip in {1, count // 4 or 1, count // 2}:
        assert rows_tiled(count, on_chip) == count * (int(math.log2(count // on_chip)) + 1)
    assert (rows_tiled(1024), rows_by_row(1024)) == (10_240, 523_776)


def test_rows_on_chip_by_enumeration():
    """Chip that holds 2 x 4 positions: rows of small tiles are all inside one aligned block of 8."""
    for tile in tiles(64):
        if tile.keys <= 4:
            assert tile.first_key // 8 == (tile.first_query + tile.queries - 1) // 8
    assert list(tiles(4)) == [Tile(0, 1, 1), Tile(0, 2, 2), Tile(2, 1, 1)]
    with pytest.raises(ArgumentError, match="power of two"):
        rows_tiled(8, 3)
    with pytest.raises(ArgumentError, match="must have a position"):
        list(tiles(0))


def test_the_planner_by_hand():
    """Rectangles of area 24 with sides of at most 12: 2 x 12 comes first, 4 x 6 has the least girth."""
    a, b = variable("a"), variable("b")
    sides = {"a": range(1, 13), "b": range(1, 13)}
    area = equal(a * b, 24)
    first = plan_integers(sides, [area])
    assert (first.values, first.optimal) == ({"a": 2, "b": 12}, False)
    best = plan_integers(sides, [area], 2 * (a + b))
    assert (best.values, best.cost, best.optimal) == ({"a": 4, "b": 6}, 20, True)
    either = divides(5, a) | divides(7, b)
    assert plan_integers(sides, [equal(a + b, 13), either]).values == {"a": 5, "b": 8}
    assert plan_integers(sides, [equal(a**2 + b, 200)]) is None
    assert plan_integers(sides, [area], a + b, most_nodes=3) is None
    with pytest.raises(ArgumentError, match="must not be negative, got -1"):
        term(-1)
    with pytest.raises(ArgumentError, match="a: a variable must have values"):
        plan_integers({"a": []}, [])


def test_the_planner_finds_what_exhaustive_search_finds():
    """300 random problems of three variables: feasibility, the first plan, the least cost."""
    draw = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        domains = {n: list(map(int, draw.permutation(8)[: draw.integers(1, 7)])) for n in "xyz"}
        x, y, z = (variable(n) for n in "xyz")
        k, m, c, p, q = map(int, draw.integers(0, 30, 5))
        rules = [at_most(x * y + p, z * z + k), divides(z + 1, x + q), equal(x + y * z, c) | at_most(m, x + y)]
        cost = 3 * x + y**2 * z + p

        def holds(v, k=k, m=m, c=c, p=p, q=q):
            a, b, d = v
            return a * b + p <= d * d + k and (a + q) % (d + 1) == 0 and (a + b * d == c or m <= a + b)

        every = [v for v in itertools.product(*domains.values()) if holds(v)]
        first, best = plan_integers(domains, rules), plan_integers(domains, rules, cost)
        if not every:
            assert first is None
            assert best is None
            continue
        found += 1
        assert tuple(first.values.values()) == every[0]
        assert best.cost == min(3 * a + b**2 * d + p for a, b, d in every)
        assert best.optimal
    assert found == 93
