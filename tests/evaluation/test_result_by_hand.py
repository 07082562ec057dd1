"""What an evaluation says of a pass: values, details, explanation, and what is assumed, worked out by hand."""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction

import pytest

import hwsim
from hwsim.cost.quantity import Quantity
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation.accuracy import SQNR
from hwsim.evaluation.area import area
from hwsim.evaluation.energy import energy
from hwsim.evaluation.explanation import explain, to_json
from hwsim.evaluation.ledger import Charge, Ledger
from hwsim.evaluation.prices import machine_prices
from hwsim.evaluation.pricing import check_clock, forward_work, price
from hwsim.evaluation.product_events import Counted
from hwsim.evaluation.records import Evaluation
from hwsim.trace import Workload
from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Graph, Operator, Tensor


@pytest.fixture
def machine(make):
    return make.three_memories(8, 16, 32, rows=4, cols=2, gbyte_s=12.8, clock_ghz=0.5)


@pytest.fixture
def result(made_plan, machine):
    """175 cycles of 2 ns; 2 µJ and 3 mm² in two charges each."""
    pj, um2 = Quantity(0.5, "pJ", "a test"), Quantity(2.0, "um2", "another test")
    spent = [
        Charge("up", "dram", "dram", "x", 3e6, "bit", pj, 1.5e6, 0),
        Charge("", "leak", "chip", "", 1e6, "cycle", pj, 5e5),
    ]
    made = [
        Charge("", "vector", "vector", "", 1e6, "lane", um2, 2e6),
        Charge("", "sram.w", "w", "", 5e5, "bit", um2, 1e6),
    ]
    return Evaluation(
        machine, "a model", "none", SQNR, 21.5, {}, made_plan(machine.policy.default.key),
        Ledger(spent, "pJ", "pann"), Ledger(made, "um2", "fitted"), macs=900, tokens=7, f_max_ghz=0.75,
    )  # fmt: skip


def test_values(result):
    assert result.values() == {
        SQNR.name: 21.5,
        "energy_uj": pytest.approx(2.0),
        "area_mm2": pytest.approx(3.0),
        "latency_ms": pytest.approx(350e-6),
        "power_mw": pytest.approx(2e-6 / 350e-9 * 1e3),
        "edp_uj_ms": pytest.approx(2.0 * 350e-6),
        "dram_mbit": pytest.approx((1000 + 400 + 500) * 1e-6),
        "passes_s": pytest.approx(1 / 350e-9),
        "tokens_s": pytest.approx(7 / 350e-9),
        "tops_w": pytest.approx(2 * 900 / 2e-6 * 1e-12),  # operations a joule
        "tops_mm2": pytest.approx(2 * 900 / 350e-9 * 1e-12 / 3.0),
    }
    assert (result.latency_cycles, result.dram_read_bits, result.dram_write_bits) == (175, 1400, 500)
    assert result.power_w == pytest.approx(2e-6 / 350e-9)
    assert len(result.traffic) == 7


def test_detail(result):
    found = result.detail()
    assert found["utilization"] == pytest.approx(600 / (8 * 175))  # updates over units times cycles
    assert (found["cycles"], found["array"], found["bound"]) == (175, "4×2 ws", "compute")
    assert found["energy_pj"] == {"dram": 1.5e6, "leak": 5e5}
    assert found["area_um2"] == {"vector": 2e6, "sram.w": 1e6}
    assert found["sources"]["energy: dram"] == "a test (×/÷ 1)"
    first, second = result.plan.steps
    often = dataclasses.replace(result, plan=dataclasses.replace(result.plan, steps=(first, second, second, second)))
    assert often.detail()["bound"] == "compute"  # three steps of 25 cycles wait for DRAM, one of 150 for the array
    # 100 cycles of the array are 40 % of 250
    assert often.detail()["utilization"] == pytest.approx(600 / (8 * 225))


