"""One rotation of both operands, in the arithmetic of a machine, in training recipes, in circuits and in prices."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import hwsim
from hwsim import datapaths, quant
from hwsim.arch import Accelerator, Numerics, Policy
from hwsim.datapaths.vector import operator, run
from hwsim.datapaths.vector.cost import unit_price
from hwsim.datapaths.vector.work import delay_bits, delay_edges, lane_area_um2, lane_circuits
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation import Evaluator, Memo
from hwsim.evaluation.accuracy import replay
from hwsim.evaluation.prices import machine_prices
from hwsim.quant import Rotation
from hwsim.quant.rotated import drawn_signs
from hwsim.recipes import Gemm, Layer, Operand, Recipe
from hwsim.search import space_from_dict, sweep
from hwsim.search.explorer import Explorer
from hwsim.search.parts import read_parts
from hwsim.timing import plan
from hwsim.trace import GemmShape
from hwsim.trace.graph import Access, Graph, Tensor, Window
from hwsim.trace.graph import Operator as Made

NVFP4 = datapaths.tensor_core("blackwell", "nvfp4")
TE = quant.get("nvfp4.te")


def turned(rotation: Rotation | None) -> Numerics:
    return Numerics(TE, TE, NVFP4, rotation)


def machine(size: int, **fields: object) -> Accelerator:
    tables = hwsim.load_accelerator("edge-nvfp4").to_dict()
    tables["numerics"]["rotation"] = {"size": size, **fields}
    return Accelerator.from_dict(tables)


def test_signs_of_a_seed_are_the_low_bits_of_its_words():
    words = quant.random_words(7, 64)
    assert drawn_signs(7, 64).tolist() == [-1.0 if word % 2 else 1.0 for word in words.tolist()]


@pytest.mark.parametrize(("k", "size", "signs"), [(64, 16, "nvidia"), (64, 32, 3), (40, 32, None), (20, 128, 0)])
def test_operands_are_filled_turned_and_quantized(k, size, signs, rng):
    """By hand: zeros up to whole tiles, the transform of `quant.hadamard`, codes of both, the unit, the epilogue."""
    a, b = (rng.standard_normal((n, k)).astype(np.float32) for n in (5, 7))
    vector = drawn_signs(signs, size) if isinstance(signs, int) else signs
    fill = -k % size
    codes = [
        quant.quantize(quant.hadamard(np.pad(x, ((0, 0), (0, fill))), size, vector), TE) for x in (a, b)
    ]  # fmt: skip
    unit = NVFP4.matmul(codes[0].codes, codes[1].codes, None, codes[0].scales, codes[1].scales)
    expected = unit * (np.float32(codes[0].tensor_scale) * np.float32(codes[1].tensor_scale))
    numerics = turned(Rotation(size, signs))
    assert np.array_equal(numerics.gemm(a, b).view(np.uint32), expected.view(np.uint32))
    assert np.array_equal(numerics.gemm(a, numerics.prepare_b(b)), expected)
    assert np.array_equal(numerics.gemms(a[None], b[None])[0], numerics.gemm(a, b, "activation"))
    assert numerics.padded(k) == k + fill


@pytest.mark.parametrize(("size", "signs"), [(16, "nvidia"), (32, 5), (128, 5)])
def test_a_recipe_and_a_policy_turn_alike(size, signs):
    """fprop and dgrad of a layer whose K = 80 fills no tile of 32, both ways of saying the same: equal bits."""
    rotation = Rotation(size, signs)
    gemm = Gemm(Operand("nvfp4.te"), Operand("nvfp4.te"), rotation, accumulate="unit")
    recipe = Recipe("turned", "", "", Layer(gemm, gemm, gemm))
    generator = torch.Generator().manual_seed(0)
    results = []
    for arithmetic in (recipe, Policy(turned(rotation))):
        layer = torch.nn.Linear(80, 48, bias=False)
        layer.weight.data = torch.randn(48, 80, generator=generator.manual_seed(1))
        x = torch.randn(6, 80, generator=generator.manual_seed(2), requires_grad=True)
        with hwsim.emulate(torch.nn.Sequential(layer), arithmetic) as emulated:
            y = emulated.model(x)
            y.backward(torch.randn(6, 48, generator=generator.manual_seed(3)))
        results.append([y.detach().numpy(), x.grad.numpy(), layer.weight.grad.numpy()])
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one.view(np.uint32), other.view(np.uint32))


def test_a_replay_turns_what_it_multiplies(tiny_trace):
    gemm = next(iter(tiny_trace.gemms("forward")))
    a, b = gemm.a.values[0].astype(np.float32), gemm.b.values[0].astype(np.float32)
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    found = {}
    for rotation in (None, Rotation(32, 0)):
        error = turned(rotation).gemm(a, b) - exact
        found[rotation] = replay(tiny_trace, Policy(turned(rotation)))["up"]
        assert found[rotation] == pytest.approx(10 * np.log10((exact**2).sum() / (error**2).sum()), rel=1e-12)
    assert len(set(found.values())) == 2


@pytest.mark.parametrize("signs", [0, 9, "nvidia", "plain", [1, -1] * 8])
def test_a_machine_says_its_rotation_and_says_it_again(signs):
    made = machine(16, signs=signs)
    assert Accelerator.from_dict(made.to_dict()) == made
    assert made.policy.rotation == 16
    assert made.policy.default.label.endswith("H16")
    assert machine(1) == hwsim.load_accelerator("edge-nvfp4")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 12}, r"rotation: must describe a rotation \(rotation.size: size must be a power of two from 2 to"),
        ({"size": 32, "signs": "nvidia"}, r'signs "nvidia" must have size 16'),
        (
            {"size": 16, "signs": "drawn"},
            r"rotation.signs: must be a seed, nvidia, plain, or \+1 and -1, got 'drawn'",
        ),
        ({"size": 16, "signs": [1, 0] * 8}, r"rotation.signs: must be \+1 and -1"),
        ({"size": 16, "sign": 3}, r"rotation.sign: is not a known key; 'signs' is the nearest key"),
    ],
)
def test_what_is_no_rotation_is_refused(fields, message):
    with pytest.raises(DesignError, match=message):
        machine(**fields)


def test_other_rotations_are_refused():
    with pytest.raises(DesignError, match=r"^numerics.rotation.signs: signs must be fixed, got 'drawn'$"):
        turned(Rotation(16, "drawn"))
    with pytest.raises(ArgumentError, match=r"^rotation.signs: signs must be fixed, got 'drawn'$"):
        Rotation(16, "drawn").apply(np.zeros(16, np.float32))
    with pytest.raises(DesignError, match=r"^numerics.rotation.size: rotations must have one size, got \[16, 32\]$"):
        Policy(turned(Rotation(16)), turned(Rotation(32, 0)))
    assert Policy(turned(Rotation(16)), turned(None)).rotation == 16


@pytest.mark.parametrize("size", [2, 16, 32, 64, 128])
def test_the_network_gives_the_bits_and_counts_its_circuits(size, rng):
    """Rows of 256 with ties, zeros of both signs and exponents far apart; nothing subnormal, which circuits drop."""
    x = (rng.standard_normal((9, 256)) * 2.0 ** rng.integers(-20, 20, (9, 256))).astype(np.float32)
    x[0], x[1, ::3], x[2] = np.float32(1.5), np.float32(-0.0), np.round(x[2])
    signs = drawn_signs(3, size)
    words, uses = run("rotate", "fp32", x.view(np.uint32).astype(np.uint64), signs=(signs < 0).astype(np.uint64))
    expected = quant.hadamard(x, size, signs)
    assert np.array_equal(words.astype(np.uint32), expected.view(np.uint32))
    assert {name: count / x.size for name, count in uses.items()} == operator("rotate", f"fp32.{size}").uses


def test_a_lane_holds_an_adder_a_stage():
    schemes = (TE,)
    plain, with_16, with_32 = (lane_area_um2("fp16", "exact", schemes, size).value for size in (None, 16, 32))
    add, root = unit_price("add_fp32").area_um2, unit_price("unroot16_fp32").area_um2
    assert with_16 - plain == pytest.approx(4 * add + root)
    assert with_32 - plain == pytest.approx(5 * add + unit_price("unroot32_fp32").area_um2)
    # a lane that adds in fp32 keeps that adder for its other work
    assert lane_circuits("fp32", "exact", schemes, 16)["add_fp32"] == 5
    # 16 lanes hold a tile of 16; a tile of 64 waits for 48 words, and 24 lanes hold only 16 neighbours of it
    assert [delay_bits(16, 16), delay_bits(64, 16), delay_bits(64, 24), delay_bits(None, 1)] == [
        0,
        48 * 32,
        48 * 32,
        0,
    ]
    assert [delay_edges(16, 16), delay_edges(64, 16), delay_edges(64, 64), delay_edges(None, 1)] == [0, 64, 0, 0]


def test_what_a_rotation_is_charged_by_hand(tiny_trace, tmp_path):
    """K of ``up`` is 64, of ``qk`` 32: a tile of 64 fills both operands of qk, which are turned; weights are not.

    The graph of this trace has one operand b for both batches of ``qk``.
    """
    memo = Memo(tmp_path / "memo.jsonl")
    found = Evaluator(tiny_trace, memo=memo)(machine(64))
    elements = 48 * 64 + 2 * 16 * 64 + 16 * 64
    charged = [one for one in found.energy.charges if one.component == "vector.rotate"]
    assert sum(one.events for one in charged) == elements
    price = 6 * unit_price("add_fp32").energy_fj + unit_price("unroot16_fp32").energy_fj
    prices = machine_prices(machine(64))
    assert charged[0].price.value == pytest.approx(price * prices.logic(unit_price("add_fp32").energy).value
                                                   / unit_price("add_fp32").energy_fj)  # fmt: skip
    # K = 64 in place of 32: half a step of the unit's 64 products, and as many more words
    products = {one.layer: one for step in found.plan.steps for one in step.products}
    plain = Evaluator(tiny_trace, memo=memo)(machine(1))
    others = {one.layer: one for step in plain.plan.steps for one in step.products}
    assert products["up"].updates == others["up"].updates
    assert products["qk"].updates == others["qk"].updates
    assert products["qk"].a_reads == 2 * others["qk"].a_reads


def test_a_convolution_cannot_turn_what_it_gathers():
    """4 channels of 8 x 8 under 3 x 3 windows: a row of the product is 36 numbers from three rows of the image."""
    window = Window(1, 4, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1), (8, 8))
    shape = GemmShape("conv", "convolution", "forward", 1, 64, 16, 36, "weight")
    tensors = (Tensor("x", (4, 64), "float32", "input"), Tensor("w", (16, 36), "float32", "weight"),
               Tensor("y", (64, 16), "float32", "computed", True))  # fmt: skip
    inputs = Access("x", 256, "window", window), Access("w", 16 * 36)
    graph = Graph(tensors, (Made("conv", "gemm", "forward", inputs, "y", 0, shape, 0),))
    assert plan(graph, machine(1)).latency_cycles > 0
    with pytest.raises(
        DesignError, match=r"^conv: operands must lie in rows to be turned .*, got 'a rotation of 16'$"
    ):
        plan(graph, machine(16))


def test_a_space_searches_rotations(small, tiny_trace, tmp_path):
    """A knob on the size; a sweep of it is what `evaluate` gives to the last bit."""
    small["machine"]["numerics"] = hwsim.load_accelerator("edge-nvfp4").to_dict()["numerics"]
    small["machine"]["array"]["stages"] = 3
    del small["parameters"]["bits"]
    small["parameters"]["rotation"] = {"choice": [1, 16, 64], "sets": "numerics.rotation.size"}
    small["parameters"]["lanes"] = {"choice": [8, 16], "sets": "vector.lanes"}
    space = space_from_dict(copy.deepcopy(small), "here")
    sweep(space, tiny_trace, tmp_path / "run")
    explorer, priced = Explorer(space, {"tiny": Evaluator(tiny_trace)}), 0
    for part in read_parts(tmp_path / "run"):
        for row in part.to_pylist():
            draw = {one.name: row[one.name] for one in space.parameters}
            values = explorer.evaluate(0, space.design(draw)).values
            assert row["status"] == 0
            for name in ("energy_uj", "area_mm2", "latency_ms", "dram_mbit", "sqnr_db"):
                assert row[name] == values[name], (draw, name)
            priced += 1
    assert priced == space.size == 24
    sizes = {size: space.design({"rows": 8, "dataflow": "ws", "lanes": 8, "rotation": size}) for size in (1, 16, 64)}
    assert [one.accelerator.policy.rotation for one in sizes.values()] == [None, 16, 64]
    assert len({replace(one.accelerator, name="").policy.key for one in sizes.values()}) == 3
