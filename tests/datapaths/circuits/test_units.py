"""Every circuit of the catalogue: text = emulator = gates. Fast tests take one of a kind, slow ones all of them."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.datapaths import circuits as catalog
from hwsim.rtl.multipliers import STYLES
from hwsim.rtl.unit import every_input

# name -> rows through Icarus, rows through the gates; 0 leaves the gates to the slow tests (mapping takes seconds).
# Units of at most 16 input bits are exhaustive whatever the number.
FAST = {
    "mul_s4x4_array": (256, 256),
    "mul_u4x4_array": (256, 256),
    "mul_s4x4_carry_save": (256, 256),
    "mul_u4x4_carry_save": (256, 256),
    "mul_s4x4_booth": (256, 256),
    "mul_u4x4_booth": (256, 256),
    "mul_s8x4_array": (4096, 4096),
    "acc_s32_p16_wrap": (2000, 100_000),
    "mac_s4x4_acc16_wrap_array": (2000, 100_000),
    "mac_s8x8_acc20_saturate_booth": (2000, 100_000),
    "adder_tree_s16_n16": (2000, 100_000),
    "mac_s4x4_g16_acc20_wrap": (1000, 100_000),
    "mac_s8x8_g16_acc24_wrap": (500, 100_000),
    "mac_s4x4_g8_acc12_saturate": (2000, 100_000),
    "e2m1_product": (256, 256),
    "e2m1_dot16": (500, 100_000),
    "dot_blackwell_nvfp4": (400, 100_000),
    "dot_blackwell_mxfp4": (200, 0),
    "dot_blackwell_mxfp8_e4m3": (100, 0),
    "add_fp16": (3000, 100_000),
    "add_bf16": (3000, 100_000),
    "add_fp32": (2000, 100_000),
    "luq_product_twos_complement": (256, 256),
    "luq_product_sign_magnitude": (256, 256),
    "luq_unit_fixed20": (2000, 100_000),
    "luq_unit_fp32": (1000, 0),
    "pann_u6_acc32": (2000, 100_000),
    "ternary_dot_mu3_int8_l1_k4": (500, 100_000),
    "ternary_core_mu3_int8_l2_k4": (500, 0),
    "ternary_core_mu3_fp16_l1_k2": (200, 0),
    "ternary_core_mu3_bf16_l1_k2": (200, 0),
    "ternary_dot_mu2_bf16_l2_k2": (300, 100_000),
    "ternary_table_mu5_int8": (200, 0),
    "ternary_tree_n4_k8": (1000, 100_000),
    "exaq2_grouped": (1000, 0),
    "exaq2_single": (1000, 0),
    "largest_2of4_8": (2000, 100_000),
    "largest_1of2_8": (2000, 100_000),
    "unbiased_1of2_8_r8": (2000, 100_000),
    "unbiased_2of4_8_r8": (1000, 0),
    "sr_e2m1_bf16": (5000, 100_000),
    "lfsr32": (2000, 20_000),
    "sr_quantizer_bf16": (1000, 20_000),
}


@pytest.mark.parametrize("name", FAST)
def test_text_equals_emulator(name, text_mismatches, vectors):
    unit = catalog.build(name)
    assert text_mismatches(unit, vectors(unit, FAST[name][0])) == 0


@pytest.mark.parametrize("name", [name for name, (_, rows) in FAST.items() if rows])
def test_gates_equal_emulator(name, gate_mismatches, vectors):
    unit = catalog.build(name)
    assert gate_mismatches(unit, vectors(unit, FAST[name][1])) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.named_units())
def test_text_equals_emulator_on_many_vectors(name, text_mismatches, vectors):
    unit = catalog.build(name)
    rows = 1000 if unit.family in ("tensor_dot", "ternary_dot", "ternary_core", "ternary_table") else 20_000
    assert text_mismatches(unit, vectors(unit, rows, seed=1)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.named_units())
def test_gates_equal_emulator_on_a_million_vectors(name, gate_mismatches, vectors):
    unit = catalog.build(name)
    exhaustive = not unit.clocked and unit.input_bits <= 16
    for seed in range(1 if exhaustive else 8):
        assert gate_mismatches(unit, vectors(unit, 1 << 17, seed=seed + 2)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("signed", [True, False])
def test_multipliers_of_unequal_widths(style, signed, text_mismatches):
    for a_bits in range(2, 17):
        for b_bits in {2, 5, 16, a_bits}:
            unit = catalog.build("multiplier", a_bits=a_bits, b_bits=b_bits, signed=signed, style=style)
            inputs = every_input(unit) if unit.input_bits <= 10 else unit.operands(np.random.default_rng(a_bits), 400)
            assert text_mismatches(unit, inputs) == 0, unit.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "operand"),
    [("volta", "fp16"), ("hopper", "bf16"), ("hopper", "e5m2"), ("blackwell", "e2m1"), ("blackwell", "mxfp6.e3m2")],
)
def test_other_tensor_cores(arch, operand, text_mismatches, vectors):
    unit = catalog.build("tensor_dot", arch=arch, operand=operand)
    assert text_mismatches(unit, vectors(unit, 300)) == 0
