"""The study of decode: machines by hand, its small grid from end to end."""

import csv
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw
from hwsim.studies import decode
from hwsim.workloads import load_model
from hwsim.workloads.sizes import sizes

pytest.importorskip("torch")


@pytest.mark.parametrize("name", decode.ARITHMETICS)
def test_machines_are_of_equal_products_and_reach_their_clock(name):
    """1,024 and 4 x 16,384 products a cycle; three lanes of a ternary unit leave 1,008 and 4 x 16,320 of them."""
    for case, products in zip(decode.cases()[1:], (1024, 4 * 16384), strict=True):
        machine = decode.machine_of(case, name)
        lanes = machine.policy.default.datapath.lanes
        less = {1024: 1008, 65536: 65280}[products] if lanes == 3 else products
        assert machine.array.units * lanes == less
        assert machine.f_max_ghz >= machine.clock_ghz


def test_the_gpt_is_that_of_the_model_file():
    """4 blocks of 12 x 192^2 weights, embedding and head of 256 x 192 each; norms with parameters besides."""
    found = sizes(decode.GPT)
    assert found.layer_macs == 4 * 12 * 192 * 192
    assert found.head_macs == 256 * 192
    assert sizes(load_model("llama3-8b")).layer_macs == 6_979_321_856


def test_the_small_grid_from_end_to_end(tmp_path):
    folder = studies.run("decode", tmp_path, quick=True).parent
    with (folder / "decode.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2
    weights = 4 * 12 * 192**2 + 256 * 192
    for row in rows:
        parts = sum(float(row[name]) for name in decode.PARTS)
        assert parts == pytest.approx(float(row["µJ/token"]), rel=1e-4)
        assert float(row["tokens/s/W"]) == pytest.approx(1e6 / float(row["µJ/token"]), rel=1e-4)
        if row["batch"] == "1":  # the bytes of weights and cache at 25.6 GB/s, no faster and within 15 %
            bits = {"int8": 8, "nvfp4": 4.5}[row["arithmetic"]]
            least = (weights + 4 * 2 * 192 * 256) * bits / 8 / 25.6e9
            assert least < 1 / float(row["tokens/s"]) < 1.15 * least
        if row["sized by"] == "products":  # bits of a weight x 1,024 products over 409.6 bits a cycle
            bits = {"int8": 8 + 32 / 192, "nvfp4": 4.5}[row["arithmetic"]]
            assert float(row["batch of the roof"]) == pytest.approx(bits * 1024 / 409.6, rel=0.02)
    page = (folder / "study.md").read_text()
    assert "Made by `hwsim study decode`." in page
    xml.dom.minidom.parse(str(draw(folder)))
