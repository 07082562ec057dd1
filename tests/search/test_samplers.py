"""Agents on small spaces: what each reads of the past, by hand, and what its hyperparameters make it do."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hwsim.errors import ArgumentError
from hwsim.search.agents import KINDS, Range, make
from hwsim.search.samplers import (
    AntSampler,
    GeneticSampler,
    History,
    Past,
    ReinforceSampler,
    WalkSampler,
    values_of,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = {
    "a": CategoricalDistribution(("x", "y", "z")),
    "b": IntDistribution(2, 8, step=2),
    "c": IntDistribution(0, 4),
}


def drive(sampler, trials, directions=("minimize", "minimize")):
    """A study of two objectives that pull apart: small b and c cost less of the first, more of the second."""
    study = optuna.create_study(sampler=sampler, directions=list(directions))
    for _ in range(trials):
        trial = study.ask(SPACE)
        at = trial.params
        study.tell(trial, [at["b"] + at["c"] + "xyz".index(at["a"]), 20.0 - at["b"] - at["c"] + (at["a"] == "y")])
    return study


def test_worth_is_the_part_of_designs_that_do_not_dominate():
    """(1, 4), (2, 2), (3, 3), failed, (2, 2) again as another design: (2, 2) twice dominates (3, 3) alone."""
    history = History()
    for number, costs in enumerate([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], None, [2.0, 2.0]]):
        history.add(number, (number,), costs)
    history.add(5, (2,), [3.0, 3.0])  # proposed again: nothing new
    past = history.past((6,))
    assert past.worth.tolist() == [1.0, 1.0, 0.5, 0.0, 1.0]
    assert history.rows == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 2}
    assert past.best().tolist() == [[0], [1], [4]]


def test_a_later_design_takes_worth_from_an_earlier_one():
    history = History()
    history.add(0, (0,), [2.0, 2.0])
    assert history.past((2,)).worth.tolist() == [1.0]
    history.add(1, (1,), [1.0, 2.0])
    assert history.past((2,)).worth.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_propose_equal_designs_inside_of_the_space(kind):
    settings = KINDS[kind].draw(np.random.default_rng(1))
    runs = [[trial.params for trial in drive(make(kind, settings, seed), 40).trials] for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    for params in runs[0]:
        assert all(params[name] in values_of(knob) for name, knob in SPACE.items())


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_every_knob_is_proposed_sooner_or_later(kind):
    """The fault that was read in ArchGym: a knob of which an agent could reach three values at most."""
    settings = KINDS[kind].draw(np.random.default_rng(2))
    if kind == "REINFORCE":
        settings |= {"rate": 0.05, "entropy": 0.3}  # a policy that has settled proposes one design
    if kind == "ant colony":
        settings |= {"greed": 0.5}
    trials = drive(make(kind, settings, 0), 300).trials
    for name, knob in SPACE.items():
        assert {trial.params[name] for trial in trials} == set(values_of(knob))


def test_a_walk_changes_at_least_one_knob_and_as_many_as_asked():
    past = Past(np.array([[0, 1, 2]]), np.ones(1), (3, 4, 5))
    walker = WalkSampler(change=0.0, back=0.0, seed=0)
    moves = np.array([walker.propose(past) for _ in range(300)]) != past.places
    assert (moves.sum(axis=1) == 1).all()
    assert moves.any(axis=0).all()
    all_change = WalkSampler(change=1.0, back=0.0, seed=0)
    assert all((all_change.propose(past) != past.places[-1]).all() for _ in range(50))


def test_a_walk_goes_on_from_the_last_design_or_back_to_the_best():
    past = Past(np.array([[0, 0, 0], [2, 3, 4]]), np.array([1.0, 0.0]), (3, 4, 5))
    near = {0.0: [2, 3, 4], 1.0: [0, 0, 0]}
    for back, start in near.items():
        walker = WalkSampler(change=0.0, back=back, seed=1)
        assert all((walker.propose(past) != start).sum() == 1 for _ in range(50))


def test_a_child_without_mutation_has_its_parents_values():
    past = Past(np.array([[0, 0, 0], [2, 3, 4], [1, 1, 1]]), np.array([1.0, 0.9, 0.1]), (3, 4, 5))
    crossing = GeneticSampler(elite=2, crossover=1.0, mutation=0.0, seed=0)
    children = {tuple(crossing.propose(past).tolist()) for _ in range(200)}
    assert children == {(a, b, c) for a in (0, 2) for b in (0, 3) for c in (0, 4)}  # the third is no parent
    copying = GeneticSampler(elite=2, crossover=0.0, mutation=0.0, seed=0)
    assert {tuple(copying.propose(past).tolist()) for _ in range(100)} == {(0, 0, 0), (2, 3, 4)}


def test_of_equal_worth_the_later_design_is_elite():
    past = Past(np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]]), np.ones(3), (3, 4, 5))
    copying = GeneticSampler(elite=1, crossover=0.0, mutation=0.0, seed=0)
    assert copying.propose(past).tolist() == [2, 2, 2]


def test_a_near_mutation_is_one_step():
    past = Past(np.array([[1, 2, 2]]), np.ones(1), (3, 4, 5))
    near = GeneticSampler(elite=1, mutation=1.0, near=1.0, seed=0)
    assert all((np.abs(near.propose(past) - past.places[0]) == 1).all() for _ in range(50))


def test_ants_follow_pheromone_that_is_calculated_by_hand():
    """Two batches of two: worth 1 and 0.5 left at values 0 and 1, then 0.8 and 0.2 at 1 and 2; evaporation 0.5.
    Value 0: 0.25 + 0.5 x 1 = 0.75; 1: 0.25 + 0.5 x 0.5 + 0.8 = 1.3; 2: 0.25 + 0.2 = 0.45. A fifth design waits."""
    past = Past(np.array([[0], [1], [1], [2], [2]]), np.array([1.0, 0.5, 0.8, 0.2, 1.0]), (3,))
    ants = AntSampler(ants=2, evaporation=0.5, greed=2.0, seed=0)
    drawn = np.bincount([int(ants.propose(past)[0]) for _ in range(6000)], minlength=3) / 6000
    squares = np.array([0.75, 1.3, 0.45]) ** 2
    np.testing.assert_allclose(drawn, squares / squares.sum(), atol=4 * math.sqrt(0.25 / 6000))


def test_reinforce_goes_up_the_gradient_of_expected_worth():
    """The mean step over draws of the policy is the derivative of its expected worth, by finite differences."""
    worths = np.array([0.1, 0.9, 0.4])
    logits = np.array([0.3, -0.2, 0.1])
    chance = np.exp(logits) / np.exp(logits).sum()
    steps = np.zeros(3)
    for place in range(3):
        agent = ReinforceSampler(rate=1.0, entropy=0.0, seed=0)
        agent.logits = [logits.copy()]
        agent._learn(np.array([place]), float(worths[place]), 1.0)
        steps += chance[place] * (agent.logits[0] - logits)

    def expected(at):
        raised = np.exp(at)
        return float(raised / raised.sum() @ worths)

    slope = [(expected(logits + 1e-6 * axis) - expected(logits - 1e-6 * axis)) / 2e-6 for axis in np.eye(3)]
    np.testing.assert_allclose(steps, slope, atol=1e-8)


def test_the_entropy_term_is_its_gradient():
    logits = np.array([0.3, -0.2, 0.1])

    def entropy(at):
        chance = np.exp(at) / np.exp(at).sum()
        return float(-(chance * np.log(chance)).sum())

    agent = ReinforceSampler(rate=1.0, entropy=1.0, seed=0)
    agent.logits = [logits.copy()]
    agent._learn(np.array([0]), agent._mean, 1.0)  # no advantage: the entropy alone moves it
    slope = [(entropy(logits + 1e-6 * axis) - entropy(logits - 1e-6 * axis)) / 2e-6 for axis in np.eye(3)]
    np.testing.assert_allclose(agent.logits[0] - logits, slope, atol=1e-8)


def test_what_is_to_be_large_counts_as_large():
    """With both turned round, the same history: proposals go the other way only by their worth."""
    study = drive(GeneticSampler(elite=2, mutation=0.05, seed=0), 60, ("maximize", "minimize"))
    late = [trial.params for trial in study.trials[-15:]]
    assert np.mean([at["b"] + at["c"] for at in late]) > 9  # 12 is the most: large first, small second objective


def test_a_knob_without_listed_values_is_refused():
    assert values_of(FloatDistribution(0.5, 2.0, step=0.5)) == (0.5, 1.0, 1.5, 2.0)
    with pytest.raises(ArgumentError, match="sampler: a knob must list its values"):
        values_of(FloatDistribution(0.0, 1.0))


def test_ranges_reach_both_ends_and_keep_whole_numbers():
    log = Range(2, 32, log=True)
    assert [log.at(part) for part in (0.0, 0.25, 0.5, 1.0)] == [2, 4, 8, 32]
    assert [log.part(value) for value in (2, 8, 32)] == pytest.approx([0.0, 0.5, 1.0])
    assert Range(0.0, 2.0).at(0.25) == 0.5
    rng = np.random.default_rng(0)
    for kind in KINDS.values():
        settings = kind.draw(rng)
        for _ in range(20):
            settings = kind.mutated(settings, rng, spread=0.5)
            for name, one in kind.ranges.items():
                assert one.low <= settings[name] <= one.high
                assert isinstance(settings[name], int) == isinstance(one.low, int)
