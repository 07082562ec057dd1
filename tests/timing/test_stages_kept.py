"""Stages are kept by graph, policy and bits: another of these is staged anew, also where memory is used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import hwsim
from hwsim.timing import stages
from hwsim.timing.stages import stage

from .builders import mlp, three_memories


def test_one_graph_and_policy_are_staged_once_and_any_other_anew():
    machine, graph = three_memories(8, 16, 32), mlp(8, 16, 32, relu=True)
    one = stage(graph, machine)
    assert stage(graph, replace(machine, clock_ghz=0.1)) is one  # no stage asks for a clock
    assert [len(found.stages) for found in (one, stage(graph, machine, attach=False))] == [2, 3]  # relu is alone
    wide = stage(graph, replace(machine, output_bits=32))
    assert (one.bits["down"], wide.bits["down"]) == (8 * 16 * 16, 8 * 16 * 32)  # what the model returns
    other = stage(graph, hwsim.load_accelerator("edge-int4"))
    assert (one.bits["up.w"], other.bits["up.w"]) == (16 * 32 * 8, 16 * 32 * 4 + 32 * 32)  # a float32 scale a row


def test_a_graph_in_the_place_of_one_that_is_gone_has_its_own_stages():
    machine = three_memories(8, 16, 32)
    for width in range(1, 2 * stages._KEPT):
        assert stage(mlp(8, 16 * width, 32), machine).rows["x"] == 16 * width
    assert len(stages._MADE) <= stages._KEPT


def test_threads_that_stage_many_graphs_get_their_own():
    machine = three_memories(8, 16, 32)

    def rows(width: int) -> int:
        return stage(mlp(8, 16 * width, 32), machine).rows["x"]

    with ThreadPoolExecutor(4) as pool:
        widths = [1 + place % 150 for place in range(600)]
        assert list(pool.map(rows, widths)) == [16 * width for width in widths]
