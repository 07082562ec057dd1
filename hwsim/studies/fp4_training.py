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

from hwsim.nn.short_training import FLOAT32, LAYERS, WIDTH, Grid, Run, networks, train
from hwsim.studies.page import Study, Table, Value

RECIPES = ("mxfp8", "nvidia-nvfp4", "fp4-all-the-way-monitored", "quartet", "quartet2", "tetrajet2", "mxfp4",
           "ngpt-nvfp4")  # fmt: skip

FULL = Grid(RECIPES, 3, 120, 4, 128)
QUICK = Grid(("nvidia-nvfp4",), 2, 3, 2, 32)


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
        "seed, the floor the deviation of float32 over seeds. SNR of dot products of linear layers in NVFP4 at "
        "the end.",
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
            f"The ratio of gradient to quantization noise, taken of what each GEMM reads, stays at {min(ratios):.1f} "
            f"or more over {grid.steps} steps, far above √3: taken so it follows the format and not the training, "
            "and the switch never falls."
        )
