"""Fixtures that many tests share. Keep them few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded random numbers, the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def silicon() -> Path:
    """Folder of dot products recorded on real GPUs; it lies beside the project, not in it."""
    folder = ROOT.parent / "shared" / "silicon"
    if not folder.is_dir():
        pytest.skip("recorded silicon is not beside this checkout (../shared/silicon)")
    return folder


@pytest.fixture(scope="session")
def tiny_trace(tmp_path_factory):
    """Two layers, one of them attention, made of seeded numbers."""
    from hwsim.trace import Gemm, Operand, TraceWriter, load_trace

    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("trace") / "tiny"

    def operand(role, *shape):
        return Operand(rng.standard_normal(shape).astype(np.float32), role, shape[0] * shape[1])

    linear = operand("activation", 1, 48, 64), operand("weight", 1, 24, 64)
    attention = operand("activation", 2, 16, 32), operand("activation", 2, 16, 32)
    gemms = [
        Gemm("up", "linear", "forward", 0, 1, 48, 24, 64, *linear),
        Gemm("qk", "attention", "forward", 0, 2, 16, 16, 32, *attention),
    ]
    with TraceWriter(folder, {"model": "tiny", "model_spec": None, "weights": "0"}) as writer:
        for gemm in gemms:
            writer.append(gemm)
    return load_trace(folder)
