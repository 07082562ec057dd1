"""A market of samplers: agents with different hyperparameters bid for the right to propose the next design.

Decides the economy, whose unit is the mean hypervolume that a design has added of late, so that prices stay of
order one while a front fills up. The highest bid proposes and pays it; what is paid is shared out equally. It then
earns what its design added. All together pay a rent of one unit a round, which is what a mean design earns, so that
money stays. An agent bids its appetite times what it has come to expect of itself, and never more than it has. Who is
broke is replaced by a mutant of a rich one, which gives it half of its money. So hyperparameters are searched while
they work, and a bad draw costs a few designs instead of a study.

Rejected: bandits over a fixed set of samplers. They find the best of what they were given, and are given the
lottery's tickets again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hwsim.errors import ArgumentError
from hwsim.search.agents import KINDS, Kind, Number, Range, make
from hwsim.search.samplers import costs_of
from hwsim.search.volume import added, box_of

SEEDS = 2**31 - 1
KEPT = 0.8
"""Part of the mean gain that a round keeps: gains fall as a front fills, and the unit must fall with them."""


@dataclass
class Firm:
    """One agent of the market.

    Attributes:
        kind: of `hwsim.search.agents.KINDS`.
        settings: its hyperparameters.
        sampler: the agent.
        money: in mean designs' worth.
        appetite: part of what it expects that it bids.
        expects: what it has come to earn with a proposal.
        proposals: designs that it proposed.
    """

    kind: str
    settings: dict[str, Number]
    sampler: BaseSampler
    money: float
    appetite: float
    expects: float = 1.0
    proposals: int = 0

    @property
    def bid(self) -> float:
        """What it offers for the next proposal."""
        return min(self.money, self.appetite * self.expects)


@dataclass
class MarketSampler(BaseSampler):
    """An Optuna sampler that is a market of samplers. The same seed and history give the same proposals.

    Args:
        opening: designs drawn evenly before the first auction, so that all agents begin with the same history.
        firms: agents at any time.
        capital: money that each begins with, in mean designs' worth.
        memory: how much of what it expects an agent keeps after a proposal, 0 to 1.
        spread: standard deviation of a mutation, as a part of a hyperparameter's range.
        kinds: of agents; all of `hwsim.search.agents.KINDS` without it.
        seed: of everything that is drawn.

    Raises:
        ArgumentError: fewer than two firms, no capital, or a memory outside of 0 to 1.
    """

    opening: int = 16
    firms: int = 8
    capital: float = 2.0
    memory: float = 0.7
    spread: float = 0.2
    kinds: tuple[str, ...] = tuple(KINDS)
    seed: int = 0
    bankrupt: int = field(default=0, init=False)
    members: list[Firm] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for rule, value, kept in (
            ("at least two firms must bid", self.firms, self.firms >= 2),
            ("capital must be above zero", self.capital, self.capital > 0),
            ("memory must lie in 0..1", self.memory, 0 <= self.memory <= 1),
        ):
            if not kept:
                raise ArgumentError(rule, got=value, where="market")
        self.rng = np.random.default_rng(self.seed)
        self.members = [
            self._new(kind := self.kinds[place % len(self.kinds)], KINDS[kind].draw(self.rng), self.capital)
            for place in range(self.firms)
        ]
        self._even = RandomSampler(seed=int(self.rng.integers(SEEDS)))
        self._costs: list[list[float]] = []
        self._mean = 0.0
        self._paid: dict[int, Firm] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """The auction: the highest bid wins, the earlier of equal ones; it pays, and all share what is paid."""
        if trial.number < self.opening:
            return
        winner = max(self.members, key=lambda firm: firm.bid)
        price = winner.bid
        winner.money -= price
        for firm in self.members:
            firm.money += price / self.firms
        winner.proposals += 1
        self._paid[trial.number] = winner
        winner.sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the winner has it."""
        return self._at_work(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The winner's proposal."""
        return self._at_work(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The winner's proposal for one knob."""
        return self._at_work(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Settle: the proposer earns what its design added, all pay rent, who is broke is replaced."""
        able = state == TrialState.COMPLETE and all(over <= 0 for over in trial.constraints.values())
        gain = self._gain(costs_of(study, values)) if able and values is not None else 0.0
        if trial.number < self.opening:
            return
        firm = self._paid.pop(trial.number)
        firm.sampler.after_trial(study, trial, state, values)
        self._mean = gain if not self._mean else KEPT * self._mean + (1 - KEPT) * gain
        earned = gain / self._mean if self._mean else 0.0
        firm.money += earned
        firm.expects = self.memory * firm.expects + (1 - self.memory) * earned
        for one in self.members:
            one.money -= 1 / self.firms
            one.expects += 0.02 * (1 - one.expects)  # who waits comes to think itself as good as the mean
        self._replace()

    def reseed_rng(self) -> None:
        """Kept as it is: a market is as deterministic as its seed."""

    def _at_work(self, trial: FrozenTrial) -> BaseSampler:
        firm = self._paid.get(trial.number)
        return self._even if firm is None else firm.sampler

    def _gain(self, costs: list[float]) -> float:
        """Hypervolume that a design adds, in the box of all so far; the first has no box yet, and earns nothing."""
        before = np.array(self._costs)
        self._costs.append(costs)
        if not len(before):
            return 0.0
        box = box_of(np.array(self._costs))
        return added(box.scaled(before), box.scaled(np.array(costs)))

    def _replace(self) -> None:
        for place, firm in enumerate(self.members):
            if firm.money > 0:
                continue
            self.bankrupt += 1
            rich = np.array([max(0.0, one.money) for one in self.members])
            if not rich.sum():
                self.members[place] = self._new(firm.kind, KINDS[firm.kind].draw(self.rng), self.capital)
                continue
            parent = self.members[int(self.rng.choice(len(rich), p=rich / rich.sum()))]
            parent.money /= 2
            settings = KINDS[parent.kind].mutated(parent.settings, self.rng, self.spread)
            self.members[place] = self._new(parent.kind, settings, parent.money)

    def _new(self, kind: str, settings: dict[str, Number], money: float) -> Firm:
        sampler = make(kind, settings, int(self.rng.integers(SEEDS)))
        return Firm(kind, settings, sampler, money, appetite=float(self.rng.uniform(0.5, 1.0)))


MARKET = Kind(
    MarketSampler,
    {
        "opening": Range(4, 32, log=True), "firms": Range(3, 16, log=True), "capital": Range(0.5, 8.0, log=True),
        "memory": Range(0.2, 0.95), "spread": Range(0.05, 0.5, log=True),
    },
)  # fmt: skip
"""A market as an agent among others, with hyperparameters of its own to draw."""
