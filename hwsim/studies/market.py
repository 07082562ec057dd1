"""Does a market of agents remove the lottery? Its worst quarter of runs beside those of the agents it is made of.

Decides what removing would mean: the market draws hyperparameters of its own (how many firms, how much capital, how
long a memory), so that it takes part in the same lottery; its runs must be good where those of its firms are bad.
"""

from __future__ import annotations

import numpy as np

from hwsim.search.contest import MARKET_NAME, kinds
from hwsim.studies.lottery import FULL, QUICK, Grid, beats, conditions, played, score_of, spreads
from hwsim.studies.lottery_space import known
from hwsim.studies.page import Study, Table, Value, percent

__all__ = ["FULL", "QUICK", "study"]


def study(grid: Grid) -> Study:
    """The market's runs beside those of its kinds of agents, alone and as one lottery."""
    whole = known(grid.knobs)
    runs = played(whole, (*kinds(), MARKET_NAME), grid)
    spread = spreads(runs, grid)
    ticket = _tickets(runs, grid)
    return Study(
        "market",
        "A market of agents",
        "In an economy of agents each pays for the right to propose a design and earns what the design adds; who is "
        "broke is replaced by a mutant of who is rich. Does that remove the hyperparameter lottery, in which a run "
        "hangs on the draw?",
        _findings(runs, spread, ticket, grid),
        conditions(whole, grid)
        | {"market": "hwsim.search.market, its own hyperparameters drawn like those of the others; it was given an "
           "opening of even draws after a first look at this space, nothing else was chosen by it"},
        (ticket, spread, runs),
    )  # fmt: skip


def _tickets(runs: Table, grid: Grid) -> Table:
    """The market beside one ticket of the lottery: any kind, any draw, any seed."""
    rows: list[tuple[Value, ...]] = []
    for share in grid.shares:
        column = score_of(share)
        own = np.array([row[column] for row in runs.select({"agent": MARKET_NAME})])
        others = np.array([row[column] for row in runs.select({}) if row["agent"] != MARKET_NAME])
        for name, scores in (("market", own), ("a ticket: any agent, any draw", others)):
            low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75))
            worst = float(np.sort(scores)[: max(1, len(scores) // 4)].mean())
            rows.append(
                (
                    column, name, float(scores.min()), worst, float(low), float(middle), float(high),
                    float(scores.max()), beats(own, scores) if name != "market" else None,
                )
            )  # fmt: skip
    return Table(
        "tickets",
        "The market beside a ticket of the lottery",
        ("budget", "who", "worst run", "worst quarter", "lower quartile", "median", "upper quartile", "best run",
         "market better in"),
        tuple(rows),
        "Part of the hypervolume of all designs.",
    )  # fmt: skip


def _findings(runs: Table, spread: Table, ticket: Table, grid: Grid) -> tuple[str, ...]:
    found = []
    for share in grid.shares:
        rows = spread.select({"budget": score_of(share)})
        own = next(row for row in rows if row["agent"] == MARKET_NAME)
        others = [row for row in rows if row["agent"] != MARKET_NAME]
        above = [row["agent"] for row in others if row["worst quarter"] > own["worst quarter"]]
        lottery = ticket.select({"budget": score_of(share), "who": "a ticket: any agent, any draw"})[0]
        found.append(
            f"With {100 * share:g} % of the space the market's worst quarter is {own['worst quarter']:.3f} (standard "
            f"error {_error_of_worst(runs, share):.3f}), that of a random ticket "
            f"{lottery['worst quarter']:.3f}; {len(above)} of {len(others)} kinds have a better one "
            f"({', '.join(above) or 'none'}). Its median is {own['median']:.3f}, a ticket's "
            f"{lottery['median']:.3f}; it beats a ticket in {percent(lottery['market better in'])} of the pairs."
        )
    last = spread.select({"budget": score_of(grid.shares[-1])})
    own = next(row for row in last if row["agent"] == MARKET_NAME)
    tightest = min(
        (row for row in last if row["agent"] not in ("random", MARKET_NAME)), key=lambda row: row["draws apart"]
    )
    found.append(
        f"Draws of the market's own hyperparameters lie {own['draws apart']:.3f} apart with "
        f"{100 * grid.shares[-1]:g} % of the space; the least of all other kinds that have any is "
        f"{tightest['draws apart']:.3f} ({tightest['agent']})."
    )
    return tuple(found)


def _error_of_worst(runs: Table, share: float) -> float:
    """Standard error of the mean of the market's worst quarter of runs, by 1,000 resamplings of all its runs."""
    scores = np.array([row[score_of(share)] for row in runs.select({"agent": MARKET_NAME})])
    drawn = np.random.default_rng(0).choice(scores, (1000, len(scores)))
    return float(np.sort(drawn, axis=1)[:, : max(1, len(scores) // 4)].mean(axis=1).std())
