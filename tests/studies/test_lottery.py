"""The lottery's arithmetic by hand, and a quick draw of both studies."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.report.studies import draw
from hwsim.search.volume import hypervolume
from hwsim.studies import lottery, market, run
from hwsim.studies.lottery import Grid, beats, spreads
from hwsim.studies.lottery_space import KNOBS, Known, space
from hwsim.studies.page import Table


def test_beats_counts_pairs():
    assert beats(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == (0 + 0 + 1 + 0.5) / 4


def test_spreads_of_two_draws_by_hand():
    """Draws of two seeds: 0.2, 0.4 and 0.8, 1.0. Means 0.3 and 0.9: variance 0.09 of 0.1 in all."""
    scores = {(0, 0): 0.2, (0, 1): 0.4, (1, 0): 0.8, (1, 1): 1.0}
    rows = tuple(("x", place, seed, "{}", score) for (place, seed), score in scores.items())
    runs = Table("runs", "", ("agent", "draw", "seed", "hyperparameters", "at 5 %"), rows)
    (row,) = spreads(runs, Grid(2, 2, (0.05,), KNOBS)).select({})
    assert row["worst run"] == row["worst quarter"] == 0.2
    assert row["median"] == pytest.approx(0.6)
    assert row["draws apart"] == pytest.approx(0.6)
    assert row["best draw"] == pytest.approx(0.9)
    assert row["variance by draw"] == pytest.approx(0.9)


def test_a_share_is_of_all_designs_that_are_machines():
    values = np.array([[30.0, 1.0, 1.0, 1.0], [10.0, 4.0, 4.0, 4.0], [20.0, 2.0, 2.0, 2.0], [np.nan] * 4])
    whole = Known({"a": (1, 2), "b": (1, 2)}, values)
    scaled = whole.scaled()
    np.testing.assert_allclose(scaled[[0, 1, 2]], [[0] * 4, [1] * 4, [0.5] * 4])  # logarithms: 2 is half way to 4
    assert hypervolume(scaled) == 1.0
    assert whole.share([2]) == pytest.approx(0.5**4)
    assert whole.share([3]) == 0.0
    assert whole.designs[2] == (2, 1)


def test_the_space_has_the_knobs_of_the_study():
    made = space()
    assert made.size == 2304 == np.prod([len(values) for values in KNOBS.values()])
    assert [knob.name for knob in made.parameters] == list(KNOBS)


@pytest.mark.parametrize(("name", "module"), [("lottery", lottery), ("market", market)])
def test_a_quick_study_leaves_its_page_and_its_figure(name, module, tmp_path):
    page = run(name, tmp_path, quick=True)
    text = page.read_text()
    assert f"Made by `hwsim study {name}`." in text
    assert draw(tmp_path).is_file()
    runs = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(runs) == 1 + module.QUICK.draws * module.QUICK.seeds * (7 if name == "lottery" else 8)
