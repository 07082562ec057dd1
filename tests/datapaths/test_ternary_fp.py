"""Ternary lookup-table units with FP16 and BF16 activations: adders, order of addition, and the fast product.

``kul_fp_add.npz`` holds triples (a, b, result) that KU Leuven's ``fp_add.sv`` (chisel-float 49ded9d) gave in Icarus
Verilog 11 for both formats; more than half of them differ from IEEE.
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from hwsim import datapaths
from hwsim.datapaths.ternary import float_adders as adders
from hwsim.datapaths.ternary import float_kernels as kernels
from hwsim.datapaths.ternary.float_product import adder_tree
from hwsim.datapaths.ternary.reference import BF16, FP16, reference_add, reference_dot
from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows

FORMS = {"fp16": (FP16, np.float16), "bf16": (BF16, ml_dtypes.bfloat16)}


def bits(values):
    return np.asarray(values, np.float32).view(np.uint32)


def hard_codes(rng, shape, form):
    """Random bit patterns, near-equal exponents, subnormals, powers of two and special values."""
    codes = rng.integers(0, 1 << 16, shape)
    kind = rng.integers(0, 4, shape)
    sign = rng.integers(0, 2, shape) << 15
    one = ((1 << form.exponent_bits - 1) - 1) << form.mantissa_bits
    codes = np.where(kind == 1, one + rng.integers(-3000, 3000, shape) | sign, codes)
    codes = np.where(kind == 2, rng.integers(0, 2 << form.mantissa_bits, shape) | sign, codes)
    codes = np.where(kind == 3, codes & ~((1 << form.mantissa_bits) - 1), codes)
    special = np.array([0, 0x8000, form.infinity, form.infinity | 0x8000, form.nan, 0xFFFF, form.infinity - 1])
    return np.where(rng.random(shape) < 0.02, rng.choice(special, shape), codes).astype(np.uint16)


def added(a, b, form, kul):
    out = np.zeros((1, a.size), np.float32)
    kernels.add_rows(0, 1, form.decode(a)[None], form.decode(b)[None], out, 24 - form.precision, kul)
    return np.where(np.isnan(out[0]), np.float32(np.nan), out[0])


@pytest.mark.parametrize("name", FORMS)
def test_kul_adder_equals_the_simulated_hardware(name):
    form, _ = FORMS[name]
    a, b, result = np.load(Path(__file__).parent / "kul_fp_add.npz")[name].T.copy()
    np.testing.assert_array_equal(bits(added(a, b, form, True)), bits(form.decode(result)))
    assert [reference_add(*pair, form, "kul") for pair in zip(a.tolist(), b.tolist(), strict=True)] == result.tolist()
    assert (bits(added(a, b, form, False)) != bits(form.decode(result))).sum() > 2000


@pytest.mark.parametrize("name", FORMS)
def test_ieee_adder_equals_other_libraries(rng, name):
    form, dtype = FORMS[name]
    a, b = hard_codes(rng, 200_000, form), hard_codes(rng, 200_000, form)
    b[:50_000] = a[:50_000] ^ 0x8000
    b[50_000:90_000] = a[50_000:90_000] + rng.integers(-3, 4, 40_000).astype(np.uint16)
    with np.errstate(all="ignore"):
        expected = form.decode((a.view(dtype) + b.view(dtype)).view(np.uint16))
    np.testing.assert_array_equal(bits(added(a, b, form, False)), bits(expected))
    for i in range(0, a.size, 100):
        code = np.array([reference_add(int(a[i]), int(b[i]), form, "ieee")], np.uint16)
        assert bits(form.decode(code)) == bits(expected[i])


@njit
def mismatches(start, stop, values, exponent_bits, mantissa_bits, count):
    """Pairs (i, any) of values for which the lanes' adder and the transcribed one differ, per i."""
    out = np.empty(values.size, np.float32)
    left = np.empty(values.size, np.float32)
    dropped = 23 - mantissa_bits
    for i in range(start, stop):
        left[:] = values[i]
        kernels._sum_lanes(out, left, values, np.uint32(dropped), True)
        for j in range(values.size):
            code = adders.kul_add(i, j, exponent_bits, mantissa_bits)
            value = adders._bf16_value(code) if mantissa_bits == 7 else adders._fp16_value(code)
            equal = np.float32(out[j]).view(np.uint32) == np.float32(value).view(np.uint32)
            count[i] += not (equal or (np.isnan(out[j]) and np.isnan(value)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_shortcut_of_the_kul_adder_on_all_pairs(name):
    form, _ = FORMS[name]
    values = form.decode(np.arange(1 << 16, dtype=np.uint16))
    count = np.zeros(1 << 16, np.int64)
    parallel_rows(mismatches, 1 << 16, values, form.exponent_bits, form.mantissa_bits, count)
    assert count.sum() == 0


@pytest.mark.parametrize("semantics", ["ieee", "kul"])
@pytest.mark.parametrize("name", FORMS)
def test_product_equals_dot_and_exact_fractions(rng, name, semantics):
    form, _ = FORMS[name]
    for group, luts, k in [
        (1, 1, 1),
        (1, 3, 7),
        (2, 1, 2),
        (2, 16, 30),
        (3, 1, 47),
        (3, 4, 47),
        (4, 2, 0),
        (5, 2, 33),
    ]:
        unit = datapaths.ternary_lut(group, name, luts, semantics)
        x, w = hard_codes(rng, (20, k), form), rng.integers(-1, 2, (7, k)).astype(np.int8)
        x[8:] = (form.infinity >> 1) + rng.integers(-2000, 2000, x[8:].shape)  # rows without special values
        keys = unit.encode(w)
        start = hard_codes(rng, (20, 7), form)
        for c in (None, start):
            product = unit.matmul(x, keys, None if c is None else form.decode(c))
            assert product.dtype == np.float32
            single = unit.dot(x[:, None], keys[None], None if c is None else form.decode(c))
            np.testing.assert_array_equal(bits(product), bits(single))
            for i, j in [(0, 0), (5, 3), (8, 1), (13, 6), (19, 2)]:
                begin = None if c is None else int(c[i, j])
                code = reference_dot(x[i].tolist(), w[j].tolist(), group, luts, form, semantics, begin)
                assert bits(form.decode(np.array(code, np.uint16))) == bits(product[i, j]), (group, luts, k, i, j)


def test_fp16_order_of_addition_by_hand():
    # 1024 + 1 = 1025; -0.5 first goes to the tail: 0.25 - 0.5 = -0.25, then 1025 - 0.25 = 1024.75 -> 1025 (step 1)
    unit = datapaths.ternary_lut(4, "fp16")
    x = np.array([1024, 1, 0.5, 0.25], np.float16)
    assert unit.dot(x, unit.encode(np.array([1, 1, -1, 1], np.int8))) == 1025
    # a group of one goes left to right instead: 1024 + 1, - 0.5 = 1024.5 -> 1024 (tie to even), + 0.25 -> 1024
    unit = datapaths.ternary_lut(1, "fp16")
    assert unit.dot(x, unit.encode(np.array([1, 1, -1, 1], np.int8))) == 1024


def test_fp16_overflows_at_65520():
    unit = datapaths.ternary_lut(2, "fp16")
    keys = unit.encode(np.ones((1, 2), np.int8))
    assert unit.matmul(np.array([[65504, 15.99]], np.float16), keys)[0, 0] == 65504
    assert unit.matmul(np.array([[65504, 16]], np.float16), keys)[0, 0] == np.inf


@pytest.mark.parametrize("threads", ["1", "3"])
def test_bits_do_not_depend_on_threads(rng, monkeypatch, threads):
    monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
    unit = datapaths.ternary_lut(3, "bf16", 2, "kul")
    x, w = hard_codes(rng, (70, 50), BF16), rng.integers(-1, 2, (9, 50)).astype(np.int8)
    np.testing.assert_array_equal(
        bits(unit.matmul(x, unit.encode(w))), bits(unit.dot(x[:, None], unit.encode(w)[None]))
    )


def test_trees_share_what_the_hardware_repeats():
    # instantiated in the hardware: 16, 50, 152, 458, 1376; there the tails of every level but the first come thrice
    assert [len(adder_tree(group)[0]) for group in range(1, 8)] == [0, 2, 16, 46, 136, 406, 1216]
    for group in range(1, 8):
        assert len(set(adder_tree(group)[1].tolist())) == (3**group - 1) // 2


def test_messages():
    unit = datapaths.ternary_lut(2, "fp16")
    keys = unit.encode(np.ones((1, 2), np.int8))
    with pytest.raises(ArgumentError, match=r"^dot.a: fp16 activations must be uint16 codes, got 'float32'$"):
        unit.dot(np.zeros(2, np.float32), keys)
    with pytest.raises(ArgumentError, match=r"^dot.c: c must be float32 that holds fp16 numbers, got 'float32'$"):
        unit.dot(np.zeros(2, np.float16), keys, np.array([0.1], np.float32))
    with pytest.raises(
        ArgumentError, match=r"^ternary_lut: activation must be 'int8', 'fp16' or 'bf16', got 'fp32'$"
    ):
        datapaths.ternary_lut(2, "fp32")


def test_spec_round_trip():
    spec = {"family": "ternary_lut", "group": 3, "activation": "bf16", "luts": 4, "semantics": "kul"}
    unit = datapaths.from_spec(spec)
    assert unit.spec() == spec
    assert (unit.name, unit.a_format, unit.accumulator_bits) == ("ternary_lut3.bf16.x4.kul", "bf16", 16)
