"""The guide as a sampler of Optuna: the study asks it for designs and tells it what they cost.

Decides what a batch is: designs are chosen together, `batch` at a time, and handed out one a trial; those of a batch
must be told before the next one is asked for. A trial that failed, or that breaks a limit, is told as no design.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hwsim.errors import ArgumentError
from hwsim.search.guided import Guide, canonical, knobs_of
from hwsim.search.samplers import costs_of

if TYPE_CHECKING:
    from hwsim.search.space import DesignSpace


class GuidedSampler(BaseSampler):
    """What `hwsim.explore` proposes designs with, see `hwsim.search.guided`.

    Args:
        space: whose knobs a trial suggests, all of them, as categories in the order of their values.
        seed: of the draws.
        batch: designs that are chosen together.
    """

    def __init__(self, space: DesignSpace, seed: int, batch: int) -> None:
        self._names = [one.name for one in space.parameters]
        self._guide = Guide(knobs_of(space), seed, functools.partial(canonical, space))
        self._batch = batch
        self._waiting: deque[tuple[int, ...]] = deque()
        self._given: dict[int, tuple[int, ...]] = {}

    def ready(self) -> int:
        """Designs that wait to be proposed; a batch is chosen where none do, and 0 says that all were priced."""
        if not self._waiting:
            self._waiting.extend(self._guide.ask(self._batch))
        return len(self._waiting)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Give the trial its design."""
        if not self.ready():
            raise ArgumentError("every design of the space was proposed, see ready()", got=trial.number)
        self._given[trial.number] = self._waiting.popleft()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: knobs are answered one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, as there is no common space."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of a knob in the design of the trial."""
        place = self._given[trial.number][self._names.index(param_name)]
        return param_distribution.to_external_repr(place)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Learn what the design costs."""
        keeps = state == TrialState.COMPLETE and all(one <= 0 for one in trial.constraints.values())
        self._guide.tell(self._given.pop(trial.number), costs_of(study, values or ()) if keeps else None)
