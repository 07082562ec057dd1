"""Price and circuit of integer units of several products: by hand, by literal sums, and against synthesised cells."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.arch import load_accelerator
from hwsim.cost import load_coefficients
from hwsim.cost.depths import table
from hwsim.datapaths import circuits

HELD = load_coefficients()
LARGE, LEFT, SMALL = (datapaths.integer(8, 8, 24, group=16), datapaths.integer(8, 4, 20, group=6),
                      datapaths.integer(4, 4, 12, group=2, overflow="saturate"))  # fmt: skip


def turned(words: list[int]) -> float:
    return sum((one ^ other).bit_count() for one, other in itertools.pairwise(words)) / (len(words) - 1)


def value(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


@pytest.mark.parametrize("unit", [LARGE, LEFT, SMALL], ids=lambda unit: unit.name)
@pytest.mark.parametrize("dataflow", ["ws", "os"])
def test_flips_of_a_tree_are_those_of_its_sums(unit: datapaths.integer, dataflow: str) -> None:
    """Products, sums of pairs of them and of pairs of those, one step and one Python integer after another."""
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 1 << bits, (6, 4 * unit.group)).astype(np.uint8) for bits in (unit.a_bits, unit.b_bits))
    stream = unit.stream(dataflow, 60, a, b, None, None)
    bits, levels = unit.a_bits + unit.b_bits, (unit.group - 1).bit_length()
    leaves: list[list[int]] = []
    inner: list[list[int]] = []
    totals: list[int] = []
    for x, w in zip(stream.a.tolist(), stream.b.tolist(), strict=True):
        terms = [value(p, unit.a_bits) * value(q, unit.b_bits) for p, q in zip(x, w, strict=True)]
        leaves.append([term & (1 << bits) - 1 for term in terms])
        totals.append(sum(terms) & (1 << unit.sum_bits) - 1)
        sums, width = [], bits
        while len(terms) > 2:
            width += 1
            terms = [sum(terms[first : first + 2]) for first in range(0, len(terms), 2)]
            sums += [term & (1 << width) - 1 for term in terms]
        inner.append(sums)
    found = unit.price.update_flips(stream)
    by_lane = sum(turned(list(one)) for one in zip(*leaves, strict=True))
    assert found["products_by_level"] == pytest.approx(levels * by_lane)
    assert found["inner"] == pytest.approx(sum(turned(list(one)) for one in zip(*inner, strict=True)))
    assert found["total"] == pytest.approx(turned(totals))
    assert (found["clamped"] > 0) == (unit.overflow == "saturate")


def test_flips_of_a_multiplier_are_summed_over_the_tree() -> None:
    """Lane by lane as the unit of one product counts them."""
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 256, (5, 32)).astype(np.uint8) for _ in "ab")
    found = LARGE.price.update_flips(LARGE.stream("ws", 40, a, b, None, None))
    one = datapaths.integer(8, 8, 24)
    stream = LARGE.stream("ws", 40, a, b, None, None)
    for name in ("multiplicand", "multiplier", "ripples", "partials_by_rows", "carries_by_rows"):
        lanes = 0.0
        for lane in range(16):
            part = type(stream)(
                stream.a[:, [lane]], stream.b[:, [lane]], stream.scale_a, stream.scale_b, stream.before, stream.first,
                stream.last, stream.tables,
            )  # fmt: skip
            lanes += one.price.update_flips(part)[name]
        assert found[name] == pytest.approx(lanes)


def test_an_area_by_hand() -> None:
    """16 multipliers of the unit of one product, a tree of 16 terms of 16 bits, an accumulator of 24 for 20."""
    (products, tree, adds), shared = LARGE.price.blocks(HELD)
    (alone, _), _ = datapaths.integer(8, 8, 24).price.blocks(HELD)
    assert products.area.value == pytest.approx(16 * alone.area.value)
    rate = {name: HELD.value(f"adder_tree.signed.area.{name}") for name in ("term_bits", "terms", "sum_bits")}
    by_hand = 256 * rate["term_bits"] + 16 * rate["terms"] + 20 * rate["sum_bits"]
    assert tree.area.value == pytest.approx(by_hand + HELD.value("adder_tree.signed.area.constant"))
    assert tree.area.value == pytest.approx(1340.9, rel=0.03)  # as synthesised: adder_tree_s16_n16 of depths.csv
    by_hand = 24 * HELD.value("accumulator.signed.wrap.area.acc_bits")
    by_hand += 20 * HELD.value("accumulator.signed.wrap.area.addend_bits")
    assert adds.area.value == pytest.approx(by_hand + HELD.value("accumulator.signed.wrap.area.constant"))
    assert shared == ()
    assert LARGE.price.registers == (128, 128, 24, 0, 128)


WHOLE = [name for name, (family, _) in circuits.named_units().items() if family == "mac_tree"]


@pytest.mark.parametrize("name", WHOLE)
def test_composed_areas_are_near_the_cells(name: str) -> None:
    """None of these circuits was fitted: cells of the table of depths, less those of the accumulator's register."""
    family = circuits.named_units()[name][1]
    unit = datapaths.integer(family["a_bits"], family["b_bits"], family["acc_bits"], True,
                             family.get("overflow", "wrap"), family["group"])  # fmt: skip
    cells = table()[name][1].small_area_um2 - unit.acc_bits * HELD.value("flipflop.area")
    composed = sum(block.area.value for block in unit.price.blocks(HELD)[0])
    assert composed == pytest.approx(cells, rel=0.05)


def test_modules_are_apart_so_that_synthesis_cannot_fuse_them() -> None:
    text = circuits.build("mac_tree", a_bits=4, b_bits=4, acc_bits=20, group=16).verilog
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [
        "ripple_row_4", "mul_s4x4_array", "adder_tree_s8_n16", "acc_s20_p12_wrap", "mac_s4x4_g16_acc20_wrap",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chip", "products", "multipliers"),
    [("vs-quant-int4", 64, 1024), ("vs-quant-int8", 32, 512), ("simba", 8, 1024), ("nvdla-2048", 64, 2048),
     ("nvdla-1024", 64, 1024), ("nvdla-512", 32, 512), ("nvdla-256", 32, 256), ("nvdla-128", 16, 128),
     ("nvdla-64", 8, 64), ("nvdla-32", 8, 32)],
)  # fmt: skip
def test_published_chips_have_their_multipliers(chip: str, products: int, multipliers: int) -> None:
    """Vectors of 64 and 32 in 16 lanes (VLSI 2022); 16 x 8 x 8 (MICRO 2019); the primer's table."""
    machine = load_accelerator(chip)
    assert machine.policy.default.datapath.lanes == products
    assert machine.array.units * products == multipliers
