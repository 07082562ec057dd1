"""Machines beside a front are priced as designs are, kept in the manifest, and drawn."""

from __future__ import annotations

import pytest

import hwsim
from hwsim.errors import UnknownName
from hwsim.report import render
from hwsim.search import load_space, load_study, with_baselines

from .test_explorer import space  # noqa: F401 - a fixture


def test_a_machine_stands_beside_the_front(space, tiny_trace, tmp_path):  # noqa: F811
    loaded = load_space(space)
    study = hwsim.explore(loaded, tiny_trace, trials=8, out=tmp_path / "run")
    assert study.baselines == {}
    made = with_baselines(study, loaded, tiny_trace, ["edge-int8", "edge-nvfp4"])
    machine = hwsim.load_accelerator("edge-int8")
    assert made.baselines["edge-int8"] == hwsim.evaluate(tiny_trace, machine).values()
    made.write(tmp_path / "run")
    assert load_study(tmp_path / "run").baselines == made.baselines
    page = render(made)
    assert "Diamonds are machines" in page
    assert '"machines":[{"name":"edge-int8","v":[' in page  # which the page's script draws
    assert "Diamonds" not in render(study)
    assert made.front == study.front


def test_a_machine_that_is_none(space, tiny_trace):  # noqa: F811
    loaded = load_space(space)
    study = hwsim.explore(loaded, tiny_trace, trials=2)
    with pytest.raises(UnknownName, match="machine must be one of edge-int8"):
        with_baselines(study, loaded, tiny_trace, ["edge-int9"])
