"""Tensor cores by definition: NVFP4 in exact fractions, and single cases by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from tensor_core_operands import EDGES, KINDS, NAN_WORD, hard_c, hard_operands, pairwise, words

from hwsim import datapaths, formats


def as_fraction(word):
    value = np.uint32(word).view(np.float32)
    return Fraction(float(value))


def floor_log2(x):
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= Fraction(2) ** e else e - 1


def nvfp4_by_definition(a, b, c, scale_a, scale_b):
    """One instruction of 64 products: no integers, no alignment by shifts, only fractions and a grid."""
    e2m1, ue4m3 = formats.get("e2m1"), formats.get("ue4m3")
    if np.isnan(c) or (scale_a & 0x7F == 0x7F).any() or (scale_b & 0x7F == 0x7F).any():
        return NAN_WORD
    if np.isinf(c):
        return int(np.float32(c).view(np.uint32))
    terms, exponents = [Fraction(float(c))], []
    if c != 0:
        exponents.append(max(floor_log2(abs(Fraction(float(c)))), -126))
    for g in range(4):
        products = [
            Fraction(float(x)) * Fraction(float(y))
            for x, y in zip(e2m1.decode(a[16 * g : 16 * g + 16]), e2m1.decode(b[16 * g : 16 * g + 16]), strict=True)
        ]
        scales = [Fraction(float(ue4m3.decode(s[g : g + 1])[0])) for s in (scale_a, scale_b)]
        terms.append(sum(products) * scales[0] * scales[1])
        if any(products) and all(scales):
            exponents.append(sum(max(floor_log2(s), -6) for s in scales))
    quantum = Fraction(2) ** (max([*exponents, -139]) - 35)
    total = sum(int(abs(t) / quantum) * (1 if t > 0 else -1) * quantum for t in terms)
    if total == 0:
        return 0
    e = max(floor_log2(abs(total)), -126)
    grid = Fraction(2) ** (e - 23)
    magnitude = int(abs(total) / grid) * grid
    sign = 0x80000000 if total < 0 else 0
    if magnitude >= Fraction(2) ** 128:
        return sign | 0x7F800000
    word = int(np.float32(float(magnitude)).view(np.uint32))
    return sign | word if word else 0


@pytest.mark.parametrize("kind", KINDS + EDGES)
def test_nvfp4_follows_its_definition_in_fractions(kind):
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    rng = np.random.default_rng(8)
    (a, b), (scale_a, scale_b) = hard_operands(unit, rng, 500, 64, kind)
    c = hard_c(unit, rng, (500,), kind)
    near = rng.random(500) < 0.5
    c[near] = np.ldexp(rng.uniform(-2, 2, 500), rng.integers(-20, 20, 500)).astype(np.float32)[near]
    got = words(unit.dot(a, b, c, scale_a, scale_b))
    want = [nvfp4_by_definition(a[n], b[n], c[n], scale_a[n], scale_b[n]) for n in range(500)]
    np.testing.assert_array_equal(got, np.array(want, np.uint32))


# Rules by hand


def nvfp4(c=0.0, a=None, b=None, scale_a=None, scale_b=None):
    """One instruction; operands default to zeros and scales to one. Both entry points must agree."""
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    a, b = (np.zeros(64, np.uint8) if codes is None else np.array(codes, np.uint8) for codes in (a, b))
    scale_a, scale_b = (
        np.full(4, 0x38, np.uint8) if s is None else np.array(s, np.uint8) for s in (scale_a, scale_b)
    )
    c = np.float32(c)
    dot = unit.dot(a[None], b[None], c[None], scale_a[None], scale_b[None])
    matmul = unit.matmul(a[None], b[None], c[None, None], scale_a[None], scale_b[None])
    assert words(dot)[0] == words(matmul)[0, 0]
    return int(words(dot)[0])


def code(values):
    return formats.get("e2m1").encode(np.array([*values] + [0.0] * (64 - len(values)), np.float32))


def test_empty_sub_groups_leave_a_small_c_whole_and_cancelled_ones_cut_it():
    tiny = np.float32(2.0**-60)
    assert nvfp4(tiny) == int(tiny.view(np.uint32))
    # 6 * 6 - 6 * 6 = 0, but its scales have exponent 0, so c is cut at 2^-35
    assert nvfp4(tiny, code([6, 6]), code([6, -6])) == 0


def test_a_zero_scale_empties_its_sub_group():
    tiny = np.float32(2.0**-60)
    assert nvfp4(tiny, code([6]), code([6]), scale_a=[0, 0x38, 0x38, 0x38]) == int(tiny.view(np.uint32))


def test_the_sign_of_a_ue4m3_scale_is_ignored():
    assert nvfp4(0, code([6]), code([6]), scale_a=[0xB8] * 4) == int(np.float32(36).view(np.uint32))


@pytest.mark.parametrize("scale", [0x7F, 0xFF])
def test_a_nan_scale_gives_the_canonical_nan_even_beside_zeros(scale):
    assert nvfp4(1.0, scale_b=[0x38, 0x38, 0x38, scale]) == NAN_WORD


def test_minus_zero_never_appears_on_nvidia():
    assert nvfp4(-0.0) == 0
    assert nvfp4(-0.0, code([-0.0]), code([6])) == 0
    unit = datapaths.tensor_core("hopper", "e4m3")
    zeros = np.full((1, 32), 0x80, np.uint8)
    assert words(unit.matmul(zeros, zeros & 0, np.array([[-0.0]], np.float32)))[0, 0] == 0


def test_infinities_and_subnormal_results():
    assert nvfp4(np.inf, code([6]), code([-6])) == 0x7F800000
    assert nvfp4(np.nan) == NAN_WORD
    assert nvfp4(np.float32(1e-45)) == 1
    unit = datapaths.tensor_core("blackwell", "mxfp4")
    six = code([6] * 64)[None]
    scale = np.full((1, 2), 254, np.uint8)
    assert words(unit.matmul(six, six, None, scale, scale))[0, 0] == 0x7F800000
    small = np.full((1, 2), 30, np.uint8)  # 64 * 36 * 2^-194 is far below 2^-149
    assert words(unit.matmul(six, six, None, small, small))[0, 0] == 0


def test_thirteen_fraction_bits_of_hopper_fp8():
    unit = datapaths.tensor_core("hopper", "e4m3")
    one = formats.get("e4m3").encode(np.array([[1.0] + [0.0] * 31], np.float32))
    c = np.array([[2.0**-13], [2.0**-14]], np.float32)
    assert [float(unit.matmul(one, one, c[n : n + 1])[0, 0]) for n in range(2)] == [1 + 2.0**-13, 1.0]


@pytest.mark.parametrize(
    ("arch", "operand"), [("hopper", "e4m3"), ("hopper", "fp16"), ("rtx_blackwell", "mxfp8.e5m2")]
)
def test_groups_of_zeros_are_passed_over_but_not_beside_specials(arch, operand):
    """Zeros times NaN or infinity are NaN in every group of a chain, and zeros times numbers leave c as it is."""
    unit = datapaths.tensor_core(arch, operand)
    form = formats.get(unit.b_format)
    one, nan = form.encode([1.0])[0], form.encode([np.nan])[0]
    a, b = np.zeros((2, 128), form.code_dtype), np.full((3, 128), one)
    a[:, 0], b[1, 100], b[2, 0] = one, nan, form.encode([-0.0])[0]
    scales = {}
    if unit.block:
        scales = {"scale_a": np.full((2, 4), 127, np.uint8), "scale_b": np.full((3, 4), 127, np.uint8)}
        scales["scale_b"][2, 3] = 255  # NaN
    product = unit.matmul(a, b, **scales)
    last = NAN_WORD if unit.block else 0
    expected = [np.float32(1).view(np.uint32), NAN_WORD, last]
    assert words(product).tolist() == [expected, expected]
    c = np.full((2, 3), 2.0**-140, np.float32)
    by_dot = pairwise(unit, a, b, c, scales.get("scale_a"), scales.get("scale_b"))
    np.testing.assert_array_equal(words(unit.matmul(a, b, c, **scales)), words(by_dot))
