"""The guided search and its surrogate, on functions of knobs of which every value is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hwsim.search.guided import OPENING, Guide, canonical, knobs_of
from hwsim.search.pareto import front
from hwsim.search.space_file import space_from_dict
from hwsim.search.surrogate import Knobs, Surrogate
from tests import samples

KNOBS = Knobs((6, 4, 3, 3, 5), (False, True, True, False, True))
WEIGHTS = [np.random.default_rng(size).random((size, 3)) for size in KNOBS.sizes]
ALL = list(itertools.product(*map(range, KNOBS.sizes)))


def _costs(places):
    """A product of what each value of each knob costs, as areas and times nearly are; one corner is no machine."""
    if places[1] == 3 and places[4] == 4:
        return None
    return [math.exp(sum(WEIGHTS[knob][value, axis] for knob, value in enumerate(places))) for axis in range(3)]


def _searched(seed, designs, batch=20):
    guide, tried = Guide(KNOBS, seed), []
    while len(tried) < designs:
        asked = guide.ask(min(batch, designs - len(tried)))
        for places in asked:
            guide.tell(places, _costs(places))
        tried += asked
    return tried


def test_a_ninth_of_the_designs_holds_the_whole_front_for_any_seed():
    able = [places for places in ALL if _costs(places) is not None]
    members = front(np.array([_costs(places) for places in able]))
    true = {places for places, kept in zip(able, members, strict=True) if kept}
    for seed in range(5):
        tried = _searched(seed, 120)
        assert len(set(tried)) == 120
        assert true <= set(tried)


def test_the_seed_decides():
    assert _searched(3, 60) == _searched(3, 60)
    assert _searched(3, 60) != _searched(4, 60)


def test_the_opening_has_each_value_equally_often():
    asked = Guide(KNOBS, 0).ask(60)
    for knob, size in enumerate(KNOBS.sizes):
        counts = np.bincount([places[knob] for places in asked], minlength=size)
        assert abs(counts - 60 / size).max() <= 2  # draws that are equal are replaced


def test_a_small_space_is_asked_for_once_and_then_nothing():
    guide, seen = Guide(Knobs((2, 3), (True, False)), 0), []
    while asked := guide.ask(4):
        seen += asked
        for places in asked:
            guide.tell(places, [1.0 + places[0], 2.0 - places[0]])
    assert sorted(seen) == list(itertools.product(range(2), range(3)))


def test_what_was_told_before_is_not_asked_again():
    guide = Guide(KNOBS, 0)
    known = ALL[::2]
    for places in known:
        guide.tell(places, _costs(places))
    assert not set(guide.ask(50)) & set(known)
    assert len(known) > OPENING * len(KNOBS.sizes)


def test_inactive_knobs_are_at_their_first_value():
    table = samples.SPACE | {
        "parameters": {
            "dataflow": {"choice": ["ws", "os"], "sets": "array.dataflow"},
            "rows": {"choice": [2, 4, 8], "sets": "array.rows", "when": {"dataflow": "os"}},
            "cols": {"choice": [2, 4, 8], "sets": "array.cols", "when": {"rows": [4, 8]}},
        }
    }
    space = space_from_dict(table, "here")
    draws = np.array(list(itertools.product(range(2), range(3), range(3))))
    found = canonical(space, draws)
    names = [knob.name for knob in space.parameters]
    for draw, made in zip(draws.tolist(), found.tolist(), strict=True):
        values = {knob.name: knob.values[place] for knob, place in zip(space.parameters, draw, strict=True)}
        active = dict(space.canonical(values))
        assert made == [place if name in active else 0 for name, place in zip(names, draw, strict=True)]
    assert knobs_of(space) == Knobs((2, 3, 3), (False, True, True))


def test_a_design_that_was_priced_is_told_as_it_is():
    rng = np.random.default_rng(0)
    places = np.array(ALL)[rng.choice(len(ALL), 150, replace=False)]
    values = np.log(
        [[math.exp(sum(WEIGHTS[k][v, a] for k, v in enumerate(row))) for a in range(3)] for row in places]
    )
    mean, sigma = Surrogate(KNOBS, places, values).told(places)
    np.testing.assert_allclose(mean, values, atol=1e-3)
    assert sigma.max() < 0.01


def test_a_left_out_design_is_told_as_if_it_had_never_been_there():
    """The closed form of leaving one out against doing so, at the same weights of knobs."""
    rng = np.random.default_rng(1)
    places = np.array(ALL)[rng.choice(len(ALL), 40, replace=False)]
    values = rng.standard_normal((40, 2)) + places[:, :1]
    whole = Surrogate(KNOBS, places, values)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    for measure in range(2):
        kernel = KNOBS.alike(places, places, whole.weights[measure]) + 1e-6 * np.eye(40)
        for out in (0, 17):
            kept = np.arange(40) != out
            told = kernel[out, kept] @ np.linalg.solve(kernel[np.ix_(kept, kept)], scaled[kept, measure])
            error = (told - scaled[out, measure]) * values[:, measure].std()
            assert whole.left_out[out, measure] == pytest.approx(error, rel=1e-6)


def test_a_knob_that_decides_nothing_weighs_least():
    """The first measure asks the first knob alone, as an accuracy asks no array."""
    rng = np.random.default_rng(3)
    places = np.array(ALL)[rng.choice(len(ALL), 100, replace=False)]
    values = np.stack([rng.standard_normal(6)[places[:, 0]], places[:, 1] * 1.0], axis=1)
    weights = Surrogate(KNOBS, places, values).weights
    assert weights[0, 0] > 1 > 0.1 > weights[0, 1:].max()
    assert weights[1, 1] > 1 > 0.1 > weights[1, [0, 2, 3, 4]].max()


def test_errors_are_of_the_size_that_is_told():
    """Held out: designs that were not learned from lie within one told standard deviation about as often as a normal
    error does (68 %), for values with interactions that a sum of knobs does not have."""
    rng = np.random.default_rng(2)
    pairs = rng.standard_normal((6, 4)), rng.standard_normal((3, 5))
    value = np.array([pairs[0][a, b] + pairs[1][c, e] + 0.5 * a for a, b, c, _, e in ALL])[:, None]
    order = rng.permutation(len(ALL))
    learned, rest = order[:200], order[200:]
    mean, sigma = Surrogate(KNOBS, np.array(ALL)[learned], value[learned]).told(np.array(ALL)[rest])
    inside = (np.abs(mean - value[rest]) <= sigma).mean()
    assert 0.55 < inside < 0.9
    assert np.abs(mean - value[rest]).mean() < 0.25 * value.std()


@pytest.mark.parametrize("ordered", [True, False])
def test_the_kernel_of_one_knob(ordered):
    """1 for equal values; numbers half a list apart are half alike, names are not: (1 + 0.3 * likeness) / 1.3."""
    alike = Knobs((3,), (ordered,)).alike(np.array([[0]]), np.array([[0], [1], [2]]), np.array([0.3]))
    near = 1.15 if ordered else 1.0
    np.testing.assert_allclose(alike, [[1.0, near / 1.3, 1.0 / 1.3]])


def test_batches_smaller_than_a_knob_reach_every_design():
    knobs = Knobs((7, 2), (True, True))
    guide, tried = Guide(knobs, 0), []
    while asked := guide.ask(2):
        for places in asked:
            guide.tell(places, [1.0 + places[0], 2.0 - places[1]])
        tried += asked
    assert sorted(tried) == list(itertools.product(range(7), range(2)))
