"""Every unit that a machine can hold is priced at every fidelity, end to end; what it cannot hold says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim import datapaths, quant
from hwsim.arch import Accelerator, Numerics, load_accelerator
from hwsim.arch.units import count_additions
from hwsim.cost import load_coefficients
from hwsim.datapaths import MissingView
from hwsim.datapaths.pann.cost import additions_scheme
from hwsim.datapaths.pricing import compose, unit_logic, update_energy
from hwsim.errors import DesignError, UnknownName
from hwsim.evaluation.area import register_bits
from hwsim.evaluation.calibration.arithmetics import arithmetics
from hwsim.evaluation.calibration.samples import statistics
from hwsim.evaluation.counting import count_by_dataflow
from hwsim.evaluation.simulation import gate_energy
from hwsim.rtl import tools

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")
INT8 = load_accelerator("edge-int8")
INT6: dict[str, Any] = {
    "name": "int6.channel", "element": "int6", "granularity": "channel", "scale_format": "fp32",
    "scale_rule": "absmax",
}  # fmt: skip
TWO_ADDITIONS: dict[str, Any] = {
    "name": "pann.r2", "element": "int8", "granularity": "tensor", "scale_format": "fp32", "scale_rule": "absmean",
    "element_unit": 0.5,
}  # fmt: skip
POWERS: dict[str, Any] = {"name": "e3m0", "element": "e3m0", "granularity": "tensor"}
NUMERICS: dict[str, dict[str, Any]] = {
    "pann": {
        "activation": INT6, "weight": TWO_ADDITIONS,
        "datapath": {"family": "pann", "bits_x": 6, "additions": 2.0, "acc_bits": 24},
    },
    "shift": {
        "activation": "int4.channel", "weight": POWERS,
        "datapath": {"family": "shift", "accumulator": "fixed", "acc_bits": 20},
    },
    "shift-fp32": {"activation": "int4.channel", "weight": POWERS, "datapath": {"family": "shift"}},
    "ternary-fp16": {
        "activation": "fp16", "weight": "ternary.absmean",
        "datapath": {"family": "ternary_lut", "group": 2, "activation": "fp16"},
    },
    "ternary-bf16": {
        "activation": "bf16", "weight": "ternary.absmean",
        "datapath": {"family": "ternary_lut", "group": 2, "activation": "bf16"},
    },
}  # fmt: skip


def machine(name: str) -> Accelerator:
    """The INT8 machine with another unit, attention staying on INT8."""
    tables = INT8.to_dict()
    tables["name"] = name
    tables["technology"]["clock_ghz"] = 0.4  # a float32 adder in one stage reaches 0.447 GHz
    tables["numerics"] = NUMERICS[name] | {"attention": INT8.to_dict()["numerics"]}
    return Accelerator.from_dict(tables)


@pytest.mark.parametrize("name", NUMERICS)
@pytest.mark.parametrize("energy", ["pann", "trace", pytest.param("gates", marks=needs_yosys)])
def test_machines_are_evaluated_end_to_end(name: str, energy: Any) -> None:
    found = hwsim.evaluate(hwsim.load_trace("gpt-small"), machine(name), energy=energy)
    assert found.energy.fidelity == energy
    parts = found.breakdown().parts
    for part in (*parts.values(), *found.area.breakdown().parts.values()):
        assert part.source
        assert part.value >= 0
    logic = {"products", "accumulation", "tables", "logic"} & set(parts)
    assert sum(parts[name].value for name in logic) > 0
    assert found.latency_cycles > 0


@needs_yosys
@pytest.mark.parametrize("one", list(arithmetics()), ids=lambda one: f"{one.datapath.name} {one.activation.name}")
def test_fitted_energies_are_near_the_gates(one: Numerics) -> None:
    """Operands that no fit has seen: other random numbers. The bound is on the median of layers, here is one."""
    if one.datapath.family == "dot" and one.datapath.name != "blackwell.nvfp4":
        pytest.skip("minutes of synthesis; the calibration's report has them")
    product = statistics(seed=7)[1]
    held = load_coefficients()
    for flow, counted in count_by_dataflow(product, one).items():
        gates = gate_energy(product, one, flow)  # type: ignore[arg-type]
        update, rebuild = update_energy(one.datapath, counted, held)
        fitted = sum(part.value for part in update.values())
        assert fitted == pytest.approx(gates.update_fj, rel=0.2), flow
        if gates.rebuild_fj:
            assert rebuild is not None
            assert rebuild.value == pytest.approx(gates.rebuild_fj, rel=0.2), flow


@needs_yosys
@pytest.mark.parametrize("name", NUMERICS)
def test_fitted_areas_are_near_the_cells(name: str) -> None:
    unit = machine(name).policy.default.datapath
    held = compose(unit, load_coefficients())
    cells = unit_logic(unit)
    assert sum(block.area.value for block in held.components) == pytest.approx(cells.unit.value, rel=0.15)
    if cells.shared is not None:
        assert sum(block.area.value for block in held.shared) == pytest.approx(cells.shared.value, rel=0.15)


def test_an_add_only_unit_takes_a_cycle_for_every_addition() -> None:
    unit = machine("pann").policy.default.datapath
    assert unit.timed_by_weights
    assert (unit.cycles_per_step(), unit.cycles_per_step(1.75)) == (2.0, 1.75)
    assert unit.mean_additions(np.array([[3, -2, 0, 1], [0, 0, 0, 2]], np.int8)) == 1.0  # 6 and 2 over 8 elements
    other = INT8.policy.default.datapath
    assert not other.timed_by_weights
    assert other.cycles_per_step(1.75) == 1.0


def test_additions_are_those_of_the_paper() -> None:
    """The scheme of a machine is PANN's quantiser; its dot products are those of the quantised numbers."""
    rng = np.random.default_rng(2)
    w = (rng.normal(size=(24, 64)) * 0.03).astype(np.float32)
    x = rng.normal(size=(5, 64)).astype(np.float32)
    for additions in (1.0, 2.0, 4.0):
        numerics = Numerics(quant.Scheme(**INT6), additions_scheme(additions), datapaths.pann(6, additions, 24))
        theirs = quant.quantize_additions(w, additions)
        prepared = numerics.prepare_b(w)
        assert np.array_equal(prepared.words.view(np.int8), theirs.codes)
        assert count_additions(numerics, w[None], "weight") == pytest.approx(theirs.additions)
        exact = numerics.quantize(x, "activation").dequantize().astype(float) @ theirs.dequantize().astype(float).T
        assert np.allclose(numerics.gemm(x, w), exact, rtol=1e-5, atol=1e-6)
    assert count_additions(INT8.policy.default, w[None], "weight") is None


