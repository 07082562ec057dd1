"""Each study from end to end on its small grid: what it must find, whatever the numbers."""

from __future__ import annotations

import csv
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw
from hwsim.rtl import tools

pytest.importorskip("torch")

TABLES = {
    "pann": {"formulas", "counted", "gates", "growth", "narrow", "conversion", "add_only", "accuracy"},
    "ternary_lut": {"adders", "area_int8", "area_fp16", "area_bf16", "best", "cores", "energy"},
    "luq": {"area", "claims", "parts", "accumulated", "energy", "energy_accumulated"},
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Name -> folder of the study on its small grid."""
    if not tools.available("yosys", "yosys-abc"):
        pytest.skip("Yosys is not installed")
    made = {}

    def folder(name):
        if name not in made:
            made[name] = studies.run(name, tmp_path_factory.mktemp(name), quick=True).parent
        return made[name]

    return folder


def rows(folder, table):
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", TABLES)
def test_a_study_leaves_its_page_its_tables_and_a_figure(quick, name):
    folder = quick(name)
    assert {path.stem for path in folder.glob("*.csv")} == TABLES[name]
    figure = draw(folder)
    page = (folder / "study.md").read_text()
    assert page.count(figure.name) == 1
    assert f"Made by `hwsim study {name}`." in page
    for condition in ("tool: Yosys", "library: hwsim45", "delay models", "operands:"):
        assert condition in page
    xml.dom.minidom.parse(str(figure))
    draw(folder)
    assert (folder / "study.md").read_text() == page  # drawing again adds nothing


def test_pann_finds_what_widths_and_bits_must_give(quick):
    folder = quick("pann")
    for row in rows(folder, "formulas"):
        for unit in ("signed", "unsigned"):
            assert row[f"paper {unit}"] in ("", row[unit])
            if row["bits"] == "4":  # in the small grid; partial products alone flip less than the formula's array
                assert 0.7 * float(row[unit]) < float(row[f"counted {unit}"]) < float(row[unit])
                assert float(row[f"toggles {unit}"]) > float(row[f"counted {unit}"])
    for row in rows(folder, "counted"):
        if row["operands"] == "uniform" and row["bits"] == "4":
            assert float(row["partial products"]) == pytest.approx(3 / 8 * 16, rel=0.1)  # ANDs of fair bits
            assert float(row["inputs"]) == pytest.approx(4, rel=0.1)
    for row in rows(folder, "gates"):
        assert float(row["toggles unit"]) >= float(row["toggles zero"]) > 0
    assert all(float(row["formula flips"]) == 10 for row in rows(folder, "add_only"))  # unsigned 2-bit unit


def test_ternary_tables_take_the_adders_they_must(quick):
    folder = quick("ternary_lut")
    assert [row["shared"] for row in rows(folder, "adders")] == ["2", "10", "36", "116", "358"]
    areas = [float(row["µ=2"]) for row in rows(folder, "area_fp16")]
    assert areas == sorted(areas, reverse=True)  # more readers share a table
    assert all(abs(float(row["error of the parts"])) < 0.15 for row in rows(folder, "cores"))


def test_luq_parts_are_those_of_the_published_totals(quick):
    gates = {row["part"]: int(row["published gates"]) for row in rows(quick("luq"), "parts")}
    assert gates["casts"] + gates["FP7 multiplier"] == 264
    assert gates["multiplier-free product"] == 49


def test_luq_compares_with_the_baseline_of_the_paper(quick):
    claims = {row["instead of"]: row for row in rows(quick("luq"), "claims")}
    paper = claims["paper's path: casts, then FP7 multiplier"]
    assert paper["published"] == "5.38776"  # 264 / 49
    assert 1 < float(paper["ratio"]) < float(paper["published"])
    assert float(claims["the same, synthesised together"]["ratio"]) < float(paper["ratio"])
