"""What training in four bits costs on a small GPT and a small nGPT, beside what float32 seeds differ by.

Every run of one seed starts from the same weights and sees the same batches, so a recipe's cost is the mean over
seeds of its difference to float32. The noise floor is the deviation of float32 over seeds. The networks are a few
hundred thousand weights and the trainings a few thousand bytes a step: a cost below the floor is no finding, and
nothing here says what a large model would do.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwsim import quant, recipes
from hwsim.nn import ModelFile, emulate, load_file
from hwsim.studies.page import Study, Table, Value

FLOAT32 = "float32"
RECIPES = ("mxfp8", "nvidia-nvfp4", "fp4-all-the-way-monitored", "quartet", "quartet2", "tetrajet2", "mxfp4",
           "ngpt-nvfp4")  # fmt: skip
WIDTH, LAYERS = 96, 3


@dataclass(frozen=True, slots=True)
class Grid:
    """What is trained: `batch` windows of `context` bytes a step."""

    recipes: tuple[str, ...]
    seeds: int
    steps: int
    batch: int
    context: int


FULL = Grid(RECIPES, 3, 120, 4, 128)
QUICK = Grid(("nvidia-nvfp4",), 2, 3, 2, 32)


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
    text, held_out = _text(module)
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


def _text(module: Any) -> tuple[Tensor, Tensor]:
    from hwsim.nn.corpus import stdlib

    corpus = stdlib()
    return torch.from_numpy(corpus.train.copy()), torch.from_numpy(corpus.validation.copy())


def _windows(text: Tensor, count: int, context: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - context - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(context + 1)].long()


def study(grid: Grid) -> Study:
    """The whole study."""
    runs = [
        train(name, module, recipe, seed, grid)
        for name, module in networks().items()
        for recipe in (FLOAT32, *grid.recipes)
        if not (recipe == "ngpt-nvfp4" and name == "gpt")  # its preset maxima are for unit vectors
        for seed in range(grid.seeds)
    ]
    costs, single = _costs(runs), _runs(runs)
    size = grid.batch * grid.context
    return Study(
        "fp4_training",
        "Training a small GPT and a small nGPT in four bits",
        "What does each recipe cost in held-out loss, beside what float32 seeds differ by? Is nGPT, whose vectors "
        "all have length 1, less hurt (arXiv 2605.06067: dot products with 7 dB less noise)?",
        tuple(_findings(costs, runs, grid)),
        {
            "networks": f"width {WIDTH}, {LAYERS} blocks, 0.4 million weights, byte level",
            "training": f"{grid.steps} steps of {size} bytes, AdamW, {grid.seeds} seeds; sources of the standard "
            "library",
            "held out": f"32 windows of {grid.context} bytes, in the recipe's own forward and in float32",
            "what it cannot say": f"{grid.steps * size:,} bytes are seen; published costs are of trillions. A cost "
            "below two standard errors or below the noise floor is no finding",
        },
        (costs, single),
    )


def _of(runs: list[Run], model: str, recipe: str) -> list[Run]:
    return [run for run in runs if (run.model, run.recipe) == (model, recipe)]


def _costs(runs: list[Run]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for model, recipe in dict.fromkeys((run.model, run.recipe) for run in runs):
        own, exact = _of(runs, model, recipe), _of(runs, model, FLOAT32)
        gaps = [one.loss - other.loss for one, other in zip(own, exact, strict=True)]
        floor = statistics.stdev(run.loss for run in exact)
        error = statistics.stdev(gaps) / math.sqrt(len(gaps))
        rows.append((
            model, recipe, statistics.fmean(run.loss for run in own),
            *((None, None) if recipe == FLOAT32 else (statistics.fmean(gaps), error)), floor,
            statistics.fmean(run.loss_float32 for run in own), statistics.fmean(run.snr_db for run in own),
        ))  # fmt: skip
    return Table(
        "costs",
        "Cost of each recipe",
        ("model", "recipe", "loss", "cost", "standard error", "noise floor", "loss in float32", "SNR dB"),
        tuple(rows),
        "Nats a byte on held-out text; the cost is the mean over seeds of the difference to float32 of the same "
        "seed, the floor the deviation of float32 over seeds. SNR of dot products of linear layers in NVFP4 at the end.",
    )


def _runs(runs: list[Run]) -> Table:
    rows = tuple(
        (run.model, run.recipe, run.seed, run.loss, run.loss_float32, run.snr_db,
         run.ratios[0] if run.ratios else None, run.ratios[-1] if run.ratios else None)
        for run in runs
    )  # fmt: skip
    columns = ("model", "recipe", "seed", "loss", "loss in float32", "SNR dB", "first ratio", "last ratio")
    note = (
        "The ratio of a gradient's norm to the noise of its quantization, where √3 is the limit of arXiv 2505.19115."
    )
    return Table("runs", "Single runs", columns, rows, note, {"recipe": ("fp4-all-the-way-monitored",)})


def _findings(costs: Table, runs: list[Run], grid: Grid) -> Iterator[str]:
    for model in ("gpt", "ngpt"):
        rows = [row for row in costs.select({"model": model}) if row["cost"] is not None]
        rows.sort(key=lambda row: row["cost"])
        told = ", ".join(f"{row['recipe']} {row['cost']:+.3f} ± {row['standard error']:.3f}" for row in rows)
        yield f"{model}: float32 seeds differ by {rows[0]['noise floor']:.3f} nats; cost of {told}."
    snr = {
        model: statistics.fmean(run.snr_db for run in _of(runs, model, FLOAT32)) for model in ("gpt", "ngpt")
    }  # fmt: skip
    yield (
        f"Signal to noise of NVFP4 dot products after float32 training: GPT {snr['gpt']:.1f} dB, nGPT "
        f"{snr['ngpt']:.1f} dB; the paper's gain of about 7 dB is {snr['ngpt'] - snr['gpt']:+.1f} dB at this size."
    )
    ratios = [ratio for run in runs for ratio in run.ratios]
    if ratios:
        yield (
            f"The ratio of gradient to quantization noise, taken of what each GEMM reads, stays between "
            f"{min(ratios):.1f} and {max(ratios):.1f} over {grid.steps} steps, far above √3: taken so it follows the "
            "format and not the training, and the switch never falls."
        )
