"""The books of the market balance, its agents come and go, and it is as deterministic as its seed."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from hwsim.errors import ArgumentError
from hwsim.search.contest import kinds, play, settings_of
from hwsim.search.market import KEPT, MARKET, MarketSampler

from .test_samplers import SPACE, drive

optuna.logging.set_verbosity(optuna.logging.WARNING)


def money(market):
    return sum(firm.money for firm in market.members)


def test_money_changes_by_what_a_design_earns_less_the_rent():
    market = MarketSampler(opening=4, firms=5, capital=50.0, seed=1)  # nobody goes broke
    study = optuna.create_study(sampler=market, directions=["minimize", "minimize"])
    mean = None
    for number in range(40):
        before, counted = money(market), list(market._costs)
        trial = study.ask(SPACE)
        at = trial.params
        costs = [at["b"] + at["c"] + 0.5, 20.0 - at["b"] * at["c"] / 4]
        study.tell(trial, costs)
        gain = MarketSampler(seed=0)
        gain._costs = counted
        gained = gain._gain(costs)
        if number < 4:
            assert money(market) == before
            continue
        mean = gained if not mean else KEPT * mean + (1 - KEPT) * gained
        assert money(market) == pytest.approx(before + (gained / mean if mean else 0.0) - 1.0)
    assert sum(firm.proposals for firm in market.members) == 36
    assert market.bankrupt == 0


def test_the_highest_bid_proposes_and_pays_and_all_share():
    market = MarketSampler(opening=0, firms=4, capital=2.0, seed=0)
    for place, firm in enumerate(market.members):
        firm.appetite, firm.expects, firm.money = 0.5, 1.0 + (place == 2), 2.0
    study = optuna.create_study(sampler=market, directions=["minimize", "minimize"])
    trial = study.ask(SPACE)
    assert [firm.proposals for firm in market.members] == [0, 0, 1, 0]
    assert [firm.money for firm in market.members] == pytest.approx([2.25, 2.25, 2.0 - 1.0 + 0.25, 2.25])
    study.tell(trial, [1.0, 1.0])  # the first design has no box and earns nothing
    assert market.members[2].expects == pytest.approx((0.7 * 2.0) * 0.98 + 0.02)
    assert [firm.money for firm in market.members] == pytest.approx([2.0, 2.0, 1.0, 2.0])


def test_nobody_bids_more_than_it_has():
    market = MarketSampler(seed=0)
    firm = market.members[0]
    firm.money, firm.appetite, firm.expects = 0.1, 1.0, 5.0
    assert firm.bid == 0.1


def test_who_is_broke_is_replaced_by_a_mutant_of_who_is_rich():
    market = MarketSampler(opening=0, firms=3, kinds=("ant colony", "genetic", "random walk"), seed=0, spread=0.1)
    for firm, left in zip(market.members, (0.0, 8.0, 0.0), strict=True):
        firm.money = left
    rich = market.members[1]
    market._replace()
    assert market.bankrupt == 2
    assert [firm.kind for firm in market.members] == ["genetic"] * 3
    assert market.members[1] is rich
    assert sorted(firm.money for firm in market.members) == [2.0, 2.0, 4.0]  # halved twice, nothing lost
    for firm in (market.members[0], market.members[2]):
        assert firm.settings != rich.settings
        assert firm.proposals == 0


def test_agents_come_and_go_in_a_long_run():
    market = MarketSampler(firms=6, capital=0.5, seed=2)
    drive(market, 120)
    assert market.bankrupt > 3
    assert all(firm.money > 0 for firm in market.members)


def test_a_market_is_as_deterministic_as_its_seed():
    runs = [[trial.params for trial in drive(MarketSampler(seed=seed), 60).trials] for seed in (5, 5, 6)]
    assert runs[0] == runs[1] != runs[2]


def test_failed_designs_earn_nothing():
    market = MarketSampler(opening=0, firms=3, capital=5.0, seed=0)
    study = optuna.create_study(sampler=market, directions=["minimize"])
    for _ in range(6):
        study.tell(study.ask(SPACE), state=optuna.trial.TrialState.FAIL)
    assert money(market) == pytest.approx(15.0 - 6.0)
    assert market._costs == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"firms": 1}, "market: at least two firms must bid, got 1"),
        ({"capital": 0.0}, r"market: capital must be above zero, got 0\.0"),
        ({"memory": 1.5}, r"market: memory must lie in 0\.\.1, got 1\.5"),
    ],
)
def test_a_mistake_is_one_clear_line(wrong, told):
    with pytest.raises(ArgumentError, match=told):
        MarketSampler(**wrong)


KNOBS = {"unit": ("p", "q"), "rows": (4, 8, 16), "clock": (0.2, 0.4, 0.6)}
COSTS = np.array([[row, 18.0 - row] if row % 7 else [np.nan, np.nan] for row in range(18)])


@pytest.mark.parametrize("kind", [*kinds(), "market"])
def test_a_contest_counts_different_designs_and_ends_with_the_budget(kind):
    settings = settings_of(kind, np.random.default_rng(0))
    rows = play(kind, settings, 7, KNOBS, COSTS, 6)
    assert len(rows) == len(set(rows)) <= 6
    assert all(0 <= row < 18 for row in rows)
    assert rows == play(kind, settings, 7, KNOBS, COSTS, 6)
    assert len(play("random", {}, 7, KNOBS, COSTS, 12)) == 12


def test_a_contest_names_the_rows_that_were_proposed():
    """Rows of the knobs' product, in the order in which they were proposed; a walk's second is a neighbour."""
    knobs = {"a": (1,), "b": tuple(range(8))}
    assert play("random", {}, 3, knobs, np.zeros((8, 1)), 6) != list(range(6))
    few = {"a": (1, 2), "b": (5, 6)}
    study_rows = play("random walk", {"change": 0.0, "back": 0.0}, 1, few, np.arange(4.0)[:, None], 4)
    one, other = (np.array(np.unravel_index(row, (2, 2))) for row in study_rows[:2])
    assert (one != other).sum() == 1


def test_the_market_s_own_hyperparameters_make_markets():
    rng = np.random.default_rng(3)
    for seed in range(5):
        market = MARKET.make(**MARKET.draw(rng), seed=seed)
        assert len(market.members) == market.firms >= 3
