"""The study of training in four bits: its small grid from end to end, the same bits twice, noise where it must be."""

import csv
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw

pytest.importorskip("torch")


def test_the_small_grid_from_end_to_end(tmp_path):
    folders = [studies.run("fp4_training", tmp_path / name, quick=True).parent for name in "ab"]
    tables = [(folder / "costs.csv").read_text() for folder in folders]
    assert tables[0] == tables[1]
    rows = {(row["model"], row["recipe"]): row for row in csv.DictReader(tables[0].splitlines())}
    assert set(rows) == {(model, recipe) for model in ("gpt", "ngpt") for recipe in ("float32", "nvidia-nvfp4")}
    for (_, recipe), row in rows.items():
        assert 2 < float(row["loss"]) < 5.6  # ln 256 = 5.545 before the first step
        assert 15 < float(row["SNR dB"]) < 30  # relative error of E2M1 in blocks of 16, about 0.1 for each operand
        if recipe != "float32":
            difference = float(row["loss"]) - float(rows[row["model"], "float32"]["loss"])
            assert float(row["cost"]) == pytest.approx(difference, abs=1e-4)
    page = (folders[0] / "study.md").read_text()
    assert "Made by `hwsim study fp4_training`." in page
    xml.dom.minidom.parse(str(draw(folders[0])))
