"""Counts of tiles: against loops that are walked, and small cases worked out by hand."""

from __future__ import annotations

import importlib.util
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hwsim.timing import counts as c
from hwsim.timing import fused_tiles as f
from hwsim.timing import tiles as t
from hwsim.timing.groups import DRAM, Choice, Places, part
from hwsim.timing.moves import Objective
from hwsim.timing.residency import Search
from hwsim.timing.stages import stage
from hwsim.timing.steps import step_of, work_of
from hwsim.timing.wiring import wiring

spec = importlib.util.spec_from_file_location("count_builders", Path(__file__).with_name("builders.py"))
assert spec is not None
assert spec.loader is not None
make: Any = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = make
spec.loader.exec_module(make)


def problem(flow: int, **changes: int) -> list[Any]:
    """5 x 6 x 8 on an array of 4 x 4 that fills once."""
    fields = {
        "PROBLEMS": 1, "ROWS": 5, "N": 6, "K": 8, "WIDE": 1, "PACE": 1, "FLOW": flow, "OVERLAP": c.FILL, "ARRAYS": 1,
        "CAUSAL": 0, "B_BITS": 384, "SUM_BITS": 32, "A_VIEW": 320, "SIDE_R": 4, "SIDE_C": 4, "FOLDS": 0, "STEPS": 0,
    } | changes  # fmt: skip
    par = [0] * c.SIZE
    for name, value in fields.items():
        par[getattr(c, name)] = value
    return par


@pytest.mark.parametrize("sizes", [(4, 6, 8), (4, 3, 8), (2, 6, 4), (4, 6, 4), (2, 3, 8)])
def test_passes_are_those_of_the_loops_walked(sizes: tuple[int, int, int]) -> None:
    """Tiles of 2 x 3 x 4: an operand is brought in whenever its tile differs from the one that lies there."""
    pieces = {"m": sizes[0] // 2, "n": sizes[1] // 3, "k": sizes[2] // 4}
    par = problem(c.WS, ROWS=sizes[0], N=sizes[1], K=sizes[2])
    for order, loops in enumerate(("mnk", "mkn", "nmk", "nkm", "kmn", "knm")):
        brought = {"mk": 0, "nk": 0, "mn": 0}
        lies: dict[str, tuple[int, ...]] = {}
        for at in product(*(range(pieces[loop]) for loop in loops)):
            index = dict(zip(loops, at, strict=True))
            for sides in brought:
                tile = tuple(index[side] for side in sides)
                brought[sides] += lies.get(sides) != tile
                lies[sides] = tile
        expected = tuple(count // (pieces[s[0]] * pieces[s[1]]) for s, count in brought.items())
        assert c.passes(par, 2, 3, 4, order) == (*pieces.values(), *expected), loops


def test_a_ragged_last_tile_has_folds_of_its_own() -> None:
    assert c.folds_of(10, 4, 3) == 2 + 2 + 1
    assert c.folds_of(8, 8, 3) == 3
    assert c.folds_of(9, 6, 3) == 2 + 1


def test_columns_that_a_triangle_shows() -> None:
    assert c.visible(4, 4, 1) == (1 + 2 + 3 + 4, 16)
    assert c.visible(4, 4, 2) == (1 + 1 + 2 + 2, 8)
    assert c.visible(4, 6, 1) == (3 + 4 + 5 + 6, 24)  # two columns lie before the first row
    assert c.visible(4, 4, 4) == (4, 4)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        # folds 2 x 2 along N and K, 5 rows each, filled in 2 * 4 + 4 - 2
        (c.WS, (20 + 10, 4, 4, 4, 2, 1, 2, 1, 1)),
        # folds 2 x 2 along K and M, 6 columns each
        (c.IS, (24 + 10, 4, 4, 4, 1, 2, 2, 1, 1)),
        # folds 2 x 2 along M and N, 8 of depth each, filled in 4 + 4 - 2
        (c.OS, (32 + 6, 4, 4, 4, 2, 2, 1, 1, 1)),
    ],
)
def test_one_tile_on_an_array(flow: int, expected: tuple[int, ...]) -> None:
    assert c.array_counts(problem(flow), 1, (5, 0), (1, 0), 6, 8) == expected


def test_tiles_and_arrays_divide_the_work() -> None:
    # row tiles of 4 and 1: weights are read for both, the rows streamed are the same five
    assert c.array_counts(problem(c.WS), 2, (4, 1), (1, 1), 6, 8) == (30, 8, 4, 4, 2, 2, 2, 1, 1)
    # three arrays take two turns of five rows for the 3 x 2 folds of two columns, which fill two cycles sooner than
    # the two turns for the 2 x 2 folds of four
    assert c.array_counts(problem(c.WS, ARRAYS=3), 1, (5, 0), (1, 0), 6, 8)[:4] == (10 + 8, 6, 4, 2)
    # every fold filled anew
    assert c.array_counts(problem(c.WS, OVERLAP=c.NONE), 1, (5, 0), (1, 0), 6, 8)[0] == 20 + 4 * 10


