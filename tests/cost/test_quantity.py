"""Numbers with causes of error, sums of them, and which of two sums is likely less."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwsim.cost import Breakdown, Quantity, add, probability_less
from hwsim.cost.quantity import factor_of_percentile, total
from hwsim.errors import ArgumentError


def test_a_quantity() -> None:
    """An error of 0.1 is a factor of 1.1, whose cause is the source."""
    one = Quantity(10, "pJ", "measured", 0.1)
    assert (one.low, one.high) == pytest.approx((10 / 1.1, 11))
    assert one.errors == pytest.approx({"measured": 1.1})
    assert one.relative_error == pytest.approx(0.1)
    assert str(one) == "10 pJ ×/÷ 1.10"
    assert Quantity(1, "pJ", "x").relative_error == 0
    assert Quantity(1, "pJ", "x", errors={"y": 1.0}) == Quantity(1, "pJ", "x")
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(Quantity(10, "pJ", "measured", 0.1))
    assert replace(one, value=20.0) == Quantity(20, "pJ", "measured", 0.1)
    with pytest.raises(ArgumentError, match=r"^quantity.node: an error must be a factor of at least 1, got 0.5$"):
        Quantity(1, "pJ", "x", errors={"node": 0.5})
    with pytest.raises(ArgumentError, match=r"^quantity.x: an error must be a factor of at least 1, got 0.5$"):
        Quantity(1, "pJ", "x", -0.5)


def test_products_by_hand() -> None:
    """Causes of different name: 1.5 and 2 make exp(hypot(ln 1.5, ln 2)) = 2.232; the same cause twice makes 3."""
    one = Quantity(3, "pJ/bit", "table", errors={"table": 1.5})
    other = one.times(Quantity(4, "bit", "count", errors={"node": 2.0}), "pJ", "scaled")
    assert (other.value, other.unit, other.source) == (12, "pJ", "table; scaled")
    assert other.error_factor == pytest.approx(2.2323, abs=1e-4)
    same = one.times(Quantity(4, "bit", "count", errors={"table": 2.0}), "pJ")
    assert same.errors == pytest.approx({"table": 3.0})
    assert one.scaled(2, 0.3, "by node") == Quantity(
        6, "pJ/bit", "table; by node", errors={"table": 1.5, "by node": 1.3}
    )
    assert one.scaled(2, errors={"node": 2.0}).errors == pytest.approx({"table": 1.5, "node": 2.0})
    assert one.with_unit("fJ") == Quantity(3, "fJ", "table", 0.5)
    assert one.with_source("list").errors == one.errors


def test_sums_by_hand() -> None:
    """3 pJ and 1 pJ of the cause x at 2: 2 again. 3 of x and 4 of y at e: hypot(3, 4) / 7 in the logarithm."""
    x = errors = {"x": 2.0}
    both = total([Quantity(3, "pJ", "a", errors=x), Quantity(1, "pJ", "b", errors=errors)])
    assert both.errors == pytest.approx({"x": 2.0})
    assert (both.value, both.source) == (4, "a")
    apart = total([Quantity(3, "pJ", "a", errors={"x": math.e}), Quantity(4, "pJ", "b", errors={"y": math.e})], "sum")
    assert apart.sigma == pytest.approx(5 / 7)
    assert apart.source == "sum"
    with pytest.raises(ArgumentError, match=r"^cost.total: quantities must share one unit, got \['mW', 'pJ'\]$"):
        total([Quantity(1, "pJ", "", 0), Quantity(1, "mW", "", 0)])
    assert total([Quantity(0, "pJ", "a", 0.5)]).sigmas == ()


def test_a_breakdown_adds_up_to_the_last_digit() -> None:
    """The total is the exact sum of the parts rounded once, in whatever order they come."""
    generator = np.random.default_rng(7)
    values = [float(value) for value in generator.lognormal(0, 9, 40)]
    parts = {f"part {index}": Quantity(value, "pJ", "drawn", 0.5) for index, value in enumerate(values)}
    exact = float(sum(map(Fraction, values)))
    there = Breakdown(parts, "pann", "pJ")
    back = Breakdown(dict(reversed(parts.items())), "pann", "pJ")
    assert there.value == back.value == there.total.value == there.to_dict()["total"] == exact
    assert sum(values) != exact  # a plain sum loses it
    assert there.total.errors == pytest.approx({"drawn": 1.5})
    assert there.to_dict()["parts"]["part 3"]["errors"] == pytest.approx({"drawn": 1.5})
    assert Breakdown({}, "pann", "pJ").total.value == 0


def test_adding_breakdowns() -> None:
    one = Breakdown({"a": Quantity(1, "pJ", "x", 1.0), "b": Quantity(2, "pJ", "y", 0)}, "pann", "pJ")
    two = Breakdown({"a": Quantity(5, "pJ", "z", 0)}, "pann", "pJ")
    both = add([one, two])
    assert (both["a"].value, both["a"].source, both["b"].value) == (6, "z", 2)
    assert both["a"].sigma == pytest.approx(math.log(2) / 6)


def test_the_factor_of_a_percentile() -> None:
    """A normal logarithm is within 1.96 standard deviations in 95 % of the cases: half of 1.5 on that scale."""
    assert factor_of_percentile(0.5) == pytest.approx(math.exp(math.log(1.5) / 1.96), abs=1e-4)
    draws = np.exp(np.random.default_rng(1).normal(0, math.log(factor_of_percentile(0.5)), 200_000))
    assert (np.abs(np.log(draws)) < math.log(1.5)).mean() == pytest.approx(0.95, abs=0.002)


def breakdown(**parts: tuple[float, dict[str, float]]) -> Breakdown:
    made = {name: Quantity(value, "pJ", name, errors=errors) for name, (value, errors) in parts.items()}
    return Breakdown(made, "pann", "pJ")


def test_one_cause_alone_by_hand() -> None:
    """10 % more, each of its own cause at 1.5: Phi(ln 1.1 / (sqrt 2 ln 1.5)) = Phi(0.1662) = 0.566. One shared cause:
    certain. The lattice is within 0.01."""
    ours, theirs = breakdown(a=(10.0, {"x": 1.5})), breakdown(a=(11.0, {"y": 1.5}))
    assert probability_less(ours, theirs) == pytest.approx(0.5660, abs=0.01)
    assert probability_less(theirs, ours) == 1 - probability_less(ours, theirs)
    assert probability_less(ours, breakdown(a=(11.0, {"x": 1.5}))) == 1.0
    assert probability_less(breakdown(a=(11.0, {"x": 1.5})), ours) == 0.0
    assert probability_less(ours, ours) == 0.5
    assert probability_less(ours["a"], theirs["a"]) == probability_less(ours, theirs)
    # of one cause, but more exposed to it: ahead while ln 1.1 + (ln 1.5 - ln 1.2) z > 0
    less = breakdown(a=(11.0, {"x": 1.2}))
    z = math.log(1.1) / (math.log(1.5) - math.log(1.2))
    assert probability_less(ours, less) == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), abs=0.01)


def test_a_large_shared_part_cancels() -> None:
    """100 pJ that both take, off by a factor of three, decide nothing: 1 pJ against 2 of another cause."""
    shared = {"node": 3.0}
    ours = breakdown(big=(100.0, shared), own=(1.0, {"x": 1.1}))
    theirs = breakdown(big=(100.0, shared), own=(2.0, {"x": 1.1}))
    assert probability_less(ours, theirs) == 1.0
    other = breakdown(big=(100.0, shared), own=(2.0, {"y": 2.0}))
    spread = math.hypot(math.log(1.1), math.log(2))
    assert probability_less(ours, other) == pytest.approx(
        0.5 * math.erfc(-math.log(2) / spread / math.sqrt(2)), abs=0.01
    )


def drawn(a: Breakdown, b: Breakdown, draws: int = 400_000) -> float:
    """The same probability from draws of every cause."""
    generator = np.random.default_rng(11)
    causes = sorted({cause for side in (a, b) for part in side.parts.values() for cause in part.errors})
    normal = {cause: generator.standard_normal(draws) for cause in causes}

    def sums(side: Breakdown) -> np.ndarray:
        return sum(  # type: ignore[return-value]
            part.value * np.exp(sum((sigma * normal[cause] for cause, sigma in part.sigmas), np.zeros(draws)))
            for part in side.parts.values()
        )

    return float((sums(a) < sums(b)).mean())


PAIRS = {
    "two designs of one node": (
        breakdown(
            logic=(30.0, {"logic 45 to 7": 2.2, "fit a": 1.1}),
            sram=(20.0, {"sram": 1.6}),
            dram=(50.0, {"dram": 1.6}),
        ),
        breakdown(
            logic=(45.0, {"logic 45 to 7": 2.2, "fit b": 1.1}),
            sram=(25.0, {"sram": 1.6}),
            dram=(40.0, {"dram": 1.6}),
        ),
    ),
    "two nodes": (
        breakdown(logic=(10.0, {"45 to 7": 2.2, "7 to 5": 1.3}), sram=(20.0, {"sram": 1.6, "node": 1.7})),
        breakdown(logic=(15.0, {"45 to 7": 2.2}), sram=(22.0, {"sram": 1.6})),
    ),
    "nothing shared": (
        breakdown(a=(10.0, {"1": 2.0}), b=(10.0, {"2": 2.0}), c=(5.0, {"3": 1.3})),
        breakdown(a=(14.0, {"4": 1.5}), b=(14.0, {"5": 1.8})),
    ),
    "one large against many small": (
        breakdown(a=(30.0, {"1": 2.0})),
        breakdown(**{str(index): (10.0, {f"own {index}": 2.0}) for index in range(4)}),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_against_draws(name: str) -> None:
    """400,000 draws of a seeded generator: a standard error of 0.0008; the lattice's own is below 0.014."""
    a, b = PAIRS[name]
    assert probability_less(a, b) == pytest.approx(drawn(a, b), abs=0.015)
    assert probability_less(a, b) + probability_less(b, a) == 1


def test_sharing_causes_decides() -> None:
    """The first pair's total alone is off by 1.4; the two differ by 10 %; yet shared causes make it surer."""
    a, b = PAIRS["two designs of one node"]
    apart = breakdown(all=(b.value, {"another": b.total.error_factor}))
    assert a.total.error_factor > 1.3
    assert probability_less(a, b) > probability_less(a, apart) + 0.05


def test_what_cannot_be_compared() -> None:
    with pytest.raises(
        ArgumentError, match=r"^probability_less: must be in pJ, as what it is compared with, got 'mW'$"
    ):
        probability_less(Quantity(1, "pJ", ""), Quantity(1, "mW", ""))
    with pytest.raises(ArgumentError, match=r"^probability_less: parts must not be below zero, got -1$"):
        probability_less(Quantity(-1, "pJ", ""), Quantity(1, "pJ", "", 0.5))
