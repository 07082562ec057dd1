"""Tensor cores: reference = integer kernel = fast product, the catalogue's messages, chaining, promotion, padding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim import datapaths, formats
from hwsim.datapaths.tensor_cores import ARCHS, ROWS, legal, reference
from hwsim.datapaths.tensor_cores.elements import INF, NAN, element, parts
from hwsim.errors import ArgumentError, UnknownName

UNITS = [(arch, operand, out) for out in ("fp32", "fp16") for arch in ARCHS for operand in legal(arch, out)]
NAN_WORD = 0x7FFFFFFF


def words(array):
    return array.view(np.uint16 if array.dtype == np.float16 else np.uint32)


KINDS = ("tame", "random", "sparse", "cancelling", "specials")
EDGES = ("few", "faint", "full", "spread", "apart", "subnormal", "overflow")
"""What random codes hardly ever reach: borders of the fast paths, each seen to fail with its border moved."""


def hard_codes(form, rng, shape, kind):
    """Codes of one operand."""
    codes = rng.integers(0, 1 << form.word_bits, shape, dtype=np.uint64).astype(form.code_dtype)
    sign = form.code_dtype(1 << (form.word_bits - 1))
    if kind == "few":  # sums of a few units, so that a lost bit shows
        codes = (codes & sign) | form.code_dtype(1 << form.unread_bits)
        codes[rng.random(shape) < rng.choice([0.5, 0.8, 0.9], (shape[0], 1))] = 0
    if kind == "faint":  # float16 results around the subnormal border
        fields = rng.integers(max(form.bias - 8, 0), max(form.bias - 5, 1), shape).astype(form.code_dtype)
        low = form.code_dtype((1 << (form.mantissa_bits + form.unread_bits)) - 1)
        codes = (codes & (sign | low)) | (fields << form.code_dtype(form.mantissa_bits + form.unread_bits))
    if kind == "full":  # sums as large as they can be
        top = (1 << form.magnitude_bits) - 1
        top -= {"none": 0, "nan": 1, "fnuz": 0, "ieee": 1 << form.mantissa_bits}[form.specials]
        codes[:] = top << form.unread_bits
    if kind != "specials":
        codes[parts(form, codes)[1] >= INF] = 0
    if kind == "sparse":
        codes[rng.random(shape) < 0.8] = 0
        codes[: shape[0] // 3] = 0
        codes[:, 16:32] = 0
    return codes


def hard_scales(name, rng, shape, kind):
    """Scale bytes of one operand."""
    scale = rng.integers(0, 256, shape)
    if name == "e8m0":
        base, width = {
            "tame": (110, 32), "sparse": (110, 32), "cancelling": (110, 32), "few": (127, 1), "faint": (120, 8),
            "full": (127, 1), "spread": (107, 40), "apart": (40, 170), "subnormal": (48, 8), "overflow": (183, 8),
        }.get(kind, (0, 255))  # fmt: skip
        scale = base + scale % width
    else:
        base, width = {"tame": (0x30, 16), "cancelling": (0x30, 16), "few": (1, 7), "full": (0x38, 1)}.get(
            kind, (0, 127)
        )
        scale = base + scale % width
        if kind in ("spread", "apart"):
            scale = rng.choice([1, 3, 9, 0x79, 0x7B], shape)
        scale |= rng.integers(0, 2, shape) << 7
    if kind == "specials":
        scale[rng.random(shape) < 0.1] = 255
    return scale.astype(np.uint8)


def hard_operands(unit, rng, rows, length, kind):
    """Codes and scale bytes ``[rows, length]`` of a and b."""
    forms = element(unit.a_format), element(unit.b_format)
    a, b = (hard_codes(form, rng, (rows, length), kind) for form in forms)
    if kind == "apart":  # the largest scales of each operand meet zeros of the other
        for k in range(0, length, 64):
            a[:, k : k + 16], b[:, k + 16 : k + 32] = 0, 0
    if kind in ("cancelling", "spread"):
        for k in range(0, length - 15, 16):
            a[:, k + 8 : k + 16], b[:, k + 8 : k + 16] = a[:, k : k + 8], b[:, k : k + 8]
            b[:, k + 8 : k + 16] ^= forms[1].code_dtype(1 << (forms[1].word_bits - 1))
        b[rng.random(b.shape) < 0.02] = 0
    scales = [None, None]
    if unit.block:
        shape = (rows, -(-length // unit.block))
        scales = [hard_scales(unit.scale_format, rng, shape, kind) for _ in range(2)]
    return (a, b), scales


def hard_c(unit, rng, shape, kind):
    """c of every size; where a fast path decides for a whole row, one size a row."""
    if unit.out == "fp16":
        c = rng.integers(0, 1 << 16, shape).astype(np.uint16).view(np.float16)
        if kind == "faint":
            c = (c.view(np.uint16) & 0x83FF).view(np.float16)
    elif kind in ("tame", "sparse"):
        c = (rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 8, shape)).astype(np.float32)
    elif kind in ("few", "spread", "apart", "cancelling"):
        each = (shape[0], *(1 for _ in shape[1:]))
        sizes = rng.integers(-50, 40, each)
        if kind == "few":  # all scales of NVFP4 are 2^-12 here: the borders are 2^-24 and 2^16
            sizes = rng.choice([-14, -13, -12, 27, 28, 29], each) - (12 if unit.scale_format == "ue4m3" else 0)
        if kind == "spread":
            sizes = rng.integers(4, 16, each)
        c = np.ldexp(rng.choice([-1.0, 1.0, 1.5, -1.9999999, 1.9999999], shape), sizes).astype(np.float32)
    else:
        c = rng.integers(0, 1 << 32, shape, dtype=np.uint64).astype(np.uint32).view(np.float32)
    if kind != "specials":
        c[~np.isfinite(c)] = 1
    if kind in ("subnormal", "overflow", "full", "spread"):
        c[rng.random(shape) < 0.5] = 0
    c[rng.random(shape) < 0.2] = 0
    c.flat[:3] = -0.0
    return c


def pairwise(unit, a, b, c, scale_a, scale_b):
    """`dot` of every row pair."""
    rows, columns = len(a), len(b)
    i, j = (index.ravel() for index in np.indices((rows, columns)))
    pick = [None if s is None else s[n] for s, n in ((scale_a, i), (scale_b, j))]
    return unit.dot(a[i], b[j], c.ravel(), *pick).reshape(rows, columns)


def assert_product_equals_dot(unit, kinds, seed, rows, columns, length):
    rng = np.random.default_rng(seed)
    for kind in kinds:
        (a, b), (scale_a, scale_b) = hard_operands(unit, rng, max(rows, columns), length, kind)
        a, b = a[:rows], b[:columns]
        scale_a, scale_b = (None, None) if scale_a is None else (scale_a[:rows], scale_b[:columns])
        c = hard_c(unit, rng, (rows, columns), kind)
        want = pairwise(unit, a, b, c, scale_a, scale_b)
        got = unit.matmul(a, b, c, scale_a, scale_b)
        np.testing.assert_array_equal(words(got), words(want), f"{unit.name} {kind}")


@pytest.mark.parametrize(("arch", "operand", "out"), UNITS)
def test_the_fast_product_equals_the_integer_kernel(arch, operand, out):
    unit = datapaths.tensor_core(arch, operand, out)
    assert_product_equals_dot(unit, KINDS + EDGES, 5, rows=12, columns=131, length=100)


@pytest.mark.parametrize(("arch", "operand", "out"), UNITS)
def test_the_integer_kernel_equals_the_scalar_reference(arch, operand, out):
    unit = datapaths.tensor_core(arch, operand, out)
    rng = np.random.default_rng(6)
    for kind in KINDS + EDGES:
        (a, b), (scale_a, scale_b) = hard_operands(unit, rng, 8, 70, kind)
        c = hard_c(unit, rng, (8,), kind)
        got = words(unit.dot(a, b, c, scale_a, scale_b))
        for n in range(8):
            scales = [] if scale_a is None else [scale_a[n], scale_b[n]]
            assert got[n] == reference.dot(unit, a[n], b[n], c[n], *scales), (unit.name, kind, n)


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "operand", "out"), UNITS)
def test_the_fast_product_equals_the_integer_kernel_at_length(arch, operand, out):
    unit = datapaths.tensor_core(arch, operand, out)
    for seed in range(10):
        assert_product_equals_dot(unit, KINDS + EDGES, [7, seed], rows=40, columns=257, length=320)


# The NVFP4 unit from its definition, in exact fractions


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


def test_longer_k_is_a_chain_through_c():
    rng = np.random.default_rng(9)
    for arch, operand in (("blackwell", "nvfp4"), ("hopper", "e4m3"), ("ampere", "fp16")):
        unit = datapaths.tensor_core(arch, operand)
        (a, b), (scale_a, scale_b) = hard_operands(unit, rng, 50, 128, "tame")
        c = hard_c(unit, rng, (50,), "tame")
        first, second = slice(0, 64), slice(64, 128)
        scales = (
            [None] * 4
            if scale_a is None
            else [s[:, h] for h in (slice(0, 4), slice(4, 8)) for s in (scale_a, scale_b)]
        )
        half = unit.dot(a[:, first], b[:, first], c, *scales[:2])
        want = unit.dot(a[:, second], b[:, second], half, *scales[2:])
        np.testing.assert_array_equal(words(unit.dot(a, b, c, scale_a, scale_b)), words(want))


@pytest.mark.parametrize(
    ("arch", "operand"), [("hopper", "e4m3"), ("blackwell", "nvfp4"), ("blackwell", "mxfp8.e4m3")]
)
def test_promotion_adds_every_128_in_float32_outside(arch, operand):
    rng = np.random.default_rng(10)
    plain, promoted = (datapaths.tensor_core(arch, operand, promote_every=every) for every in (None, 128))
    (a, b), (scale_a, scale_b) = hard_operands(plain, rng, 30, 320, "tame")
    c = hard_c(plain, rng, (30,), "tame")
    want = c.copy()
    for k in range(0, 320, 128):
        part = slice(k, min(k + 128, 320))
        scales = [None, None]
        if scale_a is not None:
            block = slice(k // plain.block, -(-part.stop // plain.block))
            scales = [scale_a[:, block], scale_b[:, block]]
        want = want + plain.dot(a[:, part], b[:, part], None, *scales)  # one float32 addition, to nearest even
    np.testing.assert_array_equal(words(promoted.dot(a, b, c, scale_a, scale_b)), words(want))
    full = promoted.matmul(a, b, np.broadcast_to(c[:, None], (30, 30)), scale_a, scale_b)
    np.testing.assert_array_equal(words(np.ascontiguousarray(np.diagonal(full))), words(want))


def test_a_ragged_k_is_padded_with_zeros():
    rng = np.random.default_rng(11)
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    (a, b), (scale_a, scale_b) = hard_operands(unit, rng, 20, 70, "tame")
    padded = [np.pad(x, ((0, 0), (0, 58))) for x in (a, b)]
    scales = [np.pad(s, ((0, 0), (0, 3))) for s in (scale_a, scale_b)]
    np.testing.assert_array_equal(
        words(unit.matmul(a, b, None, scale_a, scale_b)), words(unit.matmul(*padded, None, *scales))
    )


def test_threads_change_no_bit(monkeypatch):
    rng = np.random.default_rng(12)
    unit = datapaths.tensor_core("hopper", "e5m2")
    (a, b), _ = hard_operands(unit, rng, 300, 64, "tame")
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
        results.append(words(unit.matmul(a, b)))
    np.testing.assert_array_equal(*results)


def test_arguments_are_left_as_they_were():
    unit = datapaths.tensor_core("hopper", "e4m3")
    a = np.full((2, 32), 0x38, np.uint8)
    c = np.ones((2, 2), np.float32)
    assert unit.matmul(a, a, c)[0, 0] == 33
    assert (c == 1).all()
    c.flags.writeable = False
    assert unit.matmul(a, a, c)[0, 0] == 33


@pytest.mark.parametrize("name", ["e2m1", "e3m2", "e2m3", "e4m3", "e5m2", "ue4m3", "e8m0", "fp16", "bf16"])
def test_splitting_a_code_loses_nothing(name):
    """Significand and exponent against the value that the format catalogue gives, for every code."""
    form, codes = element(name), np.arange(1 << element(name).word_bits).astype(element(name).code_dtype)
    significands, exponents = parts(form, codes)
    values = formats.get(name).decode(codes)
    finite = exponents < INF
    np.testing.assert_array_equal(
        np.ldexp(significands[finite].astype(np.float64), exponents[finite].astype(int) - form.mantissa_bits),
        values[finite],
    )
    np.testing.assert_array_equal(np.isnan(values), exponents == NAN)
    np.testing.assert_array_equal(np.isinf(values), exponents == INF)
    sample = codes if len(codes) <= 256 else codes[::97]
    for word in sample.tolist():
        scalar = reference.number(form, word)
        kind = "nan" if exponents[word] == NAN else "inf" if exponents[word] == INF else "finite"
        assert scalar.kind == kind
        assert kind != "finite" or (scalar.significand, scalar.e) == (significands[word], exponents[word])


@pytest.mark.parametrize(("name", "dtype"), [("e4m3fnuz", "float8_e4m3fnuz"), ("e5m2fnuz", "float8_e5m2fnuz")])
def test_fp8_of_cdna3_equals_ml_dtypes(name, dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    values = codes.view(getattr(ml_dtypes, dtype)).astype(np.float64)
    significands, exponents = parts(element(name), codes)
    np.testing.assert_array_equal(np.isnan(values), exponents == NAN)
    finite = exponents < INF
    np.testing.assert_array_equal(
        np.ldexp(significands.astype(np.float64), exponents - element(name).mantissa_bits)[finite], values[finite]
    )


# The catalogue


def test_spec_builds_the_same_unit_again():
    for arch, operand, out in UNITS:
        unit = datapaths.tensor_core(arch, operand, out)
        assert datapaths.from_spec(unit.spec()) == unit
    mixed = datapaths.tensor_core("blackwell", ("e4m3", "e2m1"), promote_every=128)
    assert mixed.spec()["operand"] == ["e4m3", "e2m1"]
    assert datapaths.from_spec(mixed.spec()) == mixed
    assert hash(datapaths.from_spec(mixed.spec())) == hash(mixed)
    assert (mixed.name, mixed.a_format, mixed.b_format) == ("blackwell.e4m3*e2m1.promote128", "e4m3", "e2m1")


def test_names_are_unique_and_every_row_has_a_source():
    names = [datapaths.tensor_core(*unit).name for unit in UNITS]
    assert len(set(names)) == len(names)
    assert all(row.source and row.instruction for row in ROWS)


def test_facts_of_a_unit():
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    assert (unit.scale_format, unit.block, unit.accumulator_bits) == ("ue4m3", 16, 32)
    assert datapaths.tensor_core("hopper", "e4m3").accumulator_bits == 22


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("pascal", "fp16"), UnknownName, "tensor_core.arch: arch of a tensor core must be one of {}, got 'pascal'"),
        (("hopper", "nvfp4"), UnknownName, "tensor_core.operand: operand of hopper must be one of {}, got 'nvfp4'"),
        (("volta", "bf16"), UnknownName, "tensor_core.operand: operand of volta must be one of fp16, got 'bf16'"),
        (
            ("hopper", ("e4m3", "fp16")),
            ArgumentError,
            "tensor_core.operand: operand b beside e4m3 on hopper must be one of e4m3, e5m2, got 'fp16'",
        ),
        (
            ("ampere", "bf16", "fp16"),
            ArgumentError,
            "tensor_core.out: a float16 result on ampere needs an operand of fp16, got 'bf16'",
        ),
        (("hopper", "fp16", "bf16"), ArgumentError, "tensor_core.out: out must be 'fp32' or 'fp16', got 'bf16'"),
        (
            ("hopper", "e4m3", "fp32", 100),
            ArgumentError,
            "tensor_core.promote_every: promote_every must be a multiple of 32 on a unit with a float32 result of "
            "its own, got 100",
        ),
    ],
)
def test_what_does_not_exist_is_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        datapaths.tensor_core(*arguments)
    start, _, end = message.partition("{}")
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": np.zeros((2, 16), np.int8)}, "tensor_core.a: codes of e2m1 must be uint8, got 'int8'"),
        ({"b": np.full((3, 16), 16, np.uint8)}, "tensor_core.b: codes of e2m1 must be below 16, got 16"),
        (
            {"b": np.zeros((3, 32), np.uint8)},
            "matmul: matmul needs a [M, K] and b [N, K] with one K, got ((2, 16), (3, 32))",
        ),
        ({"scale_a": None}, "matmul.scale_a: scales must be uint8 of shape (2, 1), got None"),
        (
            {"scale_b": np.zeros((3, 2), np.uint8)},
            "matmul.scale_b: scales must be uint8 of shape (3, 1), got ('uint8', (3, 2))",
        ),
        ({"c": np.zeros((2, 3))}, "matmul.c: c must be float32 of shape (2, 3), got ('float64', (2, 3))"),
    ],
)
def test_operands_that_do_not_fit_are_refused(change, message):
    good = {
        "a": np.zeros((2, 16), np.uint8),
        "b": np.zeros((3, 16), np.uint8),
        "c": None,
        "scale_a": np.zeros((2, 1), np.uint8),
        "scale_b": np.zeros((3, 1), np.uint8),
    }
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    assert unit.matmul(**good).shape == (2, 3)
    with pytest.raises(ArgumentError) as caught:
        unit.matmul(**(good | change))
    assert str(caught.value) == message


def test_a_unit_without_scales_refuses_them():
    unit = datapaths.tensor_core("hopper", "e4m3")
    a = np.zeros((1, 32), np.uint8)
    with pytest.raises(ArgumentError) as caught:
        unit.dot(a, a, None, a, a)
    assert str(caught.value) == "dot.scale_a: hopper.e4m3 takes no scales, got (1, 32)"


def test_the_catalogue_loads_no_compiler():
    import subprocess
    import sys

    unit = "datapaths.tensor_core('hopper', 'e4m3').spec()"
    program = f"import sys; from hwsim import datapaths; {unit}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
