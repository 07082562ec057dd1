"""Amounts of a ledger add exactly, whatever they are grouped by."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from hwsim.cost.quantity import Quantity
from hwsim.errors import ArgumentError
from hwsim.evaluation.ledger import GROUPINGS, Charge, Ledger

PRICE = Quantity(0.25, "pJ", "a test", 0.1)


def charge(layer: str, component: str, amount: float, level: str = "array", tensor: str = "") -> Charge:
    return Charge(layer, component, level, tensor, amount / PRICE.value, "event", PRICE, amount)


def test_sums_over_every_grouping_are_equal_to_the_last_bit():
    draw = random.Random(7)
    charges = [
        charge(f"l{draw.randrange(9)}", f"c{draw.randrange(5)}", 10 ** draw.uniform(-6, 9), f"m{draw.randrange(3)}")
        for _ in range(3000)
    ]
    ledger = Ledger(charges, "pJ", "trace")
    exact = sum(Fraction(one.amount) for one in ledger)
    assert Fraction(ledger.value) == exact
    for by in GROUPINGS:
        parts = ledger.breakdown(by).parts.values()
        assert sum(Fraction(part.value) for part in parts) == exact, by
        shuffled = [part.value for part in parts]
        draw.shuffle(shuffled)
        assert sum(shuffled) == ledger.value
    # rounding moves the total by less than half a quantum (2^-52 of it) an amount
    assert abs(ledger.value - math.fsum(one.amount for one in charges)) <= len(charges) * ledger.value * 2.0**-52


def test_parts_by_hand():
    ledger = Ledger([charge("a", "dram", 3.0), charge("b", "dram", 1.5), charge("a", "clock", 0.25)], "pJ", "trace")
    assert {name: part.value for name, part in ledger.breakdown("component").parts.items()} == {
        "dram": 4.5, "clock": 0.25,
    }  # fmt: skip
    assert {name: part.value for name, part in ledger.breakdown("layer").parts.items()} == {"a": 3.25, "b": 1.5}
    assert ledger.charges[0].formula == "12 event × 0.25 pJ"  # 3 pJ at 0.25 pJ an event
    assert ledger.breakdown("tensor").parts.keys() == {"machine"}  # nothing moves


def test_an_empty_and_a_free_ledger():
    assert Ledger([], "pJ", "trace").value == 0
    assert Ledger([charge("a", "dram", 0.0)], "pJ", "trace").value == 0


@pytest.mark.parametrize("amount", [-1.0, math.inf, math.nan])
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(ArgumentError, match=r"a\.dram: an amount must be finite and not negative"):
        Ledger([charge("a", "dram", amount)], "pJ", "trace")


def test_other_units_and_groupings_are_refused():
    with pytest.raises(ArgumentError, match="prices must be in um2"):
        Ledger([charge("a", "dram", 1.0)], "um2", "fitted")
    with pytest.raises(ArgumentError, match="must be one of layer, component, level, tensor"):
        Ledger([charge("a", "dram", 1.0)], "pJ", "trace").breakdown("colour")
