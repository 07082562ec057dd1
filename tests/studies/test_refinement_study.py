"""The study of refinement: what it counts, by hand, and that the committed one says what its tables hold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hwsim.report.studies import draw
from hwsim.search.pareto import front
from hwsim.search.refinement import kendall, spearman
from hwsim.studies import run
from hwsim.studies.refinement import FULL, _refined

FOLDER = Path(__file__).resolve().parents[2] / "reports" / "study-refinement"


def _rows(name):
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_refinement_keeps_is_counted_by_hand():
    """Four arithmetics of which the first three are the front. Half of all by a replay that takes the second for the
    worst are the first and the third: the front keeps two of three for 4 · 1 + 2 · 2 + 2 · 4 of 16 seconds."""
    full = np.array([[1.0, 4.0, 1.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0], [4.0, 5.0, 1.0]])
    measures = {"replay": np.array([1.0, 9.0, 3.0, 4.0]), "rerun on few": full[:, 0], "rerun on all": full[:, 0]}
    seconds = {"replay": 1.0, "rerun on few": 2.0, "rerun on all": 4.0}
    (row,) = _refined(measures, full, seconds, ((0.5, 1.0),)).select({})
    assert row["measured in full"] == 2
    assert row["share of the true front"] == pytest.approx(2 / 3) == row["at most"]
    assert row["beaten on its front"] == 0
    assert row["time saved"] == pytest.approx(0.0)


def test_the_committed_study_agrees_with_its_arithmetics():
    """Correlations, the true front and shares, again from the table of arithmetics."""
    rows = _rows("drawn")
    assert len(rows) == FULL.arithmetics
    full = np.array([[float(row[name]) for name in ("bits a byte", "energy uJ", "area mm2")] for row in rows])
    cheap = {
        "replay": [-float(row["sqnr dB"]) for row in rows],
        "rerun on few": [float(row["bits a byte, few"]) for row in rows],
    }
    stages = {row["stage"]: row for row in _rows("agreement")}
    for name, values in cheap.items():
        assert float(stages[name]["spearman"]) == pytest.approx(spearman(values, full[:, 0]), abs=2e-3)
        assert float(stages[name]["kendall"]) == pytest.approx(kendall(values, full[:, 0]), abs=2e-3)
    members = int(front(full).sum())
    for row in _rows("kept"):
        assert float(row["at most"]) == pytest.approx(min(1, int(row["measured in full"]) / members), abs=1e-5)
        assert float(row["share of the true front"]) <= float(row["at most"]) + 1e-9
    assert f"has {members} of {len(rows)} arithmetics" in (FOLDER / "study.md").read_text(encoding="utf-8")


@pytest.mark.slow  # a minute: ten models run again
def test_a_quick_study_leaves_its_page_and_its_figure(tmp_path):
    page = run("refinement", tmp_path, quick=True)
    assert "Made by `hwsim study refinement`." in page.read_text()
    assert draw(tmp_path).is_file()
