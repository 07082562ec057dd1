"""Prices of generic blocks in a set of coefficients that holds a few measured components.

Nothing here is a synthesized unit. Blocks that were measured alone (multipliers, accumulators, the 16-wide E2M1 dot,
fetch multiplexers) carry their fit's error; blocks that were not (alignment shifters, exponent logic, normalisation)
are composed from measured parts by the rules of each family and carry `COMPOSED_ERROR` on top. Energies without a
measurement are area times the energy density that ten measured arithmetic blocks share within 15 %.

- an alignment or normalising shifter of W bits: ceil(log2 W) stages of W two-way selections;
- a comparison, a leading-zero count, an exponent sum: an adder of that width;
- a float accumulator: what its rule aligns, at the width that the rule keeps, plus normalisation.
"""

from __future__ import annotations

from math import ceil, log2

from hwsim.cost.blocks import Component
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.quantity import Quantity

COMPOSED_ERROR = 0.3
EXTRAPOLATED_ERROR = 0.15  # multipliers above 8 bits: their measured growth exponents span 2.2 to 2.6
UNEQUAL_ERROR = 0.1  # multipliers of two widths, of which only equal ones were measured


class Parts:
    """Prices of generic blocks in one set of coefficients."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.of = coefficients

    def multiplier(self, a: int, b: int, signed: bool) -> tuple[Quantity, Quantity]:
        """Area and energy of a multiplier of a × b bits."""
        kind = "multiplier.signed" if signed else "multiplier.unsigned"
        extra = (UNEQUAL_ERROR if a != b else 0.0) + (EXTRAPOLATED_ERROR if max(a, b) > 8 else 0.0)
        note = f"{a} x {b} bits" + (", beyond the measured 8" if max(a, b) > 8 else "")

        def price(what: str, unit: str) -> Quantity:
            square, linear = self.of[f"{kind}.{what}.square"], self.of[f"{kind}.{what}.linear"]
            # below 2 x 2 bits the fit is no longer positive; one partial product is then an AND of each bit
            value = max(square.value * a * b + linear.value * (a + b) / 2, 0.0)
            return Quantity(value, unit, f"{note}: {square.source}", square.relative_error + extra)

        return price("area", "um2"), price("energy", "fJ")

    def adder(self, bits: int) -> Quantity:
        """Area of an adder."""
        return self.of["adder.area.per_bit"].scaled(bits).with_unit("um2")

    def accumulator(self, acc_bits: int, addend_bits: int, signed: bool) -> Quantity:
        """Area of the adder of an accumulator, sign extension of the addend included."""
        per_acc, per_addend = self.of["accumulator.area.per_acc_bit"], self.of["accumulator.area.per_addend_bit"]
        ratio = self.of["accumulator.area.signed_ratio"]
        value = per_acc.value * acc_bits + per_addend.value * min(addend_bits, acc_bits)
        error = per_acc.relative_error + (ratio.relative_error if signed else 0.0)
        return Quantity(value * (ratio.value if signed else 1.0), "um2", per_acc.source, error)

    def shifter(self, bits: int) -> Quantity:
        """Area of a shifter over all distances."""
        stages = ceil(log2(bits))
        return self.of["select.area.per_entry_bit"].scaled(2 * bits * stages).with_unit("um2")

    def dense(self, area: Quantity) -> Quantity:
        """Energy, fJ, of one operation of a block that has only an area."""
        density = self.of["logic.energy_density"]
        return Quantity(
            area.value * density.value,
            "fJ",
            f"{density.source}: {area.source}",
            area.relative_error + density.relative_error,
        )

    def block(self, part: str, source: str, *areas: Quantity) -> Component:
        """A component composed of blocks that have only an area."""
        area = sum_of(areas, f"composed: {source}", COMPOSED_ERROR)
        return Component(part, area, self.dense(area))


def sum_of(quantities: tuple[Quantity, ...], source: str, error: float) -> Quantity:
    """The sum of quantities of one unit; errors add, weighted by value."""
    value = sum(one.value for one in quantities)
    spread = sum(one.value * one.relative_error for one in quantities)
    return Quantity(value, quantities[0].unit, source, (spread / value if value else 0.0) + error)
