"""Pages: every file, module, command and name that they mention exists, and every link leads somewhere."""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import statistics
from pathlib import Path

import pytest

import hwsim
from hwsim import studies

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "docs/architecture.md", "docs/extending.md", "docs/fidelity.md", "docs/free_numerics.md", "docs/papers.md",
    "docs/questions.md", "docs/three_spaces.md",
    *(f"docs/tutorials/{path.name}" for path in sorted((ROOT / "docs" / "tutorials").glob("*.md"))),
    "CONTRIBUTING.md", "README.md",
)  # fmt: skip
TOP = "hwsim|models|traces|dse|reports|tests|docs"
MADE = ("reports/run", "reports/my_cnn", "traces/gpt", "traces/my_cnn", "traces/spirals", "traces/vit", "results/")
"""What commands of the pages write."""


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    named = set(re.findall(rf"(?<![\w/.-])((?:{TOP})/[\w./-]*)", _text(page)))
    lost = sorted(
        path for path in (one.rstrip("./") for one in named)
        if not path.startswith(MADE) and "NAME" not in path and not (ROOT / path).exists()
    )  # fmt: skip
    assert not lost


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#:]+)\)", _text(page))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_a_page_names_exist(page):
    from hwsim.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"(?:`|^)hwsim ([a-z]+)", _text(page), re.MULTILINE))
    assert named <= known, named - known
    makefile = _text("Makefile")
    for target in re.findall(r"`make ([a-z-]+)`", _text(page)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for module in re.findall(r"python -m ([\w.]+)", _text(page)):
        assert importlib.util.find_spec(module) is not None, module


def test_the_architecture_names_what_is_there():
    from hwsim.datapaths import base

    page = _text("docs/architecture.md")
    for name in re.findall(r"`hwsim\.(\w+)`", page):
        assert hasattr(hwsim, name) or importlib.util.find_spec(f"hwsim.{name}"), name
    views = page.partition("## A unit")[2].partition("Rules that hold")[0]
    rows = re.findall(r"^\| [a-z: ]+ \| (.+?) \|", views, re.MULTILINE)[1:]
    assert len(rows) == 8
    for row in rows:
        head, _, inner = row.partition("→")
        kind, _, members = inner.partition(":")
        for member in re.findall(r"`(\w+)`", head):
            assert hasattr(base.Datapath, member), member
        if inner:
            record = getattr(base, kind.strip(" `"))
            known = set(dir(record)) | set(getattr(record, "__dataclass_fields__", ()))
            assert set(re.findall(r"`(\w+)`", members)) <= known
    (named,) = re.findall(r"`hwsim study (\w+)`, and (.*?) \|", page)
    assert {named[0], *re.findall(r"`(\w+)`", named[1])} == set(studies.NAMES)


def test_the_layers_of_the_pages_are_those_that_are_checked():
    house = ast.parse(_text("tests/test_house.py"))
    assigned = [node for node in house.body if isinstance(node, ast.Assign)]
    (node,) = [one for one in assigned if getattr(one.targets[0], "id", "") == "LAYERS"]
    layers = ast.literal_eval(node.value)
    page = _text("docs/architecture.md").partition("## Layers")[2]
    line = re.search(r"`errors`, .*?`cli`", page, re.DOTALL)
    assert line is not None
    assert [re.findall(r"`(\w+)`", part) for part in line[0].split("<")] == [list(rooms) for rooms in layers]
    table = _text("CONTRIBUTING.md").partition("| room |")[2].partition("A module imports")[0]
    rooms = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)]
    assert [room for row in rooms for room in row] == [room for layer in layers for room in layer]


def test_the_examples_are_as_long_as_the_page_says():
    rows = re.findall(r"^\| `(docs/\w+\.py)` \| (\d+)", _text("docs/extending.md"), re.MULTILINE)
    assert {path for path, _ in rows} == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.py")}
    for path, lines in rows:
        assert len(_text(path).splitlines()) == int(lines), path


def test_the_first_page_tells_what_the_committed_search_found():
    study = hwsim.load_study(ROOT / "reports/edge-lm")
    page = _text("README.md")
    rows = re.findall(
        r"\| ([\d×]+), \w+ stay[^|]*\| ([\d.]+) \| (\d+), (\d+) \| ([\d.]+), ([\d.]+) \| ([\d.]+) \|", page
    )
    assert len(rows) == 5
    known = []
    for point in [one for one in study.front if one.number in study.confirmed]:
        knobs, gates = dict(point.point), study.confirmed[point.number]
        known.append((
            f"{knobs['rows']}×{knobs['cols']}", f"{point.values['bits_per_byte']:.3f}", f"{gates.trace_pj / 1e6:.0f}",
            f"{gates.gates_pj / 1e6:.0f}", f"{gates.fitted_um2 / 1e6:.3f}", f"{gates.synthesized_um2 / 1e6:.3f}",
            f"{point.values['latency_ms']:.2f}",
        ))  # fmt: skip
    for row in rows:
        assert row in known, row
    least: dict[str, float] = {}
    for point in study.front:
        unit = str(dict(point.point)["unit"])
        least[unit] = min(least.get(unit, math.inf), point.values["energy_uj"])
    line = page.partition("The order of the formats turned: ")[2].partition("µJ")[0]
    told = {name.lower(): int(value) for name, value in re.findall(r"(\w+) (\d+)", line)}
    assert len(told) == 6
    assert told == {name: round(least[name]) for name in told}
    chances = study.chances()
    assert f"{sum(chance < 0.75 for chance in chances.values())} of {len(chances)} neighbours" in page

    def factor(what: str) -> float:
        found = []
        for point in study.detailed:
            parts, shares = point.detail[what], {}
            for part, causes in point.detail["causes"][what].items():
                for cause, sigma in causes.items():
                    shares[cause] = shares.get(cause, 0.0) + sigma * parts[part] / sum(parts.values())
            found.append(math.exp(math.hypot(*shares.values())))
        return statistics.median(found)

    assert f"energy is known to a factor of {factor('energy_pj'):.2f}, area to {factor('area_um2'):.2f}" in page
