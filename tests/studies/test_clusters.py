"""The studies of many chips, `caat` and `dropcompute`: small grids from end to end, values by closed forms."""

import csv
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw

pytest.importorskip("torch")


def rows(folder, table):
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_caat_from_end_to_end(tmp_path):
    folder = studies.run("caat", tmp_path, quick=True).parent
    times = rows(folder, "times")
    whole = {(row["phase"], row["chips"], row["link"]): row for row in times if row["p"] == "1"}
    for row in times:  # no all-reduce is hidden: 1 / (1 - f (1 - bytes')), latency stays
        base = whole[row["phase"], row["chips"], row["link"]]
        assert float(row["computing ms"]) == pytest.approx(float(base["computing ms"]), rel=1e-5)
        assert float(row["MB a chip sends"]) == pytest.approx(float(row["p"]) * float(base["MB a chip sends"]))
        slow = float(base["computing ms"]) + float(base["all-reduce ms"])
        assert float(row["speed-up"]) == pytest.approx(
            slow / (float(row["computing ms"]) + float(row["all-reduce ms"])), rel=1e-4
        )
    # 30 blocks of two all-reduces on 3 chips, 64 tokens of 576 channels at 16 bits, 12.4 / 6 us and 225 GB/s
    one = whole["prefill", "3", "nvlink3"]
    size = 64 * 576 * 2
    assert float(one["all-reduce ms"]) == pytest.approx(60e3 * 4 * (12.4e-6 / 6 + size / 3 / 225e9), rel=1e-4)
    assert float(one["MB a chip sends"]) == pytest.approx(60 * 2 * 2 / 3 * size / 1e6, rel=1e-4)
    assert {(row["ranks"], row["p"]) for row in rows(folder, "costs")} == {("1", "1"), ("2", "0.5")}
    assert "Made by `hwsim study caat`." in (folder / "study.md").read_text()
    xml.dom.minidom.parse(str(draw(folder)))


def test_dropcompute_from_end_to_end(tmp_path):
    folder = studies.run("dropcompute", tmp_path, quick=True).parent
    best = {(row["times"], row["meaning"]): row for row in rows(folder, "best")}
    assert len(best) == 4 * 3
    assert all(float(row["speed-up"]) >= 1 for row in best.values())
    own = best["normal", "preempt"]  # 64 workers, 6 micro-batches: draws beside the closed form
    assert float(own["speed-up"]) == pytest.approx(float(own["speed-up by formula"]), rel=0.01)
    for row in rows(folder, "curve"):
        assert float(row["finish"]) > 0
        # 2,560 drawn workers, whose kept parts deviate by at most 0.15: four standard errors
        assert float(row["kept"]) == pytest.approx(float(row["kept by formula"]), abs=4 * 0.15 / 2560**0.5)
    runs = rows(folder, "runs")
    for row in runs:
        assert 2 < float(row["loss"]) < 5.6
    costs = {row["rule"]: row for row in rows(folder, "costs")}
    assert set(costs) == {"none", "best, finish", "preempt, keep 50 %"}
    assert float(costs["none"]["cost"]) == 0
    assert float(costs["preempt, keep 50 %"]["kept"]) == pytest.approx(0.5, abs=0.2)
    xml.dom.minidom.parse(str(draw(folder)))
