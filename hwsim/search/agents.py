"""Kinds of agents and their hyperparameters: what a lottery draws, and what a market's firms are.

Decides the range of every hyperparameter: what a user might reasonably set, so that a draw is a fair one. A new kind
is one entry of `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from hwsim.search.samplers import AntSampler, GeneticSampler, ReinforceSampler, WalkSampler

Number = int | float


@dataclass(frozen=True, slots=True)
class Range:
    """Values of one hyperparameter; whole numbers stay whole, `log` draws its logarithm evenly."""

    low: Number
    high: Number
    log: bool = False

    def at(self, part: float) -> Number:
        """The value at a part, 0 to 1, of the range."""
        if self.log:
            value = math.exp(math.log(self.low) + part * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + part * (self.high - self.low)
        return min(self.high, max(self.low, round(value) if isinstance(self.low, int) else value))

    def part(self, value: Number) -> float:
        """Where in the range a value lies, 0 to 1."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of agent: how it is made, and the ranges of its hyperparameters."""

    make: Callable[..., BaseSampler]
    ranges: Mapping[str, Range]

    def draw(self, rng: np.random.Generator) -> dict[str, Number]:
        """Hyperparameters, evenly from their ranges."""
        return {name: one.at(float(rng.random())) for name, one in self.ranges.items()}

    def mutated(self, settings: Mapping[str, Number], rng: np.random.Generator, spread: float) -> dict[str, Number]:
        """Each hyperparameter moved by a normal step of `spread` of its range, and held inside."""
        return {
            name: one.at(min(1.0, max(0.0, one.part(settings[name]) + spread * float(rng.standard_normal()))))
            for name, one in self.ranges.items()
        }


def _tpe(startup: int, candidates: int, joint: float, seed: int) -> TPESampler:
    return TPESampler(n_startup_trials=startup, n_ei_candidates=candidates, multivariate=joint >= 0.5, seed=seed)


def _nsga2(population: int, mutation: float, crossover: float, swapping: float, seed: int) -> NSGAIISampler:
    return NSGAIISampler(
        population_size=population,
        mutation_prob=mutation,
        crossover_prob=crossover,
        swapping_prob=swapping,
        seed=seed,
    )


def _random(seed: int) -> RandomSampler:
    return RandomSampler(seed=seed)


KINDS: dict[str, Kind] = {
    "random": Kind(_random, {}),
    "random walk": Kind(WalkSampler, {"change": Range(0.05, 0.9), "back": Range(0.0, 0.5)}),
    "genetic": Kind(
        GeneticSampler,
        {
            "elite": Range(2, 40, log=True), "crossover": Range(0.0, 1.0), "mutation": Range(0.02, 0.6, log=True),
            "near": Range(0.0, 1.0),
        },
    ),
    "ant colony": Kind(
        AntSampler,
        {
            "ants": Range(2, 40, log=True), "evaporation": Range(0.02, 0.8, log=True),
            "greed": Range(0.3, 5.0, log=True),
        },
    ),
    "REINFORCE": Kind(
        ReinforceSampler,
        {
            "rate": Range(0.05, 20.0, log=True), "entropy": Range(1e-4, 0.3, log=True),
            "batch": Range(2, 24, log=True),
        },
    ),
    "NSGA-II": Kind(
        _nsga2,
        {
            "population": Range(4, 64, log=True), "mutation": Range(0.02, 0.6, log=True),
            "crossover": Range(0.5, 1.0), "swapping": Range(0.1, 0.5),
        },
    ),
    "TPE": Kind(
        _tpe, {"startup": Range(5, 60, log=True), "candidates": Range(4, 64, log=True), "joint": Range(0.0, 1.0)}
    ),
}  # fmt: skip
"""Every kind, by name. ``joint``: knobs are drawn together from one half of the range on, else each for itself."""


def make(kind: str, settings: Mapping[str, Any], seed: int) -> BaseSampler:
    """An agent of a kind with its hyperparameters."""
    return KINDS[kind].make(**settings, seed=seed)
