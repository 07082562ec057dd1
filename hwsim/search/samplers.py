"""Agents that propose designs, as Optuna samplers over knobs of listed values: walk, genetic, ant colony, REINFORCE.

Decides what they learn from: a design's worth is the part of all designs tried so far that do not dominate it, which
needs no weights of objectives and no scale; a design that failed or breaks a limit has none. All but REINFORCE, which
learns from what it proposed itself, read the whole history, whoever proposed it. Equal history and seed give equal
proposals.

REINFORCE holds one softmax a knob; its gradient is written out (the chosen value's indicator less the probabilities),
so that no framework is needed for a product of categorical distributions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hwsim.errors import ArgumentError

Places = NDArray[np.int64]
Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True, slots=True)
class Past:
    """What was tried.

    Attributes:
        places: place of each knob's value among its values, int64 ``[designs, knobs]``.
        worth: part of the tried designs that do not dominate it, float64 ``[designs]``, 0 for what failed.
        sizes: number of values, by knob.
    """

    places: Places
    worth: NDArray[np.float64]
    sizes: tuple[int, ...]

    def best(self) -> Places:
        """The designs of the most worth."""
        best: Places = self.places[self.worth == self.worth.max()]
        return best


def values_of(knob: BaseDistribution) -> tuple[Any, ...]:
    """The values that a knob lists; `ArgumentError` for a continuous one."""
    if isinstance(knob, CategoricalDistribution):
        return knob.choices
    if isinstance(knob, IntDistribution):
        return tuple(range(knob.low, knob.high + 1, knob.step))
    if isinstance(knob, FloatDistribution) and knob.step:
        return tuple(knob.low + knob.step * place for place in range(round((knob.high - knob.low) / knob.step) + 1))
    raise ArgumentError("a knob must list its values", got=str(knob), where="sampler")


def costs_of(study: Study, values: Sequence[float]) -> list[float]:
    """Objectives, smaller is better."""
    return [
        -value if way == StudyDirection.MAXIMIZE else value
        for value, way in zip(values, study.directions, strict=True)
    ]


class KnobSampler(BaseSampler):
    """A sampler that proposes places of knobs from what was tried. The first design of a study is uniform."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._common = IntersectionSearchSpace()
        self._history = History()
        self._names: tuple[str, ...] = ()

    def propose(self, past: Past) -> Places:
        """The next design, int64 ``[knobs]``."""
        raise NotImplementedError

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Knobs that all designs so far have."""
        return {name: knob for name, knob in self._common.calculate(study).items() if len(values_of(knob)) > 1}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal, by knob."""
        if not search_space:
            return {}
        places = self.propose(self.past(study, search_space))
        knobs = search_space.items()
        return {name: values_of(knob)[place] for (name, knob), place in zip(knobs, places, strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value of a knob that no design has had yet."""
        values = values_of(param_distribution)
        return values[int(self.rng.integers(len(values)))]

    def past(self, study: Study, space: Space) -> Past:
        """All finished designs of the study, in their order."""
        if self._names != tuple(space):
            self._names, self._history = tuple(space), History()
        places = {name: {value: place for place, value in enumerate(values_of(knob))} for name, knob in space.items()}
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL)):
            if trial.number not in self._history.rows and all(name in trial.params for name in space):
                able = trial.state == TrialState.COMPLETE and all(over <= 0 for over in trial.constraints.values())
                costs = costs_of(study, trial.values) if able and trial.values else None
                self._history.add(trial.number, tuple(places[name][trial.params[name]] for name in space), costs)
        return self._history.past(tuple(map(len, places.values())))


class History:
    """Different designs in the order of their first proposal, and how many others dominate each."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        """Trial -> its design."""
        self._designs: dict[tuple[int, ...], int] = {}
        self._costs: list[list[float]] = []
        self._beaten: list[float] = []

    def add(self, trial: int, places: tuple[int, ...], costs: list[float] | None) -> None:
        """One finished trial; without costs it failed or breaks a limit, and all others count as better."""
        known = len(self._designs)
        self.rows[trial] = self._designs.setdefault(places, known)
        if self.rows[trial] < known:
            return
        if costs is None:
            self._beaten.append(np.inf)
            self._costs.append([np.nan])
            return
        able = [place for place, one in enumerate(self._beaten) if one < np.inf]
        if able:
            rows, mine = np.array([self._costs[place] for place in able]), np.array(costs)
            better = (rows <= mine).all(axis=1) & (rows < mine).any(axis=1)
            worse = (rows >= mine).all(axis=1) & (rows > mine).any(axis=1)
            for place in np.flatnonzero(worse):
                self._beaten[able[place]] += 1
        self._beaten.append(float(better.sum()) if able else 0.0)
        self._costs.append(costs)

    def past(self, sizes: tuple[int, ...]) -> Past:
        """The designs and their worth."""
        beaten = np.array(self._beaten)
        able = max(1, int(np.isfinite(beaten).sum()))
        places = np.array(list(self._designs), np.int64).reshape(len(beaten), len(sizes))
        return Past(places, np.maximum(0.0, 1.0 - beaten / able), sizes)


class WalkSampler(KnobSampler):
    """A walk: each knob changes with probability `change`, at least one; with `back` it starts from the best ones."""

    def __init__(self, change: float = 0.3, back: float = 0.1, seed: int = 0) -> None:
        super().__init__(seed)
        self.change, self.back = change, back

    def propose(self, past: Past) -> Places:
        """A step from the last design, or from one of the best."""
        best = past.best()
        start = best[self.rng.integers(len(best))] if self.rng.random() < self.back else past.places[-1]
        moves = self.rng.random(len(start)) < self.change
        moves[self.rng.integers(len(start))] |= not moves.any()
        sizes = np.array(past.sizes)
        moved: Places = np.where(moves, (start + 1 + self.rng.integers(sizes - 1)) % sizes, start)
        return moved


class GeneticSampler(KnobSampler):
    """Two of the `elite` designs of most worth cross over; each knob mutates, by `near` to a neighbouring value."""

    def __init__(
        self, elite: int = 10, crossover: float = 0.9, mutation: float = 0.1, near: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__(seed)
        self.elite, self.crossover, self.mutation, self.near = elite, crossover, mutation, near

    def propose(self, past: Past) -> Places:
        """A child of two of the elite; of equal worth, the later design is taken."""
        pool = past.places[::-1][np.argsort(-past.worth[::-1], kind="stable")[: self.elite]]
        one, other = pool[self.rng.integers(len(pool), size=2)]
        crossed = (self.rng.random(len(one)) < 0.5) & (self.rng.random() < self.crossover)
        child = np.where(crossed, other, one)
        sizes = np.array(past.sizes)
        step = np.clip(child + self.rng.choice([-1, 1], len(child)), 0, sizes - 1)
        jump = self.rng.integers(sizes)
        moved = np.where(self.rng.random(len(child)) < self.near, step, jump)
        return np.where(self.rng.random(len(child)) < self.mutation, moved, child)


class AntSampler(KnobSampler):
    """Values with more pheromone are likelier; after each `ants` designs it evaporates, each leaves its worth."""

    def __init__(self, ants: int = 10, evaporation: float = 0.1, greed: float = 1.0, seed: int = 0) -> None:
        super().__init__(seed)
        self.ants, self.evaporation, self.greed = ants, evaporation, greed

    def propose(self, past: Past) -> Places:
        """One ant's way."""
        count = len(past.places) // self.ants * self.ants  # only whole batches have left their trace
        age = count // self.ants - 1 - np.arange(count) // self.ants
        left = past.worth[:count] * (1 - self.evaporation) ** age
        stays = (1 - self.evaporation) ** (count // self.ants)
        way = []
        for knob, size in enumerate(past.sizes):
            pheromone = stays + np.bincount(past.places[:count, knob], weights=left, minlength=size)
            chance = (pheromone / pheromone.max()) ** self.greed
            way.append(self.rng.choice(size, p=chance / chance.sum()))
        return np.array(way)


class ReinforceSampler(KnobSampler):
    """A softmax a knob, moved along its policy gradient after each `batch` of its own designs."""

    def __init__(self, rate: float = 0.5, entropy: float = 0.01, batch: int = 8, seed: int = 0) -> None:
        super().__init__(seed)
        self.rate, self.entropy, self.batch = rate, entropy, batch
        self.logits: list[NDArray[np.float64]] = []
        self._own: list[int] = []
        self._mean = 0.5

    def propose(self, past: Past) -> Places:
        """A draw of the policy."""
        if not self.logits:
            self.logits = [np.zeros(size) for size in past.sizes]
        return np.array([self.rng.choice(len(logits), p=_softmax(logits)) for logits in self.logits])

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Count the design; at the end of a batch, a step up the gradient of its worth over the mean."""
        self._own.append(trial.number)
        if len(self._own) < self.batch or not self.logits:
            return
        # the trial that is told is not finished yet: its worth counts from the next batch's history on
        own = [number for number in self._own if number != trial.number]
        past = self.past(study, self.infer_relative_search_space(study, trial))
        for number in own:
            if number in self._history.rows:
                row = self._history.rows[number]
                self._learn(past.places[row], float(past.worth[row]), 1 / self.batch)
        self._own = [trial.number]

    def _learn(self, places: Places, worth: float, share: float) -> None:
        advantage = worth - self._mean
        self._mean += 0.1 * advantage
        for logits, place in zip(self.logits, places, strict=True):
            chance = _softmax(logits)
            gradient = -advantage * chance
            gradient[place] += advantage
            logs = np.log(chance)
            gradient -= self.entropy * chance * (logs - chance @ logs)  # of the entropy
            logits += self.rate * share * gradient


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = np.exp(logits - logits.max())
    chance: NDArray[np.float64] = raised / raised.sum()
    return chance
