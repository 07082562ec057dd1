"""The guide as a sampler of Optuna: it proposes what the guide alone does, and is told what breaks a limit."""

from __future__ import annotations

import functools

import optuna
import pytest

from hwsim.errors import ArgumentError
from hwsim.search.guided import Guide, canonical, knobs_of
from hwsim.search.guided_sampler import GuidedSampler
from hwsim.search.space_file import load_space, space_from_dict
from tests import samples

SPACE = load_space("edge-lm")
BATCH = 40


def _priced(places):
    """Two costs of a design, the second one to be as large as can be, and by how much it breaks a limit; None of one
    that is no machine."""
    if places[0] == 1:
        return None
    costs = [1.0 + sum((knob + 1) * place for knob, place in enumerate(places)), 3.0 + places[1] + places[-1]]
    return costs, float(places[2] - 1)


def test_a_study_goes_the_way_of_the_guide():
    guide, alone = Guide(knobs_of(SPACE), 3, functools.partial(canonical, SPACE)), []
    for _ in range(4):
        for places in guide.ask(BATCH):
            alone.append(places)
            found = _priced(places)
            guide.tell(places, None if found is None or found[1] > 0 else [found[0][0], -found[0][1]])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler, tried = GuidedSampler(SPACE, 3, BATCH), []
    study = optuna.create_study(sampler=sampler, directions=["minimize", "maximize"])
    while len(tried) < 4 * BATCH:
        for trial in [study.ask() for _ in range(sampler.ready())]:
            draw = {one.name: trial.suggest_categorical(one.name, one.values) for one in SPACE.parameters}
            tried.append(tuple(one.values.index(draw[one.name]) for one in SPACE.parameters))
            found = _priced(tried[-1])
            if found is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            trial.set_constraint("limit", found[1])
            study.tell(trial, found[0])
    assert tried == alone
    assert len({_priced(places) is None for places in tried}) == 2  # some are no machines, others are


def test_a_space_that_was_proposed_whole_has_nothing_left():
    one = {"rows": {"choice": [4, 8, 16], "sets": "array.rows"}}
    space = space_from_dict(samples.SPACE | {"parameters": one}, "here")
    sampler, seen = GuidedSampler(space, 0, 8), []
    study = optuna.create_study(sampler=sampler, directions=["minimize"])
    while sampler.ready():
        trial = study.ask()
        seen.append(trial.suggest_categorical("rows", space.parameters[0].values))
        study.tell(trial, float(seen[-1]))
    assert sorted(seen) == [4, 8, 16]
    with pytest.raises(ArgumentError, match="every design"):
        study.ask()
