"""The page: self-contained, complete, and the same for the same study."""

from __future__ import annotations

import dataclasses
import html.parser
import re

import pytest

from hwsim.errors import ArgumentError
from hwsim.evaluation import Confirmation
from hwsim.report import render, significant, write_report
from hwsim.search.study import Point, Study

GOALS = {"bits_per_byte": "min", "energy_uj": "min", "area_mm2": "min", "latency_ms": "min"}


def _point(number, family, loss, energy, **kwargs):
    values = {
        "bits_per_byte": loss,
        "energy_uj": energy,
        "area_mm2": 1.0 + number,
        "latency_ms": 5.0,
        "power_mw": 2.0,
    }
    detail = {
        "family": family,
        "numerics": f"{family}.te" + (" twin" if number == 2 else ""),
        "array": "8×8 ws",
        "energy_pj": {"multipliers": energy * 6e5, "dram": energy * 4e5},
        "area_um2": {"array": 5e5, "sram": 5e5 + number * 1e6},
        "sqnr_db": {"blocks.0.qkv": 21.0 if family == "nvfp4" else 41.0, "head": 18.5},
        "sources": {"multipliers": "Source of <multipliers> & co, ±10 %"},
    }
    return Point(number, (("unit", family), ("rows", 8)), "gpt", values, kwargs.get("over", {}), detail)


@pytest.fixture
def study():
    points = [
        _point(number, ["nvfp4", "int8"][number % 2], 1.4 + 0.01 * number, 30.0 - number) for number in range(9)
    ]
    points.append(Point(9, (("unit", "broken"),), None, {}, reason="rows: must be positive, got 0"))
    manifest = {
        "title": "A test", "space": "t", "space_size": 1000, "left_out": ["unit=ternary (model bitnet)"],
        "parameters": {"unit": ["nvfp4", "int8"], "rows": [8]}, "constraints": ["area_mm2 ≤ 8"],
        "objectives": list(GOALS), "goals": GOALS, "accuracy": "rerun", "energy": "trace",
        "metric": "bits_per_byte",
        "traces": {"gpt": {"digest": "abc", "macs": 1000, "weights": "0"}}, "baseline": {"gpt": 1.39},
        "sampler": "NSGA-II, population 50",
        "trials": 10, "seed": 0, "hwsim": "0", "python": "3", "finished": True,
    }  # fmt: skip
    return Study(tuple(points), manifest)


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.loads, self.open = [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action") and not (value or "").startswith(("#", "data:")):
                self.loads.append((tag, value))


def test_page_loads_nothing_from_elsewhere(study):
    page = render(study)
    links = _Links()
    links.feed(page)
    assert links.loads == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_every_design_of_the_front_is_in_the_table_with_its_values(study):
    page = render(study)
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert body.count("<tr>") == len(study.pareto) == 9
    for point in study.pareto:
        assert f'data-value="{point.values["energy_uj"]}"' in body


def test_marks_and_names_agree_in_number(study):
    page = render(study)
    for view in ("v0", "v5"):
        group = re.search(rf'<g id="{view}:front:nvfp4">(.*?)</g>\s*</g>', page, re.DOTALL)
        assert group is not None
        assert group.group(1).count("<use ") == sum(point.detail["family"] == "nvfp4" for point in study.pareto)


def test_columns_of_the_heat_map_that_are_alike_are_one(study):
    page = render(study)
    assert page.count("nvfp4.te (and 1 alike)") == 1


def test_sources_failures_and_omissions_are_told_and_escaped(study):
    page = render(study)
    assert "Source of &lt;multipliers&gt; &amp; co, ±10 %" in page
    assert "rows: must be positive, got 0" in page
    assert "unit=ternary (model bitnet)" in page


def test_the_same_study_gives_the_same_bytes(study):
    assert render(study) == render(study)


def test_a_study_without_a_feasible_design_has_no_page(study, tmp_path):
    empty = Study(study.points[-1:], study.manifest)
    with pytest.raises(
        ArgumentError, match="study t: a report needs at least one feasible design: none of 1 designs"
    ):
        write_report(empty, tmp_path)


def _confirmed(study, **changes):
    """The front in gates: logic of every design 10 % dearer, and 5 % larger, than the fit says."""
    records = {}
    for point in study.pareto:
        energy, area = point.values["energy_uj"] * 1e6, point.values["area_mm2"] * 1e6
        logic, own = 0.5 * energy, 0.5 * area
        record = Confirmation(
            f"d{point.number}", energy, energy + 0.1 * logic, logic, 1.1 * logic,
            area, area + 0.05 * own, own, 1.05 * own, "zero", "",
        )  # fmt: skip
        records[point.number] = dataclasses.replace(record, **changes)
    return dataclasses.replace(study, confirmed=records)


def test_gates_stand_beside_the_fitted_numbers(study):
    page = render(_confirmed(study))
    section = page[page.index("<h2>In gates</h2>") :]
    assert "<td>9.1%</td><td>9.1%</td>" in section  # 1 - 1 / 1.1
    assert "<td>4.8%</td><td>4.8%</td>" in section  # 1 - 1 / 1.05
    point = study.pareto[0]
    energy = point.values["energy_uj"]
    assert f"{significant(1.05 * energy)}</td>" in section  # half of it is logic, dearer by a tenth
    assert section.count("-9.1 %</td>") == len(study.pareto)


def test_designs_without_gates_say_why_and_others_are_not_asked(study):
    page = render(_confirmed(study, reason="Yosys is needed: apt install yosys"))
    assert "9 designs without gates: Yosys is needed: apt install yosys" in page
    assert "95th percentile" not in page
    assert "In gates" not in render(study)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (1.23456, "1.235"), (12, "12"), (1e-5, "1.000e-05"), (123456.0, "1.235e+05"), ("x", "x")],
)
def test_numbers_are_shown_with_four_digits(value, text):
    assert significant(value) == text
