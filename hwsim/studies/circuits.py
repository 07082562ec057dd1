"""Circuits of a study: synthesised once a machine, driven by streams, their energy by step.

Decides what a study calls energy: that of the nets (``logic``: inputs, gates, outputs of flip-flops), with and
without glitches, and apart from it that of the flip-flops' clock pins, because the formulas of the papers know
neither. Both delay models are given, as the truth of a placed circuit lies between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.gates.energy import energy, loads
from hwsim.gates.simulator import count, stimulus
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import synth
from hwsim.rtl.tools import yosys_version
from hwsim.rtl.unit import Unit


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over the steps of a stream.

    Attributes:
        steps: transitions between cycles.
        zero_fj, unit_fj: energy of all nets a step, without glitches and with those of unit gate delays.
        clock_fj: energy of the clock pins of all flip-flops a cycle.
        zero_toggles, unit_toggles: transitions of all nets a step.
    """

    steps: int
    zero_fj: float
    unit_fj: float
    clock_fj: float
    zero_toggles: float
    unit_toggles: float


def mapped(unit: Unit) -> SynthReport:
    """The unit in the cells of the project's own library."""
    return synth(unit)


def area_um2(unit: Unit) -> float:
    """Area of the unit."""
    return mapped(unit).area_um2


def area_ge(unit: Unit) -> float:
    """Area of the unit in two-input NANDs."""
    return mapped(unit).area_ge


def measure(
    unit: Unit, streams: Mapping[str, ArrayLike], after: Mapping[str, NDArray[Any]] | None = None
) -> Measured:
    """Energy of `streams` through the gates of `unit`, one row a cycle.

    Args:
        unit: the circuit.
        streams: codes of every input port.
        after: what each register holds after each row; the simulator checks it against the gates.
    """
    netlist = mapped(unit).netlist
    states = {
        name: np.concatenate([np.zeros_like(values[:1]), values[:-1]])
        for name, values in (after or {}).items()
        if name in netlist.states
    }
    packed = stimulus(netlist, streams, states=states)
    zero, glitching = count(packed, "zero"), count(packed, "unit")
    low, high = energy(zero), energy(glitching)
    steps = max(zero.steps, 1)
    clock = low.by_group["clock"]
    return Measured(
        zero.steps,
        (low.total_fj - clock) / steps,
        (high.total_fj - clock) / steps,
        clock / steps,
        zero.total / steps,
        glitching.total / steps,
    )


def flip_flop_clock_fj(unit: Unit) -> float:
    """Energy of one flip-flop's clock pin a cycle, from a unit that has some."""
    netlist = mapped(unit).netlist
    known, volts = loads(netlist), netlist.library.voltage
    return 2 * (0.5 * known.clock_ff * volts**2 + known.clock_internal_fj) / known.clock_pins


def running(terms: NDArray[np.int64], clear: NDArray[Any], bits: int) -> NDArray[np.uint64]:
    """An accumulator of `bits` bits after each row, starting anew where `clear` is set (row 0 among them)."""
    total = np.cumsum(terms)
    starts = np.flatnonzero(clear)
    before = np.concatenate([[0], total])[starts]
    held = total - before[np.searchsorted(starts, np.arange(len(terms)), side="right") - 1]
    return np.asarray(held.view(np.uint64) & np.uint64((1 << bits) - 1))


def conditions(**more: str) -> dict[str, str]:
    """What every number of gates depends on."""
    return {
        "tool": yosys_version().split(" (")[0] + ", each module synthesised alone, then flattened and mapped by ABC",
        "library": "hwsim45 (the project's own: normalised areas, capacitances and energies; ratios transfer to "
        "other libraries, absolute values do not)",
        "delay models": "zero (no glitches) and unit (one delay a gate, every glitch counted); no wires",
        **more,
    }
