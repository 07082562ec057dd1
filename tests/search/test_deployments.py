"""Spaces of whole models on many chips: what they say, what they refuse, and that every knob has two sides."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim import workbench
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation import Evaluator, evaluate_phase
from hwsim.evaluation.deployment import Asked, Deployment, deploy
from hwsim.evaluation.serving import planned
from hwsim.search import sweep
from hwsim.search.baselines import with_baselines
from hwsim.search.shards import work
from hwsim.search.space_file import load_space, space_from_dict
from hwsim.timing.clusters.collectives import link
from hwsim.timing.serving import Engine, Requests, serve
from hwsim.workloads import Parallel, load_model

NAMES = ("edge-decode", "datacenter-nvfp4")


@pytest.fixture(scope="module")
def trace():
    return hwsim.load_trace("traces/gpt-small")


def _tables(name: str) -> dict:
    return tomllib.loads(workbench.find("dse", name, ".toml").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_space_says_what_runs(name):
    space = load_space(name)
    assert space.deploys
    assert space_from_dict(space.to_dict(), "again") == space
    design = space.design(next(space.draws()))
    tables = _tables(name)
    assert design.deployment.model == load_model(tables["phase"]["model"])
    assert design.deployment.context == tables["phase"]["context"]
    assert not load_space("edge-lm").deploys


def test_knobs_reach_the_phase():
    space = load_space("datacenter-nvfp4")
    first = next(space.draws())
    made = space.design(first | {"tensor": 4, "pipeline": "2 stages", "data": 2, "expert": 4, "batch": 256})
    assert made.deployment.chips == Parallel(4, 2, 2, 4, microbatches=2)
    assert made.deployment.batch == 256
    assert made.deployment.requests == Asked(**_tables("datacenter-nvfp4")["phase"]["requests"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"phase": {"model": "llama3.2-1b", "batches": 2}}, "batches"),
        ({"phase": {"model": "llama3.2-1b", "phase": "verify"}}, "phase"),
        ({"phase": {"model": "llama3.2-1b", "chips": {"tensor": 3}}}, "tensor 3 must divide 32 heads"),
        ({"phase": {"model": "llama3.2-1b", "chips": {"ring": 3}}}, "ring"),
        ({"objectives": ["tokens_w"], "phase": None}, "a space without the table phase has no such measure"),
        ({"constraints": {"chip_gb": {"max": 1.0}}, "phase": None, "objectives": ["area"]}, "no such measure"),
    ],
)
def test_what_is_wrong_is_said(change, told):
    tables = {name: table for name, table in (_tables("edge-decode") | change).items() if table is not None}
    with pytest.raises(DesignError, match=told):
        space_from_dict(tables, "edited")


def test_a_design_is_the_phase_that_it_states(trace):
    """Measures by hand from `evaluate_phase` on the same chip; requests from the engine of one copy."""
    space = load_space("datacenter-nvfp4")
    draw = next(space.draws()) | {"tensor": 4, "data": 2, "expert": 4}
    design, lender = space.design(draw), Evaluator(trace)
    found = deploy(design.deployment, design.accelerator, lender)
    chips, wire = Parallel(4, 1, 2, 4), link("2.0,225,9.0")
    one = evaluate_phase(
        load_model("qwen3-30b-a3b"), design.accelerator, "decode", 64, 4096, lender, chips, wire
    )  # fmt: skip
    values = found.values()
    assert values["latency_ms"] == one.latency_s * 1e3
    assert values["energy_uj"] == one.energy_pj * 1e-6
    assert values["area_mm2"] == pytest.approx(32 * one.parts[0][0].area_um2 * 1e-6)
    assert values["tokens_s_w"] == pytest.approx(64 / (one.energy_pj * 1e-12))
    assert values["tokens_s_w"] == pytest.approx(values["tokens_s"] / (values["power_mw"] * 1e-3))
    assert (values["memory_gb"], values["chip_gb"]) == (one.memory_bytes * 1e-9, one.chip_bytes * 1e-9)
    assert values["sqnr_db"] == lender.accuracy(design.accelerator.policy)
    # 8 engines of 8 sequences, each asked an eighth of 8 requests a second
    cost = planned(load_model("qwen3-30b-a3b"), design.accelerator, lender, Parallel(4, expert=4), wire).cost
    lengths = np.array([1024]), np.array([128])
    done = serve(Engine(cost, sequences=8), Requests.poisson(50, 1.0, *lengths, seed=0))
    assert values["attainment"] == done.attainment(1.0, 0.03)
    detail = found.detail()
    assert math.fsum(detail["energy_pj"].values()) == pytest.approx(one.energy_pj, rel=1e-9)
    assert math.fsum(detail["area_um2"].values()) == pytest.approx(values["area_mm2"] * 1e6, rel=1e-9)
    assert detail["energy_pj"]["links"] == pytest.approx(one.links.value, rel=1e-9)
    assert detail["array"].endswith("ws, tensor 4, data 2, expert 4")
    assert detail["borrowed"].startswith("sqnr_db of gpt, whose products stand for those of qwen3-30b-a3b; flips")


def test_without_requests_nothing_is_attained(trace):
    machine = load_space("edge-decode").design(next(load_space("edge-decode").draws())).accelerator
    found = deploy(Deployment(load_model("smollm2-135m"), context=64), machine, Evaluator(trace))
    assert "attainment" not in found.values()


def _grid(space, most: int, **held: str):
    """Some knobs held, and of all others the first `most` - 1 values and the last one."""
    space = space.held(held)
    return space._with([
        replace(one, values=tuple(dict.fromkeys((*one.values[: most - 1], one.values[-1]))))
        for one in space.parameters
    ])  # fmt: skip


GRIDS = [
    ("edge-decode", {}),
    ("datacenter-nvfp4", {"unit": "nvfp4", "link": "2.0,225,9.0"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "held"), GRIDS)
def test_every_knob_has_two_sides(name, held, trace):
    """On the exhaustive front of a coarse grid stand designs of the first and of the last value of every knob."""
    grid = _grid(load_space(name), 2, **held)
    study = sweep(grid, trace)
    assert len(study.points) == grid.size
    assert study.manifest["certificate"]["exhaustive"]
    sides = {one.name: {dict(point.point)[one.name] for point in study.front} for one in grid.parameters}
    assert sides == {one.name: set(one.values) for one in grid.parameters}


def test_a_sweep_is_written_and_goes_on(trace, tmp_path):
    held = {"unit": "nvfp4", "cols": "16", "supply": "high", "weight_kib": "128", "dataflow": "ws",
            "port_bits": "1024"}  # fmt: skip
    grid = _grid(load_space("edge-decode"), 2, **held)
    assert grid.size == 4
    study = sweep(grid, trace, tmp_path / "study")
    again = sweep(grid, trace, tmp_path / "study", resume=True)
    assert again.points == study.points
    direct = deploy(grid.design(dict(study.points[1].point)).deployment,
                    grid.design(dict(study.points[1].point)).accelerator, Evaluator(trace))  # fmt: skip
    assert study.points[1].values == pytest.approx(direct.values(), rel=1e-12)
    loaded = hwsim.load_study(tmp_path / "study")
    assert loaded.query(maximize="tokens_w").best.values["tokens_s_w"] == max(
        point.values["tokens_s_w"] for point in study.points
    )
    assert hwsim.write_report(loaded, tmp_path / "study").is_file()
    with pytest.raises(ArgumentError, match="swept by one process"):
        work(grid, trace, "1/2", tmp_path / "shards")
    with pytest.raises(ArgumentError, match="beside designs of one trace"):
        with_baselines(study, grid, trace, ["edge-int8"])
