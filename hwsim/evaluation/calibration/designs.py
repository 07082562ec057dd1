"""The circuits that coefficients are fitted to: a grid of widths and sizes for every family.

Decides what is synthesised, by asking each family; blocks that several families share are added here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hwsim.cost.designs import Design
from hwsim.datapaths import unit_families
from hwsim.datapaths.base import Datapath
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.unit import Unit


def sweep(*, quick: bool = False, families: Iterable[type[Datapath]] | None = None) -> Iterator[Design]:
    """All designs; `quick` leaves out what takes Yosys more than about a second."""
    for family in unit_families() if families is None else families:
        yield from family.calibration().designs(quick)
    if not quick and families is None:
        unit = float_adder("fp32")
        yield Design("adder.fp32", unit.top, {"constant": 1}, unit.verilog)


def whole_units(families: Iterable[type[Datapath]] | None = None) -> Iterator[tuple[Unit, Datapath]]:
    """Units as wholes, none of which any fit sees: what machines are made of."""
    for family in unit_families() if families is None else families:
        yield from family.calibration().wholes()
