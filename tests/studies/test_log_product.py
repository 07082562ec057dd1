"""The three FP7 circuits: their golden values by hand, their gates on every operand."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.unit import every_input
from hwsim.studies import log_product

UNITS = (
    log_product.free_product(),
    log_product.standard_product(),
    *log_product.standard_parts(),
    log_product.int4_sign_magnitude(),
)


def words(*values):
    return np.array(values, np.uint64)


def test_every_product_is_exact_in_fp7():
    """INT4 times a power of two: the golden word means weight × power, by plain arithmetic."""
    inputs = every_input(log_product.free_product())
    weight = (inputs["a"] & np.uint64(7)).astype(float) * np.where(inputs["a"] >> np.uint64(3), -1, 1)
    code = (inputs["b"] & np.uint64(7)).astype(float)
    power = np.where(code > 0, 2.0 ** (code - 3), 0) * np.where(inputs["b"] >> np.uint64(3), -1, 1)
    for unit in UNITS[:2]:
        assert np.array_equal(log_product.decode_fp7(unit.golden(inputs)["p"]), weight * power)


def test_words_of_fp7():
    values = np.array([1.0, 1.75, -7.0, 0.25, 0.0])
    assert log_product.encode_fp7(values).tolist() == [0b0_0111_00, 0b0_0111_11, 0b1_1001_11, 0b0_0101_00, 0]
    assert np.array_equal(log_product.decode_fp7(log_product.encode_fp7(values)), values)


def test_rounding_of_the_fp7_multiplier():
    multiply = UNITS[4]
    one_and_quarter, one_and_half = 0b0_0111_01, 0b0_0111_10
    found = multiply.golden({"x": words(one_and_quarter, one_and_half), "y": words(one_and_quarter, one_and_half)})[
        "p"
    ]
    # 1.5625 -> 1.5 (nearest of 1.5 and 1.75); 2.25 lies between 2 and 2.5: even is 2
    assert log_product.decode_fp7(found).tolist() == [1.5, 2.0]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_text_and_gates_give_the_golden_values_on_every_operand(unit):
    inputs = every_input(unit)
    if not tools.available():
        pytest.skip("Yosys or Icarus Verilog is not installed")
    assert run_rtl(unit, inputs) == 0
    assert gate_mismatches(unit, synth(unit).netlist, inputs) == 0
