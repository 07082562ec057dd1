"""The hyperparameter lottery of ArchGym (Krishnan and others, ISCA 2023), drawn again on a space that is known whole.

Decides the lottery: each kind of agent with hyperparameters drawn evenly from its ranges, each draw with several
seeds, all at equal budgets of different designs; what is compared are distributions over draws, never best runs. The
score is the hypervolume of what an agent found over that of all designs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwsim.search.contest import kinds, play, settings_of
from hwsim.search.space import Value
from hwsim.studies.lottery_space import KNOBS, LAYERS, QUICK_KNOBS, Known, known
from hwsim.studies.page import Study, Table, percent
from hwsim.studies.page import Value as Cell


@dataclass(frozen=True)
class Grid:
    """What is drawn.

    Attributes:
        draws: hyperparameter draws of each kind.
        seeds: runs of each draw.
        shares: budgets as parts of the space, rising.
        knobs: of the space.
    """

    draws: int
    seeds: int
    shares: tuple[float, ...]
    knobs: Mapping[str, Sequence[Value]]


FULL = Grid(12, 3, (0.025, 0.05, 0.1), KNOBS)
QUICK = Grid(2, 1, (0.25, 0.5), QUICK_KNOBS)


def study(grid: Grid) -> Study:
    """Runs, what they make of each kind of agent, and the two claims."""
    whole = known(grid.knobs)
    runs = played(whole, kinds(), grid)
    spread, order = spreads(runs, grid), _orders(runs, grid)
    return Study(
        "lottery",
        "The hyperparameter lottery",
        "ArchGym ran five kinds of agents on four simulators, over 21,000 runs: which of them finds good designs is "
        "said to depend on lucky hyperparameters, and all are said to come to comparable designs once they are tuned "
        "and have samples enough (Krishnan and others, ISCA 2023). Is it so on a space of this project, where the "
        "whole truth is known?",
        _findings(runs, spread, order, grid),
        conditions(whole, grid),
        (spread, order, runs),
    )


def played(whole: Known, names: Iterable[str], grid: Grid) -> Table:
    """Every run: the kind, its hyperparameters, the seed, and its score at each budget."""
    budgets = [budget(share, whole) for share in grid.shares]
    rows: list[tuple[Cell, ...]] = []
    for kind in names:
        for draw in range(grid.draws):
            settings = settings_of(kind, np.random.default_rng([draw, len(kind)]))
            for seed in range(grid.seeds):
                tried = play(kind, settings, 1000 * draw + seed, whole.knobs, whole.costs, budgets[-1])
                scores = (whole.share(tried[:size]) for size in budgets)
                text = json.dumps({name: float(f"{value:.4g}") for name, value in settings.items()})
                rows.append((kind, draw, seed, text, *scores))
    heads = tuple(score_of(share) for share in grid.shares)
    return Table(
        "runs", "Every run", ("agent", "draw", "seed", "hyperparameters", *heads), tuple(rows),
        "Part of the hypervolume of all designs, at budgets in parts of the space.",
        brief={"draw": (0,), "seed": (0,)},
    )  # fmt: skip


def budget(share: float, whole: Known) -> int:
    """Designs of a part of the space."""
    return max(2, round(share * len(whole.values)))


def score_of(share: float) -> str:
    """Head of the column of a budget."""
    return f"at {100 * share:g} %"


def spreads(runs: Table, grid: Grid) -> Table:
    """Each kind of agent at each budget: quartiles over all runs, and how much the draw alone decides."""
    rows: list[tuple[Cell, ...]] = []
    for share in grid.shares:
        for kind in dict.fromkeys(runs.column("agent")):
            scores = np.array([row[score_of(share)] for row in runs.select({"agent": kind})])
            draws = scores.reshape(-1, grid.seeds)
            medians = np.median(draws, axis=1)
            low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75))
            worst = np.sort(scores)[: max(1, len(scores) // 4)].mean()
            decided = draws.mean(axis=1).var() / scores.var() if scores.var() else 0.0
            rows.append(
                (
                    score_of(share), kind, float(scores.min()), float(worst), float(low), float(middle), float(high),
                    float(scores.max()), float(medians.max()), float(medians.max() - medians.min()), float(decided),
                )
            )  # fmt: skip
    return Table(
        "agents",
        "What each kind of agent finds, over draws of hyperparameters and seeds",
        (
            "budget", "agent", "worst run", "worst quarter", "lower quartile", "median", "upper quartile", "best run",
            "best draw", "draws apart", "variance by draw",
        ),
        tuple(rows),
        "Worst quarter: mean of the worst quarter of the runs. Best draw and draws apart: of the medians over seeds, "
        "the best, and the best less the worst. Variance by draw: part of the variance between runs that lies "
        f"between draws; {percent(1 / grid.seeds)} of it would, were draws alike." if grid.seeds > 1 else "",
    )  # fmt: skip


def _orders(runs: Table, grid: Grid) -> Table:
    """Pairs of kinds: how often a random draw of the one beats a random draw of the other."""
    rows: list[tuple[Cell, ...]] = []
    names = list(dict.fromkeys(runs.column("agent")))
    for share in grid.shares:
        scores = {kind: np.array([row[score_of(share)] for row in runs.select({"agent": kind})]) for kind in names}
        for place, one in enumerate(names):
            for other in names[place + 1 :]:
                rows.append((score_of(share), one, other, float(beats(scores[one], scores[other]))))
    return Table(
        "pairs",
        "How often a run of one kind beats a run of another",
        ("budget", "agent", "than", "better in"),
        tuple(rows),
        "1 or 0 where the kind decides, near one half where the draw does. Ties count half.",
        brief={"budget": (score_of(grid.shares[-1]),)},
    )


def beats(one: np.ndarray, other: np.ndarray) -> float:
    """Part of all pairs in which `one` has more; ties count half."""
    more, same = one[:, None] > other[None, :], one[:, None] == other[None, :]
    return float(more.mean() + same.mean() / 2)


def conditions(whole: Known, grid: Grid) -> dict[str, str]:
    """What the numbers depend on."""
    able = int(np.isfinite(whole.costs).all(axis=1).sum())
    knobs = ", ".join(f"{name} {len(values)}" for name, values in whole.knobs.items())
    return {
        "space": f"{len(whole.values)} designs ({knobs}), {able} of them machines; the products "
        f"{' and '.join(LAYERS)} of traces/gpt-small",
        "objectives": "SQNR of a replay, energy, area, latency; hypervolume in the box of all designs, logarithms "
        "of the last three and the SQNR as it is",
        "draws": f"{grid.draws} of hyperparameters, evenly from the ranges of hwsim.search.agents, times "
        f"{grid.seeds} seeds",
        "budgets": "different designs; a repeated proposal is free, as in a study",
        "agents": "ArchGym's kinds but for Vizier, PPO and SAC: REINFORCE stands for the policy gradients, TPE for "
        "Bayesian search; NSGA-II and TPE are Optuna's",
    }


def _findings(runs: Table, spread: Table, order: Table, grid: Grid) -> tuple[str, ...]:
    middle, last = grid.shares[len(grid.shares) // 2], grid.shares[-1]
    rows = spread.select({"budget": score_of(middle)})
    random = next(row for row in rows if row["agent"] == "random")
    drawn = [row for row in rows if row["agent"] != "random"]
    widest = max(drawn, key=lambda row: row["draws apart"])
    more = [f"{row['agent']} ({percent(row['variance by draw'])})" for row in drawn if row["variance by draw"] > 0.45]
    pairs = [row["better in"] for row in order.select({"budget": score_of(middle)})]
    open_pairs = sum(0.2 < one < 0.8 for one in pairs)
    best = {row["agent"]: row["best draw"] for row in spread.select({"budget": score_of(last)})}
    first = max(best, key=lambda kind: best[kind])
    leaders = []
    for share in grid.shares:
        row = max(spread.select({"budget": score_of(share)}), key=lambda row: row["median"])
        leaders.append(f"{row['agent']} {score_of(share)} ({row['median']:.3f})")
    unlucky = min(drawn, key=lambda row: row["worst quarter"])
    below = [row["agent"] for row in drawn if row["worst quarter"] < random["worst quarter"]]
    return (
        f"With {100 * middle:g} % of the space {open_pairs} of {len(pairs)} pairs of kinds have no winner that holds "
        "in four of five pairs of runs.",
        f"Not all of that is the lottery of hyperparameters. Random draws have none, and medians of "
        f"{grid.seeds} of their seeds lie up to {random['draws apart']:.2f} apart; a draw decides "
        f"more than that luck, over 45 % of the variance, for {', '.join(more) or 'no kind'}. "
        f"Draws of {widest['agent']} lie {widest['draws apart']:.2f} apart.",
        f"Tuned: with {100 * last:g} % of the space the best of {grid.draws} draws of each kind lie within "
        f"{percent(1 - min(best.values()) / max(best.values()))} of the best of all, {first} "
        f"({max(best.values()):.3f}); ArchGym found tuned agents comparable.",
        f"The best median is that of {', '.join(leaders)}.",
        f"Unlucky: with {100 * middle:g} % the worst quarter of {unlucky['agent']} finds "
        f"{unlucky['worst quarter']:.2f}; random draws find {random['worst quarter']:.2f} in theirs, more than "
        f"{', '.join(below) or 'no kind'}.",
    )
