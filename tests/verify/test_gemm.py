"""Whole products: plans over K, epilogues, bounds, and the layout of swizzled scales."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim import datapaths, formats
from hwsim.errors import ArgumentError
from hwsim.verify import gemm
from hwsim.verify.cuda.kernels import get
from hwsim.verify.cuda.layout import pack_rows, swizzle_scales


def codes(seed, rows, k, form="e4m3"):
    rng = np.random.default_rng(seed)
    return formats.get(form).encode(rng.standard_normal((rows, k)).astype(np.float32))


def test_the_parts_of_a_plan():
    contiguous = gemm.Plan(0, 3, 128).parts(640)  # five tiles: two, two, one
    assert [(part[0], part[-1] + 1) for part in contiguous] == [(0, 256), (256, 512), (512, 640)]
    interleaved = gemm.Plan(0, 2, 64, interleaved=True).parts(256)
    assert [part[::64].tolist() for part in interleaved] == [[0, 128], [64, 192]]
    assert [len(part) for part in gemm.Plan().parts(100)] == [100]


@pytest.mark.parametrize(
    "plan",
    [gemm.Plan(), gemm.Plan(128), gemm.Plan(0, 2), gemm.Plan(0, 6), gemm.Plan(0, 3), gemm.Plan(0, 3, 64, True)],
    ids=str,
)
@pytest.mark.parametrize("out", ["fp32", "bf16"])
def test_the_plan_of_a_library_is_recovered_from_its_bits(plan, out):
    """The library here is the definition: parts by hand, chains by `dot`, float32 sums between them."""
    unit = datapaths.tensor_core("hopper", "e4m3")
    a, b = codes(0, 24, 768), codes(1, 24, 768)
    total = None
    for part in plan.parts(768):
        step = plan.promote or part.size
        accumulated = None
        for first in range(0, part.size, step):
            own = part[first : first + step]
            pairs = [np.repeat(a[:, own], 24, axis=0), np.tile(b[:, own], (24, 1))]
            piece = unit.dot(*pairs).reshape(24, 24)
            accumulated = piece if accumulated is None else accumulated + piece
        total = accumulated if total is None else total + accumulated
    scaled = total * np.float32(0.375)
    words = scaled.view(np.uint32) if out == "fp32" else formats.get("bf16").encode(scaled)
    found = gemm.explain(unit, a, b, words, plan.promote, 0.375, out)
    assert found == plan


def test_a_product_that_no_plan_gives_is_not_explained():
    unit = datapaths.tensor_core("hopper", "e4m3")
    a, b = codes(0, 8, 512), codes(1, 8, 512)
    result = datapaths.tensor_core("blackwell", "e4m3").matmul(a, b).view(np.uint32)
    assert gemm.explain(unit, a, b, result, 0) is None


def test_promotion_is_that_of_the_unit():
    a, b = codes(2, 16, 512), codes(3, 16, 512)
    promoted = datapaths.tensor_core("hopper", "e4m3", promote_every=128).matmul(a, b)
    own = gemm.product(datapaths.tensor_core("hopper", "e4m3"), a, b, plan=gemm.Plan(128))
    np.testing.assert_array_equal(own.view(np.uint32), promoted.view(np.uint32))


@pytest.mark.parametrize(
    ("arch", "operand", "group", "fraction", "bits"),
    [("hopper", "e4m3", 32, 13, 13), ("ampere", "fp16", 8, 24, 23), ("hopper", "bf16", 16, 25, 23)],
)
def test_the_derived_bound_holds_and_is_not_idle(arch, operand, group, fraction, bits):
    """Against exact fractions, on numbers of one sign and of both."""
    unit = datapaths.tensor_core(arch, operand)
    for flip in (False, True):
        a, b = codes(4, 6, 256, operand), codes(5, 6, 256, operand)
        if flip:
            a, b = (x & x.dtype.type((1 << (8 * x.itemsize - 1)) - 1) for x in (a, b))
        values = [[[Fraction(float(v)) for v in row] for row in formats.get(operand).decode(x)] for x in (a, b)]
        exact = [[sum(x * y for x, y in zip(p, q, strict=True)) for q in values[1]] for p in values[0]]
        got = unit.matmul(a, b)
        error = np.array([[float(abs(Fraction(float(got[i, j])) - exact[i][j])) for j in range(6)] for i in range(6)])
        room = gemm.bound(unit, a, b, group, fraction, bits)
        assert (error <= room).all()
        assert error.max() > room.min() / 500


def test_scales_are_swizzled_as_cublas_reads_them():
    """Row r, column c of a tile of 128 x 4 lies at r % 32 * 16 + r // 32 * 4 + c; tiles follow along the columns."""
    rows, columns = 200, 6
    scales = (np.arange(rows)[:, None] * 7 + np.arange(columns) * 31 + 1).astype(np.uint8)
    flat = swizzle_scales(scales)
    assert flat.shape == (256 * 8,)
    for r in range(256):
        for c in range(8):
            tile = r // 128 * 2 + c // 4
            place = tile * 512 + (r % 128) % 32 * 16 + (r % 128) // 32 * 4 + c % 4
            assert flat[place] == (scales[r, c] if r < rows and c < columns else 0)


def test_rows_are_32_bytes_of_the_instructions_k():
    product = get("tcgen05.f8f6f4.e3m2").product
    packed = pack_rows(product, "e3m2", np.arange(32, dtype=np.uint8).reshape(1, 1, 32))
    number = sum(n << 6 * n for n in range(16))
    assert bytes(packed[0, 0, :16]) == number.to_bytes(16, "little")
    with pytest.raises(ArgumentError) as caught:
        pack_rows(product, "e3m2", np.zeros((1, 1, 16), np.uint8))
    assert str(caught.value) == "verify.cuda.pack_rows: codes must be [tiles, rows, 32], got (1, 1, 16)"
