"""The plan of a run: what lies where and when; and cycles: closed forms, recurrence, event loop, reference."""

from __future__ import annotations

from hwsim.timing.cycles import gemm_cycles
from hwsim.timing.planning import plan
from hwsim.timing.wiring import PlanPrices

__all__ = ["PlanPrices", "gemm_cycles", "plan"]
