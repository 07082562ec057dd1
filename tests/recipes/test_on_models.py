"""Recipes on whole models: what runs emulated, what is left, what is saved."""

import math

import pytest
import torch

from hwsim import emulate, recipes
from hwsim.nn import ModelFile, load_file
from hwsim.nn.arithmetic import Seeds
from hwsim.nn.book import Book
from hwsim.nn.noise import Clock

MODELS = ("gpt", "ngpt", "bitnet", "cnn", "vit", "lstm", "mamba")
LEFT = {"cnn": {"stem", "head"}, "vit": {"patches", "head"}}


def made(name, seed=0):
    file = ModelFile.find(name)
    module = load_file(file.path)
    batch = module.training(file.build(checkpoint=False)).batch(0, seed)
    if name not in LEFT:
        batch = batch[:2, :65]
    return module, file.build().train(), batch


def gradients(module, model, batch, recipe=None):
    model.zero_grad(set_to_none=True)
    if recipe is None:
        loss = module.loss(model, batch)
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()]), None
    with emulate(model, recipes.get(recipe), seed=1, steps=10) as handle:
        loss = module.loss(model, batch)
        loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()]), handle


@pytest.mark.parametrize("name", MODELS)
def test_all_layers_but_head_embedding_and_attention_run_in_four_bits(name):
    module, model, batch = made(name)
    _, exact, _ = gradients(module, model, batch)
    loss, found, handle = gradients(module, model, batch, "nvidia-nvfp4")
    coverage = handle.coverage()
    left = {layer.rpartition(".")[2] for layer, _ in coverage.left}
    scans = {"0", "1", "3"} if name == "mamba" else set()  # products of two activations in a mixer
    assert left <= LEFT.get(name, {"head"}) | {"qk", "pv"} | scans
    assert coverage.emulated > 0.5 * coverage.asked
    for part in coverage.phases.values():
        assert part.emulated + sum(part.left.values()) == part.asked
    assert torch.isfinite(found).all()
    assert 0.3 < float(found @ exact / found.norm() / exact.norm()) < 0.9999
    assert gradients(module, model, batch, "nvidia-nvfp4")[0] == loss


@pytest.mark.parametrize(("name", "cosine"), [("cnn", 0.99999), ("vit", 0.99), ("gpt", 0.99), ("mamba", 0.97)])
def test_four_bits_saved_leave_the_loss_alone_and_most_of_the_gradient(name, cosine):
    module, model, batch = made(name)
    loss, exact, _ = gradients(module, model, batch)
    found_loss, found, handle = gradients(module, model, batch, "s2a")
    assert found_loss == loss
    assert float(found @ exact / found.norm() / exact.norm()) > cosine
    saved = handle.saved
    assert 7 < saved.before / saved.after < 33  # of float32: 8 times for 4 bits, 32 for one
    if name == "cnn":
        torch.testing.assert_close(found, exact)  # ReLU needs one bit, and has it: 32 x 64 a layer, summed as before
        places = len(batch[0]) * (32 * 64 + 32 * 64 + 64 * 64 + 64 * 16 + 64)
        assert (saved.before, saved.after) == (4 * places, places // 8)


def test_a_quantized_cache_multiplies_in_the_forward_of_attention_alone():
    module, model, batch = made("gpt")
    losses = {name: gradients(module, model, batch, name) for name in ("kv-int8", "kv-int4", "kv-int4-sinks")}
    exact = gradients(module, model, batch)[0]
    assert abs(losses["kv-int8"][0] - exact) < abs(losses["kv-int4"][0] - exact)
    coverage = losses["kv-int4"][2].coverage()
    batch_size, time, width, layers = 2, 64, 192, 4
    assert coverage.phases["forward"].emulated == layers * 2 * batch_size * time * time * width
    assert coverage.phases["dgrad"].emulated == coverage.phases["wgrad"].emulated == 0


def test_a_low_bit_softmax_changes_attention_alone():
    module, model, batch = made("vit")
    exact, three, two = (gradients(module, model, batch, name)[0] for name in (None, "exaq-3", "exaq-2"))
    assert exact != three != two
    cnn = made("cnn")
    assert gradients(*cnn, "exaq-2")[0] == gradients(*cnn)[0]


def test_the_monitor_sees_noise():
    module, model, batch = made("cnn")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with emulate(model, recipes.get("fp4-all-the-way-monitored"), seed=1, steps=3) as handle:
        for _ in range(3):
            optimizer.zero_grad()
            module.loss(model, batch).backward()
            optimizer.step()
    assert [step for step, _ in handle.ratios] == [1, 2, 3]
    assert all(3**0.5 < ratio < 30 for _, ratio in handle.ratios)  # E2M1 in blocks of 16: about 7


def test_the_monitor_lifts_the_backward_below_its_threshold():
    model = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Linear(32, 32), torch.nn.Linear(32, 32))
    book = Book(model, recipes.get("fp4-all-the-way-monitored"), None, Seeds(1), Clock(1))
    layer = book.arithmetic("1", "linear", "weight")
    assert layer is not None
    assert layer.emulates("wgrad")
    for step, noise, lifted in (
        (1, (1.0, 1.8, 9.0), False),
        (2, (1.0, math.nan, 1.0), False),
        (3, (1.0, 1.7, 9.0), True),
    ):
        book.seeds.noise.update({(name, "wgrad"): ratio for name, ratio in zip("012", noise, strict=True)})
        book.stepped(step)
        assert book.switched is lifted  # the median against the square root of 3, 1.732; NaN lifts nothing
    assert book.ratios[0] == (1, 1.8)
    assert math.isnan(book.ratios[1][1])  # and is seen
    lifted_layer = book.arithmetic("1", "linear", "weight")
    assert lifted_layer is not None
    assert lifted_layer.emulates("fprop")
    assert not lifted_layer.emulates("dgrad")
    assert not lifted_layer.emulates("wgrad")


def test_a_gradient_that_is_no_number_is_no_silence():
    """Its ratio is NaN: neither quiet, as if it were quantized exactly, nor loud."""
    module, model, batch = made("cnn")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with emulate(model, recipes.get("fp4-all-the-way-monitored"), seed=1, steps=1) as handle:
        (module.loss(model, batch) * math.nan).backward()
        optimizer.step()
    ((step, ratio),) = handle.ratios
    assert step == 1
    assert math.isnan(ratio)
