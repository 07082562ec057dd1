"""Arithmetics whose units are simulated for a calibration: every kind of unit that a machine can hold.

Decides what stands in where no scheme of a machine brings operands. Unsigned units see rectified inputs and positive
weights, as after the conversion W = W+ - W- (arXiv 2202.02783), of which either half is such a product; the
logarithmic operand of a shift unit is scaled to its format's range, as LUQ scales gradients. Both are streams for a
fit, not numerics of a machine, and are therefore not in the catalogue of schemes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Numerics
from hwsim.arch.numerics import Role, Side
from hwsim.datapaths import unit_families
from hwsim.datapaths.base import Arithmetic, Datapath
from hwsim.quant import Quantized


@dataclass(frozen=True, slots=True)
class StandIn(Numerics):
    """Operands that a fit sees on the ports of a unit, where they are not those of a machine's schemes."""

    rectified: frozenset[str] = frozenset()
    weight_range: float | None = None

    def __post_init__(self) -> None:
        """No scheme has unsigned elements, so none would fit."""

    def __hash__(self) -> int:
        return hash((self.activation.name, self.weight.name, self.datapath))

    def words(self, quantized: Quantized, side: Side) -> NDArray[np.uint8]:
        """Codes of the schemes; on a rectified side those that are not negative."""
        if side not in self.rectified:
            return self.datapath.words(quantized.codes, quantized.scheme.element_format, side)
        return np.maximum(quantized.scheme.element_format.decode(quantized.codes), 0).astype(np.uint8)

    def quantize(self, x: NDArray[np.float32], role: Role, seed: int | None = None) -> Quantized:
        """As of any numerics; weights scaled to their range where there is one."""
        if role == "weight" and self.weight_range is not None:
            largest = float(np.abs(x).max())
            x = (x * (self.weight_range / largest if largest else 1.0)).astype(np.float32)
        return Numerics.quantize(self, x, role, seed)


def numerics_of(one: Arithmetic) -> Numerics:
    """The numerics of a family's arithmetic."""
    if one.rectified or one.weight_range is not None:
        return StandIn(one.activation, one.weight, one.unit, rectified=one.rectified, weight_range=one.weight_range)
    return Numerics(one.activation, one.weight, one.unit)


def arithmetics(families: Iterable[type[Datapath]] | None = None) -> Iterator[Numerics]:
    """Units and operands that energies are fitted to: of every family of the catalogue, or of `families`."""
    for family in unit_families() if families is None else families:
        yield from map(numerics_of, family.calibration().arithmetics())
