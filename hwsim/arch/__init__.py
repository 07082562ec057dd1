"""Design points: which arithmetic runs on which array, with which memories, clock and technology."""

from __future__ import annotations

from hwsim.arch.accelerator import Accelerator, Objective
from hwsim.arch.dataflow import Dataflow, Operand
from hwsim.arch.loading import load_accelerator
from hwsim.arch.memory import Memory, Port
from hwsim.arch.numerics import Numerics, Prepared, Role, check_fit
from hwsim.arch.parts import Array, Overlap, VectorUnit
from hwsim.arch.policy import Policy

__all__ = [
    "Accelerator",
    "Array",
    "Dataflow",
    "Memory",
    "Numerics",
    "Objective",
    "Operand",
    "Overlap",
    "Policy",
    "Port",
    "Prepared",
    "Role",
    "VectorUnit",
    "check_fit",
    "load_accelerator",
]
