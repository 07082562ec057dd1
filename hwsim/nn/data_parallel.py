"""Small data-parallel trainings of the byte-level GPT in which some micro-batches do not count.

The mean gradient of the micro-batches that count is that of one batch of their windows, so that workers need no
processes: what a worker computes is a row of windows. Every training of one seed starts from the same weights and
sees the same windows, dropped or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwsim.errors import ArgumentError
from hwsim.nn.corpus import stdlib
from hwsim.nn.models import ModelFile, load_file

RATE = 6e-3


@dataclass(frozen=True, slots=True)
class Small:
    """What is trained: a GPT of `width` and `layers`; a micro-batch is `windows` windows of `context` bytes."""

    width: int
    layers: int
    windows: int
    context: int


def train_dropping(small: Small, counts: NDArray[np.bool_], seed: int) -> float:
    """Train with the micro-batches that count, and return the loss on held-out text, nats a byte.

    Args:
        small: the network and its micro-batch.
        counts: whether a micro-batch counts, ``[steps, workers, micro-batches]``; the gradient is the mean over
            those that do.
        seed: of weights and windows.

    Raises:
        ArgumentError: a step without any micro-batch.
    """
    if counts.ndim != 3 or not counts.any(axis=(1, 2)).all():
        raise ArgumentError("each step must have a micro-batch that counts", got=counts.shape, where="counts")
    module = load_file(ModelFile.find("gpt").path)
    text, held_out = _text()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = module.GPT(small.width, small.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    steps, workers, batches = counts.shape
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (1.0 - step / steps) / 0.6 + 0.01))
    for step in range(steps):
        windows = _windows(text, workers * batches * small.windows, small.context, seed * 1_000_003 + step + 1)
        keeps = torch.from_numpy(np.repeat(counts[step].ravel(), small.windows))
        optimizer.zero_grad(set_to_none=True)
        module.loss(model, windows[keeps]).backward()
        optimizer.step()
        rate.step()
    with torch.no_grad():
        return float(module.loss(model, _windows(held_out, 64, small.context, 0)))


def step_times(small: Small, workers: int, batches: int, steps: int) -> NDArray[np.float64]:
    """Seconds that this machine takes for each micro-batch, forward and backward, one worker after another,
    ``[steps, workers, micro-batches]``."""
    module = load_file(ModelFile.find("gpt").path)
    text, _ = _text()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = module.GPT(small.width, small.layers)
    found = np.empty(steps * workers * batches)
    for place in range(-3, len(found)):  # three to warm up
        windows = _windows(text, small.windows, small.context, place + 3)
        begin = perf_counter()
        module.loss(model, windows).backward()
        if place >= 0:
            found[place] = perf_counter() - begin
    return found.reshape(steps, workers, batches)


def _text() -> Sequence[Tensor]:
    corpus = stdlib()
    return torch.from_numpy(corpus.train.copy()), torch.from_numpy(corpus.validation.copy())


def _windows(text: Tensor, count: int, context: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - context - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(context + 1)].long()
