"""The study of published times: values by hand, limits of tiers, its small grid from end to end."""

import csv
import xml.dom.minidom
from math import hypot

import pytest

from hwsim import studies
from hwsim.report.studies import draw
from hwsim.studies.measured import KINDS, computed, rows


def one(number):
    return next(row for row in rows() if row["id"] == str(number))


def test_rows_by_hand():
    """All-reduce of 4 KiB: 13 us and 1.5 x 4,096 bytes at 10 GB/s. A prompt of 2,048 tokens of Llama-2-7B on A100."""
    assert len(rows()) == 99
    assert computed(one(14)) == pytest.approx(13 + 1.5 * 4096 / 10e9 * 1e6)
    flops, memory = 312e12 * 0.75, 2039e9 * 0.9
    linear = hypot(2 * (2048 * 6_476_005_376 + 131_072_000) / flops, 2 * (6_476_005_376 + 131_072_000) / memory)
    attention = hypot(4 * 32 * 4096 * 2048 * 2049 / 2 / flops, 2048 * 262_144 * 2 / memory)
    assert computed(one(51)) == pytest.approx(1e3 * (linear + attention), rel=1e-6)
    assert computed(one(94)) == pytest.approx(24.401 * 0.85)
    # a product of 64 x 12,288 x 12,288 moves 305 MB: 4 us and at least 176 us at 85 % of the bandwidth
    assert computed(one(1)) == pytest.approx(1e3 * (4e-6 + 197e-6), rel=0.02)


def test_a_static_batch_makes_what_its_steps_make():
    """80 sequences of 2,048 and 128 tokens on H100 in 8 bits: prompts take 2 x 163,840 x 6.476 G operations and their
    pairs, the 127 further steps the weights and 80 x 2,111 rows on average."""
    flops, memory = 2 * 989.4e12 * 0.75, 3352e9 * 0.9
    pairs = 80 * 2048 * 2049 / 2
    weights, head = 6_476_005_376, 131_072_000
    prefill = hypot(2 * (163_840 * weights + 80 * head) / flops, (weights + head) / memory) + hypot(
        4 * 32 * 4096 * pairs / flops, 163_840 * 262_144 / memory
    )
    rows_read = 80 * (2049 + 2175) / 2
    step = hypot(2 * 80 * (weights + head) / flops, (weights + head) / memory) + hypot(
        4 * 32 * 4096 * rows_read / flops, rows_read * 262_144 / memory
    )
    assert computed(one(33)) == pytest.approx(80 * 128 / (prefill + 127 * step), rel=1e-3)


def test_the_study_from_end_to_end(tmp_path):
    folder = studies.run("measured", tmp_path, quick=True).parent
    with (folder / "measured.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 99
    for row in found:
        assert row["kind"] in ("", *KINDS)
        if row["ours ÷ published"] and row["tier"] != "C":
            factor = float(row["ours ÷ published"])
            limit = {"A": 1.20, "B": 1.35}[row["tier"]]
            assert row["within"] == str(max(factor, 1 / factor) <= limit)
    own = [row for row in found if row["tier"] == "A" and row["kind"] == "product"]
    assert sum(row["within"] == "True" for row in own) == 16  # of 20: tile effects and a launch of 20 us
    assert "Made by `hwsim study measured`." in (folder / "study.md").read_text()
    xml.dom.minidom.parse(str(draw(folder)))
