"""Designs priced by their own gates, beside the fitted numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hwsim.arch import Policy, load_accelerator
from hwsim.errors import DesignError
from hwsim.evaluation import Evaluator, Memo, confirm
from hwsim.rtl import tools

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


@needs_yosys
def test_gates_are_a_kind_of_energy(tiny_trace, memo):
    machine = load_accelerator("edge-int4")
    exact, fitted = (
        Evaluator(tiny_trace, energy="gates", memo=memo)(machine),
        Evaluator(tiny_trace, memo=memo)(machine),
    )
    assert (exact.energy.fidelity, exact.area.fidelity) == ("gates", "synthesized")
    assert (fitted.energy.fidelity, fitted.area.fidelity) == ("trace", "fitted")
    theirs, ours = exact.energy.breakdown().parts, fitted.energy.breakdown().parts
    shared = ("registers", "dram", "sram.weight")  # leakage follows the area of logic, which differs
    assert [theirs[name].value for name in shared] == pytest.approx([ours[name].value for name in shared])
    assert "hwsim45" in theirs["logic"].source
    assert exact.area.breakdown().parts["logic"].value == pytest.approx(
        fitted.area.breakdown().parts["products"].value + fitted.area.breakdown().parts["accumulation"].value, rel=0.1
    )


@needs_yosys
def test_a_confirmation_sets_both_side_by_side(tiny_trace, memo):
    machine = load_accelerator("edge-int4")
    (found,) = confirm(tiny_trace, [machine], memo)
    exact, fitted = (
        Evaluator(tiny_trace, energy="gates", memo=memo)(machine),
        Evaluator(tiny_trace, memo=memo)(machine),
    )
    assert (found.trace_pj, found.gates_pj) == (fitted.energy_pj, exact.energy_pj)
    assert (found.fitted_um2, found.synthesized_um2) == (fitted.area_um2, exact.area_um2)
    assert found.gates_logic_pj == pytest.approx(exact.energy.breakdown().parts["logic"].value)
    rest = found.trace_pj - found.trace_logic_pj  # but for the leakage of logic, whose area is another
    assert found.gates_pj - found.gates_logic_pj == pytest.approx(rest, rel=1e-3)
    assert abs(found.area_error) < 0.1
    assert (found.delay, found.reason) == ("zero", "")


def test_a_system_without_yosys_is_a_reason(tiny_trace, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    tools.yosys_version.cache_clear()
    (found,) = confirm(tiny_trace, [load_accelerator("edge-int4")], Memo(tmp_path / "memo.jsonl"))
    assert "apt install yosys" in found.reason
    assert found.trace_pj > 0
    assert math.isnan(found.gates_pj)
    assert math.isnan(found.synthesized_um2)


def test_layers_in_float32_have_no_gates(tiny_trace, memo):
    machine = load_accelerator("edge-int4")
    policy = Policy(machine.policy.default, overrides=(("up", None),))
    with pytest.raises(DesignError, match="a layer in float32 has no unit whose gates switch"):
        Evaluator(tiny_trace, energy="gates", memo=memo).gates(replace(machine, policy=policy).policy, "ws")
