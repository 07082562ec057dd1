"""Agents against each other on a space whose every design is known: what each finds, for the price of a look-up.

Decides what counts as a budget: different designs. A design that is proposed again costs nothing in a study, whose
log answers it; an agent that proposes nothing new for `PATIENCE` times the budget has stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.search.space import Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

PATIENCE = 3
MARKET_NAME = "market"

Places = tuple[int, ...]


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
    sizes = [len(values) for values in knobs.values()]
    tried = tried_by(
        _kind(kind).make(**settings, seed=seed), knobs, costs.shape[1], budget, lambda places: places,
        lambda places: _costs_of(costs[np.ravel_multi_index(places, sizes)]),
    )  # fmt: skip
    return [int(np.ravel_multi_index(places, sizes)) for places in tried]


def tried_by(
    sampler: BaseSampler,
    knobs: Mapping[str, Sequence[Value]],
    objectives: int,
    budget: int,
    canonical: Callable[[Places], Places],
    priced: Callable[[Places], Sequence[float] | None],
) -> list[Places]:
    """Different designs in the order in which a sampler first tries them, at most `budget`.

    Args:
        sampler: of Optuna, or as one.
        knobs: values of each knob; numbers are ordered, names are not.
        objectives: number of costs.
        budget: different designs to try.
        canonical: of a draw's places of values, those of its design.
        priced: costs of a design, smaller is better; None of one that is no machine.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
    space = {name: _distribution(values) for name, values in knobs.items()}
    tried: dict[Places, None] = {}
    for _ in range(PATIENCE * budget):
        trial = study.ask(space)
        places = canonical(tuple(trial.params[name] for name in knobs))
        found = priced(places)
        if found is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, list(found))
        tried.setdefault(places)
        if len(tried) == budget:
            break
    return list(tried)


def usual(name: str, seed: int) -> BaseSampler:
    """A sampler as who sets nothing gets it: ``"random"``, ``"NSGA-II"``, ``"TPE"`` (knobs together), the market."""
    from optuna import samplers

    from hwsim.search.market import MarketSampler

    if name == MARKET_NAME:
        return MarketSampler(seed=seed)
    if name == "TPE":
        return samplers.TPESampler(multivariate=True, seed=seed)
    return samplers.RandomSampler(seed=seed) if name == "random" else samplers.NSGAIISampler(seed=seed)


def _costs_of(row: NDArray[np.float64]) -> list[float] | None:
    return None if np.isnan(row).any() else list(row.tolist())


def _distribution(values: Sequence[Value]) -> BaseDistribution:
    """Places of a knob's values, ordered for numbers."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if all(isinstance(value, int | float) for value in values):
        return IntDistribution(0, len(values) - 1)
    return CategoricalDistribution(list(range(len(values))))


def _kind(name: str) -> Any:
    from hwsim.search.agents import KINDS
    from hwsim.search.market import MARKET

    return MARKET if name == MARKET_NAME else KINDS[name]