def test_errors_of_several_charges_meet():
    spent = [
        Charge("up", "sram", "m", "x", 1, "bit", Quantity(3.0, "pJ", "large", errors={"table": 2.0}), 3.0),
        Charge("up", "sram", "m", "x", 1, "bit", Quantity(1.0, "pJ", "small", errors={"wire": 2.0}), 1.0),
    ]
    part = Ledger(spent, "pJ", "pann").breakdown()["sram"]
    assert part.errors == {"table": pytest.approx(2**0.75), "wire": pytest.approx(2**0.25)}  # weighted by value
    assert part.source == "large"


def test_explanation_adds_up_to_the_last_bit(made_plan, machine, result):
    plan, prices = made_plan(machine.policy.default.key), machine_prices(machine)
    full = dataclasses.replace(
        result, energy=energy(plan, machine, prices, {0: Counted()}, "pann", 1e6), area=area(machine, prices)
    )
    tables = {table.name: table for table in explain(full)}
    rows = to_json(tuple(tables.values()))
    total = Fraction(full.energy_pj)
    for name in ("energy by component", "energy by layer", "energy by level", "energy charges"):
        assert sum(Fraction(row["energy_pj"]) for row in rows[name]) == total, name
    for name in ("area by component", "area charges"):
        assert sum(Fraction(row["area_um2"]) for row in rows[name]) == Fraction(full.area_um2), name
    assert sum(row["share"] for row in rows["energy by level"]) == pytest.approx(1.0)
    standing = sum(Fraction(row["energy_pj"]) for row in rows["energy charges"] if row["layer"] == "machine")
    assert sum(Fraction(row["energy_pj"]) for row in rows["steps"]) + standing == total
    by_layer = {row["layer"]: row["energy_pj"] for row in rows["energy by layer"]}
    # a step pays for all that it runs, whatever module asked for it
    assert Fraction(rows["steps"][0]["energy_pj"]) == Fraction(by_layer["up"]) + Fraction(by_layer["relu"])
    assert rows["steps"][1]["energy_pj"] == by_layer["add"]
    first = rows["steps"][0]
    assert (first["latency_cycles"], first["waits_for"], first["dram_read_bits"], first["dram_write_bits"]) == (
        150, "compute", 1400, 0,
    )  # fmt: skip
    assert {(row["tensor"], row["level"], row["read_bits"], row["written_bits"]) for row in rows["traffic"]} == {
        ("x", "dram", 1000, 0), ("x", "activation", 3000, 1000), ("w", "dram", 400, 0), ("w", "weight", 700, 400),
        ("up:partial", "output", 50, 90), ("y", "dram", 0, 500), ("y", "output", 500, 0),
    }  # fmt: skip
    assert rows["residents"] == [
        {"tensor": "y", "level": "output", "bits": 500, "first_step": 0, "last_step": 1},
    ]  # fmt: skip
    moved = next(row for row in rows["energy charges"] if row["tensor"] == "y" and row["component"] == "dram")
    assert (moved["formula"], moved["energy_pj"]) == ("500 bit written × 7 pJ", pytest.approx(3500))


def test_a_module_that_runs_in_two_steps_is_paid_once(made_plan, machine, result):
    plan = made_plan(machine.policy.default.key)
    plan = dataclasses.replace(plan, steps=(plan.steps[0], plan.steps[0]))
    spent = energy(plan, machine, machine_prices(machine), {}, "pann", 1e6)
    rows = to_json(explain(dataclasses.replace(result, plan=plan, energy=spent)))
    one, two = (row["energy_pj"] for row in rows["steps"])
    by_layer = spent.breakdown("layer").parts
    assert one == two
    assert one + two == by_layer["up"].value + by_layer["relu"].value