def test_formulas_of_the_add_only_unit() -> None:
    """(R + 1/2) b_x flips an element: 10 at 6 bits and R = 7/6, 24 at 7 bits and R = 41/14 (the paper's budgets)."""
    for bits, additions, budget in ((6, 7 / 6, 10.0), (7, 41 / 14, 24.0), (8, 7.5, 64.0)):
        unit = datapaths.pann(bits, additions, 32, signed=False)
        assert unit.price.width_flips().sums * additions == pytest.approx(budget)
        assert unit.price.width_flips().products == 0
    signed = datapaths.pann(6, 2.0, 24)  # half of 24 bits at the adder's input, not of 6
    assert signed.price.width_flips().sums * 2 == pytest.approx(0.5 * 24 + 2 * 6)
    assert signed.price.width_flips(1.0).sums == pytest.approx(0.5 * 24 + 6)


def test_registers_by_hand() -> None:
    assert datapaths.pann(6, 2.0, 24).price.registers[:4] == (6, 8, 48, 0)  # a sum of each sign
    assert datapaths.shift("fixed", 20).price.registers[:4] == (4, 4, 20, 0)
    assert datapaths.ternary_lut(4).price.registers[3] == 40 * 10  # four INT8 fit ten bits
    assert datapaths.ternary_lut(2, "bf16").price.registers[3] == 4 * 16
    design = machine("pann").changed(**{"array.overlap": "none"})
    assert register_bits(datapaths.pann(6, 2.0, 24), design) == 1024 * (6 + 8 + 48)


@pytest.mark.parametrize("name", ["pann", "shift", "shift-fp32", "ternary-fp16"])
def test_the_composed_set_prices_them_too(name: str) -> None:
    own, shared = machine(name).policy.default.datapath.price.blocks(load_coefficients("nangate45"))
    assert all(block.area.value > 0 for block in (*own, *shared))


def test_what_a_machine_cannot_hold() -> None:
    tables = INT8.to_dict()
    tables["numerics"]["datapath"]["signed"] = False
    with pytest.raises(DesignError, match=r"element must be uint8, which port a of uint8x8.acc32.wrap reads"):
        Accelerator.from_dict(tables)
    tables["numerics"]["datapath"] = {"family": "softmax", "bits": 2}
    with pytest.raises(UnknownName, match=r"edge-int8.numerics.datapath: family must be one of shift, got 'softmax'"):
        Accelerator.from_dict(tables)
    with pytest.raises(MissingView, match=r"^datapath.gates: a unit must have the view 'gates' to be used here"):
        datapaths.shift("fixed", 40).gates.circuits()
    with pytest.raises(MissingView, match=r"^datapath.price: a unit must have the view 'price' to be used here"):
        compose(datapaths.tensor_core("cdna3", "fp16"), load_coefficients())
