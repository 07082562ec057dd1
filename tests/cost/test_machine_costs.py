"""Energy and area of whole machines: by hand, adding up, scaling, and refusing what has no price."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from hwsim import cost, datapaths, quant
from hwsim.arch import Numerics, Policy, load_accelerator
from hwsim.cost import Breakdown, Quantity, Toggles, add, load_coefficients
from hwsim.cost.technology import area_factor, energy_factor, scaling_error
from hwsim.errors import ArgumentError, DesignError, UnknownName
from hwsim.timing import activity
from hwsim.trace import GemmShape

INT8 = load_accelerator("edge-int8")
SHAPE = GemmShape("layer", "linear", "forward", 1, 64, 96, 128, "weight")
FLIPS = Toggles("layer", "ws", 4.0, 4.0, 0.0, 0.0, 16.0, 8.0, 1.0)
HELD = load_coefficients("nangate45")
area_um2 = partial(cost.area_um2, coefficients=HELD)  # the composed set, whose few numbers allow sums by hand
energy_pj = partial(cost.energy_pj, coefficients=HELD)
MACHINES = ["edge-fp8-hopper", "edge-int4", "edge-int8", "edge-mxfp4", "edge-mxfp8", "edge-nvfp4", "edge-ternary"]


def test_trace_energy_by_hand() -> None:
    """64 x 96 x 128 products; a register flips 4 bits a product, b once a load, the sum 8, its input 16."""
    done = activity(SHAPE, INT8)
    parts = energy_pj(INT8, done, FLIPS, "trace").parts
    macs, loads = 64 * 96 * 128, 96 * 128
    uniform = 10.858 * 64 - 14.739 * 8  # fJ of an 8 x 8 product whose 16 operand bits flip half the time
    assert parts["products"].value == pytest.approx((4 * macs + 4 * loads) / 8 * uniform * 1e-3)
    assert parts["accumulation"].value == pytest.approx(macs * (16 * 15.193 + 8 * 8.555) * 1e-3)
    assert parts["registers"].value == pytest.approx((4 * macs + 4 * loads + 8 * macs) * 5.06 * 1e-3)
    edges = done.compute_cycles * 32 * 32 * (8 + 32) + loads * 8
    assert parts["clock"].value == pytest.approx(edges * 8.6 * 1e-3)
    assert parts["dram"].value == pytest.approx(7 * (done.dram_read_bits.total + done.dram_write_bits.total))
    assert set(parts) == {
        "products", "accumulation", "registers", "clock", "sram.activation", "sram.weight", "sram.output", "dram",
        "leakage",
    }  # fmt: skip


def test_trace_energy_of_a_block_unit_by_hand() -> None:
    """64 products an update: 64 x (4 + 4) operand bits, four scale bytes a side, a 32-bit sum."""
    machine = load_accelerator("edge-nvfp4")
    done = activity(SHAPE, machine)
    flips = replace(FLIPS, a_element=2.0, b_element=2.0, a_scale=1.5, b_scale=1.0, addend=0.0, sum=10.0)
    parts = energy_pj(machine, done, flips, "trace").parts
    macs, loads, updates = 64 * 96 * 128, 96 * 128, 64 * 96 * 2
    assert done.updates == updates
    assert parts["products"].value == pytest.approx((2 * macs + 2 * loads) / 256 * 4 * 2870 * 1e-3)
    scales = (1.5 * macs + 1.0 * loads) / 16
    assert parts["registers"].value == pytest.approx((2 * macs + 2 * loads + 10 * updates + scales) * 5.06 * 1e-3)
    edges = done.compute_cycles * 16 * (64 * 4 + 4 * 8 + 32) + loads / 64 * (64 * 4 + 4 * 8)
    assert parts["clock"].value == pytest.approx(edges * 8.6 * 1e-3)
    assert {"scaling", "alignment", "accumulation"} <= set(parts)


def test_trace_energy_of_a_lookup_unit_by_hand() -> None:
    """Three weights a fetch; tables are rebuilt for every group of activations that a row takes."""
    machine = load_accelerator("edge-ternary")
    done = activity(SHAPE, machine)
    parts = energy_pj(machine, done, FLIPS, "trace").parts
    updates, groups = 64 * 96 * 43, 64 * 128 * 3 / 3  # 96 columns on 32: each activation is read three times
    assert (done.updates, done.a_reads) == (updates, 3 * 64 * 128)
    assert parts["products"].value == pytest.approx(updates * 234e-3)
    assert parts["tables"].value == pytest.approx(groups * 4 / 4 * 10 * 10 * 8.84e-3)
    assert parts["accumulation"].value == pytest.approx(updates * (16 * 15.193 + 8 * 8.555) * 1e-3)
    edges = done.compute_cycles * 16 * 32 * 32 + 96 * 128 / 3 * 5 + groups * 130
    assert parts["clock"].value == pytest.approx(edges * 8.6 * 1e-3)
    held = machine.changed(**{"array.dataflow": "is"})
    fetch = energy_pj(held, activity(SHAPE, held), replace(FLIPS, dataflow="is"), "trace")["products"]
    assert fetch.value == pytest.approx(updates * 162e-3)


def test_pann_energy_by_hand() -> None:
    parts = energy_pj(INT8, activity(SHAPE, INT8)).parts
    macs = 64 * 96 * 128
    assert parts["products"].value == pytest.approx(macs * 40 * 9.9e-3)
    assert parts["accumulation"].value == pytest.approx(macs * 32 * 9.9e-3)
    assert "registers" not in parts


def test_uniform_operands_bring_both_fidelities_together() -> None:
    """With the flips of uniform operands the two prices of the arithmetic agree within PANN's own error."""
    machine = INT8.changed(**{"array.dataflow": "os"})
    done = activity(SHAPE, machine)
    uniform = replace(FLIPS, dataflow="os", addend=15.8, sum=7.3)
    pann, trace = energy_pj(machine, done), energy_pj(machine, done, uniform, "trace")
    arithmetic = [sum(found[name].value for name in ("products", "accumulation")) for found in (pann, trace)]
    assert arithmetic[0] == pytest.approx(arithmetic[1], rel=pann["products"].relative_error)


