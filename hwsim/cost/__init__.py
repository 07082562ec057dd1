"""What parts cost: units, memories, DRAM, wires, nodes, clocks; each number with its source and causes of error."""

from __future__ import annotations

from hwsim.cost.coefficients import Coefficients, load_coefficients
from hwsim.cost.dram import dram, dram_kinds, dram_pj_per_bit
from hwsim.cost.likelihood import probability_less
from hwsim.cost.memory import sram
from hwsim.cost.quantity import Breakdown, Quantity, add
from hwsim.cost.toggles import Toggles

__all__ = [
    "Breakdown",
    "Coefficients",
    "Quantity",
    "Toggles",
    "add",
    "dram",
    "dram_kinds",
    "dram_pj_per_bit",
    "load_coefficients",
    "probability_less",
    "sram",
]
