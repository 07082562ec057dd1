"""What a program writes down inside of an emulation and feeds the model is data, as what it wrote down before: every
layer behind it is emulated. What a forward writes down is a constant of the network, as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwsim
from hwsim.nn import emulate, measure

ROWS = [[float((i * j) % 7) - 3.0 for i in range(32)] for j in range(16)]

FED: dict[str, Callable[[], Tensor]] = {
    "tensor": lambda: torch.tensor(ROWS),
    "stacked": lambda: torch.stack([torch.tensor(row) for row in ROWS]) / 2,
    "numpy": lambda: torch.from_numpy(np.array(ROWS, np.float32)) * 0.3,
    "numbers": lambda: torch.arange(16 * 32).reshape(16, 32) / 512,
    "full": lambda: torch.full((16, 32), 0.37),
    "ones": lambda: torch.ones(16, 32).cumsum(1) / 32,
    "bytes": lambda: torch.tensor([[i % 251 for i in range(32)]] * 16, dtype=torch.uint8).float() / 255,
    "half": lambda: torch.tensor(ROWS, dtype=torch.bfloat16).float(),
}


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 16), nn.GELU(), nn.Linear(16, 8))


def cnn() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 8)), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.Flatten(), nn.Linear(20, 5)
    )  # fmt: skip


class Named(nn.Module):
    """Takes its input by name, and offers a method that feeds it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp()

    def forward(self, *, pixels: Tensor) -> Tensor:
        return self.body(pixels)

    def scored(self, make: Callable[[], Tensor]) -> Tensor:
        return self(pixels=make())


def multiplied(model: nn.Module, run: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What a run gives in an emulation of INT4, and the multiply-accumulates that were emulated."""
    with torch.no_grad(), emulate(model, "int4.channel") as handle:
        found = run()
    return found, handle.coverage().emulated


@pytest.mark.parametrize("make", FED.values(), ids=FED)
@pytest.mark.parametrize("build", [mlp, cnn])
def test_data_made_inside_is_multiplied_as_data_made_before(build, make):
    model, before = build(), make()
    outside, inside = multiplied(model, lambda: model(before)), multiplied(model, lambda: model(make()))
    assert outside[1] == inside[1] > 0
    assert torch.equal(outside[0], inside[0])
    assert not torch.equal(inside[0], model(before))  # four bits are seen


@pytest.mark.parametrize("make", FED.values(), ids=FED)
def test_by_name_and_by_a_method_of_the_model_too(make):
    model, before = Named(), make()
    wanted = multiplied(model, lambda: model(pixels=before))
    for run in (lambda: model(pixels=make()), lambda: model.scored(make)):
        found = multiplied(model, run)
        assert found[1] == wanted[1]
        assert torch.equal(found[0], wanted[0])


def test_a_constant_of_the_network_is_still_multiplied_once_before_inference():
    """Biases by position from a small network over fixed coordinates, as window attention has them."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.place = nn.Linear(32, 16), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 16))

        def forward(self, x: Tensor) -> Tensor:
            places = torch.tensor([[i / 16, 1.0] for i in range(16)])
            return self.body(x) + self.place(places)

    torch.manual_seed(3)
    model: Any = Biased()
    _, macs = multiplied(model, lambda: model(torch.tensor(ROWS)))
    assert macs == 16 * 32 * 16 + 16 * 2 * 8  # the second layer of the places is weights by weights


def test_a_metric_that_writes_down_its_images_measures_four_bits(tmp_path, monkeypatch):
    """By the command's way: model file, capture, rerun."""
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef build(seed=0):\n    torch.manual_seed(4)\n"
        "    return nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 8))\n\n\n"
        f"ROWS = {ROWS}\n\n\ndef batches(count=1, seed=0):\n    yield torch.tensor(ROWS)\n\n\n"
        "@torch.no_grad()\ndef metric(model):\n"
        "    return {'energy': float(model(torch.tensor(ROWS)).square().mean())}\n"
    )
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    found = measure(str(tmp_path / "own.py"), hwsim.load_accelerator("edge-int4").policy)
    exact = measure(str(tmp_path / "own.py"), None)
    scope: dict[str, Any] = {}
    exec((tmp_path / "own.py").read_text(), scope)
    model, rows = scope["build"](), torch.tensor(ROWS)
    with torch.no_grad(), emulate(model, hwsim.load_accelerator("edge-int4").policy):
        wanted = float(model(rows).square().mean())
    assert found.value == pytest.approx(wanted, rel=1e-6)  # a metric adds in an order of its own
    assert abs(found.value / exact.value - 1) > 1e-3


IDS: dict[str, Callable[[], Tensor]] = {
    "tensor": lambda: torch.tensor([[1, 5, 7, 2], [0, 3, 3, 9]]),
    "int32": lambda: torch.tensor([[1, 5, 7, 2], [0, 3, 3, 9]], dtype=torch.int32),
    "range": lambda: torch.arange(8).reshape(2, 4),
    "bytes": lambda: torch.frombuffer(bytearray(b"\x01\x05\x07\x02\x00\x03\x03\x09"), dtype=torch.uint8).long()[None],
    "zeros": lambda: torch.zeros(2, 4, dtype=torch.int64),
}


@pytest.mark.parametrize("make", IDS.values(), ids=IDS)
def test_tokens_written_down_inside_too(make):
    torch.manual_seed(5)
    model = nn.Sequential(nn.Embedding(10, 32), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))
    before = make()
    outside, inside = multiplied(model, lambda: model(before)), multiplied(model, lambda: model(make()))
    assert outside[1] == inside[1] == before.numel() * (32 * 24 + 24 * 10)
    assert torch.equal(outside[0], inside[0])
