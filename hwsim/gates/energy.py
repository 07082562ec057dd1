"""Energy of counted transitions: capacitance, internal power, clock and leakage.

Decides what a transition costs: ``1/2 C V²`` over the input pins that the net drives, plus the internal energy that
the library gives its driver's output and the pins it drives. A flip-flop adds two edges of its clock pin a cycle,
whether or not its data moves. Wires are a parameter, as a netlist before placement has none. Left out, and part of
the stated uncertainty: the dependence of internal energy on slew and on the state of other pins.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.gates.netlist import Netlist
from hwsim.gates.simulator import Toggles


@dataclass(frozen=True, slots=True, eq=False)
class Loads:
    """What every net of a netlist drives.

    Attributes:
        pin_ff: float64 [nets], capacitance of the input pins on the net.
        pins: int64 [nets], number of these pins.
        internal_fj: float64 [nets], internal energy of one transition at the nominal voltage.
        clock_ff, clock_internal_fj: of all flip-flops' clock pins.
        leakage_nw: of all cells, at the nominal voltage.
    """

    pin_ff: NDArray[np.float64]
    pins: NDArray[np.int64]
    internal_fj: NDArray[np.float64]
    clock_ff: float
    clock_internal_fj: float
    clock_pins: int
    leakage_nw: float


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a stream, in fJ over all its steps.

    Attributes:
        steps: clock cycles that the energy belongs to.
        by_group: ``inputs`` (nets of the ports), ``gates`` (nets of gates), ``registers`` (outputs of flip-flops),
            ``clock``, ``leakage``; they add up to the total.
        switching_fj, internal_fj: the same without clock and leakage, by cause.
        by_net_fj: float64 [nets].
        provenance: library, voltage and delay model of the number.
    """

    steps: int
    by_group: Mapping[str, float]
    switching_fj: float
    internal_fj: float
    by_net_fj: NDArray[np.float64]
    provenance: str

    @property
    def total_fj(self) -> float:
        """Sum of all groups."""
        return sum(self.by_group.values())

    @property
    def per_step_fj(self) -> float:
        """Energy of one cycle."""
        return self.total_fj / max(self.steps, 1)

    def power_mw(self, clock_ghz: float) -> float:
        """Average power when a step lasts one cycle of the clock."""
        return self.per_step_fj * clock_ghz * 1e-3


@functools.lru_cache(maxsize=64)
def loads(netlist: Netlist) -> Loads:
    """The pins, capacitances and internal energies of every net."""
    pin_ff, internal_fj = np.zeros(len(netlist.nets)), np.zeros(len(netlist.nets))
    pins = np.zeros(len(netlist.nets), np.int64)
    clock_ff = clock_internal_fj = 0.0
    clock_pins = 0
    for instance in netlist.instances:
        for name, net in instance.nets.items():
            pin = instance.cell.pins[name]
            if pin.direction == "output":
                internal_fj[net] += pin.internal_fj
            elif net == netlist.clock:
                clock_ff += pin.capacitance_ff
                clock_internal_fj += pin.internal_fj
                clock_pins += 1
            else:
                pin_ff[net] += pin.capacitance_ff
                internal_fj[net] += pin.internal_fj
                pins[net] += 1
    leakage_nw = sum(instance.cell.leakage_nw for instance in netlist.instances)
    return Loads(pin_ff, pins, internal_fj, clock_ff, clock_internal_fj, clock_pins, leakage_nw)


def energy(
    toggles: Toggles,
    *,
    voltage: float | None = None,
    clock_ghz: float | None = None,
    wire_ff_per_pin: float = 0.0,
    output_ff: float = 0.0,
) -> Energy:
    """Energy of the transitions.

    Args:
        toggles: counts of `hwsim.gates.simulator.simulate_operands`.
        voltage: supply in volts, the library's nominal one by default; energy scales with its square. Leakage does
            not scale by a law this simple and is given at the nominal voltage.
        clock_ghz: sets the time that leakage lasts; without it leakage is left out.
        wire_ff_per_pin: capacitance of the wire to each driven pin, in fF.
        output_ff: load at every bit of an output port, in fF.
    """
    netlist = toggles.netlist
    supply = netlist.library.voltage if voltage is None else voltage
    for name, value in (("voltage", supply), ("clock_ghz", 1.0 if clock_ghz is None else clock_ghz)):
        if not value > 0:
            raise ArgumentError(f"{name} must be positive", got=value, where=name)
    known = loads(netlist)
    load_ff = known.pin_ff + wire_ff_per_pin * known.pins
    for bits in netlist.outputs.values():
        np.add.at(load_ff, list(bits), output_ff)
    scale = (supply / netlist.library.voltage) ** 2
    switching = toggles.by_net * (0.5 * load_ff * supply**2)
    internal = toggles.by_net * (known.internal_fj * scale)
    by_net = switching + internal
    clock_edge = 0.5 * (known.clock_ff + wire_ff_per_pin * known.clock_pins) * supply**2
    clock = 2 * toggles.steps * (clock_edge + known.clock_internal_fj * scale)
    leakage = 0.0 if clock_ghz is None else known.leakage_nw * toggles.steps / clock_ghz * 1e-3
    ports = [net for bits in netlist.inputs.values() for net in bits]
    states = [net for register in netlist.registers for net, _ in register.q]
    groups = {
        "inputs": float(by_net[ports].sum()),
        "gates": float(by_net[[gate.output for gate in netlist.gates]].sum()),
        "registers": float(by_net[states].sum()),
        "clock": float(clock),
        "leakage": float(leakage),
    }
    return Energy(
        steps=toggles.steps,
        by_group=MappingProxyType(groups),
        switching_fj=float(switching.sum()),
        internal_fj=float(internal.sum()),
        by_net_fj=by_net,
        provenance=f"{netlist.library.name} at {supply:g} V, {toggles.delay} delay",
    )