def test_a_clock_above_the_units_is_refused_with_the_factor(machine):
    highest = machine_prices(machine).f_max_ghz.value
    fast = dataclasses.replace(machine, clock_ghz=1.5 * highest)
    with pytest.raises(DesignError, match=re.escape("it is 1.50 x that")) as refused:
        check_clock(fast, machine_prices(fast))
    assert f"at most {highest:.3g} GHz, which the slowest part reaches with units in 1 stages" in str(refused.value)
    assert "three.technology.clock_ghz" in str(refused.value)
    just = dataclasses.replace(machine, clock_ghz=highest)
    assert check_clock(just, machine_prices(just)) == highest


def two_products(make, phase="forward") -> Workload:
    b = make.Builder()
    b.tensor("ids", 6, dtype="int64")
    b.weight("table", 10, 8)
    b.weight("w1", 4, 8)
    b.weight("u", 8, 5)
    b.vector("embedding", "x", "table", "ids", shape=(6, 8), gather=48)
    b.gemm("x", "w1", "y", 6, 4, 8)
    graph = b.graph("y")
    gemms = tuple(one.gemm for one in graph.operators if one.gemm)
    back = dataclasses.replace(gemms[0], phase="wgrad")
    (place,) = (place for place, one in enumerate(graph.operators) if one.gemm)
    operators = list(graph.operators)
    operators[place] = dataclasses.replace(operators[place], record=1)
    return Workload("two", (back, *gemms), Graph(graph.tensors, tuple(operators)))


def test_work_of_a_graph(make):
    work = forward_work(two_products(make), "here")
    assert (work.records, work.macs, work.tokens, work.note) == ((1,), 6 * 4 * 8, 6, "")


def test_work_without_a_graph_says_so(make):
    bare = dataclasses.replace(two_products(make), graph=None)
    work = forward_work(bare, "here")
    assert (work.records, work.macs) == ((1,), 192)
    assert work.note == "no operator graph: each product alone, by way of DRAM"
    with pytest.raises(ArgumentError, match="here: a trace must hold forward GEMMs"):
        forward_work(dataclasses.replace(bare, gemms=bare.gemms[:1]), "here")


def test_products_of_weights_are_no_work(make):
    workload = two_products(make)
    graph = workload.graph
    spec = GemmShape("norm", "linear", "forward", 1, 8, 5, 5, "weight", 1)
    made = Tensor("sigma", (8, 5), "float32", "weight")
    offline = Operator("norm", "gemm", "forward", (graph.operators[1].inputs[1],) * 2, "sigma", 0, spec, 2,
                       "weight × weight")  # fmt: skip
    both = Workload("three", (*workload.gemms, spec), Graph((*graph.tensors, made), (offline, *graph.operators)))
    work = forward_work(both, "here")
    assert (work.records, work.macs) == ((1,), 192)


def test_a_workload_without_operands_says_what_it_borrows(make, machine):
    result = hwsim.evaluate(two_products(make), machine)
    assert result.borrowed == "no operands: flips of units follow from their widths"
    assert math.isnan(result.accuracy)
    assert (result.fidelity, result.energy.fidelity) == ("none", "pann")
    bare = hwsim.evaluate(dataclasses.replace(two_products(make), graph=None), machine)
    assert bare.borrowed == (
        "no operator graph: each product alone, by way of DRAM; no operands: flips of units follow from their widths"
    )
    # 6 x 8 inputs and 4 x 8 weights of 8 bits in, 6 x 4 results of 16 bits out
    assert (bare.dram_read_bits, bare.dram_write_bits) == (8 * (48 + 32), 16 * 24)


def test_leakage_and_clock_are_of_all_logic_and_its_layout(make, machine):
    work = forward_work(two_products(make), "here")
    priced = price(work, machine, {}, "pann")
    sizes = priced.area.breakdown("level").parts
    logic = (
        sizes["array"].value + sizes["vector"].value + sizes["chip"].value
    )  # the gaps of the layout are the chip's
    trunk = next(one for one in priced.energy if one.component == "clock tree")
    assert trunk.price.value == pytest.approx(logic * 1e-6 * 50 * 1.21)
    assert trunk.events == priced.plan.latency_cycles
    assert priced.f_max_ghz == machine_prices(machine).f_max_ghz.value
