"""Short trainings of a small GPT and a small nGPT, and what is measured of them: the torch half of a study.

Every run of one seed starts from the same weights and sees the same batches.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwsim import quant, recipes
from hwsim.nn.corpus import stdlib
from hwsim.nn.emulation import emulate
from hwsim.nn.models import ModelFile, load_file

FLOAT32 = "float32"
WIDTH, LAYERS = 96, 3


@dataclass(frozen=True, slots=True)
class Grid:
    """What is trained: `batch` windows of `context` bytes a step."""

    recipes: tuple[str, ...]
    seeds: int
    steps: int
    batch: int
    context: int


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        model, recipe, seed: what was trained.
        loss: on held-out text, in the recipe's own arithmetic, nats a byte.
        loss_float32: of the same weights in float32.
        ratios: the monitor's, one a step, where the recipe has one.
        snr_db: signal to noise of dot products of linear layers in NVFP4 at the end, the median over layers.
    """

    model: str
    recipe: str
    seed: int
    loss: float
    loss_float32: float
    ratios: tuple[float, ...]
    snr_db: float


def networks() -> dict[str, Any]:
    """The modules that define GPT and nGPT."""
    return {name: load_file(ModelFile.find(name).path) for name in ("gpt", "ngpt")}


def train(name: str, module: Any, recipe: str, seed: int, grid: Grid) -> Run:
    """One training and what is measured of it."""
    text, held_out = _text()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = module.GPT(WIDTH, LAYERS) if name == "gpt" else module.NGPT(WIDTH, LAYERS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    if name == "ngpt":
        optimizer.register_step_post_hook(lambda *_: module.normalise(model))
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (1.0 - step / grid.steps) / 0.6 + 0.01))
    fixed = _windows(held_out, 32, grid.context, seed=0)

    def run() -> float:
        for step in range(grid.steps):
            optimizer.zero_grad(set_to_none=True)
            module.loss(model, _windows(text, grid.batch, grid.context, seed * 1_000_003 + step + 1)).backward()
            optimizer.step()
            rate.step()
        with torch.no_grad():
            return float(module.loss(model, fixed))

    if recipe == FLOAT32:
        loss, ratios = run(), ()
    else:
        with emulate(model, recipes.get(recipe), seed=seed, steps=grid.steps) as handle:
            loss = run()
        ratios = tuple(ratio for _, ratio in handle.ratios)  # type: ignore[assignment]
    with torch.no_grad():
        plain = float(module.loss(model, fixed))
    return Run(name, recipe, seed, loss, plain, ratios, snr_db(model, fixed[:8]))


def snr_db(model: nn.Module, batch: Tensor) -> float:
    """10 log10(E signal² / E noise²) of the outputs of linear layers with both operands in NVFP4, the head left out;
    the median over layers."""
    found: list[float] = []

    def watch(module: Any, args: tuple[Tensor, ...], out: Tensor) -> None:
        x = args[0].detach().reshape(-1, args[0].shape[-1]).numpy()
        low = (
            quant.fake_quantize(x, "nvfp4.te") @ quant.fake_quantize(module.weight.detach().numpy(), "nvfp4.te_2d").T
        )
        exact = out.detach().reshape(low.shape).numpy().astype(np.float64)
        found.append(10 * math.log10(float(np.square(exact).mean() / np.square(low - exact).mean())))

    layers = [one for name, one in model.named_modules() if isinstance(one, nn.Linear) and name != "head"]
    hooks = [layer.register_forward_hook(watch) for layer in layers]
    try:
        with torch.no_grad():
            model(batch[:, :-1])
    finally:
        for hook in hooks:
            hook.remove()
    return statistics.median(found)


def _text() -> tuple[Tensor, Tensor]:
    corpus = stdlib()
    return torch.from_numpy(corpus.train.copy()), torch.from_numpy(corpus.validation.copy())


def _windows(text: Tensor, count: int, context: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - context - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(context + 1)].long()
