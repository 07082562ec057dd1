"""A small trace with two layers, one of them attention, made of seeded numbers."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.trace import Gemm, Operand, TraceWriter, load_trace


@pytest.fixture(scope="session")
def tiny_trace(tmp_path_factory):
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


@pytest.fixture
def memo(tmp_path):
    from hwsim.evaluation import Memo

    return Memo(tmp_path / "memo.jsonl")
