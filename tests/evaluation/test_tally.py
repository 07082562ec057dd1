"""Columns of a plan's charges are those of its ledger: per kind of price the same events, whatever the unit and the
fidelity, for products whose parts differ too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import hwsim
from hwsim.cost.gates import GateEnergy
from hwsim.cost.toggles import Toggles
from hwsim.errors import ArgumentError
from hwsim.evaluation.energy import energy
from hwsim.evaluation.prices import MachinePrices, machine_prices
from hwsim.evaluation.product_events import Counted, joined, known
from hwsim.evaluation.tally import Counts, Tallies
from hwsim.testing.datapaths import draw

MACHINES = ("edge-int8", "edge-nvfp4", "edge-ternary", "edge-mxfp8", "edge-unified")


def counted_of(unit, seed, order="ws"):
    """Chosen flips of one product, in the inner features that its unit counts on random operands."""
    rng = np.random.default_rng(seed)
    drawn = draw(unit, rng)
    stream = unit.stream(order, 64, drawn.a, drawn.b, drawn.scale_a, drawn.scale_b)
    inner, rebuilt = unit.price.update_flips(stream), unit.price.rebuild_flips(stream)
    flips = Toggles("up", order, *rng.uniform(0, 8, 6).tolist(), 1.0, inner, rebuilt)
    gates = GateEnergy("up", order, "zero", rng.uniform(1, 400), rng.uniform(1, 9) if rebuilt else 0.0, 9, "a test")
    return Counted(flips, gates, 1.75)


def amounts(counts: Counts, price: float) -> np.ndarray:
    return counts.events * (counts.base * price)


@pytest.mark.parametrize("fidelity", ["pann", "trace", "gates"])
@pytest.mark.parametrize("name", MACHINES)
def test_columns_charge_what_the_ledger_does(name, fidelity, made_plan):
    machine = hwsim.load_accelerator(name)
    numerics = machine.policy.default
    plan = made_plan(numerics.key)
    product = plan.steps[0].products[0]
    more = dataclasses.replace(product, record=1, updates=77, a_reads=31, a_loads=12, b_loads=5, compute_cycles=9)
    kept = [row for row in plan.steps[0].traffic if row.level in {one.name for one in machine.memories}]
    step = dataclasses.replace(plan.steps[0], products=(product, more), traffic=tuple(kept))
    plan = dataclasses.replace(plan, steps=(step,))
    counted = {record: counted_of(numerics.datapath, record, machine.array.dataflow.order) for record in (0, 1)}
    prices = machine_prices(machine)
    ledger = energy(plan, machine, prices, counted, fidelity, 1e6)
    made = Tallies(MachinePrices(machine, prices.coefficients, {}), counted, fidelity).of(plan, machine)

    logic = technology_factor(prices)
    found = sorted(one.events * one.price.value for one in ledger
                   if one.level in ("array", "vector") and one.component not in ("clock", "pipeline"))  # fmt: skip
    np.testing.assert_array_equal(np.sort([x for x in amounts(made.logic, logic) if x]), [x for x in found if x])
    clocked = sorted(one.events for one in ledger if one.component == "clock")
    np.testing.assert_array_equal(np.sort(made.edges.events), clocked)
    for row in kept:
        read, written, wire = made.moved[row.level]
        assert (read.events.sum(), written.events.sum()) == (
            sum(one.read_bits for one in kept if one.level == row.level),
            sum(one.written_bits for one in kept if one.level == row.level),
        )
        np.testing.assert_array_equal(wire.events, read.events + written.events)
    (cycles,) = made.pipeline.values()
    assert cycles.events.tolist() == [100 * 4 * 2, 9 * 4 * 2]
    assert made.cuts["relu"].events.tolist() == [70]


def technology_factor(prices) -> float:
    """pJ of 1 fJ at the library's node, as the ledger scales it."""
    from hwsim.cost.quantity import Quantity

    return prices.logic(Quantity(1.0, "fJ", "a test")).value


def test_a_part_that_one_product_lacks_costs_it_nothing():
    machine = hwsim.load_accelerator("edge-int8")
    unit, held = machine.policy.default.datapath, machine_prices(machine).coefficients
    whole = counted_of(unit, 0)
    name = next(name for name in whole.toggles.inner if unit.price.parts.get(name) == "products")
    bare = dataclasses.replace(whole.toggles, inner={k: v for k, v in whole.toggles.inner.items()
                                                     if unit.price.parts.get(k) != "products"})  # fmt: skip
    ones = [known(unit, Counted(one), "trace", held, machine.array, "up") for one in (whole.toggles, bare)]
    assert name in whole.toggles.inner
    columns = {part.component: part for part in joined(ones).updates}
    assert columns["products"].price[0] > 0
    assert (columns["products"].times[1], columns["products"].price[1]) == (0, 0.0)
    assert (columns["accumulation"].price > 0).all()


@pytest.mark.parametrize("fidelity", ["trace", "gates"])
def test_a_product_without_counts_is_no_column(fidelity, made_plan):
    machine = hwsim.load_accelerator("edge-int8")
    plan = made_plan(machine.policy.default.key)
    tallies = Tallies(MachinePrices(machine, machine_prices(machine).coefficients, {}), {}, fidelity)
    with pytest.raises(ArgumentError, match="toggles of every product must be known"):
        tallies.of(plan, machine)
