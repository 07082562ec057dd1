"""LUQ's multiplier-free unit: products as shifts, float32 sums in order, and the exact shortcut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim import datapaths, formats
from hwsim.errors import ArgumentError


def shifted_product(a: int, code: int) -> Fraction:
    """``±|a| 2^(e - 3)`` from the fields of the code."""
    exponent = code & 7
    magnitude = Fraction(abs(a)) * Fraction(2) ** (exponent - 3) if exponent else Fraction(0)
    return -magnitude if (a < 0) != (code > 7) else magnitude


def rounded_sum(terms, start=Fraction(0)):
    """Float32 additions in order; a sum of two float32 rounds once in float64 with 53 >= 2 x 24 + 2 bits."""
    acc = start
    for term in terms:
        acc = Fraction(float(np.float32(float(acc + term))))
    return acc


def test_all_products():
    unit = datapaths.shift()
    a = np.repeat(np.arange(-8, 8), 16)[:, None]
    codes = np.tile(np.arange(16, dtype=np.uint8), 16)[:, None]
    products = unit.dot(a, codes)
    expected = [shifted_product(int(x), int(e)) for x, e in zip(a[:, 0], codes[:, 0], strict=True)]
    assert [Fraction(float(p)) for p in products] == expected
    np.testing.assert_array_equal(products, a[:, 0] * formats.get("e3m0").decode(codes[:, 0]))


@pytest.mark.parametrize("k", [0, 1, 300])
def test_float_accumulator(rng, k):
    unit = datapaths.shift()
    a, codes = rng.integers(-8, 8, (7, k)), rng.integers(0, 16, (9, k)).astype(np.uint8)
    a[0], codes[0] = -8, 15
    c = (rng.standard_normal((7, 9)) * 1e5).astype(np.float32)
    c[0, 0], c[1, 1], c[2, 2] = 2.0**24, -0.0, 2.0**-140
    for start in (None, c):
        product = unit.matmul((a & 15).astype(np.uint8), codes, start)
        np.testing.assert_array_equal(
            product.view(np.uint32), unit.dot(a[:, None], codes[None], start).view(np.uint32)
        )
        for i in range(7):
            for j in range(9):
                begin = Fraction(0) if start is None else Fraction(float(c[i, j]))
                expected = rounded_sum(
                    [shifted_product(int(x), int(e)) for x, e in zip(a[i], codes[j], strict=True)], begin
                )
                assert Fraction(float(product[i, j])) == expected


def test_order_shows_once_sums_are_inexact():
    # 2^24 + 1 is a tie that rounds to 2^24; two at once would reach 2^24 + 2
    unit, one = datapaths.shift(), 3  # e3m0 code 3 is 2^0
    codes, c = np.full((1, 2), one, np.uint8), np.array([[2.0**24]], np.float32)
    assert unit.matmul(np.array([[1, 1]]), codes, c)[0, 0] == 2.0**24
    assert unit.matmul(np.array([[2, 0]]), codes, c)[0, 0] == 2.0**24 + 2


def test_long_sums_leave_the_shortcut():
    # 40000 x 8 x 16 = 5.12e6 > 2^22: there float32 moves by 1/2, so each quarter is a tie that falls back
    unit = datapaths.shift()
    a, codes = np.full((1, 40_003), -8), np.full((1, 40_003), 15, np.uint8)
    a[0, -3:], codes[0, -3:] = 1, 1
    product = unit.matmul(a, codes)
    np.testing.assert_array_equal(product, unit.dot(a[:, None], codes[None]))
    assert product[0, 0] == 5_120_000
    assert datapaths.shift("fixed", 48).matmul(a, codes)[0, 0] == np.float32(5_120_000.75)


@pytest.mark.parametrize("acc_bits", [10, 16, 32, 40])
def test_fixed_accumulator_wraps(rng, acc_bits):
    unit = datapaths.shift("fixed", acc_bits)
    a, codes = rng.integers(-8, 8, (5, 90)), rng.integers(0, 16, (6, 90)).astype(np.uint8)
    a[0], codes[0] = -8, 15
    c = rng.integers(-512, 512, (5, 6)) * 0.25
    product = unit.matmul(a, codes, c)
    np.testing.assert_array_equal(product, unit.dot(a[:, None], codes[None], c))
    for i in range(5):
        for j in range(6):
            total = sum(shifted_product(int(x), int(e)) for x, e in zip(a[i], codes[j], strict=True)) + Fraction(
                c[i, j]
            )
            half = 1 << acc_bits - 1
            assert product[i, j] == np.float32(((int(total * 4) + half) % (2 * half) - half) / 4)


def test_spec_round_trip():
    for spec in (
        {"family": "shift", "accumulator": "fp32", "acc_bits": 32},
        {"family": "shift", "accumulator": "fixed", "acc_bits": 20},
    ):
        assert datapaths.from_spec(spec).spec() == spec
    assert datapaths.shift().name == "shift.int4xe3m0.fp32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datapaths.shift("fp32", 20), "shift: acc_bits of a float32 accumulator must be 32, got 20"),
        (lambda: datapaths.shift("bf16"), "shift: accumulator must be 'fp32' or 'fixed', got 'bf16'"),
        (
            lambda: datapaths.shift().dot(np.zeros(1, np.uint8), np.array([16], np.uint8)),
            "dot.b: e3m0 operands must be uint8 codes below 16, got 'uint8'",
        ),
        (
            lambda: datapaths.shift("fixed", 10).dot(np.zeros(1, np.uint8), np.zeros(1, np.uint8), np.array(128.0)),
            "dot.c: c must be whole quarters that fit 10 bits, got 'float64'",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message
