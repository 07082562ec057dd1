"""One circuit that coefficients are fitted to.

A design is held out of the fit by a hash of its name, one in three: every run on every machine splits alike, and no
grid point can be moved to the side where it looks better.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.cost.features import Features
from hwsim.cost.fit import Point, is_held_out


@dataclass(frozen=True, slots=True)
class Design:
    """One circuit of the sweep.

    Args:
        family: whose coefficients price it.
        name: the text's top module.
        features: what its area is linear in.
        verilog: the text.
        register_bits: flip-flops of the text, whose area is not part of the family's.
        whole: whether it is a unit whose parts were not synthesised apart: a second fit, of no negative terms, then
            says how its area divides into them.
        compared: whether it only stands beside the circuits that price machines.
    """

    family: str
    name: str
    features: Features
    verilog: str
    register_bits: int = 0
    whole: bool = False
    compared: bool = False

    def point(self, area_um2: float, flipflop_um2: float) -> Point:
        """The measurement of its logic, registers taken off."""
        logic = area_um2 - self.register_bits * flipflop_um2
        return Point(self.name, self.features, logic, is_held_out(self.name))
