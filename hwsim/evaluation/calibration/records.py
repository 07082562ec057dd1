"""What a calibration of one library and delay model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwsim.cost.fit import Fit
from hwsim.evaluation.calibration.samples import Sample
from hwsim.gates.simulator import Delay


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fits of one library and delay model.

    Attributes:
        area, energy: fits by family.
        flipflop: cell, area in um², and fJ of a clock cycle and of a flip.
        pann_fj: energies of a flip in PANN's units, by multiply-accumulate unit.
        samples: what the energies were fitted to.
        compared: families of circuits that price no machine.
        trace: name of the trace.
    """

    library: str
    liberty: str
    tool: str
    delay: Delay
    node_nm: int
    voltage: float
    trace: str
    compared: frozenset[str]
    area: Mapping[str, Fit]
    energy: Mapping[str, Fit]
    flipflop: tuple[str, float, float, float]
    pann_fj: Mapping[str, float]
    samples: tuple[Sample, ...]
