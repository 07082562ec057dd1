"""Tensor cores: reference = integer kernel = fast product; chaining, promotion, padding, threads."""

from __future__ import annotations

import numpy as np
import pytest
from tensor_core_operands import EDGES, KINDS, UNITS, assert_product_equals_dot, hard_c, hard_operands, words

from hwsim import datapaths
from hwsim.datapaths.dot import reference


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
