"""Fits find what they are given, splits never move, and energy in gates is what the simulator counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim import datapaths, quant
from hwsim.arch import Numerics, load_accelerator
from hwsim.arch.operands import Operands, unit_stream
from hwsim.cost import Toggles, load_coefficients
from hwsim.cost.fit import Point, fit, is_held_out
from hwsim.cost.fitted import area
from hwsim.cost.gates import default_library, flip_flop, logic_fj
from hwsim.datapaths.dot.cost import area_features
from hwsim.datapaths.dot.signals import signals
from hwsim.datapaths.integer.verilog import mac
from hwsim.datapaths.pricing import unit_logic, update_energy
from hwsim.errors import ArgumentError, MissingExtra, UnknownName
from hwsim.evaluation.calibration.calibrate import (
    Calibration,
    csv_text,
    fit_areas,
    fit_energies,
    pann_energies,
    unit_errors,
)
from hwsim.evaluation.calibration.designs import sweep
from hwsim.evaluation.calibration.report import report_text
from hwsim.evaluation.calibration.samples import measure, statistics, synthetic
from hwsim.evaluation.counting import count_by_dataflow
from hwsim.evaluation.simulation import gate_energy
from hwsim.gates.simulator import count, stimulus
from hwsim.gates.synthesis import module_area_um2, synth
from hwsim.rtl import tools

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")
HELD = load_coefficients()
INT4 = Numerics(quant.get("int4.channel"), quant.get("int4.channel"), datapaths.integer(4, 4, 16))


def points(values: dict[str, float], held_out: bool = False) -> list[Point]:
    """Twenty points of ``sum of coefficient * size`` with sizes that are not in proportion."""
    rng = np.random.default_rng(1)
    found = []
    for index in range(20):
        sizes = {name: float(rng.integers(1, 40)) for name in values}
        total = sum(values[name] * size for name, size in sizes.items())
        found.append(Point(f"p{index}", sizes, total, held_out=index % 4 == 0 or held_out))
    return found


def test_a_fit_recovers_known_coefficients() -> None:
    truth = {"squares": 6.5, "bits": 3.25, "constant": 11.0}
    found = fit(points(truth))
    assert found.coefficients == pytest.approx(truth)
    assert len(found.fitted) == 15
    assert len(found.held_out) == 5
    assert found.median_error < 1e-9


def test_held_out_points_do_not_move_a_fit() -> None:
    seen = points({"x": 2.0, "y": 1.0})
    spoiled = [replace(one, value=one.value * 3) if one.held_out else one for one in seen]
    assert fit(spoiled).coefficients == pytest.approx({"x": 2.0, "y": 1.0})
    assert fit(spoiled).median_error == pytest.approx(2 / 3)  # a third of what was measured


def test_a_fit_without_negative_terms() -> None:
    truth = {"x": 5.0, "y": -1.0}
    seen = [one for one in points(truth) if one.value > 0]
    assert fit(seen).coefficients == pytest.approx(truth)
    kept = fit(seen, positive=True).coefficients
    assert kept["y"] == 0.0
    assert 0 < kept["x"] < 5


def test_a_fit_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ArgumentError, match=r"^fit: a fit must have points that are not held out, got 1$"):
        fit([Point("only", {"x": 1.0}, 1.0, True)])
    with pytest.raises(ArgumentError, match=r"^b: points must have the same features, got \['y'\]$"):
        fit([Point("a", {"x": 1.0}, 1.0, False), Point("b", {"y": 1.0}, 1.0, False)])
    with pytest.raises(ArgumentError, match=r"^a: a value must be positive, got 0.0$"):
        fit([Point("a", {"x": 1.0}, 0.0, False)])


def test_the_split_is_the_same_everywhere() -> None:
    """The hash is SHA-256 of the name: these are held out on every machine."""
    layers = [
        f"blocks.{block}.{name}" for block in range(2) for name in ("attention.qk", "attention.pv", "up", "down")
    ]
    assert [one for one in layers if is_held_out(one)] == [
        "blocks.0.attention.qk",
        "blocks.0.down",
        "blocks.1.attention.qk",
        "blocks.1.down",
    ]
    designs = list(sweep())
    assert len({one.name for one in designs}) == len(designs)
    part = sum(is_held_out(one.name) for one in designs) / len(designs)
    assert 0.2 < part < 0.45


def test_the_shipped_set_is_fitted_and_says_how_well() -> None:
    assert (HELD.name, HELD.fidelity, HELD.delay_model) == ("hwsim45", "fitted", "zero")
    assert (HELD.node_nm, HELD.voltage) == (45, 1.1)
    assert load_coefficients("hwsim45-unit").delay_model == "unit"
    own = flip_flop(default_library())
    assert HELD.value("flipflop.area") == pytest.approx(own.area_um2)
    assert HELD.value("flipflop.energy.clock") == pytest.approx(own.clock_fj)
    assert HELD.value("flipflop.energy.data") == pytest.approx(own.data_fj)
    energies = [quantity.value for name, quantity in HELD.entries.items() if ".energy." in name]
    assert min(energies) >= 0
    short = replace(HELD, entries={name: one for name, one in HELD.entries.items() if "mac.signed" not in name})
    counted = count_by_dataflow(statistics()[0], INT4)["ws"]
    with pytest.raises(UnknownName, match=r"coefficients hwsim45: coefficient must be one of .*'mac.signed.energy"):
        update_energy(INT4.datapath, counted, short)
    with pytest.raises(ArgumentError, match=r"^cost.toggles: toggles must hold the inner flips of a unit, got 'x'$"):
        update_energy(INT4.datapath, Toggles("x", "ws", *(0.0,) * 7), HELD)


def test_an_area_by_hand() -> None:
    """An 8 x 8 signed array: partial products, operand bits, constant."""
    prefix = "multiplier.signed.array.area"
    by_hand = 64 * HELD.value(f"{prefix}.partial_products") + 16 * HELD.value(f"{prefix}.operand_bits")
    by_hand += HELD.value(f"{prefix}.constant")
    own, shared = datapaths.integer(8, 8, 32).price.blocks(HELD)
    assert own[0].area.value == pytest.approx(by_hand)
    assert by_hand == pytest.approx(344.5, rel=0.05)  # as synthesised
    assert shared == ()


@pytest.mark.parametrize(
    ("arch", "operand"), [("blackwell", "nvfp4"), ("blackwell", "mxfp8.e4m3"), ("hopper", "e4m3")]
)
def test_parts_of_a_unit_add_up_to_its_fit(arch: str, operand: str) -> None:
    unit = datapaths.tensor_core(arch, operand)
    own, _ = unit.price.blocks(HELD)
    assert all(block.area.value > 0 for block in own)
    family, sizes = unit.price.update, area_features(unit)
    assert family in ("dot.fused", "dot.grouped")
    assert sum(block.area.value for block in own) == pytest.approx(area(HELD, family, sizes).value)


MACHINES = ["edge-fp8-hopper", "edge-int4", "edge-int8", "edge-mxfp4", "edge-mxfp8", "edge-nvfp4", "edge-ternary"]


@pytest.mark.parametrize("name", MACHINES)
def test_every_unit_of_a_machine_is_priced_by_the_fitted_set(name: str) -> None:
    unit = load_accelerator(name).policy.default.datapath
    counted = count_by_dataflow(statistics()[1], load_accelerator(name).policy.default)
    for flips in counted.values():
        update, rebuild = update_energy(unit, flips, HELD)
        for price in (*update.values(), *([] if rebuild is None else [rebuild])):
            assert price.value >= 0
            assert price.source
            assert price.relative_error > 0
    assert unit.gates.circuits()


@pytest.mark.parametrize(
    ("arch", "operand", "scheme"),
    [("blackwell", "nvfp4", "nvfp4.te"), ("blackwell", "mxfp4", "mxfp4.floor"),
     ("hopper", "e4m3", "fp8.e4m3.channel"), ("blackwell", "mxfp6.e2m3", "mxfp6.e2m3.rceil")],
)  # fmt: skip
def test_inner_totals_are_the_emulators_sums(arch: str, operand: str, scheme: str) -> None:
    """The total in front of the last rounding has the sign and the leading bits of what the emulator returns."""
    numerics = Numerics(quant.get(scheme), quant.get(scheme), datapaths.tensor_core(arch, operand))
    unit = numerics.datapath
    rng, wide = np.random.default_rng(3), unit.lanes
    gemm = synthetic("one", rng.normal(size=(6, wide)), rng.normal(size=(5, wide)))
    operands = Operands(gemm, numerics)
    stream = unit_stream(operands, "os")
    (a, scale_a), b = operands.a(0), operands.b(0)
    out = unit.matmul(a, b.words, None, scale_a, b.scales).reshape(-1)
    assert stream.steps == 30
    found = signals(unit, stream)
    total = found.total[:, 0]
    assert np.array_equal(np.sign(total), np.sign(out))
    ratio = np.log2(np.abs(out).astype(float) / np.abs(total))
    assert np.abs(ratio - np.round(ratio)).max() < 2**-12  # a power of two, but for the bits that are cut


@needs_yosys
def test_energy_in_gates_is_the_simulators() -> None:
    """Two rows of a, two of b, K = 3, outputs in place: the stream of a 4 x 4 MAC written by hand."""
    a = np.array([[7, 1, -3], [2, -7, 5]], np.float64)
    b = np.array([[7, -2, 3], [-7, 1, 0]], np.float64)
    gemm = synthetic("tiny", a, b)
    found = gate_energy(gemm, INT4, "os")
    pairs = [(m, n) for m in range(2) for n in range(2)]
    streams = {
        "clear": [int(k == 0) for _ in pairs for k in range(3)],
        "a": [int(a[m, k]) & 15 for m, _ in pairs for k in range(3)],
        "b": [int(b[n, k]) & 15 for _, n in pairs for k in range(3)],
    }
    before = [int(a[m, :k] @ b[n, :k]) & 0xFFFF for m, n in pairs for k in range(3)]
    netlist = synth(mac(4, 4, 16)).netlist
    by_hand = logic_fj(count(stimulus(netlist, streams, states={"acc": before}, linked=False)))
    assert found.update_fj == pytest.approx(by_hand, rel=1e-12)
    assert (found.steps, found.rebuild_fj) == (11, 0.0)
    assert "zero delay, os" in found.provenance


@needs_yosys
def test_lookup_units_in_gates_and_areas() -> None:
    numerics = Numerics(quant.get("int8.channel"), quant.get("ternary.absmean"), datapaths.ternary_lut(2))
    for flow in ("ws", "is", "os"):
        found = gate_energy(statistics()[1], numerics, flow, cycles=1 << 12)
        assert found.update_fj > 0
        assert found.rebuild_fj > 0
    logic = unit_logic(numerics.datapath)
    own, shared = numerics.datapath.price.blocks(HELD)
    assert logic.unit.value == pytest.approx(sum(block.area.value for block in own), rel=0.15)
    assert logic.shared is not None
    assert logic.shared.value == pytest.approx(shared[0].area.value, rel=0.1)


@needs_yosys
def test_a_small_real_calibration(tmp_path: Path) -> None:
    """Multipliers and accumulators of a few widths, one unit on synthetic operands: within the bounds."""
    wide = [one for one in sweep(quick=True) if one.features.get("partial_products", 16) >= 16]  # not 2 x 2 bits
    few = [one for one in wide if one.family in ("multiplier.signed.array", "accumulator.signed.wrap")][::3]
    areas = fit_areas(few)
    assert areas["multiplier.signed.array"].median_error < 0.1
    assert areas["accumulator.signed.wrap"].median_error < 0.1
    samples = tuple(measure([], ("zero",), numerics=[INT4]))
    assert len(samples) == 4 * 3
    energies = fit_energies(samples)
    assert energies["mac.signed"].median_error < 0.15
    own = flip_flop(default_library())
    made = Calibration(
        "hwsim45", "hwsim45.lib", "Yosys", "zero", 45, 1.1, "none", frozenset({"accumulator.signed.wrap"}),
        areas, energies, (own.cell, own.area_um2, own.clock_fj, own.data_fj), pann_energies(samples), samples,
    )  # fmt: skip
    path = tmp_path / "mine.csv"
    path.write_text(csv_text(made))
    mine = load_coefficients(path)
    assert mine.fidelity == "fitted"
    assert mine.value("multiplier.signed.array.area.partial_products") == pytest.approx(
        areas["multiplier.signed.array"].coefficients["partial_products"], rel=1e-5
    )
    text = report_text([made], {})
    assert "| multiplier.signed.array |" in text
    priced = len(areas["multiplier.signed.array"].held_out)
    assert f"| families that price machines | {priced} |" in text
    assert "price no machine: accumulator.signed.wrap." in text
    assert "| int4x4.acc16.wrap int4.channel |" not in text  # nothing was held out


def test_only_styles_that_no_machine_holds_are_compared() -> None:
    """The multiplier of a unit is the array; every family whose area a unit's blocks ask for prices machines."""
    compared = {one.family for one in sweep() if one.compared}
    styles = {f"multiplier.{sign}.{style}" for sign in ("signed", "unsigned") for style in ("booth", "carry_save")}
    assert compared == styles | {"dot.e2m1"}


