"""Integer, ternary and saturating products of 1024 x 1024 x 1024, against torch's float32 product in the same run."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.benchmark

SIZE = 1024


@pytest.fixture(scope="module")
def operands():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, SIZE, SIZE)).astype(np.uint8)
    weights = rng.integers(-1, 2, (SIZE, SIZE)).astype(np.int8)
    return a, b, weights


@pytest.fixture(scope="module")
def peer():
    a, b = torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return {"torch.matmul float32": lambda: torch.matmul(a, b.T)}


def test_int8_wrapping(bench, operands, peer):
    a, b, _ = operands
    unit = datapaths.integer(8, 8, 32)
    work = {"hwsim int8x8.acc32.wrap": lambda: unit.matmul(a, b), **peer}
    floats = a.astype(np.float32), b.astype(np.float32).T
    work["numpy float32"] = lambda: np.matmul(*floats)  # the floor: what this product's BLAS takes alone
    bench.compare("INT8 x INT8 GEMM 1024^3, wrapping", work, bound=1.3, baseline="torch.matmul float32")


@pytest.mark.parametrize("group", [3, 5])
def test_ternary_int8(bench, operands, peer, group):
    a, _, weights = operands
    unit = datapaths.ternary_lut(group)
    keys = unit.encode(weights)
    work = {f"hwsim {unit.name}": lambda: unit.matmul(a, keys), **peer}
    bench.compare(f"ternary LUT INT8 GEMM 1024^3, group {group}", work, bound=1.3, baseline="torch.matmul float32")


def test_int8_saturating(bench, operands, peer):
    a, b, _ = operands
    unit = datapaths.integer(8, 8, 20, overflow="saturate")
    work = {"hwsim int8x8.acc20.saturate": lambda: unit.matmul(a, b), **peer}
    bench.compare("INT8 GEMM 1024^3, saturating at 20 bits in order", work, bound=8, baseline="torch.matmul float32")


@pytest.mark.parametrize("semantics", ["ieee", "kul"])
def test_ternary_fp16(bench, operands, peer, semantics):
    _, _, weights = operands
    unit = datapaths.ternary_lut(3, "fp16", 4, semantics)
    x, keys = np.random.default_rng(1).standard_normal((SIZE, SIZE)).astype(np.float16), unit.encode(weights)
    work = {f"hwsim {unit.name}": lambda: unit.matmul(x, keys), **peer}
    bench.compare(
        f"ternary LUT FP16 GEMM 1024^3, {semantics} adders", work, baseline="torch.matmul float32", repeats=5
    )
