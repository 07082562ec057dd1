"""Operators against float64, their counts against the recipes, prices worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hwsim import quant
from hwsim.cost.depths import depth
from hwsim.datapaths.vector import operator, recipe, recipes, run
from hwsim.datapaths.vector.cost import DEPTHS, measure, table, unit_price
from hwsim.datapaths.vector.operators import encode
from hwsim.datapaths.vector.units import names
from hwsim.datapaths.vector.work import requantize
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl import tools
from hwsim.rtl.float_adders import to_float32

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")

N = 64


@pytest.fixture
def scores(rng):
    return rng.standard_normal((40, N)) * 2


def _exact(kind, x, gamma=1.0, beta=0.0):
    if kind == "softmax":
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    if kind == "gelu":
        return x * np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)
    if kind == "silu":
        return x / (1 + np.exp(-x))
    if kind == "rmsnorm":
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5) * gamma
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * gamma + beta


# Largest absolute errors: half an ulp of the format at the size of the result, times the roundings on the way;
# a bf16 sum of 64 loses up to 64 x 2^-9. fp32's gates have an argument of 12 bits: 8 x 0.4 x 2^-9 = 0.006 at most.
ALLOWED = {
    "softmax": {"fp16": 0.004, "bf16": 0.05, "fp32": 1e-6},
    "layernorm": {"fp16": 0.02, "bf16": 0.15, "fp32": 4e-6},
    "rmsnorm": {"fp16": 0.02, "bf16": 0.15, "fp32": 4e-6},
    "gelu": {"fp16": 0.006, "bf16": 0.04, "fp32": 1e-3},
    "silu": {"fp16": 0.006, "bf16": 0.04, "fp32": 1e-3},
}


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("kind", ALLOWED)
def test_operators_in_floats_are_the_functions(kind, fmt, scores, rng):
    x, gamma, beta = (
        encode(v, fmt) for v in (scores, 1 + 0.1 * rng.standard_normal(N), 0.1 * rng.standard_normal(N))
    )
    exact = _exact(kind, *(to_float32(v, fmt).astype(np.float64) for v in (x, gamma, beta)))
    found, uses = run(kind, fmt, x, gamma=gamma, beta=beta)
    assert np.abs(to_float32(found, fmt) - exact).max() < ALLOWED[kind][fmt]
    assert {name: count / x.size for name, count in uses.items()} == pytest.approx(recipe(kind, fmt).uses(N, N))


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
def test_a_rotation_turns_pairs(fmt, scores):
    angle = np.linspace(0, 3, N // 2)
    words = [encode(v, fmt) for v in (scores, np.cos(angle), np.sin(angle))]
    x, cosine, sine = (to_float32(v, fmt).astype(np.float64) for v in words)
    found, uses = run("rope", fmt, words[0], cosine=words[1], sine=words[2])
    y = to_float32(found, fmt)
    size = 3 * 8 * 2.0 ** -{"fp16": 11, "bf16": 8, "fp32": 24}[fmt]  # three roundings of at most half an ulp of 8
    assert np.abs(y[:, 0::2] - (x[:, 0::2] * cosine - x[:, 1::2] * sine)).max() < size
    assert np.abs(y[:, 1::2] - (x[:, 0::2] * sine + x[:, 1::2] * cosine)).max() < size
    assert {name: count / x.size for name, count in uses.items()} == recipe("rope", fmt).uses(N, N)


@pytest.mark.parametrize("kind", ["softmax", "layernorm", "rmsnorm", "gelu", "silu"])
def test_operators_of_codes_are_within_two_codes(kind, scores):
    codes = np.clip(np.rint(scores * 16), -128, 127).astype(np.int64)
    found, uses = run(kind, "pwl8", codes)
    unit = {"softmax": 256, "gelu": 16, "silu": 16}.get(kind, 32)
    exact = np.clip(_exact(kind, codes / 16) * unit, -128, 255 if kind == "softmax" else 127)
    assert np.abs(found - exact).max() < 2
    assert {name: count / codes.size for name, count in uses.items()} == pytest.approx(
        recipe(kind, "pwl8").uses(N, N)
    )


def test_a_softmax_of_codes_by_hand():
    # steps of 1/16: 16 steps are e^-1. Scores 0 and -16: m = 23, t = 368/256 = 1.4375, part 28/64:
    # 2^-1.4375 = 0.3692 (e^-1 = 0.3679), 4096 and about 1512; sum 5608; 186.98 and 69.02 of 256
    found, _ = run("softmax", "pwl8", np.array([[0, -16]]))
    assert found.tolist() == [[187, 69]]


def test_elementwise_operators():
    assert run("add", "pwl8", np.array([100]), np.array([50]))[0].tolist() == [127]
    assert run("max", "pwl8", np.array([-3]), np.array([5])) == (np.array([5]), {"max_s8": 1})
    a, b = (encode(np.array([v]), "fp16") for v in (1.5, -2.25))
    assert to_float32(run("add", "fp16", a, b)[0], "fp16").tolist() == [-0.75]
    assert to_float32(run("mul", "fp16", a, b)[0], "fp16").tolist() == [-3.375]
    assert to_float32(run("max", "fp16", a, b)[0], "fp16").tolist() == [1.5]
    turned, _ = run("rope", "pwl8", np.array([[100, 50]]), cosine=np.array([0]), sine=np.array([127]))
    assert turned.tolist() == [[-50, 99]]  # -50 x 127/128 = -49.6; 100 x 127/128 = 99.2


def test_what_an_operator_does_not_take_raises():
    with pytest.raises(ArgumentError, match=r"^norm in pwl8: a row must be a power of two long, got 48$"):
        run("rmsnorm", "pwl8", np.zeros((1, 48), np.int64))
    with pytest.raises(UnknownName, match=r"^operator must be one of softmax, max, got 'softmaxx'$"):
        run("softmaxx", "fp16", np.zeros(1))
    with pytest.raises(UnknownName, match=r"^precision of softmax must be one of fp16, fp32, bf16, got 'fp17'$"):
        operator("softmax", "fp17")
    with pytest.raises(ArgumentError, match=r"^operator softmax: row must be at least 1, got 0$"):
        operator("softmax", "fp16", row=0)
    with pytest.raises(ArgumentError, match=r"^operator softmax: lane must be 'shared' or 'full', got 'half'$"):
        operator("softmax", "fp16", lane="half")  # type: ignore[arg-type]


def test_a_price_is_the_sum_of_its_circuits():
    price = {name: unit_price(f"{name}_fp16") for name in ("max", "add", "mul", "exp2", "reciprocal")}
    one = operator("softmax", "fp16", row=128)
    expected = price["max"].energy_fj + 2 * price["add"].energy_fj + 2 * price["mul"].energy_fj
    expected += price["exp2"].energy_fj + price["reciprocal"].energy_fj / 128
    assert one.energy_fj.value == pytest.approx(expected, rel=1e-12)
    assert one.energy_fj.relative_error == pytest.approx(0.5)
    assert one.area_um2.value == pytest.approx(sum(unit.area_um2 for unit in price.values()))
    assert one.cycles_per_element == 2  # one adder, two sums
    assert one.depth_fo4.value == price["add"].depth_fo4
    full = operator("softmax", "fp16", row=128, lane="full")
    assert full.cycles_per_element == 1
    assert full.area_um2.value - one.area_um2.value == pytest.approx(price["add"].area_um2 + price["mul"].area_um2)
    assert full.energy_fj == one.energy_fj
    # two adders and two multipliers, one of each other circuit
    twice = [*price.values(), price["add"], price["mul"]]
    assert full.fast_area_um2.value == pytest.approx(sum(unit.fast_area_um2 for unit in twice))
    assert one.leakage_nw == pytest.approx(sum(unit.leakage_nw for unit in price.values()))
    assert full.leakage_nw == pytest.approx(sum(unit.leakage_nw for unit in twice))


def test_stages_shorten_and_cost_registers():
    one, two = operator("softmax", "fp16"), operator("softmax", "fp16", stages=2)
    circuits = [depth(name, 2, DEPTHS) for name in one.uses]
    assert two.depth_fo4.value == max(found.depth_fo4 for found in circuits) < 0.6 * one.depth_fo4.value
    assert (one.register_bits, two.register_bits) == (0, sum(found.register_bits for found in circuits))
    assert two.energy_fj == one.energy_fj  # the registers' own energy is the machine's
    full = operator("softmax", "fp16", stages=2, lane="full")
    second = depth("add_fp16", 2, DEPTHS).register_bits + depth("mul_fp16", 2, DEPTHS).register_bits
    assert full.register_bits - two.register_bits == second


def test_blocks_share_out_their_scale():
    # MXFP4: a scale for 32 elements, NVFP4 for 16, whatever the row; or as told
    for name, scale, size in (("mxfp4", "mx_scale_e2m1", 32), ("nvfp4", "nvfp4_scale", 16)):
        assert operator("quantize", name, row=7).uses[scale] == 1 / size
        assert operator("quantize", name, row=7, block=9).uses[scale] == 1 / 9
    online = operator("online_softmax", "fp16", row=256, block=32)
    assert online.uses["exp2_fp16"] == 1 + 1 / 32
    assert online.uses["mul_fp16"] == 1 + 2 / 32
    assert online.uses["reciprocal_fp16"] == 1 / 256


def test_uses_that_no_run_counts_by_hand():
    # EXAQ, 2 bits, rows of 64: x - max and + (-C), a sum of four codes an addition; a row has four probabilities
    assert recipe("softmax", "exaq2").uses(64, 64) == {
        "max_fp32": 1, "add_fp32": 2.25, "mul_fp32": 1 + 4 / 64, "exaq_code2": 1, "exaq_table2": 0.25,
        "exaq_select2": 1, "reciprocal_fp32": 1 / 64,
    }  # fmt: skip
    assert recipe("softmax", "exaq4").uses(32, 64)["mul_fp32"] == 1 + 16 / 32
    assert recipe("softmax", "exaq3").uses(64, 64)["exaq_table3"] == 0.5
    assert recipe("online_softmax", "pwl8").uses(64, 16) == {
        "max_s8": 1, "exp2_pwl8": 1 + 1 / 16, "sum_u13": 1, "reciprocal_pwl8": 1 / 64, "rescale_u24": 1 / 16,
    }  # fmt: skip
    # a new maximum: its distance, the factor's exponent, the factor, the sum times it
    assert recipe("online_softmax", "bf16").uses(64, 16) == {
        "max_bf16": 1, "add_bf16": 2 + 1 / 16, "mul_bf16": 1 + 2 / 16, "exp2_bf16": 1 + 1 / 16,
        "reciprocal_bf16": 1 / 64,
    }  # fmt: skip
    assert recipe("quantize", "mxfp8").uses(1, None) == {"absmax_fp32": 1, "mx_e4m3": 1, "mx_scale_e4m3": 1 / 32}
    assert recipe("requant", "m8.int4").uses(1, 1) == {"requant_m8_s4": 1}
    assert recipe("scale", "fp16").uses(1, 1) == {"mul_fp16": 1}


def test_an_embedding_is_memory_alone():
    one = operator("embedding", "fp16")
    assert (one.energy_fj.value, one.area_um2.value, one.cycles_per_element, one.depth_fo4.value) == (0, 0, 0, 0)


def test_the_table_holds_every_circuit_and_every_recipe_is_priced():
    assert tuple(table()) == names()
    for kind, precisions in recipes().items():
        for precision in precisions:
            assert operator(kind, precision).energy_fj.value > 0 or kind == "embedding"
    assert all(one.glitch_energy_fj > one.energy_fj > 0 for one in table().values())


def test_published_energies_lie_beside_ours():
    # At 45 nm, 0.9 V: Horowitz' float adders and multipliers. Gates of this library at 1.1 V take 2.2 to 3.6 times
    # as much (the voltage 1.5 of it), as its 8-bit multiplier does, 2.7 times Horowitz' 0.2 pJ
    for name, picojoules in (("add_fp16", 0.4), ("mul_fp16", 1.1), ("add_fp32", 0.9), ("mul_fp32", 3.7)):
        assert 1.5 < unit_price(name).energy_fj / 1e3 / picojoules < 3.6


@needs_yosys
@pytest.mark.parametrize("name", ["add_s8", "mx_scale_e2m1", "requant_shift_s8"])
def test_the_table_is_what_gates_give(name):
    made, kept = measure(name), unit_price(name)
    assert made.area_um2 == pytest.approx(kept.area_um2, abs=0.06)
    assert made.fast_area_um2 == pytest.approx(kept.fast_area_um2, abs=0.06)
    assert made.depth_fo4 == pytest.approx(kept.depth_fo4, abs=0.006)
    assert made.energy_fj == pytest.approx(kept.energy_fj, abs=0.006)
    assert made.glitch_energy_fj == pytest.approx(kept.glitch_energy_fj, abs=0.006)


def test_scales_are_made_as_often_as_blocks_ask() -> None:
    """Blocks of 64 or squares of 8 x 8 make a quarter of NVFP4's scales; what an element takes is the same."""
    nvfp4 = quant.get("nvfp4.te")
    found = {
        block: requantize(replace(nvfp4, granularity=kind, block=block)).energy_fj.value
        for kind, block in (("block", 16), ("block", 64), ("block2d", 8))
    }
    scale = unit_price("nvfp4_scale").energy.value
    assert found[16] - found[64] == pytest.approx(scale * (1 / 16 - 1 / 64))
    assert found[8] == found[64]
    assert requantize(nvfp4).energy_fj == operator("quantize", "nvfp4").energy_fj
