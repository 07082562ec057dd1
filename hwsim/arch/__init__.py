"""Design points: which arithmetic runs on which array, with which memories, clock and technology."""

from __future__ import annotations

from hwsim.arch.accelerator import Accelerator, Dataflow, Overlap
from hwsim.arch.activity import Activity, Buffers
from hwsim.arch.loading import load_accelerator
from hwsim.arch.numerics import Numerics, Prepared, Role, check_fit
from hwsim.arch.policy import Policy

__all__ = [
    "Accelerator",
    "Activity",
    "Buffers",
    "Dataflow",
    "Numerics",
    "Overlap",
    "Policy",
    "Prepared",
    "Role",
    "check_fit",
    "load_accelerator",
]
