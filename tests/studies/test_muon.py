"""The study of Muon's iteration: its measures by hand, its small grid from end to end."""

import csv
import xml.dom.minidom

import numpy as np
import pytest

from hwsim import studies
from hwsim.errors import ArgumentError
from hwsim.report.studies import draw

pytest.importorskip("torch")


def test_the_fixed_point_and_the_largest_value_are_those_of_the_polynomial():
    a, b, c = 3.4445, -4.7750, 2.0315
    high = np.sqrt(np.roots([c, b, a - 1])).max()
    assert high == pytest.approx(1.2637, abs=1e-4)
    inside = np.linspace(0, high, 100_001)
    value = a * inside + b * inside**3 + c * inside**5
    assert value.max() <= high + 1e-9  # what is inside stays inside
    reached = np.linspace(0, 1, 100_001)
    for _ in range(5):
        reached = a * reached + b * reached**3 + c * reached**5
    assert reached.max() == pytest.approx(1.2024, abs=1e-4)
    beyond = high + 1e-6
    assert a * beyond + b * beyond**3 + c * beyond**5 > beyond


def test_measures_of_a_case_by_hand():
    from hwsim.studies.muon import Case, outcome

    case = Case.of("diagonal", np.diag([1.0, 0.5, 1e-6]))
    s = np.array([1, 0.5, 1e-6]) / np.sqrt(1.25 + 1e-12)
    x = s.copy()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    found = outcome(case, "float32")
    assert found.cosine == pytest.approx(x.sum() / np.sqrt((x**2).sum() * 3), abs=1e-5)
    assert (found.least, found.largest) == (pytest.approx(x.min(), rel=1e-3), pytest.approx(x.max(), abs=1e-5))
    assert found.floor == pytest.approx(s[1])  # 1e-6 · 3.4445^5 = 5e-4 is not lifted to a half


def test_the_small_grid_from_end_to_end(tmp_path):
    folder = studies.run("muon", tmp_path, quick=True).parent
    with (folder / "spectra.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {path.stem for path in folder.glob("*.csv")} == {"spectra", "last"}
    for row in rows:
        if row["arithmetic"] == "float32" and row["spectrum"] != "Gaussian":
            assert float(row["cosine"]) > 0.97
            assert 0.6 < float(row["least σ"]) <= float(row["largest σ"]) < 1.2025
    by = {(row["spectrum"], row["arithmetic"]): float(row["largest σ"]) for row in rows}
    assert by["flat", "nvfp4.te"] > 1.2637  # left the interval
    page = (folder / "study.md").read_text()
    assert "Made by `hwsim study muon`." in page
    figure = draw(folder)
    xml.dom.minidom.parse(str(figure))
    table = (folder / "spectra.csv").read_text(encoding="utf-8")
    changed = {
        table.replace("nvfp4.te", "nvfp4." + 300 * "{a="): "Tight layout not applied",
        "\n_".join(table.splitlines()): "No artists with labels",
    }
    for text, said in changed.items():
        (folder / "spectra.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ArgumentError, match=f"tables of a study must be what the study wrote.*{said}"):
            draw(folder)
