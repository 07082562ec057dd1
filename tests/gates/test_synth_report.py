"""Units of the catalogue as gates: golden values on every vector, and ratios that transfer between libraries."""

import numpy as np
import pytest

from hwsim.datapaths.integer.verilog import mac
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.rtl.minifloat import e2m1_product
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import every_input

pytestmark = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs yosys")


@pytest.mark.parametrize("style", ["array", "carry_save", "booth"])
def test_gates_of_a_multiplier_equal_its_golden_values_on_all_operands(style):
    unit = multiplier(8, 8, True, style)
    assert gate_mismatches(unit, synth(unit).netlist, every_input(unit)) == 0


def test_gates_of_the_e2m1_product_equal_its_golden_values():
    unit = e2m1_product()
    assert gate_mismatches(unit, synth(unit).netlist, every_input(unit)) == 0


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_gates_of_a_clocked_unit_equal_its_golden_values(rng, overflow):
    unit = mac(4, 4, 12, True, overflow)
    assert gate_mismatches(unit, synth(unit).netlist, unit.operands(rng, 20_000)) == 0


def test_mismatches_are_counted(rng):
    unit = multiplier(4, 4, True, "array")
    inputs = every_input(unit)
    netlist = synth(multiplier(4, 4, False, "array")).netlist  # the unsigned one: wrong where a sign bit matters
    signed, unsigned = unit.golden(inputs)["p"], inputs["a"] * inputs["b"]
    assert gate_mismatches(unit, netlist, inputs) == int((signed != unsigned).sum()) > 0


def test_a_report_carries_its_tool_and_is_made_once():
    unit = multiplier(4, 4, True, "array")
    report = synth(unit)
    assert report.netlist is synth(unit).netlist
    assert report.area_ge == pytest.approx(report.area_um2 / 0.798)
    assert report.area_um2 == pytest.approx(report.netlist.area_um2)
    assert report.result.levels == report.netlist.levels
    assert report.provenance == f"mul_s4x4_array: hwsim45.lib, {tools.yosys_version()}"


def test_area_ratios_transfer_to_a_real_library(osu018):
    """Measured on five real libraries: 4.9 to 5.2 for these two multipliers, so within 12 % of each other."""
    large, small = multiplier(8, 8, True, "array"), multiplier(4, 4, False, "array")
    ours, theirs = (
        synth(large, path).area_um2 / synth(small, path).area_um2 for path in (DEFAULT_LIBERTY, osu018.path)
    )
    assert np.array([ours, theirs]) == pytest.approx([5.05, 5.05], rel=0.05)
