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
