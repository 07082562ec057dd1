"""Every charge of a plan and of an area, worked out from chosen counts."""

from __future__ import annotations

import dataclasses

import pytest

import hwsim
from hwsim.arch.dataflow import dataflow
from hwsim.arch.parts import Array
from hwsim.cost.coefficients import load_coefficients
from hwsim.cost.gates import GateEnergy, Logic
from hwsim.cost.quantity import Quantity
from hwsim.cost.toggles import Toggles
from hwsim.errors import ArgumentError
from hwsim.evaluation.area import area, register_bits
from hwsim.evaluation.energy import energy
from hwsim.evaluation.prices import machine_prices
from hwsim.evaluation.product_events import Counted

EDGE = 0.015488 + 0.6e-3 * 1.21  # pJ: clock pin, and the last wire to it
INNER = {"multiplicand": 3.0, "multiplier": 2.0, "partials": 5.0, "ripples": 1.5, "partials_by_rows": 4.0,
         "carries_by_rows": 0.5}  # fmt: skip
TOGGLES = Toggles("up", "ws", 2.5, 1.25, 0.0, 0.0, 6.0, 7.0, 1.0, INNER)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def charged(plan, machine, counted, fidelity):
    """Amounts of the products' charges: by component, and events."""
    ledger = energy(plan, machine, machine_prices(machine), counted, fidelity, 1e6)
    return ledger, {one.component: one for one in ledger if one.layer == "up" and one.level == "array"}


@pytest.fixture
def machine(make):
    return make.three_memories(8, 16, 32, rows=4, cols=2, gbyte_s=12.8, clock_ghz=0.5)


@pytest.fixture
def plan(made_plan, machine):
    return made_plan(machine.policy.default.key)


def test_formulas_from_widths(plan, machine):
    ledger, found = charged(plan, machine, {}, "pann")
    # 8 x 8 bits: half of 8 x 8 and of 8 + 8 flips; sums of 32 bits twice a half: 15.3027 fJ a flip
    assert found["products"].amount == near(600 * 40 * 0.0153027)
    assert found["accumulation"].amount == near(600 * 32 * 0.0153027)
    # 8 units for 100 cycles: inputs stream, sums stand in all of them; 48 weights load once
    assert found["clock"].events == 800 * 8 + 48 * 8 + 800 * 32
    assert found["clock"].amount == near((800 * 8 + 48 * 8 + 800 * 32) * EDGE)
    assert set(found) == {"products", "accumulation", "clock"}
    assert ledger.fidelity == "pann"


def test_flips_of_operands(plan, machine):
    _, found = charged(plan, machine, {0: Counted(TOGGLES)}, "trace")
    held = load_coefficients()
    update = sum(held[f"mac.signed.energy.{name}"].value * flips for name, flips in INNER.items()
                 if name in machine.policy.default.datapath.price.parts)  # fmt: skip
    assert found["products"].amount == near(600 * update * 1e-3)
    # 900 loads of inputs, 48 of weights, 600 sums; 11.616 fJ where a flip-flop's data changes
    assert found["registers"].amount == near((900 * 2.5 + 48 * 1.25 + 600 * 7.0) * 0.011616)
    assert found["clock"].amount == near((800 * 8 + 48 * 8 + 800 * 32) * EDGE)


def test_gates(plan, machine):
    gates = GateEnergy("up", "ws", "zero", 250.0, 0.0, 9, "a test")
    _, found = charged(plan, machine, {0: Counted(TOGGLES, gates)}, "gates")
    assert found["logic"].amount == near(600 * 0.250)
    assert found["registers"].amount == near((900 * 2.5 + 48 * 1.25 + 600 * 7.0) * 0.011616)
    assert set(found) == {"logic", "registers", "clock"}


@pytest.mark.parametrize(
    ("flow", "bits"),
    [
        ("ws", 800 * 8 + 48 * 8 + 800 * 32),
        ("is", 900 * 8 + 800 * 8 + 800 * 32),  # 900 loads of inputs that stay
        ("os", 800 * 8 + 800 * 8 + 800 * 32),  # both stream
    ],
)
def test_what_stays_is_clocked_when_it_loads(plan, machine, flow, bits):
    machine = dataclasses.replace(machine, arrays=(Array(4, 2, dataflow(flow)),))
    _, found = charged(plan, machine, {}, "pann")
    assert found["clock"].events == bits


