"""Energy and area of a machine, each number with its source and its error."""

from __future__ import annotations

from hwsim.cost.area import area_um2
from hwsim.cost.coefficients import Coefficients, load_coefficients
from hwsim.cost.dram import dram, dram_kinds, dram_pj_per_bit
from hwsim.cost.energy import FIDELITIES, energy_pj
from hwsim.cost.likelihood import probability_less
from hwsim.cost.memory import sram
from hwsim.cost.quantity import Breakdown, Quantity, add
from hwsim.cost.toggles import Toggles, count_by_dataflow, count_toggles

__all__ = [
    "FIDELITIES",
    "Breakdown",
    "Coefficients",
    "Quantity",
    "Toggles",
    "add",
    "area_um2",
    "count_by_dataflow",
    "count_toggles",
    "dram",
    "dram_kinds",
    "dram_pj_per_bit",
    "energy_pj",
    "load_coefficients",
    "probability_less",
    "sram",
]
