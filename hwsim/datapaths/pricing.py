"""A unit's price at each fidelity, from what the unit itself says: blocks, counted flips, gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwsim.cost import fitted
from hwsim.cost.blocks import Component
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.gates import SYNTHESIS_ERROR, GateEnergy, Logic, logic_area, logic_fj
from hwsim.cost.quantity import Quantity
from hwsim.cost.toggles import Toggles
from hwsim.datapaths.base import Datapath, Driven
from hwsim.errors import ArgumentError
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.netlist import Netlist
from hwsim.gates.simulator import Delay, Stimulus, count, stimulus
from hwsim.gates.steps import Dataflow, Stream
from hwsim.gates.synthesis import synth


@dataclass(frozen=True, slots=True)
class Composition:
    """A unit as blocks with a price.

    Args:
        components: blocks in every unit.
        shared: blocks that a row of the array shares.
        uniform_flips: operand bits that flip in one operation if operands are uniform.
    """

    components: tuple[Component, ...]
    shared: tuple[Component, ...]
    uniform_flips: float


@lru_cache(maxsize=256)
def compose(datapath: Datapath, coefficients: Coefficients) -> Composition:
    """The composition of a unit.

    Raises:
        MissingView: the unit has no price, or none in this set.
        UnknownName: the set lacks a coefficient that the unit needs.
    """
    own, shared = datapath.price.blocks(coefficients)
    return Composition(own, shared, datapath.price.registers.uniform_flips)


def update_energy(
    datapath: Datapath, toggles: Toggles, held: Coefficients
) -> tuple[Mapping[str, Quantity], Quantity | None]:
    """fJ of one update of a unit by part, and of one rebuild of its tables, None for a unit without tables.

    Raises:
        MissingView: a unit without a price. ArgumentError: toggles without inner flips. UnknownName: a missing
            coefficient.
    """
    price = datapath.price
    if not toggles.inner:
        raise ArgumentError("toggles must hold the inner flips of a unit", got=toggles.layer, where="cost.toggles")
    own = held.with_table(price.table)
    by_part: dict[str, dict[str, float]] = {}
    for name, value in toggles.inner.items():
        by_part.setdefault(price.parts.get(name, "accumulation"), {})[name] = value
    parts = {
        part: fitted.energy(own, price.update, flips).scaled(1.0, price.beyond_fit) for part, flips in by_part.items()
    }
    if not toggles.rebuilt or price.rebuild is None:
        return parts, None
    return parts, fitted.energy(own, price.rebuild, toggles.rebuilt)


def packed(netlist: Netlist, driven: Driven) -> Stimulus:
    """Vectors of a circuit as lanes for its netlist; registers are held, as sums may come from a neighbour."""
    return stimulus(netlist, driven.ports, states=driven.states, linked=not driven.states)


def stream_energy(
    layer: str,
    datapath: Datapath,
    stream: Stream,
    dataflow: Dataflow,
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
) -> GateEnergy:
    """Energy of an update of one unit in its gates, on the steps of a stream.

    Raises:
        MissingView: a unit without a circuit. MissingExtra: Yosys is not installed; the message names its package.
    """
    gates = datapath.gates
    update, rebuild, source = 0.0, 0.0, ""
    for role, circuit in gates.circuits().items():
        report = synth(circuit, liberty)
        taken = logic_fj(count(packed(report.netlist, gates.drive(role, stream)), delay))
        if role in gates.shared:
            rebuild += gates.shared[role] * taken
        else:
            update += taken
            source = source or report.provenance
    note = f"gates of {source}, {delay} delay, {dataflow}"
    return GateEnergy(layer, dataflow, delay, update, rebuild, max(stream.steps - 1, 0), note)


def unit_logic(datapath: Datapath, liberty: str | Path = DEFAULT_LIBERTY) -> Logic:
    """Synthesised area of a unit's logic, and of what a row shares (tables), registers not included.

    Raises:
        MissingView: a unit without a circuit. MissingExtra: Yosys is not installed; the message names its package.
    """
    gates = datapath.gates
    areas = {role: logic_area(synth(circuit, liberty)) for role, circuit in gates.circuits().items()}
    shared = [areas.pop(role).scaled(copies) for role, copies in gates.shared.items()]
    source = " and ".join(area.source for area in areas.values())
    own = Quantity(sum(area.value for area in areas.values()), "um2", source, SYNTHESIS_ERROR)
    return Logic(own, shared[0] if shared else None)
