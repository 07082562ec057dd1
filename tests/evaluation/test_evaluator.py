"""An evaluation is the sum of its parts, and what depends on numerics alone is computed once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import hwsim
from hwsim.errors import ArgumentError, DesignError, TraceError
from hwsim.evaluation import Evaluator, Memo, mean_sqnr_db, replay
from hwsim.evaluation.area import area
from hwsim.evaluation.ledger import GROUPINGS
from hwsim.evaluation.prices import machine_prices
from hwsim.trace import Gemm, Operand, TraceWriter

MACHINES = ["edge-nvfp4", "edge-mxfp4", "edge-int8", "edge-int4"]


@pytest.fixture
def machine():
    return hwsim.load_accelerator("edge-int8")


@pytest.mark.parametrize("name", MACHINES)
def test_energy_latency_and_area_are_sums_over_the_workload(tiny_trace, memo, name):
    machine = hwsim.load_accelerator(name)
    result = Evaluator(tiny_trace, memo=memo)(machine)
    assert result.latency_cycles == sum(step.cycles.latency for step in result.plan.steps)
    assert result.macs == 48 * 24 * 64 + 2 * 16 * 16 * 32
    assert sum(product.macs for step in result.plan.steps for product in step.products) == result.macs
    for by in GROUPINGS:
        assert sum(part.value for part in result.breakdown(by).parts.values()) == result.energy_pj
    assert result.area_um2 == area(machine, machine_prices(machine)).value
    assert result.borrowed == "no operator graph: each product alone, by way of DRAM"
    values = result.values()
    assert values["power_mw"] == pytest.approx(values["energy_uj"] / values["latency_ms"])  # µJ / ms = mW
    assert all(text for text in result.detail()["sources"].values())


def test_sqnr_is_the_definition(tiny_trace, machine):
    measured = replay(tiny_trace, machine.policy)
    gemm = tiny_trace[0]
    a, b = gemm.a.values[0], gemm.b.values[0]
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    noise = machine.policy.default.gemm(a, b) - exact
    assert measured["up"] == pytest.approx(10 * np.log10(np.square(exact).sum() / np.square(noise).sum()))
    assert list(measured) == ["up", "qk"]
    macs = {"up": 48 * 24 * 64, "qk": 2 * 16 * 16 * 32}
    mean = sum(measured[layer] * macs[layer] for layer in macs) / sum(macs.values())
    assert mean_sqnr_db(measured, tiny_trace) == pytest.approx(mean)


def _recorded(folder, *layers):
    """A trace of linear layers: name, a ``[M, K]``, b ``[N, K]``."""
    with TraceWriter(folder, {"model": "made", "model_spec": None, "weights": "0"}) as writer:
        for name, a, b in layers:
            operands = Operand(a[None], "activation", len(a)), Operand(b[None], "weight", len(b))
            writer.append(Gemm(name, "linear", "forward", 0, 1, len(a), len(b), a.shape[1], *operands))
    return hwsim.load_trace(folder)


def test_what_is_not_finite_stays_so_and_zeros_count_nothing(tmp_path):
    class Numerics:
        def __init__(self, made):
            self.made = made

        def gemm(self, a, b, b_role, *seed):
            return self.made(a, b)

    class Policy:
        def __init__(self, **made):
            self.made = made

        def for_gemm(self, layer, b_role):
            return Numerics(self.made[layer])

    def rough(a, b):
        return a @ b.T * np.float32(0.9)

    def broken(a, b, value=np.nan):
        made = a @ b.T
        made[0, 0] = value
        return made

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 8), np.float32), rng.standard_normal((3, 8), np.float32)
    trace = _recorded(tmp_path / "t", ("one", a, b), ("two", a, b), ("nothing", a, 0 * b))
    plain = replay(trace, Policy(one=rough, two=rough, nothing=rough))
    assert list(plain) == ["one", "two"]
    assert mean_sqnr_db(plain, trace) == pytest.approx(20, abs=1e-3)  # the tenth of a signal
    for value in (np.nan, np.inf, -np.inf):
        found = replay(trace, Policy(one=rough, two=lambda a, b, v=value: broken(a, b, v), nothing=rough))
        assert found == {"one": plain["one"], "two": -np.inf}
        with pytest.raises(
            DesignError, match="two: products must be finite, and zero where they should be, got -inf"
        ):
            mean_sqnr_db(found, trace)
    found = replay(trace, Policy(one=rough, two=rough, nothing=lambda a, b: a @ b.T + 1))
    assert found["nothing"] == -np.inf
    with pytest.raises(TraceError, match="trace must have a product that is not zero"):
        mean_sqnr_db({}, trace)


def test_finer_arithmetic_has_the_larger_sqnr(tiny_trace, memo):
    found = [Evaluator(tiny_trace, memo=memo)(hwsim.load_accelerator(name)).accuracy for name in MACHINES]
    nvfp4, mxfp4, int8, int4 = found
    assert int8 > nvfp4 > mxfp4  # blocks of 16 with E4M3 scales against blocks of 32 with powers of two
    assert int8 > int4 + 20  # four bits less, about 6 dB each


def test_another_array_needs_no_new_accuracy(tiny_trace, memo, machine, monkeypatch):
    evaluator = Evaluator(tiny_trace, memo=memo)
    first = evaluator(machine)
    monkeypatch.setattr("hwsim.evaluation.steps.replay", lambda *_: pytest.fail("must be remembered"))
    second = evaluator(machine.changed(**{"array.rows": 8}))
    assert second.sqnr_db == first.sqnr_db
    assert second.area_um2 < first.area_um2


def test_other_numerics_do(tiny_trace, memo, machine):
    evaluator = Evaluator(tiny_trace, memo=memo)
    narrow = dataclasses.replace(machine.policy.default.datapath, acc_bits=12)
    policy = dataclasses.replace(machine.policy, default=dataclasses.replace(machine.policy.default, datapath=narrow))
    wide, wrapped = evaluator(machine), evaluator(dataclasses.replace(machine, policy=policy))
    assert wrapped.accuracy < wide.accuracy - 10  # sums of products of 8 by 8 bits wrap in 12 bits


def test_fidelities_differ_and_are_named(tiny_trace, memo, machine):
    formulas = Evaluator(tiny_trace, energy="pann", memo=memo)(machine)
    counted = Evaluator(tiny_trace, energy="trace", memo=memo)(machine)
    assert (formulas.energy.fidelity, counted.energy.fidelity) == ("pann", "trace")
    assert formulas.energy_pj != counted.energy_pj


def test_wrong_requests_are_told(tiny_trace, machine):
    with pytest.raises(ArgumentError, match="accuracy must be 'replay' or 'rerun', got 'exact'"):
        hwsim.evaluate(tiny_trace, machine, accuracy="exact")
    with pytest.raises(ArgumentError, match="energy must be 'pann', 'trace' or 'gates', got 'layout'"):
        hwsim.evaluate(tiny_trace, machine, energy="layout")
    with pytest.raises(ArgumentError, match="a rerun needs a trace that was captured from a model file, got 'tiny'"):
        hwsim.evaluate(tiny_trace, machine, accuracy="rerun")


MODEL = """
import torch
from pathlib import Path
def build():
    model = torch.nn.Linear(16, 4, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, float(Path(__file__).with_name("last").read_text()), 64).reshape(4, 16))
    return model
def batches():
    yield torch.linspace(-1, 1, 128).reshape(8, 16)
def metric(model):
    return float(model(next(batches())).detach().square().mean())
"""


def test_a_rerun_is_of_the_weights_that_were_captured(tmp_path, memo, machine):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "last").write_text("1.0")
    trace = hwsim.capture(f"{tmp_path / 'model.py'}:build", out=tmp_path / "trace")
    before = Evaluator(trace, "rerun", memo=memo)(machine).accuracy
    (tmp_path / "last").write_text("2.0")
    assert Evaluator(trace, "rerun", memo=memo)(machine).accuracy == before  # remembered, and still true of the trace
    forgetful = Evaluator(trace, "rerun", memo=Memo(tmp_path / "other.jsonl"))
    with pytest.raises(
        TraceError,
        match=r"a rerun needs the weights that the trace was captured with \(\w{16}\); capture the model again",
    ):
        forgetful(machine)
    fresh = hwsim.capture(f"{tmp_path / 'model.py'}:build", out=tmp_path / "trace")
    assert Evaluator(fresh, "rerun", memo=memo)(machine).accuracy != before
