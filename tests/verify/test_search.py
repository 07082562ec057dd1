"""The search for a difference, the smallest case, and the kinds of operands that make one."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths, formats
from hwsim.verify import free
from hwsim.verify.operands import KINDS, Batch, batches, draw, finite, words
from hwsim.verify.search import search, shrink

UNITS = [
    ("hopper", "fp16", "fp16"), ("hopper", "tf32", "fp32"), ("blackwell", "nvfp4", "fp32"),
    ("blackwell", "mxfp8.e4m3", "fp32"), ("cdna3", "e4m3fnuz", "fp32"), ("blackwell", "e2m1", "fp32"),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "operand", "out"), UNITS)
def test_every_kind_is_codes_of_the_unit_and_finite_but_for_specials(arch, operand, out):
    unit = datapaths.tensor_core(arch, operand, out)
    for kind, batch in batches(unit, 0, 50, 64):
        for name, codes in ((unit.a_format, batch.a), (unit.b_format, batch.b)):
            form = formats.get(name)
            assert codes.dtype == form.code_dtype
            assert int(codes.max()) < form.code_count
            if kind != "specials" and form.code_count <= 1 << 16:
                assert np.isin(codes, finite(name)).all(), kind
        assert batch.c.dtype == (np.float16 if out == "fp16" else np.float32)
        assert kind == "specials" or np.isfinite(batch.c).all()
        assert (batch.scale_a is None) == (unit.block is None)


def test_equal_seeds_give_equal_operands_and_other_seeds_others():
    unit = datapaths.tensor_core("hopper", "e4m3")
    first, again, other = (draw(unit, np.random.default_rng(seed), 20, 32, "random") for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.a, again.a)
    np.testing.assert_array_equal(words(first.c), words(again.c))
    assert (first.a != other.a).any()


def test_the_edges_of_every_unit_are_reached():
    """One fraction bit, one group, one zero exponent: each neighbour differs on what is drawn."""
    unit = datapaths.tensor_core("hopper", "bf16")
    for change in ({"fraction_bits": 24}, {"fraction_bits": 26}, {"group": 8}, {"e_zero": -132}, {"e_zero": -134}):
        other = free.changed(unit, **change)
        found = search(unit, lambda b: b.run(unit), lambda b, o=other: b.run(o), batches(unit, 0, 400, 16))
        assert found.count > 0, change
    assert search(unit, lambda b: b.run(unit), lambda b: b.run(unit), batches(unit, 0, 10, 16)).count == 0


def test_a_difference_is_counted_and_shrunk_to_one_line():
    unit, other = (datapaths.tensor_core("hopper", "e4m3"), datapaths.tensor_core("blackwell", "e4m3"))
    found = search(unit, lambda b: b.run(unit), lambda b: b.run(other), batches(unit, 0, 100, 32))
    assert (found.cases, found.kind) == (100 * len(KINDS), "random")
    assert found.smallest.count("*") <= 2
    assert found.smallest.startswith("hopper.e4m3: [")


def test_the_smallest_case_of_a_lost_bit_is_a_one_and_a_small_c():
    """13 fraction bits against 25 beside 1.0: c = 2^-14 is lost by one and kept by the other."""
    unit, other = (datapaths.tensor_core("hopper", "e4m3"), datapaths.tensor_core("blackwell", "e4m3"))
    one = formats.get("e4m3").encode(np.array([1.0], np.float32))[0]
    a = np.zeros((1, 32), np.uint8)
    a[0, :3] = one, 0x55, 0x23
    b = np.full((1, 32), one, np.uint8)
    b[0, 1:3] = 0, 0
    case = Batch(a, b, np.array([2.0**-14 * 1.25], np.float32))
    left = shrink(unit, lambda x: x.run(unit), lambda x: x.run(other), case)
    assert np.flatnonzero(left.a[0] & left.b[0] & 0x7F).tolist() == [0]
    assert (left.a[0, 0], left.b[0, 0], left.c[0]) == (one, one, np.float32(2.0**-14))


def test_what_cancels_leaves_together():
    """A sign of zero that only shows where everything cancels is shrunk to no product at all."""
    unit = datapaths.tensor_core("hopper", "fp16")

    def minus(batch):
        got = batch.run(unit)
        return np.where(got == 0, np.uint32(0x80000000), got)

    a = np.full((1, 16), 0x3C00, np.uint16)
    b = np.where(np.arange(16) % 2, 0xBC00, 0x3C00).astype(np.uint16)[None]
    left = shrink(unit, minus, lambda x: x.run(unit), Batch(a, b, np.zeros(1, np.float32)))
    assert not (left.a[0] & left.b[0]).any()


def test_scales_and_c_become_simple():
    unit = datapaths.tensor_core("blackwell", "nvfp4")

    def wrong(batch):  # the third scale of b is read as one
        scale_b = batch.scale_b.copy()
        scale_b[:, 2] = 0x38
        return Batch(batch.a, batch.b, batch.c, batch.scale_a, scale_b).run(unit)

    case = draw(unit, np.random.default_rng(3), 1, 64, "narrow")
    left = shrink(unit, wrong, lambda x: x.run(unit), case)
    assert left.c[0] == 0
    assert left.scale_a.tolist() == [[0x38] * 4]
    assert [n for n in range(4) if left.scale_b[0, n] != 0x38] == [2]
    used = np.flatnonzero(left.a[0] & left.b[0] & 7)
    assert len(used) == 1
    assert 32 <= used[0] < 48
