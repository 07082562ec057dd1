"""Every circuit of the vector unit: text = bits = gates on 10^4 vectors."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.datapaths.vector.units import names, stream, unit
from hwsim.errors import UnknownName
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.unit import every_input

needs_icarus = pytest.mark.skipif(not tools.available("iverilog", "vvp"), reason="needs Icarus Verilog")
needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")

ROWS = 10_000
QUICK = (
    "requant_shift_s8", "exp2_pwl8", "reciprocal_pwl8", "gelu_pwl8", "add_s8", "max_s8", "sum_u13", "max_fp16",
    "mul_bf16", "rsqrt_bf16", "silu_gate_bf16", "unroot16_fp32", "unroot32_fp32", "absmax_fp32",
    "nvfp4_scale", "mx_e2m1", "mx_e4m3", "nvfp4_e2m1", "mx_scale_e2m1", "exaq_code2", "exaq_select3",
)  # fmt: skip


def _vectors(name):
    own = unit(name)
    return every_input(own) if own.input_bits <= 16 else own.operands(np.random.default_rng(1), ROWS)


@needs_icarus
@pytest.mark.parametrize("name", names())
def test_text_equals_bits(name):
    assert run_rtl(unit(name), _vectors(name)) == 0


@needs_yosys
@pytest.mark.parametrize("name", QUICK)
def test_gates_equal_bits(name):
    assert gate_mismatches(unit(name), synth(unit(name)).netlist, _vectors(name)) == 0


@needs_yosys
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if name not in QUICK])
def test_gates_of_all_others_equal_bits(name):
    assert gate_mismatches(unit(name), synth(unit(name)).netlist, _vectors(name)) == 0


@needs_yosys
@pytest.mark.slow
@pytest.mark.parametrize("name", ["requant_shift_s8", "nvfp4_e2m1", "mul_bf16"])
def test_gates_mapped_for_depth_equal_bits(name):
    assert gate_mismatches(unit(name), synth(unit(name), fast=True).netlist, _vectors(name)) == 0


@needs_icarus
def test_a_wrong_rounding_is_seen():
    own = unit("requant_m8_s8")
    inputs = _vectors("requant_m8_s8")
    expected = own.golden(inputs)
    m, k = inputs["m"].astype(np.int64), inputs["k"].astype(np.int64)
    acc = inputs["acc"].astype(np.uint32).view(np.int32).astype(np.int64)
    cut = np.clip(acc * m >> k, -128, 127).astype(np.uint64) & np.uint64(255)
    assert run_rtl(own, inputs, {"y": cut}) == int((cut != expected["y"]).sum()) > 500


@pytest.mark.parametrize("name", names())
def test_streams_fit_the_ports_and_are_the_same_again(name):
    own = unit(name)
    first, second = (stream(name, np.random.default_rng(3), 512) for _ in range(2))
    assert set(first) == {port.name for port in own.inputs}
    for port in own.inputs:
        values = first[port.name]
        assert values.dtype == np.uint64
        assert int(values.max()) < 1 << port.bits
        assert np.array_equal(values, second[port.name])
    assert len({len(values) for values in first.values()}) == 1


def test_unknown_circuits_name_the_near_ones():
    with pytest.raises(UnknownName, match=r"^circuit of the vector unit must be one of mul_fp32"):
        unit("mul_fp23")
