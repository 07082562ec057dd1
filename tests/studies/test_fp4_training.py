"""The study of training in four bits: its small grid from end to end, the same bits twice, noise where it must be."""

import csv
import json
import math
import xml.dom.minidom

import numpy as np
import pytest

from hwsim import quant, recipes, studies
from hwsim.report.studies import draw
from hwsim.studies import cells, fp4_training, fp4_variants

pytest.importorskip("torch")

from hwsim.nn.short_training import Trial, origin, train


def test_the_small_grid_from_end_to_end(tmp_path):
    folders = [
        studies.run("fp4_training", tmp_path / str(count), quick=True, workers=count).parent for count in (1, 2)
    ]
    tables = [[(folder / f"{name}.csv").read_text() for name in ("costs", "gradients", "runs")] for folder in folders]
    assert tables[0] == tables[1]
    rows = {(row["model"], row["recipe"]): row for row in csv.DictReader(tables[0][0].splitlines())}
    assert set(rows) == {(model, recipe) for model in ("gpt", "ngpt") for recipe in ("float32", "nvidia-nvfp4")}
    for (_, recipe), row in rows.items():
        assert 2 < float(row["loss"]) < 5.6  # ln 256 = 5.545 before the first step
        assert 15 < float(row["SNR dB"]) < 30  # relative error of E2M1 in blocks of 16, about 0.1 for each operand
        if recipe != "float32":
            difference = float(row["loss"]) - float(rows[row["model"], "float32"]["loss"])
            assert float(row["cost"]) == pytest.approx(difference, abs=1e-4)
            assert 0.5 < float(row["cosine"]) < 1
    page = (folders[0] / "study.md").read_text()
    assert "Made by `hwsim study fp4_training`." in page
    assert not (folders[0] / cells.LOG).exists()
    xml.dom.minidom.parse(str(draw(folders[0])))


def test_an_interrupted_study_goes_on_with_what_it_has(tmp_path, monkeypatch):
    trials = fp4_training.cells(fp4_training.QUICK)[:2]
    whole = cells.measured(trials, tmp_path)
    lines = (tmp_path / cells.LOG).read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    (tmp_path / cells.LOG).write_bytes(lines[0] + lines[1][:-20])  # killed in the second line
    told = []
    monkeypatch.setattr(Trial, "measure", lambda self: {"seed": self.seed} if self is trials[1] else 1 / 0)
    again = cells.measured(trials, tmp_path, advance=lambda *what: told.append(what))
    assert again == [whole[0], {"seed": trials[1].seed}]
    assert told == [(2, 2, "gpt float32 seed 1")]
    assert json.loads((tmp_path / cells.LOG).read_bytes().splitlines()[1])["value"] == {"seed": 1}


def test_the_second_gradient_changes_no_bit_of_the_training(monkeypatch):
    trial = Trial("gpt", recipes.get("nvidia-nvfp4"), 1, 3, 2, 32, origin())
    found = train(trial)
    assert found.steps == (1, 2, 3)
    assert found.gradient_ratios[0] is None  # the blocks begin as the identity: the head alone has a gradient
    assert all(0.5 < cosine < 1 for cosine in found.cosines[1:])
    monkeypatch.setattr("hwsim.nn.short_training.LOOKS", 0)
    again = train(trial)
    assert again.steps == ()
    assert (again.loss, again.loss_float32, again.snr_db) == (found.loss, found.loss_float32, found.snr_db)


@pytest.mark.parametrize("scale", fp4_variants.SCALES)
@pytest.mark.parametrize("block", fp4_variants.BLOCKS)
def test_variants_round_in_blocks_to_scales_of_their_format(block, scale):
    """Each block of a tensor is a multiple of E2M1 values by one scale of the format, within half a step of x."""
    operand = fp4_variants.Variant(block, scale).recipe.layer.fprop.a
    x = np.random.default_rng(block).standard_normal((3, 256)).astype(np.float32)
    made = quant.quantize(x, getattr(operand.scheme, "scheme", operand.scheme))
    values, blocks = made.dequantize().reshape(-1, block), np.abs(x).reshape(-1, block)
    steps = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for row, source in zip(np.abs(values), blocks, strict=True):
        if not row.any():
            continue
        fits = [top for top in steps[1:] if np.isclose(row[:, None], row.max() / top * steps, rtol=1e-6).any(1).all()]
        assert fits
        if scale in ("e4m3", "e3m4", "e2m5"):  # the largest element is 6 up to the rounding of its scale, 1/16
            assert row.max() == pytest.approx(source.max(), rel=1 / 6)


def test_the_cells_are_what_the_question_asks():
    trials = fp4_training.cells(fp4_training.FULL)
    assert len(set(trials)) == len(trials)
    named = {(trial.model, trial.name) for trial in trials}
    four = {"nvidia-nvfp4", "fp4-all-the-way-monitored", "quartet", "quartet2", "tetrajet2", "mxfp4"}
    assert {(model, name) for model in ("gpt", "ngpt") for name in four | {"float32", "mxfp8"}} <= named
    swept = {(one.block, one.scale) for one in fp4_variants.variants()}
    assert {(block, scale) for block in (8, 16, 32, 64, 128) for scale in ("e4m3", "e8m0")} <= swept
    assert {(16, scale) for scale in ("e1m6", "e2m5", "e3m4", "e4m3", "e5m2", "e6m1", "e8m0")} <= swept
    assert math.isclose(fp4_variants.finetuned()[1].schedule[0].at, 0.96)
    assert {trial.seed for trial in trials} == {0, 1, 2}
