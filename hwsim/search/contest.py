"""Agents against each other on a space whose every design is known: what each finds, for the price of a look-up.

Decides what counts as a budget: different designs. A design that is proposed again costs nothing in a study, whose
log answers it; an agent that proposes nothing new for `PATIENCE` times the budget has stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.search.space import Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

PATIENCE = 3
MARKET_NAME = "market"


def settings_of(kind: str, rng: np.random.Generator) -> dict[str, int | float]:
    """Hyperparameters of an agent, drawn from the ranges of its kind; ``"market"`` is a kind too."""
    drawn: dict[str, int | float] = _kind(kind).draw(rng)
    return drawn


def kinds() -> tuple[str, ...]:
    """Names of the kinds of agents, the market apart."""
    from hwsim.search.agents import KINDS

    return tuple(KINDS)


def play(
    kind: str,
    settings: Mapping[str, Any],
    seed: int,
    knobs: Mapping[str, Sequence[Value]],
    costs: NDArray[np.float64],
    budget: int,
) -> list[int]:
    """Designs in the order in which an agent first tries them.

    Args:
        kind: of agent.
        settings: its hyperparameters.
        seed: of its draws.
        knobs: values of each knob; numbers are ordered, names are not.
        costs: float64 ``[designs, objectives]``, smaller is better, NaN in the row of a design that is none; designs
            in the order of the knobs' product, the last knob fastest.
        budget: different designs to try.

    Returns:
        Rows of `costs`, at most `budget`, all different.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: BaseSampler = _kind(kind).make(**settings, seed=seed)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * costs.shape[1])
    space = {name: distribution(values) for name, values in knobs.items()}
    sizes = [len(values) for values in knobs.values()]
    tried: dict[int, None] = {}
    for _ in range(PATIENCE * budget):
        trial = study.ask(space)
        row = int(np.ravel_multi_index([trial.params[name] for name in knobs], sizes))
        if np.isnan(costs[row]).any():
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, costs[row].tolist())
        tried.setdefault(row)
        if len(tried) == budget:
            break
    return list(tried)


def distribution(values: Sequence[Value]) -> BaseDistribution:
    """Places of a knob's values, ordered for numbers."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if all(isinstance(value, int | float) for value in values):
        return IntDistribution(0, len(values) - 1)
    return CategoricalDistribution(list(range(len(values))))


def _kind(name: str) -> Any:
    from hwsim.search.agents import KINDS
    from hwsim.search.market import MARKET

    return MARKET if name == MARKET_NAME else KINDS[name]
