"""Memories and nodes: table rows come back, interpolation stays between them, and the outside is an error."""

from __future__ import annotations

import math

import pytest

from hwsim.cost import dram_kinds, dram_pj_per_bit, sram
from hwsim.cost.memory import macro, sram_table
from hwsim.cost.technology import MEMORY_NODE, area_factor, energy_factor, nodes, scaling_error, supply
from hwsim.errors import ArgumentError, DesignError, UnknownName


def test_rows_come_back() -> None:
    for row in sram_table():
        assert macro(row.port_bits, row.kib).read_pj == pytest.approx(row.read_pj)


def test_between_two_rows() -> None:
    """64 KiB lies halfway between 32 and 128 on a logarithmic axis."""
    half = macro(256, 64)
    assert half.read_pj == pytest.approx(math.sqrt(7.14 * 19.1))
    assert half.area_mm2 == pytest.approx(math.sqrt(0.0247 * 0.1132))
    assert half.leakage_mw == pytest.approx(math.sqrt(0.005 * 0.019))


def test_outside_the_table() -> None:
    with pytest.raises(ArgumentError) as caught:
        macro(256, 1024)
    assert str(caught.value) == "sram.kib: capacity must lie in 32..512 KiB for a port of 256 bits, got 1024"
    with pytest.raises(ArgumentError, match=r"^sram.port_bits: port must be one of 64, 256 bits, got 512$"):
        macro(512, 64)
    with pytest.raises(DesignError) as design:
        sram(4, 256, 45, 1.1, "mine.memory.weight_kib")
    assert str(design.value) == (
        "mine.memory.weight_kib: capacity must be at least 32 KiB for a port of 256 bits, got 4"
    )


def test_macros_side_by_side_and_in_depth() -> None:
    """128 KiB with 1,024 bits: 16 macros of 8 KiB and 64 bits. 2 MiB with 256: 4 macros of 512 KiB."""
    wide = sram(128, 1024, 45, 1.1)
    assert (wide.macros, wide.macro_bits, wide.macro_kib) == (16, 64, 8)
    deep = sram(2048, 256, 45, 1.1)
    assert deep.macros * deep.macro_kib == 2048
    assert deep.area_um2.value == pytest.approx(
        macro(deep.macro_bits, deep.macro_kib).area_mm2 * 1e6 * deep.macros * area_factor(22, 45)
    )


def test_larger_memories_cost_more_a_bit() -> None:
    costs = [sram(kib, 256, 45, 1.1).read_pj_per_bit.value for kib in (32, 64, 128, 256, 512)]
    areas = [sram(kib, 256, 45, 1.1).area_um2.value for kib in (32, 64, 128, 256, 512)]
    assert costs == sorted(costs)
    assert areas == sorted(areas)


def test_dram_has_a_range() -> None:
    assert dram_pj_per_bit("lpddr4").value == 8
    assert dram_pj_per_bit("lpddr4").low == 4
    assert dram_pj_per_bit("hbm2").low == pytest.approx(3.9)
    assert "ddr3" in dram_kinds()
    with pytest.raises(UnknownName, match=r"^memory.dram: kind of DRAM must be one of lpddr.*, got 'lpddr9'$"):
        dram_pj_per_bit("lpddr9")


def test_published_factors() -> None:
    """45 nm at 1.1 V to 16 nm at 0.8 V: 0.099; to 7 nm at 0.7 V: 0.039; from 0.9 V: 0.142 and 0.057."""
    assert energy_factor(45, 1.1, 16, 0.8) == pytest.approx(0.099, abs=5e-4)
    assert energy_factor(45, 1.1, 7, 0.7) == pytest.approx(0.039, abs=5e-4)
    assert energy_factor(45, 0.9, 16, 0.8) == pytest.approx(0.142, abs=5e-4)
    assert energy_factor(45, 0.9, 7, 0.7) == pytest.approx(0.057, abs=5e-4)
    assert [area_factor(45, nm) for nm in (32, 20, 16, 14, 10, 7)] == [0.46, 0.21, 0.19, 0.17, 0.1, 0.059]
    assert area_factor(130, 7) == pytest.approx(0.0092, rel=0.01)
    assert area_factor(16, 7) == pytest.approx(0.31, rel=0.01)
    assert scaling_error(45, 45) == 0


def test_the_node_of_the_memory_table_lies_between_its_neighbours() -> None:
    assert area_factor(45, 32) > area_factor(45, MEMORY_NODE) > area_factor(45, 20)
    assert (
        energy_factor(45, 1.1, 32, 0.97) > energy_factor(45, 1.1, MEMORY_NODE, None) > energy_factor(45, 1.1, 20, 0.9)
    )


def test_unknown_nodes_and_supplies() -> None:
    assert list(nodes()) == [130, 90, 65, 45, 32, 20, 16, 14, 10, 7]
    with pytest.raises(ArgumentError) as caught:
        area_factor(45, 5)
    assert str(caught.value) == (
        "technology.node_nm: node must be one of 130, 90, 65, 45, 32, 20, 16, 14, 10, 7 nm, got 5"
    )
    assert supply(45, None) == 1.1
    assert supply(130, 1.5) == 1.5
    with pytest.raises(ArgumentError, match=r"^technology.voltage: must be given, as no nominal supply is known"):
        supply(130, None)
