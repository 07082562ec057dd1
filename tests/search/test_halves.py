"""Every design of a space once, under a number of its own, in blocks of machines that share a plan."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from hwsim.evaluation.pricing import judge
from hwsim.search.halves import Half, part_of, trials
from hwsim.search.space_file import space_from_dict

from .conftest import SPACE


@pytest.fixture
def wide():
    """Knobs of all four parts, one that depends on another, sizes of which one cannot be made."""
    table = copy.deepcopy(SPACE)
    table["machine"]["objective"] = "nominal"
    table["parameters"] |= {
        "stages": {"choice": [1, 2], "sets": "array.stages"},
        "clock": {"choice": [0.2, 0.4, 9.0], "sets": "technology.clock_ghz"},
        "lanes": {"choice": [4, 16], "sets": "vector.lanes"},
        "weight_kib": {"choice": [32, 0, 64], "sets": "memory.weight_kib"},
        "gbyte_s": {"choice": [6.4, 12.8], "sets": "memory.dram_gbyte_s"},
        "voltage": {"choice": [0.7, 0.8], "sets": "technology.voltage", "when": {"bits": 16}},
        "plan": {"choice": ["nominal", "time", "energy"], "sets": "objective"},
    }
    return space_from_dict(table, "wide")


def test_knobs_of_one_part_are_of_the_hardware_half(wide):
    found = {one.name: part_of(wide, one) for one in wide.parameters}
    assert found == {
        "bits": None, "rows": "array", "dataflow": "array", "stages": "array", "clock": "technology",
        "lanes": "vector", "weight_kib": "memory", "gbyte_s": "memory", "voltage": "technology", "plan": None,
    }  # fmt: skip


def test_every_design_has_one_number_and_lies_in_one_block(wide):
    seen = set()
    for trial in trials(wide):
        half = Half(wide, trial)
        numbers = np.concatenate([block.numbers for block in half.blocks()])
        assert sorted(numbers.tolist()) == list(range(half.size))
        points = [half.point(number) for number in range(half.size)]
        assert [half.number(dict(point)) for point in points] == list(range(half.size))
        seen |= set(points)
    assert seen == {wide.canonical(draw) for draw in wide.draws()}
    assert len(seen) == wide.size


def test_a_block_holds_the_machines_of_its_designs_and_one_plan(wide):
    sizes = {}
    for trial in trials(wide):
        half = Half(wide, trial)
        for block in half.blocks():
            if block.machines is None:
                assert {dict(half.point(int(number)))["weight_kib"] for number in block.numbers} == {0}
                continue
            judges = set()
            for place, number in enumerate(block.numbers.tolist()):
                own = wide.design(dict(half.point(number))).accelerator
                assert replace(block.machines.machine(place), name=own.name) == own
                if trial["plan"] == "nominal":
                    judges.add(judge(own))
            assert len(judges) <= 1
            sizes.setdefault(trial["plan"], []).append(len(block.numbers))
        plans = sum(block.machines is not None for block in half.blocks())
        assert (half.count_plans(10**6), half.count_plans(2)) == (plans, 3)
    # nominal: all but rows, dataflow and weight_kib; time: of one lane count and bandwidth a cycle; energy: alone
    assert set(sizes["nominal"]) == {2 * 3 * 2 * 2 * 2, 2 * 3 * 2 * 2}
    # pairs of 6.4 and 12.8 GB/s with 0.2, 0.4 and 9 GHz: 12.8 / 0.4 is 6.4 / 0.2
    assert set(sizes["time"]) == {2 * 2 * 2, 2 * 2, 2, 4}
    assert set(sizes["energy"]) == {1}


def test_some_designs_alone_come_in_the_same_blocks(wide):
    half = Half(wide, next(trials(wide)))
    few = np.array([3, 77, 20, 5])
    found = np.concatenate([block.numbers for block in half.block(few)])
    assert sorted(found.tolist()) == sorted(few.tolist())
