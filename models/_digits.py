"""Scikit-learn's handwritten digits, which come with the package: what the image models are trained and measured on.

1,797 grey images of 8 x 8. The last 450 are held out; the set is not shuffled, and they come from other writers than
the first ones, so that nothing is learnt by heart of a hand.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

HELD_OUT = 450


@functools.cache
def data() -> tuple[Tensor, Tensor]:
    """All images ``[1797, 1, 8, 8]``, float32 in 0...1, and their digits ``[1797]``, int64."""
    digits = load_digits()
    return torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)


def batches(count: int = 1, size: int = 32, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """`count` batches of held-out images ``[size, 1, 8, 8]`` with their digits, drawn by `seed`."""
    images, digits = (values[-HELD_OUT:] for values in data())
    for step in range(count):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        some = torch.randperm(HELD_OUT, generator=generator)[:size]
        yield images[some], digits[some]


def draw(step: int, seed: int) -> tuple[Tensor, Tensor]:
    """64 training images of step `step`, each shifted by up to one pixel either way: a function of (seed, step)."""
    images, digits = (values[:-HELD_OUT] for values in data())
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    some = torch.randint(len(images), (64,), generator=generator)
    wide = functional.pad(images[some], (1, 1, 1, 1))
    down, right = torch.randint(3, (2, 64), generator=generator)
    at = torch.arange(8)
    rows, columns = (down[:, None] + at)[:, :, None], (right[:, None] + at)[:, None, :]
    return wide[torch.arange(64)[:, None, None], 0, rows, columns][:, None], digits[some]


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy in nats of the digits of a batch."""
    images, digits = batch
    return functional.cross_entropy(model(images), digits)


@torch.no_grad()
def metric(model: nn.Module) -> dict[str, float | int]:
    """Share of the held-out images whose digit is found; guessing finds 0.1."""
    images, digits = (values[-HELD_OUT:] for values in data())
    return {"accuracy": int((model(images).argmax(-1) == digits).sum()) / HELD_OUT, "images": HELD_OUT}
