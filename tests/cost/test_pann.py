"""PANN's formulas against its published table, and what counted bits of random operands say about them."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.cost import pann
from hwsim.errors import ArgumentError

PUBLISHED = {2: (24, 10), 3: (29.5, 16.5), 4: (36, 24), 5: (43.5, 32.5), 6: (52, 42), 8: (72, 64)}


def test_the_published_table() -> None:
    rows = {row.bits: (row.signed, row.unsigned) for row in pann.table()}
    assert rows == PUBLISHED
    assert [round(100 * row.saving) for row in pann.table()] == [58, 44, 33, 25, 19, 11]


def test_unequal_widths_follow_the_larger() -> None:
    assert pann.multiplier_flips(8, 4) == 0.5 * 64 + 0.5 * 12 == pann.multiplier_flips(4, 8)
    assert pann.accumulator_flips(8, 4, 24) == 12 + 12
    assert pann.accumulator_flips(8, 4, 24, signed=False) == 6 + 12


def test_the_multiplier_free_unit() -> None:
    """Pairs of activation width and additions at the budgets of unsigned 2, 3, 4 and 8-bit units."""
    assert pann.add_only_flips(6, 3.5) == 24
    pairs = {(10, 6): 1.17, (10, 4): 2.0, (16.5, 5): 2.8, (24, 7): 2.93, (24, 6): 3.5, (42, 8): 4.75, (64, 8): 7.5}
    assert {key: round(pann.additions_for(*key), 2) for key in pairs} == pairs
    with pytest.raises(ArgumentError, match=r"^pann: budget must exceed 4.0 flips, got 4$"):
        pann.additions_for(4, 8)
    with pytest.raises(ArgumentError, match=r"^pann: a_bits must be at least 1, got 0$"):
        pann.mac_flips(0, 4)


@pytest.mark.parametrize(("signed", "bits"), [(True, 4), (True, 8), (False, 4), (False, 8)])
def test_the_accumulator_really_flips_so(signed: bool, bits: int) -> None:
    """Uniform operands, 256 products: within 16 % of the formula at the input and in the register."""
    rng = np.random.default_rng(bits)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    products = rng.integers(low, high, (2000, 256)) * rng.integers(low, high, (2000, 256))
    words = [(series & 0xFFFFFFFF).astype(np.uint32) for series in (products, products.cumsum(1))]
    addend, total = (float(np.bitwise_count(word[:, 1:] ^ word[:, :-1]).mean()) for word in words)
    expected = 16 if signed else bits
    assert addend == pytest.approx(expected, rel=0.16)
    assert total == pytest.approx(bits, rel=0.16)


def test_units_of_other_families() -> None:
    assert datapaths.integer(8, 8, 32).price.width_flips() == (40, 32, 0)
    assert sum(datapaths.integer(4, 4, 32, signed=False).price.width_flips()) == 24
    # 16 products: 16 x 40; half of 16 leaves of 16 bits, of 8 sums of 17 bits, 4 of 18 and 2 of 19, of 24 bits at the
    # accumulator, whose sum and register flip as many bits as the last sum has, 20: 128 + 123 + 12 + 20
    assert datapaths.integer(8, 8, 24, group=16).price.width_flips() == (640, 283, 0)
    # 3 unsigned products of 4 x 4 bits: 3 x 12; 3 x 4, one pair of 9 bits and what is left of them, 5, 10
    assert datapaths.integer(4, 4, 32, signed=False, group=3).price.width_flips() == (36, 12 + 9 + 5 + 10, 0)
    products, sums, tables = datapaths.tensor_core("blackwell", "nvfp4").price.width_flips()
    assert products == 64 * pann.multiplier_flips(2, 2)
    assert sums == 64 * 4 + 38 + 16
    assert tables == 0
    # µ = 3: 13 entries of 10 bits
    assert datapaths.ternary_lut(3).price.width_flips() == (5, 16 + 10, 130)
