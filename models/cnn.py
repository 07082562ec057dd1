"""A small convolutional network on scikit-learn's digits: a dense, a depthwise and a pointwise convolution.

The three kinds are here because machines treat them differently. ReLU, no norm: every layer has a bias. Retrain with
``hwsim train cnn`` (under a minute). Trained parameters lie beside this file in bfloat16, loaded as float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")

digits = load_python(Path(__file__).with_name("_digits.py"))
batches, loss, metric = digits.batches, digits.loss, digits.metric


class CNN(nn.Module):
    """Images ``[B, 1, 8, 8]`` to logits ``[B, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.pointwise = nn.Conv2d(32, 64, 1)
        self.down = nn.Conv2d(64, 64, 3, stride=2, padding=1)
        self.hidden = nn.Linear(64 * 16, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32."""
        x = torch.relu(self.stem(images))
        x = torch.relu(self.pointwise(torch.relu(self.depthwise(x))))
        x = torch.relu(self.down(x))
        return self.head(torch.relu(self.hidden(x.flatten(1)))).float()


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CNN()
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """AdamW; the rate falls over the second half."""
    return Training(
        steps=1500,
        batch=digits.draw,
        loss=loss,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)],
        rate=lambda done: min(1.0, 2 * (1.0 - done) + 0.01),
        metric=metric,
    )
