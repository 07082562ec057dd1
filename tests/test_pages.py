"""Tutorials, questions and notebooks run as they stand, and the reference is what the catalogues say today."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwsim.nn import load_file
from hwsim.report import reference
from hwsim.rtl.tools import available

ROOT = Path(__file__).resolve().parent.parent
pages = load_file(Path(__file__).with_name("pages.py"))

FAST = ("first-result", "own-model", "own-machine", "own-space", "own-unit", "serving")
LONG = ("training-recipe", "cluster", "own-pdk")


def _runs(page, folder):
    found = pages.run(ROOT / page, folder)
    assert pages.differences(found) == []
    assert any(block.language == "sh" for block in found)


@pytest.mark.parametrize("page", FAST)
def test_a_tutorial_runs(page, tmp_path):
    _runs(f"docs/tutorials/{page}.md", tmp_path)


@pytest.mark.slow  # trainings, a cluster, and circuits to fit: a minute each
@pytest.mark.parametrize("page", LONG)
def test_a_long_tutorial_runs(page, tmp_path):
    if page == "own-pdk" and not available("yosys"):
        pytest.skip("needs Yosys (apt install yosys)")
    _runs(f"docs/tutorials/{page}.md", tmp_path)


def test_every_tutorial_is_run_and_the_questions_are_ten():
    assert {path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")} == {*FAST, *LONG}
    text = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^## (\d+)\. .*\?$", text, re.MULTILINE)] == list(range(1, 11))


def test_the_questions_have_the_answers_of_the_page(tmp_path):
    _runs("docs/questions.md", tmp_path)


def test_a_wrong_answer_and_a_wrong_command_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nhwsim list spaces\n```\n```text\nedge-lm\n```\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert len(pages.differences(pages.run(page, tmp_path / "a"))) == 1
    page.write_text("```sh\nhwsim list spices\n```\n")
    with pytest.raises(AssertionError, match="hwsim list spices"):
        pages.run(page, tmp_path / "b")


def test_the_reference_is_what_the_catalogues_say():
    made = reference.pages()
    folder = ROOT / "docs" / "reference"
    assert {path.name for path in folder.glob("*.md")} == set(made)
    for name, text in made.items():
        again = f"{name}: python -m hwsim.report.reference docs/reference"
        assert (folder / name).read_text(encoding="utf-8") == text, again


def test_figures_of_the_fidelity_page_are_those_of_the_reports():
    page = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    reports = ROOT / "reports"
    calibration = (reports / "calibration.md").read_text(encoding="utf-8")
    rows = {"energy of a unit's logic, `trace`": "| all | ", "area of a unit": "| all families | "}
    for what, head in rows.items():
        row = next(line for line in calibration.splitlines() if line.startswith(head))
        (told,) = [line for line in page.splitlines() if line.startswith(f"| {what}")]
        figures = re.findall(r"([\d.]+)%", row)
        assert re.findall(r"([\d.]+) %", told.split("|")[-2]) == figures
    cases = re.search(r"comparisons, ([\d,]+) cases, (\d+) differences", (reports / "verify.md").read_text())
    assert cases is not None
    assert f"{cases[1]} cases, {cases[2]} differences" in page
    chips = re.search(r"(\d+ of \d+) published quantities", (reports / "study-chips" / "study.md").read_text())
    assert chips is not None
    assert f"{chips[1]} quantities within their limits" in page
    clocks = " ".join((reports / "clocks.md").read_text().split())
    assert "factor of 1.5: 1.4 of the node's FO4 and 1.25 of the depth" in clocks
    assert "a factor of 1.5: 1.4 of the node's FO4, 1.25 of the depth" in page


def test_every_study_has_its_papers():
    from hwsim import studies

    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(\.\./reports/study-(\w+)/study\.md\)", page, re.MULTILINE)
    assert [name for name, _ in rows] == [name for _, name in rows]
    assert {name for name, _ in rows} == set(studies.NAMES)


RUN = """
import sys, nbformat, nbclient
book = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
shown = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
for kind in ("text/html", "image/png"):
    print(sum(kind in out.get("data", {}) for out in shown))
"""


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))),
    reason="needs nbclient and ipykernel (pip install nbclient ipykernel)",
)
@pytest.mark.parametrize(
    ("name", "tables", "figures"), [("first_result", 4, 2), ("a_study", 2, 2), ("emulation", 0, 0)]
)
def test_a_notebook_runs(name, tables, figures):
    path = ROOT / "docs" / "notebooks" / f"{name}.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(path.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [int(count) for count in done.stdout.split()] == [tables, figures]


def test_notebooks_are_committed_without_what_a_run_left():
    import json

    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells), path.name
