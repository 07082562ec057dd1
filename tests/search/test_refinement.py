"""Successive refinement and the forest: rank correlations, layers, what is kept, and intervals that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hwsim
from hwsim.errors import ArgumentError
from hwsim.evaluation import Evaluator
from hwsim.evaluation.accuracy import mean_sqnr_db
from hwsim.search import load_space, load_study, sentence, space_from_dict
from hwsim.search.arithmetics import search_arithmetics
from hwsim.search.forest import Forest, features
from hwsim.search.refinement import Stage, kendall, layers, ranks, refine, spearman


def test_rank_correlations_are_those_of_scipy():
    """With ties, on every kind of vector; `scipy.stats` is the parent."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for size, values in ((5, 3), (40, 6), (60, 1000)):
        a, b = rng.integers(values, size=size), rng.integers(values, size=size)
        assert ranks(a) == pytest.approx(stats.rankdata(a))
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert math.isnan(spearman([1.0, 1.0], [1.0, 2.0]))
    assert math.isnan(kendall([1.0, 1.0], [1.0, 2.0]))
    assert math.isnan(kendall([], []))


def test_layers_are_fronts_of_what_is_left():
    """By hand: (0, 2), (1, 1), (2, 0); the other (1, 1), which still beats (1, 2) and (2, 1); these; (2, 2)."""
    costs = np.array([[2, 2], [0, 2], [1, 2], [1, 1], [2, 1], [2, 0], [1, 1]], float)
    assert layers(costs).tolist() == [3, 0, 2, 0, 2, 0, 1]


def test_refinement_measures_only_what_it_kept():
    """Ten candidates, cost 0 to 9, dear accuracy falling with it; the cheap one has two neighbours exchanged."""
    exact = np.arange(10.0)[:, None]
    dear = 9.0 - np.arange(10)
    cheap = dear.copy()
    cheap[[3, 4]] = cheap[[4, 3]]
    asked = []

    def measure(place):
        asked.append(place)
        return math.nan if place == 9 else float(dear[place])

    first, last = refine([Stage("cheap", lambda place: float(cheap[place]), 0.5), Stage("dear", measure)], exact)
    # only candidate 4 is beaten by another one (3); of the nine others five are kept, evenly by accuracy
    assert first.kept.tolist() == [0, 2, 5, 7, 9]
    assert asked == last.measured.tolist() == [0, 2, 5, 7, 9]
    assert last.kept.tolist() == [0, 2, 5, 7]  # the last one has no value
    assert (first.name, last.name) == ("cheap", "dear")
    assert math.isnan(first.spearman)
    assert last.spearman == pytest.approx(1) == pytest.approx(last.kendall)


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_a_stage_keeps_a_part(share):
    with pytest.raises(ArgumentError, match="share must be a part above zero"):
        Stage("x", float, share)


def test_features_say_what_the_knobs_do():
    """E2M1 in blocks of 16 under UE4M3, groups of 4, 7 fraction bits, float32; and one value for each layer."""
    space = load_space("numerics-free")
    first = {one.name: one.values[0] for one in space.parameters} | {"block": 16}
    numerics = space.design(first).accelerator.policy.default
    scheme = [4, 2, 1, 4, 4, 3]
    assert features(numerics).tolist() == [*scheme, *scheme, 2, numerics.datapath.accumulator_bits, 7, 23]
    assert features(numerics, {"a": 20.0, "b": 19.0})[-2:].tolist() == [20.0, 19.0]
    narrow = space.design(first | {"acc": "e8m13", "scale": "e8m0"}).accelerator.policy.default
    assert features(narrow)[[4, 5, -1]].tolist() == [8, 0, 13]
    plain = hwsim.load_accelerator("edge-int8").policy.default
    assert features(plain)[[0, 3, -2, -1]].tolist() == [8, 16, -1, -1]


def test_intervals_of_a_forest_hold():
    """Of 400 unseen values of a noisy function 90 % intervals hold 85 to 95 %; chance alone moves it by 1.5 %."""
    rng = np.random.default_rng(0)

    def drawn(count):
        x = rng.uniform(-1, 1, (count, 4))
        return x, x[:, 0] ** 2 + 0.5 * x[:, 1] + rng.normal(0, 0.1, count)

    known, values = drawn(200)
    forest = Forest(known, values)
    asked, truth = drawn(400)
    told = forest.told(asked)
    assert np.corrcoef(told, truth)[0, 1] > 0.8
    assert 0.85 < float(np.mean(np.abs(told - truth) <= forest.half_width(0.9))) < 0.95
    assert forest.half_width(0.5) < forest.half_width(0.9)
    assert np.array_equal(Forest(known, values).told(asked), told)


def test_a_forest_that_knows_too_little_says_so():
    known = np.arange(16.0).reshape(8, 2)
    assert Forest(known, np.arange(8.0)).half_width(0.9) == math.inf
    with pytest.raises(ArgumentError, match="a forest needs 8 measured arithmetics, got 7"):
        Forest(known[:7], np.arange(7.0))
    with pytest.raises(ArgumentError, match="coverage must lie between 0 and 1"):
        Forest(known, np.arange(8.0)).half_width(1.0)


def test_a_search_of_arithmetics_says_how_far_a_replay_agrees(tmp_path):
    """Six arithmetics that a search measured by the model's own metric, ranked beside their replays."""
    table = load_space("numerics-free").to_dict()
    kept = {
        "element": ["e2m1", "e2m3"], "block": [16], "scale": ["ue4m3", "ue5m3", "e8m0"], "group": [16],
        "fraction_bits": [13], "acc": ["fp32"], "rows": [4], "cols": [4], "dataflow": ["ws"], "stages": [3],
    }  # fmt: skip
    for name, values in kept.items():
        table["parameters"][name]["choice"] = values
    table["options"] = {
        name: {value: option for value, option in options.items() if value in map(str, kept[name])}
        for name, options in table["options"].items()
    }
    table["search"] |= {"energy": "pann", "metric": {"bytes": 256}, "polish": 0}
    space, trace = space_from_dict(table, "here"), hwsim.load_trace("traces/gpt-small")
    study = search_arithmetics(space, [trace], 6, out=tmp_path / "run")
    evaluator = Evaluator(trace, "rerun", "pann", {"bytes": 256})
    policies = {one.key: one for one in (space.design(draw).accelerator.policy for draw in space.draws())}
    cheap = [-mean_sqnr_db(evaluator.sqnr_db(policy), trace) for policy in policies.values()]
    dear = [evaluator.accuracy(policy) for policy in policies.values()]
    told = {"arithmetics": 6, "spearman": spearman(cheap, dear), "kendall": kendall(cheap, dear)}
    assert study.certificate["agreement"] == pytest.approx(told)
    assert told["spearman"] > 0.5
    assert load_study(tmp_path / "run").certificate["agreement"] == pytest.approx(told)
    assert (
        f"a replay ranks 6 arithmetics as the rerun does with a correlation of {told['spearman']:.2f} (Spearman), "
        f"{told['kendall']:.2f} (Kendall)"
    ) in sentence(study.certificate)