def test_a_pipeline_waits_for_the_slowest() -> None:
    # first load 2, last store 1, one tile's compute 5 and vector work 2; then three tiles of the slowest
    assert c.pipeline(2, 1, 10, 4, 20, 8, 4) == 2 + 1 + 5 + 2 + 15
    assert c.pipeline(2, 1, 40, 4, 20, 8, 4) == 2 + 1 + 5 + 2 + (40 - 2 + 4 - 1)
    assert c.pipeline(2, 1, 10, 4, 8, 20, 4) == 2 + 1 + 2 + 5 + 15


def test_a_masked_operand_is_streamed_as_far_as_a_block_sees() -> None:
    """Four rows and columns of 8 bits in two blocks: two columns, then four."""
    par = [*problem(c.WS, ROWS=4, N=4, K=1, B_BITS=32, CAUSAL=1), f.PLAIN, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert f.streamed_bits(par, 2, 2, 1) == 2 * 8 + 4 * 8
    par[c.CAUSAL] = 0
    assert f.streamed_bits(par, 2, 2, 1) == 2 * 32


def step_with(tile: tuple[int, ...], loads: frozenset[str], homes: dict[str, int]) -> Any:
    """4 x 6 x 8 of 8 bits on a machine of 32 x 32 and 16 bits of DRAM a cycle, with a given tile and places."""
    graph, machine = make.gemm(4, 6, 8), make.three_memories(8, 8, 8, gbyte_s=1.0)
    staged, wires = stage(graph, machine), wiring(machine, None)
    assert wires.bits_per_cycle == 16
    search = Search(staged, (part(staged, 0, machine),), wires, True)
    places = Places({"x": DRAM, "w": DRAM, "y": DRAM} | homes, loads, frozenset({"y"}), wires.rooms)
    group = search.group(search.spans[0][0], places, Objective(1.0, 0.0, 0.0), None)
    return step_of(group, work_of(group, Choice(0.0, 0.0, tile), staged, wires), staged, machine, wires)


def rows(step: Any) -> dict[tuple[str, str], tuple[int, int]]:
    return {(row.tensor, row.level): (row.read_bits, row.written_bits) for row in step.traffic}


def test_partial_sums_are_spilled_both_ways() -> None:
    """Tiles of 2 x 3 x 4 with the depth outermost: the sums, 24 of 32 bits, leave and come back once."""
    step = step_with((2, 3, 4, 5), frozenset(), {})
    assert rows(step) == {
        ("x", "dram"): (2 * 256, 0), ("x", "activation"): (2 * 256, 2 * 256),  # again for both column tiles
        ("w", "dram"): (384, 0), ("w", "weight"): (2 * 384, 384),  # loaded once, read for both row tiles
        ("y:partial", "dram"): (768, 768),
        ("y:partial", "output"): (768 + 768 + 768, 2 * 768 + 768),  # requantised, added to, spilled
        ("y", "output"): (384, 384), ("y", "dram"): (0, 384),
    }  # fmt: skip
    # of the channel first: 2 rows x 4 of x and 3 x 4 of w, 8 bits each; last 2 x 3 results of 16 bits
    assert (step.cycles.first_load, step.cycles.last_store) == ((8 + 12) * 8 // 16, 6 * 16 // 16)
    assert step.cycles.dram == (512 + 384 + 768 + 768 + 384) // 16


def test_a_weight_that_is_loaded_whole_is_not_filled_again() -> None:
    step = step_with((2, 3, 8, 0), frozenset({"w"}), {"w": t.WEIGHT})
    table = rows(step)
    assert table["w", "dram"] == (384, 0)
    assert table["w", "weight"] == (2 * 384, 384)
    assert table["x", "dram"] == (256, 0)
    # the array starts when the first tile is there: 2 rows x 8 of x, and 8 x 3 of the weight that goes on arriving
    assert step.cycles.first_load == (2 * 8 + 8 * 3) * 8 // 16


def test_an_operand_in_the_other_memory_is_copied() -> None:
    """x lies in the weight memory: each pass copies it into the activation memory, and none touches the DRAM."""
    table = rows(step_with((4, 6, 8, 0), frozenset(), {"x": t.WEIGHT}))
    assert table["x", "weight"] == (256, 0)
    assert table["x", "activation"] == (256, 256)
    assert ("x", "dram") not in table


@pytest.mark.parametrize("overlap", ["none", "fill", "ideal"])
@pytest.mark.parametrize("aim", [Objective(1.0, 0.0, 0.0), Objective(0.0, 0.0, 1.0)])
def test_no_plan_beats_the_bound_of_its_search(overlap: str, aim: Objective) -> None:
    """A load that the first tile did not wait for once did, and larger memories were slower for it."""
    for kib in (8, 16, 64):
        machine = make.three_memories(
            64, 32, kib, rows=8, cols=2, overlap=overlap, port=128, gbyte_s=1.0, output_bits=8
        )
        wires = wiring(machine, None)
        for graph in (make.layer(1, 33, 8, 16), make.mlp(20, 16, 32), make.attention(2, 30, 8, causal=True)):
            staged = stage(graph, machine)
            parts = tuple(part(staged, number, machine) for number in range(len(staged.stages)))
            search = Search(staged, parts, wires, True)
            assert search.run(aim)[0] >= search.promise(aim) * (1 - 1e-9)
