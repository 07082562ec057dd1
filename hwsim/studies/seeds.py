"""Does the search find the front, whatever its seed, for the price of a twentieth of the space?

Decides what is compared: the sampler of the default search (`hwsim.search.guided_sampler`) beside random draws,
Optuna's NSGA-II and TPE, and the market, on spaces of which every design is known, at a budget of different designs.
A design that is proposed again is free, as in a study. The dear ones run fewer seeds. Optuna's Gaussian process is
left out: in four objectives it had not proposed 40 designs in 98 seconds of a core, and a run takes 173 to 288.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwsim.search.contest import tried_by, usual
from hwsim.search.guided_sampler import GuidedSampler
from hwsim.search.space import Value
from hwsim.studies.page import Study, Table, percent
from hwsim.studies.page import Value as Cell
from hwsim.studies.seeds_spaces import QUICK_SPACES, SPACES, Places, known
from hwsim.studies.seeds_spaces import Table as Known

DEFAULT = "the default"
BATCH = 32
"""Designs that the default search asks for at a time."""


@dataclass(frozen=True)
class Grid:
    """What is run.

    Attributes:
        seeds: of each search.
        share: budget as a part of the space.
        spaces: as `hwsim.studies.seeds_spaces.SPACES`.
    """

    seeds: Mapping[str, int]
    share: float
    spaces: Mapping[str, tuple[str, Mapping[str, Sequence[Value]]]]


FULL = Grid({DEFAULT: 30, "random": 30, "NSGA-II": 30, "TPE": 3, "market": 3}, 0.05, SPACES)
QUICK = Grid({DEFAULT: 2, "random": 2, "NSGA-II": 1}, 0.2, QUICK_SPACES)


def study(grid: Grid) -> Study:
    """Every run, and what each search makes of each space."""
    runs: list[tuple[Cell, ...]] = []
    rows: list[tuple[Cell, ...]] = []
    sizes = []
    for name, (of, kept) in grid.spaces.items():
        table = known(of, kept)
        budget = round(grid.share * len(table.costs))
        sizes.append(
            f"{name}: {len(table.costs)} designs, {len(table.able)} of them within the limits, {len(table.front)} on "
            f"the exact front, {len(table.thinned)} once thinned; budget {budget}"
        )
        for search, seeds in grid.seeds.items():
            found = [set(play(search, seed, table, budget)) for seed in range(seeds)]
            shares = [table.share(list(one)) for one in found]
            members = [len(one & table.front) / len(table.front) for one in found]
            runs += [
                (name, search, seed, len(one), share, part)
                for seed, (one, share, part) in enumerate(zip(found, shares, members, strict=True))
            ]
            same, alike = common(found, table)
            rows.append(
                (
                    name, search, seeds, statistics.median(shares), min(shares), statistics.median(members), alike,
                    same,
                )
            )  # fmt: skip
    made = Table(
        "searches", f"Each search at {100 * grid.share:g} % of the designs",
        ("space", "search", "seeds", "median", "worst", "of the front", "sets common", "designs common"),
        tuple(rows),
        "Median and worst over seeds: part of the hypervolume of the exact front. Of the front: part of its designs "
        "that a run priced, median. Sets common: of the thinned front's sets of designs that the model cannot tell "
        "apart, the part of which every seed has a design; designs common: of which every seed has the very design "
        "that stands for the set.",
    )  # fmt: skip
    every = Table(
        "runs", "Every run", ("space", "search", "seed", "designs", "hypervolume", "of the front"), tuple(runs),
        brief={"seed": (0,)},
    )  # fmt: skip
    return Study(
        "seeds", "A front that no seed decides",
        "A search that prices a part of a space may miss its front, and miss another part of it with another seed. "
        "How much of the exact front does the default search find with a twentieth of the designs, and do all seeds "
        "agree? This is a check of the project's own search; no paper claims it.",
        _findings(made),
        {
            "spaces": "; ".join(sizes), "trace": "two products of traces/gpt-small, as in the study lottery",
            "searches": "the default is hwsim.search.guided_sampler in batches of "
            f"{BATCH}; NSGA-II and TPE (multivariate) are Optuna's with their defaults, numbers as ordered whole "
            "numbers; the market as hwsim.search.market has it",
        },
        (made, every),
    )  # fmt: skip


def play(search: str, seed: int, table: Known, budget: int) -> list[Places]:
    """Different designs in the order in which a search first tries them, at most `budget`."""
    knobs = {knob.name: knob.values for knob in table.space.parameters}
    objectives = len(table.space.objectives)
    sampler = GuidedSampler(table.space, seed, BATCH) if search == DEFAULT else usual(search, seed)
    return tried_by(sampler, knobs, objectives, budget, table.canonical, table.costs.__getitem__)


def common(found: Sequence[set[Places]], table: Known) -> tuple[float, float]:
    """Part of the thinned front whose first designs all runs have, and of whose sets all runs have some design."""
    same = [all(alike[0] in one for one in found) for alike in table.thinned]
    some = [all(not one.isdisjoint(alike) for one in found) for alike in table.thinned]
    return sum(same) / len(same), sum(some) / len(some)


def _findings(made: Table) -> tuple[str, ...]:
    found = []
    for name in dict.fromkeys(made.column("space")):
        rows = made.select({"space": name})
        own = next(row for row in rows if row["search"] == DEFAULT)
        others = [row for row in rows if row["search"] != DEFAULT]
        next_best = max(others, key=lambda row: row["median"])
        found.append(
            f"{name.capitalize()}: the default search finds {own['median']:.4f} of the hypervolume in the median of "
            f"{own['seeds']} seeds, {own['worst']:.4f} in the worst; {percent(own['sets common'])} of the thinned "
            f"front is common to all seeds ({percent(own['designs common'])} to the very design). The next best "
            f"median is that of {next_best['search']}, {next_best['median']:.4f} (worst of {next_best['seeds']}: "
            f"{next_best['worst']:.4f})."
        )
    return tuple(found)
