"""Prices from gates: the library's flip-flop, the logic of a simulated circuit, and areas as synthesised.

Decides how a netlist's energy becomes a machine's. The logic of a unit is simulated on the operands of a layer in the
dataflow's order; its registers are not part of that number: operand registers lie outside of the circuit's text, so
all of a machine's flip-flops are priced alike, by the library's flip-flop, from counted flips and clock edges.
Memories and DRAM come from their tables, as for every other fidelity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hwsim.cost.quantity import Quantity
from hwsim.errors import ArgumentError
from hwsim.gates.energy import energy
from hwsim.gates.liberty import DEFAULT_LIBERTY, Library
from hwsim.gates.simulator import Delay, Toggles
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import library_of

SYNTHESIS_ERROR = 0.1
"""Cells are summed before placement: rows of a layout are not full, and no timing was asked for."""

DELAY_ERROR = 0.5
"""The truth lies between the two delay models; with zero delay, what glitches of a balanced circuit may add."""


@dataclass(frozen=True, slots=True)
class FlipFlopCost:
    """The plain flip-flop of a library: its area, and energies of one clock cycle and of one flip of its bit."""

    cell: str
    area_um2: float
    clock_fj: float
    data_fj: float


@dataclass(frozen=True, slots=True)
class GateEnergy:
    """Energy of one layer in the gates of its unit, without registers and clock.

    Attributes:
        update_fj: logic of one update of a unit.
        rebuild_fj: logic of one rebuild of a lookup unit's tables, 0 for other units.
        steps: updates that were simulated.
        provenance: circuit, library, tool, delay model, dataflow.
    """

    layer: str
    dataflow: str
    delay: Delay
    update_fj: float
    rebuild_fj: float
    steps: int
    provenance: str

    def quantity(self, what: Literal["update", "rebuild"]) -> Quantity:
        """One of the two energies with its source and error."""
        value = self.update_fj if what == "update" else self.rebuild_fj
        return Quantity(value, "fJ", self.provenance, DELAY_ERROR)


def flip_flop(library: Library) -> FlipFlopCost:
    """The smallest flip-flop that has a clock, a data pin and an output, and nothing else to drive."""
    plain = [
        cell
        for cell in library.cells.values()
        if cell.flip_flop is not None and sum(pin.direction == "input" for pin in cell.pins.values()) == 2
    ]
    if not plain:
        raise ArgumentError("a library must have a plain flip-flop", got=library.name, where="liberty")
    cell = min(plain, key=lambda one: (one.area_um2, len(one.outputs), one.name))
    storage = cell.flip_flop
    assert storage is not None
    clock = cell.pins[storage.clock]
    data = next(pin for pin in cell.pins.values() if pin.direction == "input" and pin.name != storage.clock)
    output = cell.pins[next(iter(cell.outputs))]
    half = 0.5 * library.voltage**2
    return FlipFlopCost(
        cell.name,
        cell.area_um2,
        2 * (half * clock.capacitance_ff + clock.internal_fj),
        half * data.capacitance_ff + data.internal_fj + output.internal_fj,
    )


class Logic(NamedTuple):
    """Area of the logic of one unit, and of what a row of units shares, in um² at the library's node."""

    unit: Quantity
    shared: Quantity | None


def logic_fj(counted: Toggles) -> float:
    """Energy of one step without what flip-flops take for themselves: their clock, their data pins, their inside."""
    netlist = counted.netlist
    found = energy(counted)
    states = [net for register in netlist.registers for net, _ in register.q]
    own = float(counted.by_net[states].sum()) * flip_flop(netlist.library).data_fj if states else 0.0
    total = sum(found.by_group[group] for group in ("inputs", "gates", "registers")) - own
    return total / max(counted.steps, 1)


def logic_area(report: SynthReport) -> Quantity:
    """Synthesised area without flip-flops."""
    own = flip_flop(report.netlist.library).area_um2
    value = report.area_um2 - report.result.flip_flops * own
    return Quantity(value, "um2", report.provenance, SYNTHESIS_ERROR)


def default_library() -> Library:
    """The package's own library."""
    return library_of(str(DEFAULT_LIBERTY.resolve()))
