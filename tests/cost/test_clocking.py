"""Periods by hand, the voltage law against silicon, the clocks of published units beside ours."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hwsim.cost.clocking import f_max_ghz, period_fo4, stages_for, unit_f_max_ghz
from hwsim.cost.depth_rules import Rule, _fit, _miss, estimate, rule
from hwsim.cost.depths import STAGES, depth, synthesized, table
from hwsim.cost.quantity import Quantity
from hwsim.cost.technology import fo4_ps
from hwsim.datapaths import circuits as catalog
from hwsim.errors import ArgumentError, DesignError, UnknownName
from hwsim.rtl import tools

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


def test_the_period_of_a_published_calculation():
    # 8-bit MAC, 30 levels of 1.07 FO4, 22 nm: (30 x 1.34 + 5.7) x 11.5 ps x 1.3 = 0.69 ns = 1.46 GHz
    assert period_fo4(30 * 1.07) == pytest.approx(30 * 1.07 * 1.25 + 5.7)
    assert f_max_ghz(30 * 1.07, 22).value == pytest.approx(1.46, abs=0.005)
    assert f_max_ghz(30 * 1.07, 22, corner="typical").value == pytest.approx(1.46 * 1.3, abs=0.01)


def test_voltage_moves_the_clock_as_it_moves_the_fo4():
    # 65 nm: Vt 0.35 V, exponent 1.55. Eyeriss ran 1.25 times as fast at 1.17 V as at 1.0 V
    ratio = (1.0 / 0.65**1.55) / (1.17 / 0.82**1.55)
    assert f_max_ghz(20.0, 65, 1.17).value / f_max_ghz(20.0, 65, 1.0).value == pytest.approx(ratio)
    assert ratio == pytest.approx(1.25, rel=0.05)
    assert f_max_ghz(20.0, 7, 0.55).value == pytest.approx(1e3 / (30.7 * fo4_ps(7, 0.55).value * 1.3))


def test_what_the_law_does_not_know_raises():
    with pytest.raises(DesignError, match=r"^technology\.voltage: must lie in 0\.5\.\.1\.32 V at 45 nm, got 0\.05$"):
        f_max_ghz(10, 45, 0.05)
    with pytest.raises(ArgumentError, match=r"^clocking\.corner: corner must be 'slow' or 'typical', got 'fast'$"):
        f_max_ghz(10, 45, corner="fast")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^clocking: depth_fo4 must not be negative, got -1$"):
        period_fo4(-1)


def test_errors_of_depth_and_node_stay_apart():
    one = f_max_ghz(depth("mul_s8x8_booth"), 45)
    assert one.errors == pytest.approx({"critical path": 1.25, "delay 45 nm": 1.4})
    assert f_max_ghz(10, 45).errors == pytest.approx({"delay 45 nm": 1.4})
    assert f_max_ghz(Quantity(10, "FO4", "", errors={"x": 2.0}), 45).errors["x"] == pytest.approx(2.0)


def test_every_named_unit_is_in_the_table_and_stages_never_make_it_slower():
    assert set(table()) >= set(catalog.named_units())
    for unit, cuts in table().items():
        assert tuple(cuts) == STAGES, unit
        depths = [cuts[count].depth_fo4 for count in STAGES]
        assert all(later <= earlier + 0.02 for earlier, later in itertools.pairwise(depths)), unit
        assert all(one.depth_fo4 >= one.loop_fo4 - 0.02 for one in cuts.values()), unit
        assert cuts[1].register_bits == 0


def test_stages_cost_registers_and_reach_a_clock():
    # the Booth multiplier of the table: 26.2 FO4 in one piece, (26.23 x 1.25 + 5.7) x 17 x 1.3 ps at 45 nm
    alone = unit_f_max_ghz("mul_s8x8_booth", 45, 0.9)
    assert alone.value == pytest.approx(1e3 / ((26.23 * 1.25 + 5.7) * 17 * 1.3))
    found = stages_for("mul_s8x8_booth", 1.9, 45, 0.9)
    assert found.stages == 2
    assert found.register_bits == table()["mul_s8x8_booth"][2].register_bits > 16
    assert stages_for("mul_s8x8_booth", 1.0, 45, 0.9).stages == 1
    best = max(f_max_ghz(one, 45, 0.9).value for one in table()["mul_s8x8_booth"].values())
    with pytest.raises(
        ArgumentError,
        match=rf"^clocking: clock_ghz must be at most {best:.3g}, what mul_s8x8_booth reaches at 45 nm"
        r" in up to 8 stages, got 50\.0$",
    ):
        stages_for("mul_s8x8_booth", 50.0, 45, 0.9)


def test_a_stage_number_between_the_tables_counts_as_the_smaller():
    assert depth("mul_s8x8_booth", 5) == depth("mul_s8x8_booth", 4)
    with pytest.raises(ArgumentError, match=r"^mul_s8x8_booth: stages must be 1\.\.8, got 9$"):
        depth("mul_s8x8_booth", 9)
    with pytest.raises(UnknownName, match="a unit of the table of depths must be one of"):
        depth("mul_s8x8")


def test_the_rule_for_units_outside_the_table():
    assert _fit([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx((1.0, 2.0))  # y = 1 + 2 x
    # left out, the middle of (0,0), (1,3), (2,2) lies 2 above the line through the others, the ends 4 and 4 off
    points = [(0.0, 0.0), (1.0, 3.0), (2.0, 2.0)]
    assert [_miss(points[:i] + points[i + 1 :], points[i]) for i in range(3)] == pytest.approx([4, 2, 4])
    assert Rule(2.0, 0.5, 3, 1.1).value(100.0) == pytest.approx(20.0)
    with pytest.raises(ArgumentError, match=r"^depth rule: area_ge must be positive, got 0$"):
        Rule(2.0, 0.5, 3, 1.1).value(0)
    family = [cuts[1] for cuts in table().values() if cuts[1].family == "multiplier.carry_save"]
    points = np.log([(one.small_area_um2 / 0.798, one.depth_fo4) for one in family])
    misses = []
    for i in range(len(points)):
        others = np.delete(points, i, axis=0)
        slope, offset = np.polyfit(others[:, 0], others[:, 1], 1)
        misses.append(abs(offset + slope * points[i, 0] - points[i, 1]))
    found = rule("multiplier.carry_save")
    assert found.designs == len(misses) == 8  # 2, 4, 8, 16 bits, signed and not: nine in ten of 8 are all
    assert found.error_factor == pytest.approx(math.exp(max(misses)), rel=1e-6)
    assert rule("mac.array").error_factor < 1.3  # 20 widths, each left out once
    assert rule("tensor_dot").error_factor < 1.15
    assert rule("lfsr") == rule()  # one unit is no family
    with pytest.raises(UnknownName, match="family of the table of depths must be one of"):
        rule("divider")


def test_an_estimate_is_the_table_or_the_rule_of_the_family():
    known = catalog.build("mul_u8x8_carry_save")
    assert estimate(known, 1.0, 2) == depth("mul_u8x8_carry_save", 2)
    new = catalog.build("mac", a_bits=7, b_bits=7, acc_bits=24)
    area_um2 = 520.0
    found = estimate(new, area_um2, 2)
    own = rule("mac.array", 2)
    assert found.depth_fo4 == pytest.approx(own.scale * (area_um2 / 0.798) ** own.power)
    assert found.error_factor == pytest.approx(own.error_factor * 1.25)
    neighbours = (depth("mac_s6x6_acc24_wrap_array", 2), depth("mac_s8x8_acc24_wrap_array", 2))
    assert neighbours[0].depth_fo4 < found.depth_fo4 * 1.15
    assert found.depth_fo4 < neighbours[1].depth_fo4 * 1.15
    assert 0 < found.loop_fo4 <= found.depth_fo4 * 1.1
    assert neighbours[0].register_bits * 0.8 < found.register_bits < neighbours[1].register_bits * 1.2
    with pytest.raises(ArgumentError, match=r"stages must be 1\.\.8, got 0$"):
        estimate(new, area_um2, 0)


@needs_yosys
def test_the_table_is_what_synthesis_gives():
    for name in ("mul_s4x4_booth", "acc_s32_p16_wrap"):
        for stages in (1, 2):
            made, kept = synthesized(catalog.build(name), stages), depth(name, stages)
            assert made.depth_fo4 == pytest.approx(kept.depth_fo4, abs=0.006)
            assert made.loop_fo4 == pytest.approx(kept.loop_fo4, abs=0.006)
            assert made.register_bits == kept.register_bits
            assert made.area_um2 == pytest.approx(kept.area_um2, abs=0.06)
