"""Multipliers alone, in gates: how their toggles grow with the width, and what narrow operands save on a wide one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsim.cost import pann as formulas
from hwsim.rtl.multipliers import multiplier
from hwsim.studies import operands
from hwsim.studies.circuits import Measured, measure
from hwsim.studies.page import Table

SIGNS = {True: "signed", False: "unsigned"}


def growth(widths: Sequence[int], styles: Sequence[str], cycles: int, rng: np.random.Generator) -> Table:
    """Toggles of multipliers of 3 bits and more, and how a power and a parabola fit them."""
    widths = [bits for bits in widths if bits >= 3] or list(widths)
    rows = []
    for style in styles:
        for signed in (True, False):
            found = [_product(bits, bits, bits, signed, style, cycles, rng) for bits in widths]
            for delay, values in (
                ("zero", [one.zero_toggles for one in found]),
                ("unit", [one.unit_toggles for one in found]),
            ):
                b, t = np.array(widths, float), np.array(values)
                exponent = float(np.polyfit(np.log(b), np.log(t), 1)[0]) if len(b) > 1 else 0.0
                fit = np.linalg.lstsq(np.stack([b**2, b], 1), t, rcond=None)[0]
                worst = float(np.abs(np.stack([b**2, b], 1) @ fit / t - 1).max())
                rows.append(
                    (style, SIGNS[signed], delay, exponent, float(fit[0]), float(fit[1]), worst, float(t[-1]))
                )
    columns = ("style", "unit", "delay", "exponent", "b² term", "b term", "worst error of the fit", "toggles, widest")
    note = (
        f"Toggles of a multiplier alone at {widths[0]} to {widths[-1]} bits, uniform operands: the "
        "exponent of b in a log-log fit, and a fit of a b² + c b, the shape of the paper's formula."
    )
    return Table("growth", "How multipliers grow", columns, tuple(rows), note)


def narrow(styles: Sequence[str], cycles: int, rng: np.random.Generator) -> Table:
    """Energy that narrower operands save on an 8 × 8 multiplier."""
    rows = []
    for style in styles:
        for signed in (True, False):
            full = _product(8, 8, 8, signed, style, cycles, rng)
            for a, b in ((4, 8), (8, 4), (4, 4), (2, 2)):
                found = _product(8, a, b, signed, style, cycles, rng)
                rule = formulas.multiplier_flips(a, b) / formulas.multiplier_flips(8, 8)
                rows.append((style, SIGNS[signed], a, b, 1 - rule, 1 - found.zero_fj / full.zero_fj,
                             1 - found.unit_fj / full.unit_fj))  # fmt: skip
    columns = ("style", "unit", "a bits", "b bits", "formula saves", "saves zero", "saves unit")
    note = (
        "An 8 × 8 multiplier fed narrower operands, uniform: energy saved. The formula's inner term "
        "follows the wider operand."
    )
    return Table("narrow", "Narrow operands on a wide multiplier", columns, tuple(rows), note)


def _product(width: int, a: int, b: int, signed: bool, style: str, cycles: int, rng: np.random.Generator) -> Measured:
    ports = {name: operands.uniform(rng, bits, signed, cycles).x for name, bits in (("a", a), ("b", b))}
    return measure(multiplier(width, width, signed, style), ports)
