"""What elementwise instructions must return, from rules written in the PTX ISA and in NVIDIA's headers."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.verify.checks import conversions, device
from hwsim.verify.cuda import get
from hwsim.verify.subject import Subject


def floats(*values):
    return np.array(values, np.float32).view(np.uint32)


def expected(name, x, y=None, z=None):
    nothing = np.zeros(len(x), np.uint32)
    given = (nothing if words is None else words for words in (y, z))
    return conversions.expected(Subject(), get(name), x, *given)


@pytest.mark.parametrize(
    ("name", "x", "y", "word"),
    [  # x is the low element, y the high one
        ("cvt.e2m1", 6.0, -0.1, 0x87),
        ("cvt.e2m1", float("nan"), -7.0, 0xF7),
        ("cvt.e2m1", 0.25, 0.75, 0x20),  # ties go to the even code
        ("cvt.e4m3", 464.0, -1.0, 0xB87E),
        ("cvt.e4m3", float("inf"), float("nan"), 0x7F7E),
        ("cvt.e5m2", 61440.0, 1.0, 0x3C7B),
        ("cvt.e8m0.rp", 3.0, 1.0, 0x7F81),
        ("cvt.e8m0.rz", 3.0, 0.0, 0x0080),
        ("cvt.e8m0.rz", float("inf"), float("nan"), 0xFFFE),
        ("cvt.e8m0.rp.nosat", float("inf"), 2.0, 0x80FF),
        ("cvt.fp16", 1.0, 65520.0, 0x7C003C00),
        ("cvt.bf16", 1.0, -2.0, 0xC0003F80),
    ],
)
def test_two_values_are_packed_low_first(name, x, y, word):
    assert hex(expected(name, floats(x), floats(y))[0]) == hex(word)


@pytest.mark.parametrize(
    ("name", "x", "word"),
    [
        ("decode.e2m1", 0x87, 0x80004600),  # 6 and -0
        ("decode.e4m3", 0x387E, 0x3C005F00),  # 448 and 1
        ("decode.e5m2", 0x7C3C, 0x7C003C00),  # 1 and infinity
        ("decode.e2m3", 0x1F08, 0x47803C00),  # 1 and 7.5
        ("decode.e3m2", 0x1F0C, 0x4F003C00),  # 1 and 28
        ("decode.e8m0", 0x807F, 0x40003F80),  # bfloat16 of 1 and 2
    ],
)
def test_two_codes_are_unpacked_low_first(name, x, word):
    assert hex(expected(name, np.array([x], np.uint32))[0]) == hex(word)


def test_dp4a_is_four_signed_products():
    x = np.array([0x80FF0102], np.uint32)  # 2, 1, -1, -128
    y = np.array([0x807F0304], np.uint32)  # 4, 3, 127, -128
    z = np.array([0xFFFFFFFF], np.uint32)
    assert expected("dp4a", x, y, z).view(np.int32)[0] == 8 + 3 - 127 + 16384 - 1


def test_any_nan_is_a_nan_in_halves_only():
    nan = [np.array([word], np.uint32) for word in (0x7E003C00, 0x7FFF3C00)]
    assert conversions.same(get("decode.e4m3"), *nan)[0]
    assert not conversions.same(get("decode.e4m3"), nan[0], np.array([0x7E003C01], np.uint32))[0]
    assert not conversions.same(get("cvt.e4m3"), *nan)[0]


@pytest.mark.parametrize(
    ("x", "result", "wrong"),
    [
        (3.0, 1 / 3, False),
        (3.0, 0.3333333134651184, False),  # 0x3eaaaaaa: two thirds of a unit below
        (3.0, 0.3333333730697632, True),  # 0x3eaaaaac: four thirds of a unit above
        (3.0, 1 / 3 * (1 + 2.0**-21), True),
        (2.0**-127, np.inf, False),  # subnormals are zeros
        (-(2.0**-127), -np.inf, False),
        (2.0**127, 0.0, False),  # the result would be subnormal
        (np.inf, 0.0, False),
        (0.0, np.inf, False),
        (np.nan, np.nan, False),
        (1.0, np.nan, True),
    ],
)
def test_the_promise_of_the_approximate_reciprocal(x, result, wrong):
    assert conversions.reciprocal_wrong(floats(x), floats(result)).tolist() == [wrong]


@pytest.mark.parametrize("form", ["e2m1", "e4m3", "e5m2"])
@pytest.mark.parametrize("reading", conversions.READINGS)
def test_the_reading_of_random_bits_is_found(form, reading):
    rng = np.random.default_rng(0)
    x, y, z = (device.words(rng, 4000) for _ in range(3))
    got = conversions.stochastic(form, x, y, z, reading)
    assert conversions._judge_stochastic(form, x, y, z, got) == (0, f"random bits: {reading}")


def test_an_unknown_reading_is_judged_by_neighbours():
    rng = np.random.default_rng(0)
    x, y, z = (device.words(rng, 4000) for _ in range(3))
    other = conversions.stochastic("e4m3", x, y, z * np.uint32(2654435761), "byte i")
    wrong, note = conversions._judge_stochastic("e4m3", x, y, z, other)
    assert (wrong, note[:20]) == (0, "no known reading of ")
    far = other + np.uint32(2)
    assert conversions._judge_stochastic("e4m3", x, y, z, far)[0] > 1000


def test_stochastic_rounding_by_hand():
    """1.25 lies halfway between 1 (code 2) and 1.5 (code 3): up from the upper half of its random byte on."""
    x = floats(1.25, 1.25, 1.25)
    z = np.array([0x7F, 0x80, 0xFF], np.uint32)
    got = conversions.stochastic("e2m1", x, floats(0, 0, 0), z, "byte i")
    assert (got & 15).tolist() == [2, 3, 3]
    assert (got >> 8 & 15).tolist() == [2, 2, 2]  # element 2 is x again, with a byte of zeros
