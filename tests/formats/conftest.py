"""Data that decides bits: every upper half of a float32 with lower halves around every tie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

LOWER_HALVES = (0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF)


def upper_half_patterns(lower_halves: tuple[int, ...] = LOWER_HALVES) -> NDArray[np.float32]:
    upper = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    lower = np.array(lower_halves, dtype=np.uint32)
    return (upper[:, None] | lower[None, :]).reshape(-1).view(np.float32)


@pytest.fixture(scope="session")
def patterns() -> NDArray[np.float32]:
    return upper_half_patterns()
