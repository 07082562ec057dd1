"""The small models: shapes, checkpoints, what they compute, and the metric that each says it has."""

import json

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional

from hwsim.nn import ModelFile, load_file, load_model, measure
from hwsim.nn.corpus import stdlib

DIGITS = {"cnn": 0.94, "vit": 0.93}
"""Least share of held-out digits; guessing finds 0.1."""
BYTES = {"ngpt": 2.05, "mamba": 2.05, "lstm": 2.1}
"""Most bits per byte; eight without a model, 4.9 from the frequencies of the bytes."""


def notes_of(name):
    path = ModelFile.find(name).path.with_suffix(".safetensors")
    with safe_open(path, "pt") as file:
        return file.metadata(), path.stat().st_size


@pytest.mark.parametrize("name", [*DIGITS, *BYTES])
def test_a_checkpoint_says_where_it_comes_from_and_the_model_maps_a_batch(name):
    notes, size = notes_of(name)
    assert (notes["model"], notes["seed"], notes["dtype"]) == (name, "0", "bfloat16")
    assert size < 2 << 20
    file, model = ModelFile.find(name), load_model(name)
    batch = next(iter(file.batches()))
    inputs = batch[0] if name in DIGITS else batch
    with torch.no_grad():
        out = model(inputs)
    assert out.shape == ((*inputs.shape[:1], 10) if name in DIGITS else (*inputs.shape, 256))
    assert out.dtype == torch.float32


@pytest.mark.parametrize("name", DIGITS)
def test_the_share_of_digits_is_the_recorded_one(name):
    recorded = json.loads(notes_of(name)[0]["metric"])
    found = measure(name)
    assert (found.name, found.lower_is_better, found.details) == ("accuracy", False, {"images": 450})
    assert found.value == pytest.approx(recorded["accuracy"], abs=1 / 450)  # one image, by the order of float32 sums
    assert found.value > DIGITS[name]


@pytest.mark.parametrize("name", BYTES)
def test_bits_per_byte_of_a_part_of_the_text(name):
    found = measure(name, bytes=16384)
    assert (found.name, found.lower_is_better) == ("bits_per_byte", True)
    assert found.value < BYTES[name] * 1.1  # a part of the text may be harder
    recorded = json.loads(notes_of(name)[0]["metric"])
    assert recorded["bits_per_byte"] < BYTES[name]
    assert recorded["bytes"] > 500_000


@pytest.mark.slow
@pytest.mark.parametrize("name", BYTES)
def test_the_metric_is_the_recorded_one_where_the_text_is(name):
    recorded = json.loads(notes_of(name)[0]["metric"])
    if recorded["corpus"] != stdlib().hash:
        pytest.skip(f"recorded on the sources of Python {recorded['python']}")
    assert measure(name).value == pytest.approx(recorded["bits_per_byte"], abs=1e-5)  # order of float32 sums


def test_every_vector_of_ngpt_lies_on_the_unit_sphere_and_its_norms_differ_where_they_should():
    module = load_file(ModelFile.find("ngpt").path)
    model = module.build(checkpoint=False, seed=3)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            axis = 0 if name.endswith(("out.weight", "down.weight")) else 1
            torch.testing.assert_close(parameter.norm(dim=axis), torch.ones(parameter.shape[1 - axis]))
    x = torch.tensor([[3.0, 4.0]])
    assert module.unit(x)[0].tolist() == pytest.approx([0.6, 0.8])
    # x / (|x| + e) against x / sqrt(x² + e): half as long at |x| = e, a thousandth at the root of e's size
    short = torch.tensor([[1e-6, 0.0]])
    assert module.unit(short, "default")[0, 0] == pytest.approx(0.5)
    assert module.unit(short, "rsqrt")[0, 0] == pytest.approx(1e-6 / (1e-12 + 1e-6) ** 0.5)
    tokens = torch.arange(64)[None]
    with torch.no_grad():
        one, other = (
            load_file(ModelFile.find("ngpt").path).build(mode=mode)(tokens) for mode in ("default", "rsqrt")
        )
    assert 0 < (one - other).abs().max() < 1e-3


def test_training_keeps_ngpt_on_the_sphere():
    module = load_file(ModelFile.find("ngpt").path)
    model = module.build(checkpoint=False).train()
    training = module.training(model)
    training.loss(model, training.batch(0, 0)[:1, :65]).backward()
    before = model.blocks[0].up.weight.detach().clone()
    training.optimizers[0].step()
    after = model.blocks[0].up.weight.detach()
    assert not torch.equal(before, after)
    torch.testing.assert_close(after.norm(dim=1), torch.ones(len(after)))


def test_the_scan_in_chunks_is_the_recurrence():
    module = load_file(ModelFile.find("mamba").path)
    generator = torch.Generator().manual_seed(0)
    time, batch, heads, size, state = 2 * module.CHUNK, 2, 3, 4, 5

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, b, c = normal(batch, heads, time, size), normal(batch, time, state), normal(batch, time, state)
    decay = -functional.softplus(normal(batch, heads, time))
    h, wanted = torch.zeros(batch, heads, state, size, dtype=torch.float64), []
    for t in range(time):
        h = decay[:, :, t, None, None].exp() * h + b[:, None, t, :, None] * x[:, :, t, None, :]
        wanted.append((c[:, None, t, None, :] @ h)[:, :, 0])
    torch.testing.assert_close(module.scan(x, decay, b, c), torch.stack(wanted, dim=2))


def test_training_digits_are_no_held_out_ones_and_are_shifted_whole():
    digits = load_file(ModelFile.find("cnn").path).digits
    images, labels = digits.draw(0, seed=1)
    known, known_labels = (values[: -digits.HELD_OUT] for values in digits.data())
    wide = functional.pad(known, (1, 1, 1, 1))
    for image, label in zip(images[:8], labels[:8], strict=True):
        shifted = [wide[:, 0, d : d + 8, r : r + 8] for d in range(3) for r in range(3)]
        found = torch.cat([known_labels[(one == image[0]).all(dim=(1, 2))] for one in shifted])
        assert label in found
    assert torch.equal(digits.draw(0, seed=1)[0], images)
    assert not torch.equal(digits.draw(1, seed=1)[0], images)
