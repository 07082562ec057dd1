"""Planted faults: the operands of a unit must show a circuit that is wrong in a corner only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwsim.datapaths import circuits as catalog
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.tools import available

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not available("iverilog", "vvp"), reason="Icarus Verilog is not installed"),
]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        # a group that cancels to zero keeps its say in the exponent, one of zero products or of a zero scale has none
        ("dot_blackwell_nvfp4", "= any & (|factor);", "= (|sum) & (|factor);"),
        ("dot_blackwell_nvfp4", "= any & (|factor);", "= any;"),
        ("dot_blackwell_nvfp4", "= any & (|factor);", "= |factor;"),
        ("dot_blackwell_nvfp4", "x[3] | ~(|x[6:3])", "x[3]"),  # exponent of a subnormal scale
        ("dot_blackwell_nvfp4", "(&x) | (&y);", "&x;"),  # NaN scales
        ("dot_blackwell_nvfp4", "limited = zeros > room;", "limited = 1'b0;"),  # subnormal results
        ("dot_blackwell_mxfp4", "10'd254;", "10'd260;"),  # overflow to infinity
        ("dot_blackwell_mxfp8_e4m3", "nonzero[k] ? exponents[k * 10 +: 10] : 10'd0", "exponents[k * 10 +: 10]"),
        ("dot_blackwell_mxfp8_e5m2", "(plus & minus)", "1'b0"),  # infinity less infinity
        ("add_fp16", "normal[1] | normal[0] | normal[3]", "normal[1] | normal[0] | 1'b1"),  # ties to even
        ("add_fp16", "limited = zeros > room;", "limited = 1'b0;"),
        ("add_fp16", "~(zero & subtract)", "1'b1"),  # sign of x - x
        ("add_fp16", "(y_special & subtract)", "1'b0"),
        ("ternary_core_mu3_bf16_l1_k2", "clear ? 16'd0 : acc", "acc"),
        ("ternary_table_mu5_int8", " s100 = ", " s100 = 1 + "),  # one of 116 adders
        ("pann_u6_acc32", "ended <= last;", "ended <= last | clear;"),  # the result of a dot product too early
        ("pann_u6_acc32", "(negative & {32{ended}})", "negative"),  # a subtractor that wakes for one operand
        ("mac_s8x8_acc20_saturate_booth", "fits ? sum[19:0] : end_of_range", "sum[19:0]"),
    ],
)
def test_a_fault_in_a_corner_is_seen(name, right, wrong):
    unit = catalog.build(name)
    assert right in unit.verilog
    inputs = unit.operands(np.random.default_rng(0), 800 if name.startswith(("dot", "ternary")) else 10_000)
    mutant = dataclasses.replace(unit, verilog=unit.verilog.replace(right, wrong))
    assert run_rtl(mutant, inputs) > 0
