"""Kinds of a graph's operators as work of the vector unit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwsim import quant
from hwsim.datapaths.vector import operator
from hwsim.datapaths.vector.cost import unit_price
from hwsim.datapaths.vector.work import OPERATORS, PRECISIONS, lane_area_um2, requantize, work
from hwsim.errors import UnknownName
from hwsim.trace.graph import VECTOR_KINDS


def test_every_kind_of_a_graph_is_work():
    assert set(OPERATORS) | {"requantize"} >= set(VECTOR_KINDS)
    for kind in OPERATORS:
        for precision in PRECISIONS:
            assert work(kind, precision).precision == PRECISIONS[precision]


def test_kinds_without_a_recipe_take_the_nearest():
    assert work("sigmoid", "int8") == operator("silu", "pwl8")
    assert work("mask", "fp32") == operator("max", "fp32")
    assert work("softmax", "fp16", "exaq2") == operator("softmax", "exaq2")
    assert work("gelu", "fp16", "exaq2") == operator("gelu", "fp16")
    assert work("cache", "fp16").energy_fj.value == 0
    with pytest.raises(UnknownName, match=r"^kind of vector work must be one of .*, got 'sort'$"):
        work("sort", "fp16")
    with pytest.raises(UnknownName, match=r"^precision of a vector unit must be one of fp16, got 'bf16'$"):
        work("add", "bf16")


@pytest.mark.parametrize(
    ("scheme", "kind", "precision"),
    [
        ("nvfp4.te", "quantize", "nvfp4"), ("mxfp4.floor", "quantize", "mxfp4"),
        ("mxfp8.e4m3.floor", "quantize", "mxfp8"), ("int8.channel", "requant", "m16.int8"),
        ("int4.channel", "requant", "m16.int4"),
    ],
)  # fmt: skip
def test_schemes_choose_their_requantisation(scheme, kind, precision):
    expected = operator(kind, precision)
    assert replace(requantize(quant.get(scheme)), precision=precision) == expected


def test_a_lane_holds_every_circuit_once():
    # exact softmax, norms, activations, rotation and elementwise work of 8-bit codes
    circuits = (
        "max_s8", "exp2_pwl8", "sum_u13", "normalize_pwl8", "reciprocal_pwl8", "sum_s8", "square_sum_s8",
        "centre_pwl8", "requant_m16_s8", "rsqrt_pwl8", "gelu_pwl8", "silu_pwl8", "rotate_s8", "add_s8", "mul_s8",
    )  # fmt: skip
    expected = sum(unit_price(name).area_um2 for name in circuits)
    found = lane_area_um2("int8", "exact", (quant.get("int8.channel"),))  # whose requantiser is there already
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.errors == pytest.approx({"synthesis": 1.1})
    four = lane_area_um2("int8", "exact", (quant.get("int4.channel"),))
    assert four.value - found.value == pytest.approx(unit_price("requant_m16_s4").area_um2)