def test_more_flips_cost_more() -> None:
    done = activity(SHAPE, INT8)
    base = energy_pj(INT8, done, FLIPS, "trace").value
    for field in ("a_element", "b_element", "addend", "sum"):
        more = replace(FLIPS, **{field: getattr(FLIPS, field) + 1})
        assert energy_pj(INT8, done, more, "trace").value > base, field


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_every_machine_has_every_price(name: str, dataflow: str) -> None:
    machine = load_accelerator(name).changed(**{"array.dataflow": dataflow})
    flips = replace(FLIPS, dataflow=dataflow)
    for role in ("weight", "activation"):
        done = activity(replace(SHAPE, b_role=role), machine)
        for energy in (energy_pj(machine, done), energy_pj(machine, done, flips, "trace")):
            assert energy.value == pytest.approx(sum(part.value for part in energy.parts.values()))
            assert all(part.value >= 0 and part.source and part.unit == "pJ" for part in energy.parts.values())
            assert 0 < energy.total.relative_error < 1
    area = area_um2(machine)
    assert area.fidelity == "composed"
    assert all(part.value > 0 and part.source for part in area.parts.values())


def test_float_tables_have_float_adders() -> None:
    """Groups of three FP16 activations: ten adders a table, one to accumulate."""
    base = load_accelerator("edge-ternary")
    numerics = Numerics(quant.get("fp16"), quant.get("ternary.absmean"), datapaths.ternary_lut(3, "fp16"))
    machine = replace(base, policy=Policy(numerics, base.policy.attention))
    units, rows = base.rows * base.cols, base.rows
    int8_units = area_um2(replace(base, policy=Policy(base.policy.attention or base.policy.default)))
    area = area_um2(machine)
    assert area["tables"].value == pytest.approx(rows * 10 * 717)
    assert area["accumulation"].value == pytest.approx(units * 717 + int8_units["accumulation"].value)
    done = activity(SHAPE, machine)
    for energy in (energy_pj(machine, done), energy_pj(machine, done, FLIPS, "trace")):
        assert all(part.value > 0 for part in energy.parts.values())
    brain = Numerics(quant.get("bf16"), quant.get("ternary.absmean"), datapaths.ternary_lut(3, "bf16"))
    with pytest.raises(
        ArgumentError, match=r"^datapath.price in nangate45: a unit must have the view 'price in nangate45'"
    ):
        area_um2(replace(base, policy=Policy(brain, base.policy.attention)))


def test_area_by_hand() -> None:
    """1,024 units: an 8 x 8 multiplier, a 32-bit accumulator of 16-bit products, registers of 8 + 2 x 8 + 32 bits."""
    area = area_um2(INT8)
    assert area["products"].value == pytest.approx(1024 * (6.591 * 64 - 9.085 * 8))
    assert area["accumulation"].value == pytest.approx(1024 * 1.4 * (2.6875 * 32 + 3 * 16))
    assert area["registers"].value == pytest.approx(1024 * (8 + 16 + 32) * 4.52)


