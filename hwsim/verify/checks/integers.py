"""INT8 products in 32-bit accumulators: dp4a and IMMA are exact sums modulo 2^32, so integers are the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, today

K = 32


def draw(rng: np.random.Generator, count: int, k: int = K) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """INT8 operands ``[count, k]`` and INT32 starts, half of which are next to the ends of the accumulator."""
    a, b = (rng.integers(-128, 128, (count, k)).astype(np.int8) for _ in range(2))
    a[rng.random(a.shape) < 0.1], b[rng.random(b.shape) < 0.1] = -128, -128
    c = rng.integers(-(1 << 31), 1 << 31, count)
    near = rng.random(count) < 0.5
    c[near] = rng.choice([-1, 1], count)[near] * ((1 << 31) - 1 - rng.integers(0, 1 << 18, count)[near])
    return a, b, c.astype(np.int32)


def check(subject: Subject, count: int, seed: int = 0) -> Iterator[Row]:
    """A wrapping accumulator against int64 sums reduced modulo 2^32."""
    a, b, c = draw(np.random.default_rng(seed), count)
    exact = (a.astype(np.int64) * b).sum(axis=-1) + c
    theirs = (exact & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    wrong = int((subject.integer_dot(a, b, c) != theirs).sum())
    yield Row("INT8 dot products, 32-bit accumulator that wraps", "integers modulo 2^32", count, wrong, today())