@needs_yosys
def test_netlists_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    unit = mac(3, 3, 8)
    first = module_area_um2(unit.verilog, unit.top)
    monkeypatch.setattr("hwsim.gates.synthesis.synthesize", lambda *_: pytest.fail("synthesised twice"))
    assert module_area_um2(unit.verilog, unit.top) == first
    assert synth(unit).netlist.area_um2 == pytest.approx(first)


def test_what_has_no_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    fp32 = quant.get("bf16")
    numerics = Numerics(fp32, fp32, datapaths.tensor_core("cdna2", "bf16"))
    with pytest.raises(
        ArgumentError, match=r"^datapath.gates: a unit must have the view 'gates' to be used here, got 'cdna2.bf16'$"
    ):
        gate_energy(statistics()[0], numerics)
    with pytest.raises(ArgumentError, match=r"^datapath.gates: a unit must have the view 'gates'"):
        unit_logic(numerics.datapath)
    monkeypatch.setattr("shutil.which", lambda name: None)
    tools.yosys_version.cache_clear()
    with pytest.raises(MissingExtra, match="apt install yosys"):
        gate_energy(statistics()[0], Numerics(INT4.activation, INT4.weight, datapaths.integer(4, 4, 17)))


@needs_yosys
@pytest.mark.slow
def test_whole_units_are_within_the_bounds() -> None:
    errors = np.abs(list(unit_errors(HELD).values()))
    assert np.median(errors) <= 0.05
    assert np.quantile(errors, 0.95) <= 0.15
