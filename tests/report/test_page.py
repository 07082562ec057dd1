"""The page: self-contained, complete, and the same for the same study."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re

import pytest

from hwsim.errors import ArgumentError
from hwsim.evaluation import Confirmation
from hwsim.report import render, significant, write_report
from hwsim.report.data import shown_designs
from hwsim.report.sections import SECTIONS, questions
from hwsim.search.study import Study


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


def _data(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_every_design_is_in_the_page_with_its_values(study):
    data = _data(render(study))
    assert data["front"] == [8, 7, 6, 5, 4, 3, 2, 1, 0]  # by rising energy: 30 - number
    columns = [one["id"] for one in data["columns"]]
    assert columns == ["bits_per_byte", "energy_uj", "area_mm2", "latency_ms", "power_mw"]
    held = {one["n"]: one for one in data["designs"]}
    assert held[3]["v"] == [1.43, 27.0, 4.0, 5.0, 2.0]
    assert held[3]["k"] == ["int8", 8]
    assert held[3]["e"] == {"energy_pj": 1.3, "area_um2": 1.2}
    assert data["units"][held[3]["unit"]] == "int8"
    goals = {one["id"]: one["goal"] for one in data["columns"]}
    assert goals == dict.fromkeys(columns, "min")  # that of the metric is the study's own


def test_parts_of_the_vector_unit_are_one_and_units_are_micro(study):
    parts = _data(render(study))["parts"]["0"]
    assert parts["energy"] == {"multipliers": 18.0, "dram": 11.7, "vector unit": 0.3}  # 30 µJ: 60 %, 39 %, 1 %
    assert parts["area"] == {"array": 0.5, "sram": 0.5}
    assert parts["level"] == {"dram": 11.7, "array": 18.3}


def test_chances_of_the_page_are_those_of_the_study(study):
    chances = _data(render(study))["chances"]
    assert chances["order"][:2] == [8, 7]
    # all parts of one design are the same part of another: their errors are shared, and the order is sure
    assert chances["energy_pj"][0][1] == 100
    assert chances["energy_pj"][1][0] == 0
    assert chances["energy_pj"][0][0] == 50


def test_answers_name_the_best_the_next_and_how_sure(study):
    answer = _section(render(study), "answer")
    assert [one.title for one in questions(study)] == [
        "least energy",
        "least energy within 2% of float32's bits per byte",  # 1.39 * 1.02 = 1.4178: designs 0 and 1
        "smallest", "fastest", "most accurate",
    ]  # fmt: skip
    assert [one.answer.best.number for one in questions(study)] == [8, 1, 0, 0, 0]
    assert "#8 nvfp4.te · 8×8 ws" in answer
    assert "Next: #7 int8.te · 8×8 ws, ×1.045." in answer  # 23 / 22
    assert "The first is really better: 100 %" in answer


def test_a_section_without_anything_to_show_is_left_out(study):
    assert 'id="anatomy"' in render(study)
    bare = [
        dataclasses.replace(
            point, detail={key: one for key, one in point.detail.items() if key in ("family", "numerics", "array")}
        )
        for point in study.points
    ]
    page = render(dataclasses.replace(study, points=tuple(bare)))
    absent_ones = ("anatomy", "breakdown", "links", "precision", "gates")
    for absent in absent_ones:
        assert f'id="{absent}"' not in page
    for section in SECTIONS:
        assert (f'id="{section.id}"' in page) == (section.id not in absent_ones)


def test_designs_off_the_front_are_thinned_and_the_front_is_not(study, monkeypatch):
    worse = [
        dataclasses.replace(
            study.points[0], number=number, values={**study.points[0].values, "energy_uj": 99.0, "area_mm2": 1.5}
        )
        for number in range(100, 140)
    ]
    monkeypatch.setattr("hwsim.report.data.MOST_DESIGNS", 5)
    shown = shown_designs(dataclasses.replace(study, points=(*study.points, *worse)))
    assert [point.number for point in shown] == [8, 7, 6, 5, 4, 3, 2, 1, 0, 100, 110, 120, 129, 139]  # ends kept


def _section(page, name):
    start = page.index(f'<section id="{name}"')
    return page[start : page.index("</section>", start)]


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
    for point in study.front:
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
    section = _section(page, "gates")
    assert "<td>9.1%</td><td>9.1%</td>" in section  # 1 - 1 / 1.1
    assert "<td>4.8%</td><td>4.8%</td>" in section  # 1 - 1 / 1.05
    point = study.front[0]
    energy = point.values["energy_uj"]
    assert f"{significant(1.05 * energy)}</td>" in section  # half of it is logic, dearer by a tenth
    assert section.count("-9.1 %</td>") == len(study.front)


def test_designs_without_gates_say_why_and_others_are_not_asked(study):
    page = render(_confirmed(study, reason="Yosys is needed: apt install yosys"))
    assert "9 designs without gates: Yosys is needed: apt install yosys" in page
    assert "95th percentile" not in page
    assert 'id="gates"' not in render(study)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (1.23456, "1.235"), (12, "12"), (1e-5, "1.000e-05"), (123456.0, "1.235e+05"), ("x", "x")],
)
def test_numbers_are_shown_with_four_digits(value, text):
    assert significant(value) == text
