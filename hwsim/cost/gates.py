"""The fidelity ``gates``: operands of a trace through the netlists of a machine's units, and areas as synthesised.

Decides how a netlist's energy becomes a machine's. The logic of a unit is simulated on the operands of a layer in the
dataflow's order (`hwsim.gates.power`); its registers are not part of that number: operand registers lie outside of
the circuit's text, so all of a machine's flip-flops are priced alike, by the library's flip-flop, from counted flips
and clock edges. Memories and DRAM come from their tables, as for every other fidelity.

A lookup unit is three circuits: the table builder, which a row of the array shares, one reader, and an accumulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Numerics
from hwsim.arch.units import lanes
from hwsim.cost.area import Logic
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.gates.energy import energy
from hwsim.gates.liberty import DEFAULT_LIBERTY, Library
from hwsim.gates.netlist import Netlist
from hwsim.gates.power import operand_vectors, unit_for
from hwsim.gates.simulator import Stimulus, Toggles, count, stimulus
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import library_of, synth
from hwsim.rtl.mac import accumulator
from hwsim.rtl.ternary import ACC_BITS, table_entries, ternary_dot, ternary_table
from hwsim.rtl.unit import Unit
from hwsim.trace import Gemm

Delay = Literal["zero", "unit"]

CYCLES: Mapping[Delay, int] = {"zero": 1 << 17, "unit": 1 << 15}
"""Steps of a layer that are simulated."""

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


def has_circuit(datapath: Datapath) -> bool:
    """Whether the fidelity ``gates`` covers a unit."""
    try:
        unit_for(datapath)
    except ArgumentError:
        return False
    return datapath.family != "ternary_lut" or datapath.a_format == "int8"


def gate_energy(
    gemm: Gemm,
    numerics: Numerics,
    dataflow: Literal["ws", "is", "os"] = "ws",
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
        cycles: most updates to simulate; `CYCLES` by default.

    Raises:
        ArgumentError: a unit without a circuit, or an unknown dataflow.
        MissingExtra: Yosys is not installed; the message names its package.
    """
    unit: Any = numerics.datapath
    if not has_circuit(unit):
        raise ArgumentError("a unit must have a circuit to be simulated in gates", got=unit.name, where="gate_energy")
    most = cycles or CYCLES[delay]
    if unit.family == "ternary_lut":
        return _lookup_energy(gemm, numerics, dataflow, delay, liberty, most // 4)
    report = synth(unit_for(unit), liberty)
    counted = count(operand_vectors(gemm, numerics, report, dataflow, most), delay)
    return GateEnergy(
        gemm.layer, dataflow, delay, logic_fj(counted), 0.0, counted.steps, _provenance(report, dataflow, delay)
    )


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
    if unit.family == "ternary_lut":
        table, reader, adder = lookup_circuits(unit, liberty)
        own = _logic_area(reader).value + _logic_area(adder).value
        source = f"{reader.provenance} and {adder.name}"
        return Logic(Quantity(own, "um2", source, SYNTHESIS_ERROR), _logic_area(table).scaled(unit.luts))
    return Logic(_logic_area(synth(unit_for(unit), liberty)), None)


def lookup_circuits(unit: Any, liberty: str | Path = DEFAULT_LIBERTY) -> tuple[SynthReport, SynthReport, SynthReport]:
    """Table builder, reader and accumulator of a lookup unit with integer activations."""
    whole = ternary_dot(unit.group, unit.activation, unit.luts, 1)
    name = f"ternary_fetch_mu{unit.group}_{unit.activation}_l{unit.luts}_k1"
    reader = Unit(
        name, whole.verilog, (), whole.outputs, whole.golden, whole.operands, family="ternary_fetch",
        parameters=whole.parameters,
    )  # fmt: skip
    units = ternary_table(unit.group, unit.activation), reader, accumulator(whole.outputs[0].bits, ACC_BITS)
    table, fetch, adder = (synth(one, liberty) for one in units)
    return table, fetch, adder


def _logic_area(report: SynthReport) -> Quantity:
    own = flip_flop(report.netlist.library).area_um2
    value = report.area_um2 - report.result.flip_flops * own
    return Quantity(value, "um2", report.provenance, SYNTHESIS_ERROR)


def _provenance(report: SynthReport, dataflow: str, delay: Delay) -> str:
    return f"gates of {report.provenance}, {delay} delay, {dataflow}"


def _lookup_energy(
    gemm: Gemm, numerics: Numerics, dataflow: str, delay: Delay, liberty: str | Path, cycles: int
) -> GateEnergy:
    """Reader and accumulator on tables and keys, table builder on activations."""
    unit: Any = numerics.datapath
    table, reader, adder = lookup_circuits(unit, liberty)
    rows_a, rows_b, steps = _sample(gemm, lanes(unit), dataflow, cycles)
    a = numerics.quantize(gemm.a.values[0][rows_a], "activation", seed=0)
    b = numerics.prepare_b(gemm.b.values[0][rows_b], gemm.b.role, seed=1)
    zero = unit.encode(np.zeros(unit.group, np.int8))[0]
    x = _padded(numerics.words(a, "a"), steps, lanes(unit), 0)
    keys = _padded(b.words, steps, unit.luts, int(zero))
    entries = table_entries(x.reshape(len(x), steps, unit.luts, unit.group), unit.group, unit.activation)
    trits = _padded(b.source.codes, steps, lanes(unit), 0).astype(np.int64)
    signed = np.where(trits == 3, -1, trits)
    sums = np.einsum("msk,nsk->mns", x.astype(np.uint8).view(np.int8).astype(np.int64), signed)
    running = np.concatenate([np.zeros_like(sums[..., :1]), sums.cumsum(-1)[..., :-1]], axis=-1)
    order = {"ws": (1, 2, 0), "is": (0, 2, 1), "os": (0, 1, 2)}[dataflow]

    def stream(values: NDArray[Any]) -> NDArray[Any]:
        full = np.broadcast_to(values, (*sums.shape, values.shape[-1]))
        return full.transpose(*order, 3).reshape(-1, values.shape[-1])[:cycles]

    tables = stream(entries.reshape(len(x), 1, steps, -1))
    fetched = _count(reader.netlist, {"tables": tables, "key": stream(keys[None])}, {}, delay)
    mask = (1 << ACC_BITS) - 1
    clear = (np.arange(steps) == 0).astype(np.uint64)[None, None, :, None]
    terms = {"clear": stream(clear), "p": stream(sums[..., None])}
    added = _count(adder.netlist, terms, {"acc": stream(running[..., None] & mask)}, delay)
    # the table of a step is rebuilt as its row of activations changes: rows in turn, or K in turn
    rebuilt = x.reshape(len(x), steps, unit.luts, unit.group)[:, :, 0]
    built = rebuilt if dataflow == "os" else rebuilt.transpose(1, 0, 2)
    building = _count(table.netlist, {"x": built.reshape(-1, unit.group)}, {}, delay)
    return GateEnergy(
        gemm.layer, dataflow, delay, logic_fj(fetched) + logic_fj(added), unit.luts * logic_fj(building),
        fetched.steps, _provenance(reader, dataflow, delay),
    )  # fmt: skip


def _count(netlist: Netlist, streams: Mapping[str, Any], states: Mapping[str, Any], delay: Delay) -> Toggles:
    vectors: Stimulus = stimulus(netlist, streams, states=states, linked=False)
    return count(vectors, delay)


def _sample(gemm: Gemm, wide: int, dataflow: str, cycles: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Rows of a and of b: neighbours of the operand that streams, evenly spread ones of the other, and steps of K."""
    m, n = gemm.a.values.shape[1], gemm.b.values.shape[1]
    steps = -(-gemm.k // wide)
    budget = max(cycles // steps, 4)

    def spread(rows: int, wanted: int) -> NDArray[np.intp]:
        return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.intp))

    fast = max(min(budget // 8, 64), 2)
    if dataflow == "ws":
        return np.arange(min(m, fast)), spread(n, max(budget // fast, 1)), steps
    if dataflow == "is":
        return spread(m, max(budget // fast, 1)), np.arange(min(n, fast)), steps
    side = max(int(budget**0.5), 1)
    return spread(m, side), spread(n, side), steps


def _padded(words: NDArray[Any], steps: int, per_step: int, padding: int) -> NDArray[np.uint64]:
    """Words ``[rows, K']`` as ``[rows, steps, per_step]``."""
    full = np.full((len(words), steps * per_step), padding, np.uint64)
    full[:, : words.shape[1]] = words
    return full.reshape(len(words), steps, per_step)


def default_library() -> Library:
    """The package's own library."""
    return library_of(str(DEFAULT_LIBERTY.resolve()))
