"""DropCompute: what a threshold on a worker's computing buys, in its three meanings, and what it costs in loss.

Decides that time and loss are told by the same masks: which micro-batches count follows from the times of all workers
by `hwsim.timing.clusters.dropcompute`, and the trainings drop exactly those. A training is compared at equal steps,
where it sees less, and at equal time, where it takes more steps in the seconds that the threshold saved.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.studies.page import Study, Table, Value, percent
from hwsim.timing.clusters import dropcompute as drop

if TYPE_CHECKING:
    from hwsim.nn.data_parallel import Small

Times = NDArray[np.float64]
MEAN_S, SPREAD_S, OVERHEAD_S = 0.45, 0.1, 0.2
PUBLISHED = 1.118
"""Best speed-up of the closed form at 200 workers, 12 micro-batches of 0.45 ± 0.1 s."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What is drawn and trained.

    Attributes:
        steps: drawn of each law.
        workers, batches: of the published case.
        measured: workers, micro-batches and steps timed on this machine.
        small: width, layers, windows of a micro-batch, bytes of a window.
        trained: workers, micro-batches and steps of a training.
        kept: parts of micro-batches, of thresholds that are trained beside the best one of each meaning.
        seeds: of trainings.
    """

    steps: int
    workers: int
    batches: int
    measured: tuple[int, int, int]
    small: tuple[int, int, int, int]
    trained: tuple[int, int, int]
    kept: tuple[float, ...]
    seeds: int


FULL = Grid(100, 200, 12, (8, 6, 12), (48, 2, 1, 32), (8, 4, 100), (0.8, 0.5), 3)
QUICK = Grid(40, 64, 6, (2, 2, 2), (48, 1, 1, 16), (4, 2, 3), (0.5,), 2)


def laws(grid: Grid) -> dict[str, Times]:
    """Times of micro-batches by law, s: normal; log-normal; normal with one slow worker a step; measured here."""
    draw = np.random.default_rng(0)
    shape = grid.steps, grid.workers, grid.batches
    normal = draw.normal(MEAN_S, SPREAD_S, shape)
    sigma = sqrt(log(1 + (SPREAD_S / MEAN_S) ** 2))
    skewed = draw.lognormal(log(MEAN_S) - sigma**2 / 2, sigma, shape)
    slow = draw.normal(MEAN_S, SPREAD_S, shape)
    slow[np.arange(grid.steps), draw.integers(0, grid.workers, grid.steps)] *= 1.5
    return {"normal": normal, "log-normal": skewed, "one slow worker a step": slow, "measured": _measured(grid)}


def _measured(grid: Grid) -> Times:
    from hwsim.nn.data_parallel import step_times

    workers, batches, steps = grid.measured
    return step_times(_small(grid), workers, batches, steps)


def _small(grid: Grid) -> Small:
    from hwsim.nn.data_parallel import Small

    return Small(*grid.small)


def study(grid: Grid) -> Study:
    """The whole study."""
    drawn = laws(grid)
    best, curve = _best(drawn), _curve(drawn["normal"], grid)
    runs = _trainings(grid)
    costs = _costs(runs)
    workers, batches, steps = grid.trained
    return Study(
        "dropcompute",
        "Workers that stop at a threshold",
        "A step lasts as long as its slowest worker. DropCompute (arXiv 2306.10598) stops all of them after τ "
        "seconds of computing and renormalises the gradient. What τ is best, what does it buy, how much hangs on "
        "what happens at τ, and what does it cost in loss?",
        tuple(_findings(best, costs)),
        {
            "times": f"{grid.workers} workers of {grid.batches} micro-batches of {MEAN_S} ± {SPREAD_S} s, "
            f"{grid.steps} steps; {OVERHEAD_S} s of all-reduce and update a step",
            "one slow worker": "one worker a step, drawn anew, takes 1.5 times as long",
            "measured": f"{grid.measured[0]} workers of {grid.measured[1]} micro-batches, {grid.measured[2]} "
            "steps of the small GPT, timed one after another on this machine, on which other work runs: this row "
            "is new in each run; its overhead is 0.2 s times the ratio of means",
            "meanings": "preempt stops at τ and loses what runs (the paper's text); finish ends what runs (the "
            "published training); before starts nothing that would end at τ or later (the published choice of τ)",
            "closed form": "preempt alone, independent normal times: the slowest worker's mean by extreme values",
            "training": f"GPT of width {grid.small[0]}, {grid.small[1]} blocks, {workers} workers × {batches} "
            f"micro-batches of {grid.small[2]} × {grid.small[3]} bytes, {steps} steps of AdamW, {grid.seeds} seeds; "
            "log-normal times of the same law; the mean gradient is over what counts",
            "what it cannot say": "what dropping costs a large model over many steps; the paper finds no loss at "
            "about 10 % dropped",
        },
        (best, curve, costs, runs),
    )


def _best(drawn: Mapping[str, Times]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for name, times in drawn.items():
        mean, spread = float(times.mean()), float(times.std())
        overhead = OVERHEAD_S * mean / MEAN_S
        formula = drop.best_expected(times.shape[1], times.shape[2], mean, spread, overhead)
        for meaning in drop.MEANINGS:
            found = drop.best(times, overhead, meaning)
            closed = formula if meaning == "preempt" else None
            rows.append((
                name, meaning, mean, spread, float(times.sum(axis=2).max(axis=1).mean()), found.threshold_s,
                found.kept, found.compute_s, found.speed_up, *((None, None) if closed is None else
                (closed.threshold_s, closed.speed_up)),
            ))  # fmt: skip
    return Table(
        "best", "The best threshold",
        ("times", "meaning", "mean s", "spread s", "slowest s", "τ s", "kept", "computing s", "speed-up",
         "τ by formula", "speed-up by formula"),
        tuple(rows),
        "Micro-batches a second over those without a threshold; the best of 200 thresholds on the drawn steps.",
    )  # fmt: skip


def _curve(times: Times, grid: Grid) -> Table:
    rows: list[tuple[Value, ...]] = []
    for tau in np.linspace(0.8, 1.25, 19) * grid.batches * MEAN_S:
        found = [drop.simulate(times, float(tau), OVERHEAD_S, meaning) for meaning in drop.MEANINGS]
        closed = drop.expected(grid.workers, grid.batches, MEAN_S, SPREAD_S, float(tau), OVERHEAD_S)
        rows.append((float(tau), *(one.speed_up for one in found), closed.speed_up, found[0].kept, closed.kept))
    return Table(
        "curve", "Speed-up over the threshold, normal times",
        ("τ s", *drop.MEANINGS, "formula", "kept", "kept by formula"),
        tuple(rows),
        "Kept: part of the micro-batches that count, of preempt.",
    )  # fmt: skip


def _trainings(grid: Grid) -> Table:
    """Every training: rule, seed, part kept, seconds of a step, loss at equal steps and at equal time."""
    from hwsim.nn.data_parallel import train_dropping

    workers, batches, steps = grid.trained
    sigma = sqrt(log(1 + (SPREAD_S / MEAN_S) ** 2))
    rows: list[tuple[Value, ...]] = []
    for seed in range(grid.seeds):
        draw = np.random.default_rng(1000 + seed)
        # twice the steps, for trainings of equal time
        times = draw.lognormal(log(MEAN_S) - sigma**2 / 2, sigma, (2 * steps, workers, batches))
        plain = float(times[:steps].sum(axis=2).max(axis=1).mean()) + OVERHEAD_S
        everything = np.ones_like(times[:steps], dtype=np.bool_)
        loss = train_dropping(_small(grid), everything, seed)
        rows.append(("none", seed, None, 1.0, plain, 1.0, loss, steps, loss))
        for rule, meaning, tau in _rules(times[:steps], grid):
            found = drop.simulate(times[:steps], tau, OVERHEAD_S, meaning)
            counts = drop.counted(times, tau, meaning)
            counts[..., 0] = True  # the first of each counts, so that no step is without a gradient
            took = found.compute_s + OVERHEAD_S
            more = min(2 * steps, max(1, round(steps * plain / took)))
            rows.append((
                rule, seed, tau, float(counts[:steps].mean()), took, found.speed_up,
                train_dropping(_small(grid), counts[:steps], seed), more,
                train_dropping(_small(grid), counts[:more], seed),
            ))  # fmt: skip
    columns = (
        "rule",
        "seed",
        "τ s",
        "kept",
        "step s",
        "speed-up",
        "loss",
        "steps of equal time",
        "loss at equal time",
    )
    return Table("runs", "Single trainings", columns, tuple(rows), "Nats a byte on held-out text.", {"seed": (0,)})


def _rules(times: Times, grid: Grid) -> Iterator[tuple[str, drop.Meaning, float]]:
    """The best threshold of `finish`, and those of `preempt` that keep given parts."""
    yield "best, finish", "finish", drop.best(times, OVERHEAD_S, "finish").threshold_s
    ends = np.cumsum(times, axis=2)
    for kept in grid.kept:
        yield f"preempt, keep {percent(kept)}", "preempt", float(np.quantile(ends, kept))


def _costs(runs: Table) -> Table:
    rows: list[tuple[Value, ...]] = []
    base = runs.select({"rule": "none"})
    floor = statistics.stdev(row["loss"] for row in base)
    for rule in dict.fromkeys(runs.column("rule")):
        own = runs.select({"rule": rule})
        means = [statistics.fmean(row[name] for row in own) for name in ("kept", "speed-up")]
        gaps: list[Value] = []
        for name in ("loss", "loss at equal time"):
            apart = [row[name] - other["loss"] for row, other in zip(own, base, strict=True)]
            gaps += [statistics.fmean(apart), statistics.stdev(apart) / sqrt(len(apart))]
        more = statistics.fmean(row["steps of equal time"] for row in own)
        rows.append((rule, *means, statistics.fmean(row["loss"] for row in own), *gaps, more, floor))
    return Table(
        "costs", "What dropping costs in loss",
        ("rule", "kept", "speed-up", "loss", "cost", "standard error", "cost at equal time", "its standard error",
         "steps of equal time", "noise floor"),
        tuple(rows),
        "Nats a byte above no threshold of the same seed, mean over seeds; the floor is the deviation of seeds.",
    )  # fmt: skip


def _findings(best: Table, costs: Table) -> Iterator[str]:
    for name in dict.fromkeys(best.column("times")):
        own = {row["meaning"]: row for row in best.select({"times": name})}
        told = ", ".join(
            f"{meaning} {row['speed-up']:.3f} at {row['τ s']:.3g} s (keeps {percent(row['kept'])})"
            for meaning, row in own.items()
        )
        yield (
            f"{name}: best speed-up {told}; closed form of preempt {own['preempt']['speed-up by formula']:.3f} at "
            f"{own['preempt']['τ by formula']:.3g} s."
        )
    normal = best.select({"times": "normal", "meaning": "preempt"})[0]
    yield (
        f"Claim beside ours: the closed form's published example (200 workers, 12 micro-batches) has {PUBLISHED}; "
        f"here the formula gives {normal['speed-up by formula']:.3f} and drawn steps {normal['speed-up']:.3f}."
    )
    for row in costs.select({}):
        if row["rule"] != "none":
            yield (
                f"Loss, {row['rule']}: {percent(row['kept'])} kept, {row['cost']:+.3f} ± {row['standard error']:.3f} "
                f"nats a byte at equal steps, {row['cost at equal time']:+.3f} ± {row['its standard error']:.3f} at "
                f"equal time ({row['steps of equal time']:.0f} steps); seeds differ by {row['noise floor']:.3f}."
            )
