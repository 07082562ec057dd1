"""How a set of coefficients is read that was fitted to synthesised circuits and to counted flips in their gates.

Each block is a sum of coefficients times features (areas: `hwsim.cost.features` and those of the families; energies:
counted flips), and carries the held-out error of its family.
"""

from __future__ import annotations

from hwsim.cost.coefficients import Coefficients
from hwsim.cost.features import Features
from hwsim.cost.quantity import Quantity

SHARES = ".shares"
"""What the name of a family ends in whose coefficients only divide the area of a whole unit into parts."""


def area(held: Coefficients, family: str, sizes: Features) -> Quantity:
    """um² of a block: the sum of its family's coefficients times its features."""
    return total(held, f"{family}.area", sizes, "um2")


def energy(held: Coefficients, family: str, flips: Features) -> Quantity:
    """fJ of flips, by the coefficients of a family."""
    return total(held, f"{family}.energy", flips, "fJ")


def total(held: Coefficients, prefix: str, sizes: Features, unit: str) -> Quantity:
    """Sum of coefficients times features, never below zero; all coefficients of a family carry its error."""
    found = [(held[f"{prefix}.{name}"], value) for name, value in sizes.items()]
    value = max(sum(price.value * size for price, size in found), 0.0)
    return Quantity(value, unit, found[0][0].source, max(price.relative_error for price, _ in found))
