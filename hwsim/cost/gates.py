"""The fidelity ``gates``: operands of a trace through the netlists of a machine's units, and areas as synthesised.

Decides how a netlist's energy becomes a machine's. The logic of a unit is simulated on the operands of a layer in the
dataflow's order (`hwsim.gates.steps`, `hwsim.gates.driving`); its registers are not part of that number: operand
registers lie outside of the circuit's text, so all of a machine's flip-flops are priced alike, by the library's
flip-flop, from counted flips and clock edges. Memories and DRAM come from their tables, as for every other fidelity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hwsim.arch import Numerics
from hwsim.cost.area import Logic
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.gates.driving import circuits, drive, has_circuit
from hwsim.gates.energy import energy
from hwsim.gates.liberty import DEFAULT_LIBERTY, Library
from hwsim.gates.simulator import Delay, Toggles, count
from hwsim.gates.steps import Dataflow, Operands, Stream, unit_stream
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import library_of, synth
from hwsim.trace import Gemm

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


def gate_energy(
    gemm: Gemm,
    numerics: Numerics,
    dataflow: Dataflow = "ws",
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
    cycles: int | None = None,
) -> GateEnergy:
    """Energy of an update of one unit on the operands of a recorded product.

    Args:
        gemm: the product with its operands.
        numerics: schemes and unit.
        dataflow: order of the operands at a unit.
        delay: ``"zero"`` without glitches, ``"unit"`` with those of unit gate delays.
        liberty: the library.
        cycles: most updates to simulate; by default what `hwsim.gates.steps` follows.

    Raises:
        ArgumentError: a unit without a circuit, or an unknown dataflow.
        MissingExtra: Yosys is not installed; the message names its package.
    """
    stream = unit_stream(Operands(gemm, numerics), dataflow, cycles)
    return stream_energy(gemm.layer, numerics, stream, dataflow, delay, liberty)


def stream_energy(
    layer: str,
    numerics: Numerics,
    stream: Stream,
    dataflow: Dataflow,
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
) -> GateEnergy:
    """`gate_energy` of steps that are at hand."""
    unit: Any = numerics.datapath
    if not has_circuit(unit):
        raise ArgumentError("a unit must have a circuit to be simulated in gates", got=unit.name, where="gate_energy")
    found, source = {}, ""
    for role, circuit in circuits(unit).items():
        report = synth(circuit, liberty)
        found[role] = logic_fj(count(drive(role, report.netlist, stream, unit), delay))
        source = report.provenance if role in ("unit", "reader") else source
    rebuild = getattr(unit, "luts", 1) * found.pop("tables", 0.0)
    note = f"gates of {source}, {delay} delay, {dataflow}"
    return GateEnergy(layer, dataflow, delay, sum(found.values()), rebuild, max(stream.steps - 1, 0), note)


def logic_fj(counted: Toggles) -> float:
    """Energy of one step without what flip-flops take for themselves: their clock, their data pins, their inside."""
    netlist = counted.netlist
    found = energy(counted)
    states = [net for register in netlist.registers for net, _ in register.q]
    own = float(counted.by_net[states].sum()) * flip_flop(netlist.library).data_fj if states else 0.0
    total = sum(found.by_group[group] for group in ("inputs", "gates", "registers")) - own
    return total / max(counted.steps, 1)


def unit_logic(datapath: Datapath, liberty: str | Path = DEFAULT_LIBERTY) -> Logic:
    """Synthesised area of a unit's logic, and of what a row shares (tables), registers not included.

    Raises:
        ArgumentError: a unit without a circuit. MissingExtra: Yosys is not installed; the message names its package.
    """
    unit: Any = datapath
    if not has_circuit(unit):
        raise ArgumentError("a unit must have a circuit to be synthesised", got=unit.name, where="unit_logic")
    areas = {role: _logic_area(synth(circuit, liberty)) for role, circuit in circuits(unit).items()}
    shared = areas.pop("tables", None)
    source = " and ".join(area.source for area in areas.values())
    own = Quantity(sum(area.value for area in areas.values()), "um2", source, SYNTHESIS_ERROR)
    return Logic(own, None if shared is None else shared.scaled(unit.luts))


def _logic_area(report: SynthReport) -> Quantity:
    own = flip_flop(report.netlist.library).area_um2
    value = report.area_um2 - report.result.flip_flops * own
    return Quantity(value, "um2", report.provenance, SYNTHESIS_ERROR)


def default_library() -> Library:
    """The package's own library."""
    return library_of(str(DEFAULT_LIBERTY.resolve()))
