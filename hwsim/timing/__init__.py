"""Cycles: closed forms of systolic dataflows, tiling, and the time of a step."""

from __future__ import annotations

from hwsim.timing.activity import activity
from hwsim.timing.cycles import gemm_cycles

__all__ = ["activity", "gemm_cycles"]
