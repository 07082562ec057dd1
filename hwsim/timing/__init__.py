"""Cycles: closed forms of systolic dataflows, tiling, and the bound of the double-buffered pipeline."""

from __future__ import annotations

from hwsim.timing.activity import activity
from hwsim.timing.cycles import fold, gemm_cycles

__all__ = ["activity", "fold", "gemm_cycles"]
