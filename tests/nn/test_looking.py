"""Looks into a training: signal to noise of operands by hand, the gradient beside float32's, and no bit changed."""

import copy
import csv
import math

import numpy as np
import pytest
import torch
from torch import nn

from hwsim import quant, recipes
from hwsim.nn import compare, emulate
from hwsim.nn.looking import Looks, Noise, gradient_beside
from hwsim.nn.models import ModelFile, load_file
from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation

MODEL = """
import torch
from torch import nn
from hwsim.nn import Training

def build(checkpoint=True, seed=0):
    torch.manual_seed(seed)
    first, second, head = (nn.Linear(32, 32) for _ in range(3))
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5), second, nn.Tanh(), head)

def training(model):
    def batch(step, seed):
        return torch.randn(16, 32, generator=torch.Generator().manual_seed(99 * seed + step))
    return Training(
        steps=9, batch=batch,
        loss=lambda model, x: (model(x) - x).square().mean(), rate=lambda done: 1.0,
        optimizers=[torch.optim.SGD(model.parameters(), lr=0.1)],
    )
"""


def _db(exact, made):
    exact, made = exact.astype(np.float64), made.astype(np.float64)
    return 10 * math.log10((exact**2).sum() / ((made - exact) ** 2).sum())


RECIPE = Recipe(
    "by hand", "", "",
    Layer(Gemm(Operand("mxfp4.rceil"), Operand("int8.channel")), Gemm(Operand("int4.channel"), Operand()),
          Gemm(Operand("int4.channel"), Operand("int8.tensor"), Rotation(16, "nvidia"))),
)  # fmt: skip


