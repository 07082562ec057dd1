"""What training in four bits costs on a small GPT and a small nGPT, beside what float32 seeds differ by.

Every run of one seed starts from the same weights and sees the same batches, so a recipe's cost is the mean over
seeds of its difference to float32. The noise floor is the deviation of float32 over seeds. The networks are a few
hundred thousand weights and the trainings a few thousand bytes a step: a cost below the floor is no finding, and
nothing here says what a large model would do. What does not drown in that noise is the gradient itself, beside the
one of the same step in float32.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hwsim import recipes
from hwsim.jit import environment
from hwsim.nn.short_training import FLOAT32, LAYERS, WIDTH, Run, Trial, origin
from hwsim.recipes import Recipe
from hwsim.studies.fp4_variants import BASE, LIFTED, finetuned, variants
from hwsim.studies.page import Study, Table, Value

RECIPES = ("mxfp8", "nvidia-nvfp4", "fp4-all-the-way-monitored", "quartet", "quartet2", "tetrajet2", "mxfp4",
           "ngpt-nvfp4")  # fmt: skip
MODELS = ("gpt", "ngpt")
SQRT3 = 3**0.5


@dataclass(frozen=True, slots=True)
class Grid:
    """What is trained: `batch` windows of `context` bytes a step; with or without the sweeps of the study's own
    recipes."""

    recipes: tuple[str, ...]
    seeds: int
    steps: int
    batch: int
    context: int
    sweeps: bool


FULL = Grid(RECIPES, 3, 120, 4, 128, True)
QUICK = Grid(("nvidia-nvfp4",), 2, 3, 2, 32, False)


def cells(grid: Grid) -> list[Trial]:
    """All trainings, those first without which nothing can be said."""
    mark = origin()

    def of(model: str, recipe: Recipe | None) -> list[Trial]:
        return [Trial(model, recipe, seed, grid.steps, grid.batch, grid.context, mark) for seed in range(grid.seeds)]

    found = [trial for model in MODELS for trial in of(model, None)]
    for name in grid.recipes:
        for model in MODELS if name != "ngpt-nvfp4" else ("ngpt",):  # its preset maxima are for unit vectors
            found += of(model, recipes.get(name))
    if grid.sweeps:
        found += [trial for model in MODELS for recipe in finetuned() for trial in of(model, recipe)]
        found += [trial for variant in variants() for trial in of("gpt", variant.recipe)]
    return found


def study(grid: Grid, measured: Sequence[dict[str, Any]]) -> Study:
    """The page of what all `cells` measured."""
    runs = [_run(one) for one in measured]
    named = (FLOAT32, *grid.recipes)
    costs = _costs([run for run in runs if run.recipe in named])
    tables = [costs]
    if grid.sweeps:
        tables += [_formats(runs), _finetuning(runs)]
    tables += [_gradients(runs), _runs(runs)]
    size = grid.batch * grid.context
    return Study(
        "fp4_training",
        "Training a small GPT and a small nGPT in four bits",
        "What does each recipe cost in held-out loss, beside what float32 seeds differ by? Is nGPT, whose vectors "
        "all have length 1, less hurt (arXiv 2605.06067: dot products with 7 dB less noise)? Are blocks of 16 with "
        "E4M3 or E3M4 scales the best (arXiv 2505.19115), and does the gradient fall towards √3 times its noise?",
        tuple(_findings(tables, runs, grid)),
        {
            "networks": f"width {WIDTH}, {LAYERS} blocks, 0.4 million weights, byte level",
            "training": f"{grid.steps} steps of {size} bytes, AdamW, {grid.seeds} seeds; sources of the standard "
            f"library, hash {runs[0].corpus}",
            "held out": f"32 windows of {grid.context} bytes, in the recipe's own forward and in float32",
            "made on": environment(),
            "what it cannot say": f"{grid.steps * size:,} bytes are seen; published costs are of trillions. A cost "
            "below two standard errors or below the noise floor is no finding",
        },
        tuple(tables),
    )


def _run(one: dict[str, Any]) -> Run:
    """A run as its cell measured it."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}
    return Run(**fields)


def _of(runs: Sequence[Run], model: str, recipe: str) -> list[Run]:
    return [run for run in runs if (run.model, run.recipe) == (model, recipe)]


