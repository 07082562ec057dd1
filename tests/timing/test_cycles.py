"""Cycles of the array against rows that SCALE-Sim 3.0.0 printed for a 32 × 32 array."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch.dataflow import dataflow as record
from hwsim.errors import ArgumentError, UnknownName
from hwsim.timing import gemm_cycles

# GEMM M x N x K, ceil-product of the array (weights stay), demand rows of SCALE-Sim 3.0.0 for ws, os, is.
PUBLISHED = [
    ((128, 128, 128), 2_048, (3_552, 3_040, 3_552)),
    ((128, 128, 64), 1_024, (1_776, 2_016, 1_776)),
    ((128, 64, 128), 1_024, (1_776, 1_520, 2_528)),
    ((128, 768, 768), 73_728, (127_872, 79_680, 82_752)),
    ((128, 3072, 768), 294_912, (511_488, 318_720, 303_936)),
    ((128, 768, 3072), 294_912, (511_488, 300_864, 331_008)),
    ((512, 512, 512), 131_072, (155_136, 146_944, 155_136)),
    ((1, 768, 768), 576, (54_720, 19_920, 20_688)),
]


@pytest.mark.parametrize(("shape", "ideal", "rows"), PUBLISHED)
def test_every_published_row(shape: tuple[int, int, int], ideal: int, rows: tuple[int, int, int]) -> None:
    assert tuple(gemm_cycles(*shape, 32, 32, dataflow, "none") for dataflow in ("ws", "os", "is")) == rows
    assert gemm_cycles(*shape, 32, 32, "ws", "ideal") == ideal


def test_a_layer_of_gpt2() -> None:
    """Four projections, up, down, and twelve heads of two attention products: the totals of the published table."""
    layer = [
        ((128, 768, 768), 4),
        ((128, 3072, 768), 1),
        ((128, 768, 3072), 1),
        ((128, 128, 64), 12),
        ((128, 64, 128), 12),
    ]
    assert sum(count * gemm_cycles(*shape, 32, 32, "ws", "ideal") for shape, count in layer) == 909_312
    assert sum(count * gemm_cycles(*shape, 32, 32, "ws", "none") for shape, count in layer) == 1_577_088
    folds = [record("ws").fold(dict(zip("mnk", shape, strict=True)), 32, 32).folds for shape, _ in layer]
    assert sum(count * number for (_, count), number in zip(layer, folds, strict=True)) == 7_104


def test_a_fold_by_hand() -> None:
    """2 x 2 array, one weight tile, three rows: 2 cycles load, 3 + 2 - 1 stream and drain, 1 skew."""
    assert gemm_cycles(3, 2, 2, 2, 2, "ws", "none") == 2 + (3 + 2 - 1) + (2 - 1)
    assert gemm_cycles(2, 2, 3, 2, 2, "os", "none") == 3 + (2 - 1) + (2 - 1)
    assert gemm_cycles(3, 4, 2, 2, 2, "ws", "fill") == 2 * 3 + 2 * 2 + 2 - 2


size = st.integers(1, 600)


@settings(deadline=None)
@given(size, size, size, st.integers(1, 64), st.integers(1, 64), st.sampled_from(["ws", "os", "is"]))
def test_order_and_lower_bound(m: int, n: int, k: int, rows: int, cols: int, dataflow: str) -> None:
    ideal, fill, none = (gemm_cycles(m, n, k, rows, cols, dataflow, way) for way in ("ideal", "fill", "none"))
    assert m * n * k <= ideal * rows * cols
    assert ideal <= fill <= none


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match=r"^gemm_cycles.k: must be at least 1, got 0$"):
        gemm_cycles(1, 1, 0, 4, 4)
    with pytest.raises(UnknownName, match=r"^gemm_cycles.dataflow: dataflow must be one of .*, got 'nlr'$"):
        gemm_cycles(1, 1, 1, 4, 4, "nlr")
    with pytest.raises(ArgumentError, match=r"^gemm_cycles.overlap: must be one of none, fill, ideal, got 'all'$"):
        gemm_cycles(1, 1, 1, 4, 4, "ws", "all")
