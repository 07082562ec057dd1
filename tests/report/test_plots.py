"""Figures and notebook objects: what is drawn are the study's own numbers, and what is shown is well-formed."""

from __future__ import annotations

import html.parser
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.errors import UnknownName
from hwsim.report import write_figures

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def study():
    return hwsim.load_study(ROOT / "reports" / "edge-lm")


@pytest.fixture(autouse=True)
def closed():
    import matplotlib

    matplotlib.use("Agg", force=True)
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def evaluation():
    return hwsim.evaluate(hwsim.load_trace("gpt-small"), hwsim.load_accelerator("edge-int8"))


def test_a_front_is_drawn_from_the_values_of_the_designs(study):
    axes = hwsim.plot_pareto(study, "energy_uj", "bits_per_byte")
    drawn = {tuple(row) for part in axes.collections for row in np.asarray(part.get_offsets())}
    feasible = {(one.values["energy_uj"], one.values["bits_per_byte"]) for one in study.points if one.feasible}
    assert drawn == feasible
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("energy, µJ per pass", "bits per byte")
    assert hwsim.plot_pareto(study).get_ylabel() == "bits per byte"


def test_given_axes_are_drawn_into_and_a_wrong_name_suggests_one(study):
    import matplotlib.pyplot as plt

    _, mine = plt.subplots()
    assert hwsim.plot_pareto(study, "area_mm2", "energy_uj", axes=mine) is mine
    with pytest.raises(UnknownName, match="energy_uj"):
        hwsim.plot_pareto(study, "energy_ju")
    with pytest.raises(UnknownName, match="component"):
        hwsim.plot_breakdown(study.front[0], by="componnt")


def test_bars_are_the_parts_and_add_up(evaluation):
    axes = hwsim.plot_breakdown(evaluation, most=4)
    lengths = [bar.get_width() for bar in axes.patches]
    assert len(lengths) == 5
    assert lengths[:4] == sorted(lengths[:4], reverse=True)
    assert sum(lengths) == pytest.approx(evaluation.energy_pj * 1e-6, rel=1e-12)  # one sum in another order
    layers = hwsim.plot_layers(evaluation)
    named = [label.get_text() for label in layers.get_xticklabels()]
    parts = evaluation.breakdown("layer").parts
    assert named == list(parts)
    assert [bar.get_height() for bar in layers.patches] == [part.value * 1e-6 for part in parts.values()]
    (other,) = [one for one in layers.figure.axes if one is not layers]
    assert other.get_ylabel() == "SQNR, dB"
    assert list(other.lines[0].get_ydata()) == [
        evaluation.sqnr_db[name] for name in named if name in evaluation.sqnr_db
    ]


def test_a_design_of_a_study_is_drawn_as_an_evaluation_is(study):
    axes = hwsim.plot_breakdown(study.front[0], "level")
    total = sum(study.front[0].detail["by_level_pj"].values()) * 1e-6
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(total, rel=1e-12)


def test_vector_figures_are_vectors_and_repeat_bit_for_bit(study, tmp_path):
    first = write_figures(study, tmp_path / "a")
    second = write_figures(study, tmp_path / "b")
    assert {path.name for path in first} == {
        f"{name}.{kind}"
        for name in ("front-energy_uj", "front-area_mm2", "front-latency_ms", "energy-component", "energy-layer")
        for kind in ("svg", "pdf")
    }
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert (tmp_path / "a" / "front-energy_uj.pdf").read_bytes().startswith(b"%PDF-")
    assert "<image" not in (tmp_path / "a" / "front-energy_uj.svg").read_text()
    with pytest.raises(UnknownName, match="svg"):
        write_figures(study, tmp_path, ("svgz",))


def test_a_study_as_a_table(study):
    frame = study.to_pandas()
    assert len(frame) == len(study.points)
    assert frame["pareto"].sum() == len(study.front)
    best = study.front[0]
    assert frame.set_index("number").loc[best.number, "energy_uj"] == best.values["energy_uj"]


class _Reader(html.parser.HTMLParser):
    """Texts of cells; fails on an element that is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_notebooks_show_tables(study, evaluation):
    trace = hwsim.load_trace("gpt-small")
    machine = hwsim.load_accelerator("edge-int8")
    shown = {one: _Reader(one._repr_html_()).cells for one in (trace, machine)}
    assert str(trace.workload.gemms[0].macs) in shown[trace]
    assert "32 × 32, ws" in shown[machine]
    values = _Reader(evaluation._repr_html_()).cells
    for name, value in evaluation.values().items():
        from hwsim.notebook import significant

        assert values[values.index(name) + 1] == significant(value)
    front = _Reader(study._repr_html_()).cells
    assert front[: 3 + len(study.objectives)] == ["number", "arithmetic", "array", *study.objectives]
    assert front[3 + len(study.objectives)] == str(study.thinned()[0].design.number)


def test_what_is_shown_is_escaped():
    from hwsim.notebook import heading, table

    assert "<script" not in heading("<script>") + table(("<b>",), [("<script>",)])