def _mean(values: Sequence[float | None]) -> float | None:
    """None where a value is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _cost(runs: Sequence[Run], model: str, recipe: str) -> tuple[float, float]:
    """Mean difference to float32 over seeds, and its standard error."""
    gaps = [one.loss - exact.loss for one, exact in
            zip(_of(runs, model, recipe), _of(runs, model, FLOAT32), strict=True)]  # fmt: skip
    return statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _late(run: Run) -> tuple[float | None, float]:
    """Ratio and cosine of the gradient, means over the second half of what was looked at."""
    half = len(run.steps) // 2
    return _mean(run.gradient_ratios[half:]), statistics.fmean(run.cosines[half:])


def _measures(runs: Sequence[Run], model: str, recipe: str) -> tuple[Value, ...]:
    """Loss, cost, standard error, cosine and ratio of the gradients."""
    own = _of(runs, model, recipe)
    late = [_late(run) for run in own]
    return (statistics.fmean(run.loss for run in own), *_cost(runs, model, recipe),
            statistics.fmean(cosine for _, cosine in late), _mean([ratio for ratio, _ in late]))  # fmt: skip


_MEASURES = ("loss", "cost", "standard error", "cosine", "ratio")


def _costs(runs: Sequence[Run]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for model, recipe in dict.fromkeys((run.model, run.recipe) for run in runs):
        own, exact = _of(runs, model, recipe), _of(runs, model, FLOAT32)
        measures = _measures(runs, model, recipe) if recipe != FLOAT32 else (
            statistics.fmean(run.loss for run in own), None, None, None, None
        )  # fmt: skip
        rows.append((
            model, recipe, *measures, statistics.stdev(run.loss for run in exact),
            statistics.fmean(run.loss_float32 for run in own), statistics.fmean(run.snr_db for run in own),
        ))  # fmt: skip
    return Table(
        "costs",
        "Cost of each recipe",
        ("model", "recipe", *_MEASURES, "noise floor", "loss in float32", "SNR dB"),
        tuple(rows),
        "Nats a byte on held-out text; the cost is the mean over seeds of the difference to float32 of the same "
        "seed, the floor the deviation of float32 over seeds. Cosine and ratio ‖g‖ / ‖q - g‖: the gradient q of all "
        "parameters beside the one in float32 at the same weights and batch, the second half of the training. SNR of "
        "dot products of linear layers in NVFP4 at the end.",
    )


def _formats(runs: Sequence[Run]) -> Table:
    rows = tuple((one.block, one.scale, *_measures(runs, "gpt", one.name)) for one in variants())
    return Table(
        "formats",
        "Blocks and scales",
        ("block", "scale", *_MEASURES),
        rows,
        f"GPT in E2M1 with the split rounding of {BASE}. Contractions are {WIDTH} and {4 * WIDTH} long, so that "
        "blocks of 64 and 128 are cut where they end.",
    )


def _finetuning(runs: Sequence[Run]) -> Table:
    rows = tuple(
        (model, recipe.name, *_measures(runs, model, recipe.name))
        for model in MODELS for recipe in finetuned()
    )  # fmt: skip
    return Table(
        "finetuning",
        "With and without a finetuning phase",
        ("model", "recipe", *_MEASURES),
        rows,
        f"{BASE} to the end; its backward lifted to float32 for the last 4 % of the steps, as the paper has it, and "
        f"for the last {100 * (1 - LIFTED):.0f} %. Cosine and ratio over the second half, which holds both phases.",
    )


def _gradients(runs: Sequence[Run]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for model, recipe in dict.fromkeys((run.model, run.recipe) for run in runs if run.recipe != FLOAT32):
        own = _of(runs, model, recipe)
        for place, step in enumerate(own[0].steps):
            operand = [run.ratios[step - 1] for run in own if len(run.ratios) >= step]
            rows.append((
                model, recipe, step, _mean([run.gradient_ratios[place] for run in own]),
                statistics.fmean(run.cosines[place] for run in own), _mean(operand) if operand else None,
            ))  # fmt: skip
    return Table(
        "gradients",
        "Gradients over the training",
        ("model", "recipe", "step", "ratio", "cosine", "operands' ratio"),
        tuple(rows),
        "Ratio and cosine as above, means over seeds; √3 = 1.73 is the limit of arXiv 2505.19115. The operands' "
        "ratio is the median over layers of what each GEMM reads of the gradient by the noise of its quantization; "
        "only some recipes watch it.",
        {"recipe": tuple(recipe.name for recipe in finetuned())},
    )


def _runs(runs: Sequence[Run]) -> Table:
    rows = tuple(
        (run.model, run.recipe, run.seed, run.loss, run.loss_float32, run.snr_db,
         run.ratios[0] if run.ratios else None, run.ratios[-1] if run.ratios else None)
        for run in runs
    )  # fmt: skip
    columns = ("model", "recipe", "seed", "loss", "loss in float32", "SNR dB", "first ratio", "last ratio")
    note = (
        "Ratios of what GEMMs read, of recipes that watch it; none where nothing was lost or nothing was quantized."
    )
    return Table("runs", "Single runs", columns, rows, note, {"recipe": ("fp4-all-the-way-monitored",)})


def _findings(tables: list[Table], runs: Sequence[Run], grid: Grid) -> Iterator[str]:
    costs, by_name = tables[0], {table.name: table for table in tables}
    for model in MODELS:
        rows = [row for row in costs.select({"model": model}) if row["cost"] is not None]
        rows.sort(key=lambda row: row["cost"])
        told = ", ".join(f"{row['recipe']} {row['cost']:+.3f} ± {row['standard error']:.3f}" for row in rows)
        yield f"{model}: float32 seeds differ by {rows[0]['noise floor']:.3f} nats; cost of {told}."
        rows.sort(key=lambda row: -row["cosine"])
        told = ", ".join(f"{row['recipe']} {row['cosine']:.3f}" for row in rows)
        yield f"{model}: cosine of the gradient to float32's in the second half: {told}."
    snr = {model: statistics.fmean(run.snr_db for run in _of(runs, model, FLOAT32)) for model in MODELS}
    yield (
        f"Signal to noise of NVFP4 dot products after float32 training: GPT {snr['gpt']:.1f} dB, nGPT "
        f"{snr['ngpt']:.1f} dB; the paper's gain of about 7 dB is {snr['ngpt'] - snr['gpt']:+.1f} dB at this size."
    )
    if not grid.sweeps:
        return
    yield from _of_formats(by_name["formats"])
    yield from _of_noise(by_name["gradients"], by_name["finetuning"])


def _of_formats(table: Table) -> Iterator[str]:
    rows = table.select({})
    for scale in ("e4m3", "e8m0"):
        own = [row for row in rows if row["scale"] == scale]
        told = ", ".join(f"{row['block']}: {row['cosine']:.3f}" for row in own)
        yield f"Blocks with {scale.upper()} scales, cosine of the gradient: {told}."
    own = sorted((row for row in rows if row["block"] == 16), key=lambda row: -row["cosine"])
    told = ", ".join(f"{row['scale'].upper()} {row['cosine']:.3f} ({row['cost']:+.3f})" for row in own)
    yield (
        f"Scale formats in blocks of 16, cosine of the gradient and cost in nats: {told}. The paper finds E4M3 and "
        "E3M4 best and E1M6 diverging; a tensor scale stands above all of them here."
    )


def _of_noise(gradients: Table, finetuning: Table) -> Iterator[str]:
    for model in MODELS:
        rows = [row for row in gradients.select({"model": model, "recipe": BASE}) if row["ratio"] is not None]
        below = next((row["step"] for row in rows if row["ratio"] < SQRT3), None)
        least = min(row["operands' ratio"] for row in rows if row["operands' ratio"] is not None)
        crossed = f"is below √3 from step {below} on at the latest" if below is not None else "stays above √3"
        yield (
            f"{model}: the gradient of all parameters by its noise goes from {rows[0]['ratio']:.2f} to "
            f"{rows[-1]['ratio']:.2f} and {crossed}; what single GEMMs read never falls below {least:.1f}, as it "
            "follows the format and not the training, so that a switch on it never falls."
        )
        own = finetuning.select({"model": model})
        told = ", ".join(f"{row['recipe']} {row['cost']:+.3f} ± {row['standard error']:.3f}" for row in own)
        yield f"{model}: cost with and without the backward lifted at the end: {told}."
