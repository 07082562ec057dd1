"""Memories that keep up with a clock: the parts that CACTI's cycles ask for, and what they cost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hwsim.cost.interleaving import clocked_sram, fastest_ghz
from hwsim.cost.memory import sram
from hwsim.errors import DesignError


def test_one_macro_is_enough_below_its_own_clock() -> None:
    """512 KiB of 128 bits at 22 nm: CACTI's cycle is 2.01 ns, so 0.49 GHz needs no parts."""
    plain = sram(512, 128, 22)
    assert plain.cycle_ns.value == pytest.approx(2.01, abs=0.01)
    assert clocked_sram(512, 128, 22, None, 0.49) == plain


def test_above_it_a_word_lies_in_two_macros_of_half_the_depth() -> None:
    """0.6 GHz: two banks or two halves of a word are two parts; the row of one bank and two macros comes first."""
    made, plain, half = clocked_sram(512, 128, 22, None, 0.6), sram(512, 128, 22), sram(256, 64, 22)
    assert half.cycle_ns.value > 1 / 0.6  # still too slow: a staircase
    quarter = sram(128, 32, 22)
    assert quarter.cycle_ns.value < 1 / 0.6
    two = sram(512, 128, 22, banks=2)
    chosen = two.cycle_ns if two.cycle_ns.value < 1 / 0.6 else quarter.cycle_ns
    assert made.cycle_ns.value == chosen.value
    assert (made.kib, made.port_bits) == (512, 128)
    assert made.read_pj.value >= plain.read_pj.value
    assert made.area_um2.value >= plain.area_um2.value


@pytest.mark.parametrize("device", ["lstp", "lop", "hp"])
def test_a_faster_clock_is_never_cheaper_than_one_macro(device: str) -> None:
    for kib, bits in ((32, 64), (512, 64), (512, 512), (4096, 1024)):
        plain = sram(kib, bits, 16, 0.6, device=device)
        for clock in (0.2, 0.6, 1.0, 1.5):
            made = clocked_sram(kib, bits, 16, 0.6, clock, device=device)
            assert made.cycle_ns.value <= 1 / clock * (1 + 1e-9)
            for name in ("read_pj", "write_pj", "area_um2", "leakage_mw"):
                assert getattr(made, name).value >= getattr(plain, name).value * (1 - 1e-12)


def test_bigger_and_wider_are_never_cheaper_at_a_clock() -> None:
    sizes, widths = (8, 32, 64, 128, 256, 512, 1024), (32, 64, 128, 256, 512)
    grid = {(kib, bits): clocked_sram(kib, bits, 16, 0.7, 0.8) for kib in sizes for bits in widths}
    for bits in widths:
        for less, more in pairwise(sizes):
            assert grid[less, bits].read_pj.value <= grid[more, bits].read_pj.value * (1 + 1e-12)
            assert grid[less, bits].area_um2.value <= grid[more, bits].area_um2.value * (1 + 1e-12)
    for kib in sizes:
        for less, more in pairwise(widths):
            assert grid[kib, less].read_pj.value <= grid[kib, more].read_pj.value * (1 + 1e-12)
            assert grid[kib, less].area_um2.value <= grid[kib, more].area_um2.value * (1 + 1e-12)


def test_the_most_parts_are_the_limit() -> None:
    """256 KiB of 32 bits: banks of 64 words, a quarter of a KiB each, and no narrower macro."""
    limit = fastest_ghz(256, 32, 22, None)
    fastest = sram(256, 32, 22, banks=1024).cycle_ns.value
    assert limit.value == pytest.approx(1 / fastest)
    clocked_sram(256, 32, 22, None, limit.value)
    with pytest.raises(DesignError, match=r"here: clock must be at most .* GHz, what 256 KiB of 32 bits reach"):
        clocked_sram(256, 32, 22, None, 1.01 * limit.value, "here")