def test_stages_inside_a_unit(plan, machine):
    machine = dataclasses.replace(machine, arrays=(Array(4, 2, dataflow("ws"), stages=4),))
    _, found = charged(plan, machine, {}, "pann")
    assert found["pipeline"].amount == near(800 * 89 * EDGE)  # the table of depths: 89 flip-flops in four stages


def test_block_scales_flip_once_a_block(made_plan):
    machine = hwsim.load_accelerator("edge-nvfp4")
    made = made_plan(machine.policy.default.key)
    traffic = tuple(row for row in made.steps[0].traffic if row.level == "dram")
    made = dataclasses.replace(made, steps=(dataclasses.replace(made.steps[0], traffic=traffic, vector=()),))
    gates = GateEnergy("up", "ws", "zero", 250.0, 0.0, 9, "a test")
    toggles = Toggles("up", "ws", 1.5, 1.25, 3.0, 2.0, 0.0, 7.0, 1.0, {})
    _, found = charged(made, machine, {0: Counted(toggles, gates)}, "gates")
    flips = 900 * 1.5 + 48 * 1.25 + 600 * 7 + (900 * 3.0 + 48 * 2.0) / 16  # blocks of 16
    scale = machine_prices(machine).logic(Quantity(11.616, "fJ", "a test")).value
    assert found["registers"].amount == near(flips * scale)
    # 64 elements a word; 4 cycles x 4 of the array's units would be 800; 288 bits with the scales
    bits = 800 * 288 + 48 / 64 * 288 + 800 * 32
    assert found["clock"].events == near(bits)


def test_tables_are_rebuilt_once_a_word_of_a_row(made_plan):
    machine = hwsim.load_accelerator("edge-ternary")
    made = made_plan(machine.policy.default.key)
    step = dataclasses.replace(made.steps[0], traffic=(), vector=())
    made = dataclasses.replace(made, steps=(step,))
    _, found = charged(made, machine, {}, "pann")
    flip = machine_prices(machine).logic(Quantity(15.3027, "fJ", "a test")).value
    assert found["tables"].amount == near(120 / 3 * 130 * flip)  # 120 inputs, three a table of 130 bits
    assert found["products"].amount == near(600 * 5 * flip)
    assert found["accumulation"].amount == near(600 * 26 * flip)
    # no registers of inputs; weights are five bits for three; tables as often as they are rebuilt
    assert found["clock"].events == near(48 / 3 * 5 + 800 * 32 + 130 * 120 / 3)
    gates = GateEnergy("up", "ws", "zero", 100.0, 40.0, 9, "a test")
    toggles = Toggles("up", "ws", 1.5, 1.25, 0, 0, 0.0, 7.0, 1.0, {})
    _, found = charged(made, machine, {0: Counted(toggles, gates)}, "gates")
    assert found["tables"].events == 40
    assert found["registers"].events == near(48 * 1.25 + 600 * 7)  # inputs lie in the table, in no register


def test_memories_wires_and_standing(plan, machine):
    ledger, _ = charged(plan, machine, {}, "pann")
    level = machine_prices(machine).levels
    by_level = {name: part.value for name, part in ledger.breakdown("level").parts.items()}

    def moved(name: str, read: int, written: int) -> float:
        one = level[name]
        wire = one.wire_pj_per_bit.value if one.wire_pj_per_bit else 0.0
        return read * (one.read_pj_per_bit.value + wire) + written * (one.write_pj_per_bit.value + wire)

    def standing(name: str) -> float:
        return 175 * 2 * level[name].standing_mw.value  # 150 + 25 cycles of 2 ns

    # 1000 + 400 bits read, 500 written at 7 pJ; two devices stand by with 64.2 mW for 350 ns
    assert by_level["dram"] == near(1900 * 7 + 64.2 * 350)
    assert by_level["activation"] == near(moved("activation", 3000, 1000) + standing("activation"))
    assert by_level["weight"] == near(moved("weight", 700, 400) + standing("weight"))
    assert by_level["output"] == near(moved("output", 550, 90) + standing("output"))
    parts = ledger.breakdown("component").parts
    assert parts["dram"].value == near(1900 * 7)
    assert parts["dram.standby"].value == near(64.2 * 350)
    assert parts["wires"].value == near(
        4000 * level["activation"].wire_pj_per_bit.value
        + 1100 * level["weight"].wire_pj_per_bit.value
        + 640 * level["output"].wire_pj_per_bit.value
    )
    assert parts["clock tree"].value == near(175 * 50 * 1.21)  # of 1 mm²
    assert parts["leakage.logic"].value == near(350 * 0.1 * 1.1 / 0.9 * 2.718281828459045**0.6)
    prices = machine_prices(machine)
    assert parts["vector.relu"].value == near(70 * prices.vector("relu").value)
    assert parts["vector.add"].value == near(30 * prices.vector("add").value)
    by_tensor = ledger.breakdown("tensor").parts
    assert by_tensor["w"].value == near(400 * 7 + moved("weight", 700, 400))
    assert {one.step for one in ledger if one.layer == "add"} == {1}
    assert {one.step for one in ledger if one.layer == ""} == {None}


