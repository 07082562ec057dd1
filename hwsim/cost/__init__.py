"""What is common to all prices: quantities, coefficients, memories, technology; and energy and area of a machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwsim.cost.coefficients import Coefficients, load_coefficients
from hwsim.cost.dram import dram, dram_kinds, dram_pj_per_bit
from hwsim.cost.likelihood import probability_less
from hwsim.cost.memory import sram
from hwsim.cost.quantity import Breakdown, Quantity, add
from hwsim.cost.toggles import Toggles

if TYPE_CHECKING:
    from hwsim.cost.area import area_um2
    from hwsim.cost.energy import FIDELITIES, energy_pj

__all__ = [
    "FIDELITIES",
    "Breakdown",
    "Coefficients",
    "Quantity",
    "Toggles",
    "add",
    "area_um2",
    "dram",
    "dram_kinds",
    "dram_pj_per_bit",
    "energy_pj",
    "load_coefficients",
    "probability_less",
    "sram",
]

_HOME = {"area_um2": "area", "energy_pj": "energy", "FIDELITIES": "energy"}
"""What prices machines, which stand above this room."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hwsim.cost.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hwsim.cost' has no attribute {name!r}")
