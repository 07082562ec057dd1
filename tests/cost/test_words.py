"""Words inside circuits against literal arithmetic: one bit at a time, Python integers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwsim.cost.words import adder, changes, flips, float_adder, masked, multiplier_rows, ripples


def turned(words: list[int]) -> float:
    return sum((one ^ other).bit_count() for one, other in itertools.pairwise(words)) / (len(words) - 1)


def test_flips_of_rows() -> None:
    assert flips(np.array([0b11, 0b01, 0b10], np.uint64)) == (1 + 2) / 2
    assert flips(np.array([[1, 0], [0, 3]], np.uint64)) == 3
    assert flips(np.array([7], np.uint64)) == 0
    assert changes(np.array([[1, 0], [1, 3], [0, 3]], np.uint64)) == 1


@pytest.mark.parametrize(("x_bits", "y_bits"), [(4, 4), (3, 5), (8, 8)])
@pytest.mark.parametrize("signed", [True, False])
def test_rows_of_an_array_multiplier(x_bits: int, y_bits: int, signed: bool) -> None:
    """Full adders one by one, as the Verilog has them; the last row is the product itself."""
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 1 << x_bits, 40), rng.integers(0, 1 << y_bits, 40)
    partials, carries, sums = ([[] for _ in range(y_bits)] for _ in range(3))
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        above, product = 0, 0
        for row in range(y_bits):
            partial = a if b >> row & 1 else 0
            if signed:
                inverted = (1 << x_bits - 1) - 1 if row == y_bits - 1 else 1 << x_bits - 1
                partial ^= inverted
            total, carry, moved = 0, 0, 0
            if row == 0:
                total = partial | (1 << x_bits if signed and x_bits == y_bits else 0)
            else:
                carry = int(signed and x_bits != y_bits and row in (x_bits - 1, y_bits - 1))
                for bit in range(x_bits):
                    p, q = partial >> bit & 1, above >> bit & 1
                    moved |= carry << bit
                    total |= (p ^ q ^ carry) << bit
                    carry = p & q | carry & (p ^ q)
                total |= carry << x_bits
                moved |= carry << x_bits
            partials[row].append(partial)
            sums[row].append(total)
            carries[row].append(moved)
            product |= (total & 1) << row
            above = total >> 1
        product |= above << y_bits
        if signed:
            product ^= 1 << x_bits + y_bits - 1
            a, b = a - (a >> x_bits - 1 << x_bits), b - (b >> y_bits - 1 << y_bits)
        assert product == a * b % (1 << x_bits + y_bits)
    found = multiplier_rows(x.astype(np.uint64), y.astype(np.uint64), x_bits, y_bits, signed)
    assert found.partials == pytest.approx(sum(map(turned, partials)))
    assert found.carries == pytest.approx(sum(turned(words) for words in carries[1:]))
    assert found.by_depth == pytest.approx(sum(row * turned(words) for row, words in enumerate(sums)))


def test_ripples_by_hand() -> None:
    """0111 + 0000 -> 0111 + 0001: bit 0 starts, the carry passes bits 1 and 2, where the words differ."""
    a, b = np.array([0b0111, 0b0111], np.uint64), np.array([0b0000, 0b0001], np.uint64)
    assert ripples(a, b) == 2
    assert ripples(a[:1], b[:1]) == 0


def test_an_adder_by_hand() -> None:
    held, addend = np.array([5, 5], np.uint64), masked(np.array([3, -3]), 8)
    found = adder(held, addend, 8, 4)
    assert found["held"] == 0
    assert found["sum"] == (8 ^ 2).bit_count()
    assert found["addend"] == (3 ^ 0xFD).bit_count()
    assert found["extension"] == 4  # the sign of four bits moves the four above it


def test_a_float_adder_by_hand() -> None:
    """1 + 1 -> 1 + 0.25 in FP16: the distance goes from 0 to 2, the aligned word and the sum with it."""
    one, quarter = 0x3C00, 0x3400
    found = float_adder(np.array([one, one], np.uint64), np.array([one, quarter], np.uint64), 5, 10)
    wide, hidden = 14, 1 << 13
    assert found["operands"] == (one ^ quarter).bit_count()
    assert found["distance"] == wide * 1
    assert found["aligned"] == (hidden ^ hidden >> 2).bit_count()
    assert found["total"] == (2 * hidden ^ (hidden + (hidden >> 2))).bit_count()
    assert found["turned"] == wide
