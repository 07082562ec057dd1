"""A nominal machine has the sizes of a design and nothing else of it."""

from __future__ import annotations

from dataclasses import replace

from hwsim.arch import load_accelerator
from hwsim.arch.nominal import nominal, weighing


def test_only_sizes_numerics_and_node_stay():
    one = replace(load_accelerator("edge-int8"), objective="nominal")
    other = one.changed(
        **{"technology.clock_ghz": 0.2, "technology.voltage": 0.7, "memory.port_bits": 64, "memory.sram": "hp",
           "memory.dram_gbyte_s": 6.4, "vector.lanes": 3, "array.stages": 2, "name": "another",
           "array.rows": 2 * one.array.rows, "array.cols": 3, "memory.dram": "lpddr5x"}
    )  # fmt: skip
    made = nominal(one)
    assert nominal(other) == made != nominal(one.changed(**{"memory.weight_kib": 64}))
    assert made != nominal(one.changed(**{"array.dataflow": "os"}))
    assert nominal(made) == made
    assert (made.clock_ghz, made.voltage, made.vector.lanes, made.array.stages) == (0.5, None, 16, 1)
    assert [memory.kib for memory in made.memories] == [memory.kib for memory in one.memories]
    assert made.dram.gbyte_s == 8.5  # one device of LPDDR4, of the table
    assert {port.bits for memory in made.memories for port in memory.ports} == {256}


def test_each_family_of_dram_has_one_kind_that_stands_for_it():
    """Peaks of one device, of the table of kinds: LPDDR4 8.5 GB/s, an HBM2E stack 460, DDR4 2.4, GDDR6 28."""
    one = load_accelerator("edge-int8")
    for kind, stands, gbyte_s in (
        ("lpddr5", "lpddr4", 8.5), ("hbm3", "hbm2e", 460.0), ("ddr5", "ddr4", 2.4), ("gddr5", "gddr6", 28.0),
    ):  # fmt: skip
        made = nominal(one.changed(**{"memory.dram": kind})).dram
        assert (made.technology, made.gbyte_s) == (stands, gbyte_s)


def test_a_small_memory_has_ports_that_it_can_feed():
    tiny = load_accelerator("edge-int8").changed(**{"memory.output_kib": 0.015625})
    assert [port.bits for port in nominal(tiny).memory("output").ports] == [128, 128]


def test_memories_of_any_size_are_weighed_alike():
    one = nominal(load_accelerator("edge-int8"))
    other = nominal(load_accelerator("edge-int8").changed(**{"memory.weight_kib": 64, "memory.activation_kib": 32}))
    assert weighing(one) == weighing(other)
    assert {memory.kib for memory in weighing(one).memories if memory.kind == "sram"} == {128}