def test_signal_to_noise_of_every_operand_is_that_of_its_quantization():
    """One linear layer y = x wᵀ: fprop reads x and w along K, dgrad g along N, wgrad g and x along tokens, turned by
    the 16-point Hadamard matrix with NVIDIA's signs; what is not quantized is not measured."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(32, 48, bias=False))
    x, target = torch.randn(64, 32, requires_grad=True), torch.randn(64, 48)
    with emulate(model, RECIPE) as handle:
        with handle.looking() as noise:
            out = model(x)
            g = 2 * (out - target).detach().numpy() / out.numel()
            (out - target).square().mean().backward()
        found = noise.sqnr_db()
        model(x)  # nothing is measured after the block
    assert noise.sqnr_db() == found
    w, rows = model[0].weight.detach().numpy(), x.detach().numpy()
    signs = np.float32([1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1])  # TransformerEngine's
    hadamard = np.array([[(-1.0) ** bin(i & j).count("1") for j in range(16)] for i in range(16)], np.float32) / 4

    def turned(values):  # along the last axis in tiles of 16
        signed = values * np.tile(signs, values.shape[-1] // 16)
        return (signed.reshape(-1, 16) @ hadamard).reshape(values.shape).astype(np.float32)

    hand = {
        ("0", "fprop", "a"): (rows, "mxfp4.rceil"), ("0", "fprop", "b"): (w, "int8.channel"),
        ("0", "dgrad", "a"): (g, "int4.channel"),
        ("0", "wgrad", "a"): (turned(g.T.copy()), "int4.channel"),
        ("0", "wgrad", "b"): (turned(rows.T.copy()), "int8.tensor"),
    }  # fmt: skip
    assert set(found) == set(hand)
    for key, (exact, scheme) in hand.items():
        assert found[key] == pytest.approx(_db(exact, quant.fake_quantize(exact, scheme)), abs=0.02), key


def test_noise_adds_up_over_calls_and_says_none_where_nothing_is_lost():
    noise = Noise()
    noise.add(("l", "fprop", "a"), np.float32([3, 4]), np.float32([3, 5]))
    noise.add(("l", "fprop", "a"), np.float32([5]), np.float32([5]))
    noise.add(("l", "fprop", "b"), np.float32([2]), np.float32([2]))
    noise.add(("l", "wgrad", "a"), np.float32([0]), np.float32([0]))
    assert noise.sqnr_db() == {("l", "fprop", "a"): pytest.approx(10 * math.log10(50 / 1)),
                               ("l", "fprop", "b"): None, ("l", "wgrad", "a"): None}  # fmt: skip


@pytest.mark.parametrize("recipe", ["mxfp4", "nvidia-nvfp4", RECIPE], ids=["scheme", "recipe", "by hand"])
def test_the_gradient_beside_is_the_one_of_float32_at_the_same_weights(recipe):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.Linear(32, 16, bias=False))
    twin, x, target = copy.deepcopy(model), torch.randn(16, 32), torch.randn(16, 16)

    def loss(network):
        return (network(x) - target).square().mean()

    def flat(network):
        return np.concatenate([p.grad.numpy().ravel() for p in network.parameters()]).astype(np.float64)

    exact = copy.deepcopy(model)
    loss(exact).backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()  # it takes the model's
    with emulate(model, recipe, seed=1) as handle:
        loss(model).backward()
        asked = handle.coverage().asked
        ratio, cosine = gradient_beside(model, twin, lambda: loss(twin).backward())
    assert handle.coverage().asked == asked
    q, g = flat(model), flat(exact)
    assert not np.array_equal(q, g)
    assert np.array_equal(flat(twin), g)
    assert ratio == pytest.approx(np.linalg.norm(g) / np.linalg.norm(q - g), rel=1e-12)
    assert cosine == pytest.approx(q @ g / np.linalg.norm(q) / np.linalg.norm(g), rel=1e-12)
    model.zero_grad()
    loss(model).backward()
    assert gradient_beside(model, twin, lambda: loss(twin).backward()) == (None, pytest.approx(1.0, abs=1e-12))


@pytest.mark.parametrize("recipe", ["mxfp4", "mxfp8", "nvidia-nvfp4", "quartet2"])
def test_a_look_at_a_network_compares_with_float32(recipe):
    """Recipes without noise give the same gradient twice: a twin that is emulated too would look like no loss."""
    module = load_file(ModelFile.find("gpt").path)
    torch.manual_seed(0)
    model = module.GPT(96, 1)
    for parameter in model.parameters():  # outputs start at zero
        torch.nn.init.normal_(parameter, std=0.1)
    exact, batch = copy.deepcopy(model), torch.randint(0, 256, (2, 33))
    looks = Looks(model, module.loss, 1, 1)
    with emulate(model, recipes.get(recipe), seed=0, steps=1) as handle, looks.step(0, handle) as look:
        module.loss(model, batch).backward()
        look(batch)
    module.loss(exact, batch).backward()
    q, g = (
        np.concatenate([p.grad.numpy().ravel() for p in one.parameters()]).astype(float) for one in (model, exact)
    )
    assert looks.gradients[0][1:] == (
        pytest.approx(np.linalg.norm(g) / np.linalg.norm(q - g), rel=1e-9),
        pytest.approx(q @ g / np.linalg.norm(q) / np.linalg.norm(g), rel=1e-9),
    )


@pytest.mark.parametrize(("steps", "looks", "seen"), [(10, 3, [0, 3, 6, 9]), (9, 2, [0, 4, 8]), (4, 9, [0, 1, 2, 3]),
                                                      (5, 0, [])])  # fmt: skip
def test_steps_that_are_looked_at(steps, looks, seen):
    found = Looks(nn.Linear(1, 1), lambda *_: None, steps, looks)
    assert [step for step in range(steps) if found.wants(step)] == seen


def test_looks_change_no_bit_and_see_the_same_dropout(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(MODEL)
    exact = Recipe("exact", "", "", Layer(Gemm(Operand(), Operand()), Gemm(Operand(), Operand()),
                                          Gemm(Operand(), Operand())))  # fmt: skip
    with_looks, without = (
        compare(path, ["mxfp8", "quartet", exact], tmp_path / str(looks), seeds=2, looks=looks) for looks in (4, 0)
    )
    assert with_looks.losses == without.losses
    assert not (tmp_path / "0" / "gradients.csv").exists()
    assert [step for step, _, _ in with_looks.gradients["mxfp8", 0]] == [1, 3, 5, 7, 9]
    for _, ratio, cosine in with_looks.gradients["exact", 1]:  # another dropout would give a cosine of about a half
        assert ratio is None or ratio > 1e5
        assert cosine == pytest.approx(1.0, abs=1e-9)
    for (name, _), rows in with_looks.gradients.items():
        assert all(cosine > (0.97 if name == "mxfp8" else 0.5) for _, _, cosine in rows)  # a ReLU may turn
    with (tmp_path / "4" / "sqnr.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["layer"] for row in rows} == {"0", "3"}  # the last layer is the head, which both recipes keep
    own = {(row["gemm"], row["operand"]) for row in rows if row["recipe"] == "mxfp8"}
    assert own == {(gemm, side) for gemm in ("fprop", "dgrad", "wgrad") for side in "ab"}
    told = [float(row["sqnr_db"]) for row in rows if row["recipe"] == "mxfp8" and row["sqnr_db"]]
    assert 25 < min(told) < 45  # E4M3: relative errors of up to 1/16, rms near 1/40 of a uniform mantissa, 32 dB