def test_what_a_fidelity_lacks_is_told(plan, machine):
    prices = machine_prices(machine)
    with pytest.raises(ArgumentError, match=r"energy\.fidelity: must be one of pann, trace, gates"):
        energy(plan, machine, prices, {}, "layout", 1e6)
    with pytest.raises(ArgumentError, match=r"energy\.up: toggles of every product must be known"):
        energy(plan, machine, prices, {}, "trace", 1e6)
    with pytest.raises(ArgumentError, match=r"energy\.up: gates of every product must be known"):
        energy(plan, machine, prices, {0: Counted(TOGGLES)}, "gates", 1e6)
    other = Counted(dataclasses.replace(TOGGLES, dataflow="os"))
    with pytest.raises(ArgumentError, match=r"energy\.up: toggles must be counted in the order of ws, got 'os'"):
        energy(plan, machine, prices, {0: other}, "trace", 1e6)


def test_area(machine):
    prices = machine_prices(machine)
    found = {one.component: one for one in area(machine, prices)}
    own, _ = machine.policy.default.datapath.price.blocks(load_coefficients())
    for block in own:
        assert found[block.part].amount == near(8 * block.area.value)
    # inputs 8 bits, weights twice 8 as the next tile loads beside them, sums 32
    assert found["registers"].events == 8 * (8 + 16 + 32)
    assert found["registers"].amount == near(8 * 56 * 4.522)
    assert found["vector"].amount == near(16 * prices.vector_lane_um2.value)
    cells = 8 * sum(block.area.value for block in own) + 8 * 56 * 4.522 + 16 * prices.vector_lane_um2.value
    assert found["placement"].amount == near(cells * 0.35 / 0.65)
    for name in ("activation", "weight", "output"):
        assert found[f"sram.{name}"].amount == near(prices.levels[name].area_um2.value)
    assert "dram" not in found
    piped = dataclasses.replace(machine, arrays=(Array(4, 2, dataflow("ws"), stages=4),))
    pipeline = {one.component: one for one in area(piped, machine_prices(piped))}["pipeline"]
    assert pipeline.amount == near(8 * 89 * 4.522)


@pytest.mark.parametrize(
    ("flow", "overlap", "bits"),
    [
        ("ws", "fill", 8 + 16 + 32),
        ("ws", "none", 8 + 8 + 32),
        ("is", "ideal", 16 + 8 + 32),
        ("os", "fill", 8 + 8 + 32),
    ],
)
def test_what_stays_has_a_second_register(machine, flow, overlap, bits):
    machine = dataclasses.replace(machine, arrays=(Array(4, 2, dataflow(flow), overlap, count=3),))
    assert register_bits(machine.policy.default.datapath, machine) == 24 * bits


def test_tables_stand_once_a_row_and_units_side_by_side():
    machine = hwsim.load_accelerator("edge-ternary")
    unit = machine.policy.default.datapath
    rows, units = machine.array.rows, machine.array.units
    assert register_bits(unit, machine) == units * (0 + 2 * 5 + 32) + rows * 130
    inside = dataclasses.replace(machine, arrays=(dataclasses.replace(machine.array, dataflow=dataflow("is")),))
    assert register_bits(unit, inside) == units * (0 + 5 + 32) + units * 130
    charges = list(area(machine, machine_prices(machine)))
    tables = next(one for one in charges if one.component == "tables")
    assert (tables.events, tables.event) == (rows, "row")
    assert len([one for one in charges if one.component == "registers"]) == 2  # ternary and int8 units


def test_synthesised_areas(machine):
    unit = machine.policy.default.datapath
    logic = {unit: Logic(Quantity(700.0, "um2", "a test"), Quantity(90.0, "um2", "a test"))}
    ledger = area(machine, machine_prices(machine), logic)
    found = {one.component: one.amount for one in ledger}
    assert (found["logic"], found["tables"]) == (near(8 * 700), near(4 * 90))
    assert ledger.fidelity == "synthesized"
