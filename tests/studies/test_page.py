"""What a study writes: tables of full precision, a page of three digits."""

from __future__ import annotations

import re

import pytest

from hwsim import studies
from hwsim.errors import UnknownName
from hwsim.studies.page import Study, Table, as_csv, as_markdown, percent, shown, write

TABLE = Table(
    "areas", "Areas", ("unit", "µm²", "published"), (("a, b", 1 / 3, None), ("c", 12345.6789, 2.2)), "Note."
)


def test_a_table_is_a_file_of_six_digits():
    assert as_csv(TABLE) == 'unit,µm²,published\n"a, b",0.333333,\nc,12345.7,2.2\n'


def test_rows_are_found_by_name():
    assert TABLE.select({"unit": "c"}) == [{"unit": "c", "µm²": 12345.6789, "published": 2.2}]
    assert TABLE.column("published") == [None, 2.2]
    assert len(TABLE.select({})) == 2


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "yes"), (8, "8"), (0.33333, "0.333"), (12345.6, "12346"), ("x", "x")]
)
def test_values_on_the_page(value, text):
    assert shown(value) == text


def test_percent():
    assert percent(0.336) == "34 %"


def test_page_names_its_command_its_conditions_and_its_files(tmp_path):
    brief = Table("few", "Few", ("bits", "x"), ((2, 1.0), (3, 2.0)), brief={"bits": (2,)})
    study = Study("pann", "Title", "Question?", ("One.", "Two."), {"tool": "Yosys"}, (TABLE, brief))
    page = write(study, tmp_path / "study")
    text = page.read_text()
    assert text == as_markdown(study)
    assert "Made by `hwsim study pann`." in text
    assert "- tool: Yosys" in text
    assert "| c | 12346 | 2.2 |" in text
    assert "Data: `few.csv`, all 2 rows" in text
    assert "| 3 | 2 |" not in text  # left to the file
    assert (page.parent / "few.csv").read_text() == "bits,x\n2,1\n3,2\n"


def test_an_unknown_study():
    with pytest.raises(UnknownName, match=re.escape("study must be one of pann, got 'pan'")):
        studies.run("pan", "nowhere")