def test_area_counts_every_unit_of_the_policy() -> None:
    machine = load_accelerator("edge-ternary")
    alone = replace(machine, policy=Policy(machine.policy.attention or machine.policy.default))
    both, one = area_um2(machine), area_um2(alone)
    assert both["products"].value > one["products"].value
    assert both["accumulation"].value > one["accumulation"].value
    # tables stand once a row, and in every unit where activations stay
    held = area_um2(machine.changed(**{"array.dataflow": "is"}))
    assert held["registers"].value > both["registers"].value


def test_twice_the_array_is_twice_the_logic() -> None:
    small, large = area_um2(INT8), area_um2(INT8.changed(**{"array.cols": 64}))
    for part in ("products", "accumulation", "registers"):
        assert large[part].value == pytest.approx(2 * small[part].value)
    assert large["sram.weight"] == small["sram.weight"]


def test_another_node_scales_and_says_so() -> None:
    done, other = activity(SHAPE, INT8), replace(INT8, node_nm=16, voltage=0.8)
    here, there = energy_pj(INT8, done), energy_pj(other, done)
    assert there["products"].value == pytest.approx(here["products"].value * energy_factor(45, 1.1, 16, 0.8))
    assert there["products"].relative_error == pytest.approx(here["products"].relative_error + 0.7)
    assert scaling_error(45, 16) == pytest.approx(0.7)
    assert there["products"].source.endswith("to 16 nm by reconciled node table")
    assert there["dram"] == here["dram"]
    ratio = area_um2(other)["products"].value / area_um2(INT8)["products"].value
    assert ratio == pytest.approx(area_factor(45, 16))


def test_a_users_own_dram() -> None:
    done = activity(SHAPE, INT8)
    mine = INT8.changed(**{"memory.dram_pj_per_bit": 2.0})
    assert energy_pj(mine, done)["dram"].value == pytest.approx(energy_pj(INT8, done)["dram"].value * 2 / 7)
    assert energy_pj(mine, done)["dram"].relative_error == 0


def test_leakage_grows_with_time() -> None:
    slow = INT8.changed(**{"memory.dram_gbyte_s": 0.5})
    short, long = activity(SHAPE, INT8), activity(SHAPE, slow)
    ratio = energy_pj(slow, long)["leakage"].value / energy_pj(INT8, short)["leakage"].value
    assert ratio == pytest.approx(long.latency_cycles / short.latency_cycles)


def test_parts_add_up_over_layers() -> None:
    done = activity(SHAPE, INT8)
    one = energy_pj(INT8, done)
    three = add([one, one, one])
    assert three.value == pytest.approx(3 * one.value)
    assert three["dram"].relative_error == pytest.approx(one["dram"].relative_error)
    assert three.to_dict()["parts"]["dram"]["value"] == pytest.approx(3 * one["dram"].value)
    with pytest.raises(ArgumentError, match=r"^cost.add: breakdowns must share one unit and fidelity, got "):
        add([one, area_um2(INT8)])
    with pytest.raises(ArgumentError, match=r"^cost.add: breakdowns must share one unit and fidelity, got \[\]$"):
        add([])
    with pytest.raises(ArgumentError, match=r"^breakdown.x: parts must be in pJ, got 'um2'$"):
        Breakdown({"x": Quantity(1, "um2", "", 0)}, "pann", "pJ")


def test_what_has_no_price() -> None:
    done = activity(SHAPE, INT8)
    with pytest.raises(ArgumentError, match=r"^energy_pj.toggles: must be given for the fidelity trace$"):
        energy_pj(INT8, done, None, "trace")
    with pytest.raises(ArgumentError, match=r"^energy_pj.toggles: must be counted for the dataflow os, got 'ws'$"):
        energy_pj(INT8.changed(**{"array.dataflow": "os"}), done, FLIPS, "trace")
    with pytest.raises(ArgumentError, match=r"^energy_pj.fidelity: must be one of pann, trace, gates, got 'guess'$"):
        energy_pj(INT8, done, None, "guess")
    with pytest.raises(UnknownName, match=r"got 'flash'$"):
        energy_pj(INT8.changed(**{"memory.dram": "flash"}), done)
    with pytest.raises(ArgumentError, match=r"^technology.node_nm: node must be one of .* nm, got 6$"):
        area_um2(replace(INT8, node_nm=6))
    with pytest.raises(DesignError, match=r"^technology.voltage: must lie in 0.45..0.84 V at 3 nm, got 1.1$"):
        area_um2(replace(INT8, node_nm=3))
    half = Numerics(quant.get("bf16"), quant.get("bf16"), datapaths.tensor_core("cdna3", "bf16"))
    with pytest.raises(ArgumentError, match=r"a unit must have the view 'price' to be used here, got 'cdna3.bf16'"):
        area_um2(Accelerator("amd", Policy(half), 4, 4))
