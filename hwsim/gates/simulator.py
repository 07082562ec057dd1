"""Toggles of a netlist on a stream of operands, 64 clock cycles a machine word.

Decides how a trace meets gates. Every cycle is a lane: the state of flip-flops is one more stream, found by
evaluating the logic until each state equals the one that follows from the cycle before (a pipeline needs as many
passes as it has stages), or cycle by cycle where a loop through an accumulator does not settle. States that an
emulator supplies start that search and are checked against it, so a wrong emulator is an error and no wrong number.

Two delay models: ``zero`` counts one transition where a cycle's settled value differs from the one before;
``unit`` gives every gate one unit of delay and counts each transition on the way (glitches). The truth of a real
circuit lies between, as cell delays filter pulses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.gates import kernels
from hwsim.gates.netlist import Netlist
from hwsim.gates.program import compile_netlist, run
from hwsim.gates.streams import packed_streams

Delay = Literal["zero", "unit"]


@dataclass(frozen=True, slots=True)
class Toggles:
    """Transitions counted on one netlist.

    Attributes:
        cycles: vectors applied; the first one has no transition, so there are ``cycles - 1`` steps.
        by_net: int64 [nets], transitions between 0 and 1 of every net. The clock's are not among them.
        gate_evaluations: gates evaluated times lanes, the work of the count.
    """

    netlist: Netlist
    delay: Delay
    cycles: int
    by_net: NDArray[np.int64]
    gate_evaluations: int

    @property
    def steps(self) -> int:
        """Transitions between cycles."""
        return max(self.cycles - 1, 0)

    @property
    def total(self) -> int:
        """Transitions of all nets."""
        return int(self.by_net.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """Streams packed for one netlist, states derived: `rows` is uint64 [inputs and states, words + 1]."""

    netlist: Netlist
    rows: NDArray[np.uint64]
    cycles: int


def simulate_operands(
    netlist: Netlist,
    streams: Mapping[str, ArrayLike],
    *,
    delay: Delay = "zero",
    states: Mapping[str, ArrayLike] | None = None,
) -> Toggles:
    """Transitions while the operand streams pass the netlist: `stimulus`, then `count`."""
    return count(stimulus(netlist, streams, states=states), delay)


def evaluate(
    netlist: Netlist, streams: Mapping[str, ArrayLike], *, states: Mapping[str, ArrayLike] | None = None
) -> dict[str, NDArray[np.uint64]]:
    """Codes of every output port in every cycle: `stimulus`, then `outputs`."""
    return outputs(stimulus(netlist, streams, states=states))


def stimulus(
    netlist: Netlist,
    streams: Mapping[str, ArrayLike],
    *,
    states: Mapping[str, ArrayLike] | None = None,
    linked: bool = True,
) -> Stimulus:
    """The streams as lanes, one vector a cycle, with the states that follow from them.

    Args:
        netlist: the circuit.
        streams: for every input port except the clock, integer codes [cycles], or [cycles, elements] where the port
            is a row of elements of equal width, element 0 in the lowest bits. Negative values are two's complement.
            A stream of one code is held for all cycles.
        states: what named registers hold in each cycle, from an emulator; others start at 0 and are derived.
        linked: whether a state follows from the cycle before. If not, as in a systolic array where the sum comes from
            the neighbour's register, `states` must name every register and is taken as it is.

    Raises:
        ArgumentError: a stream has the wrong shape, a code does not fit its port, or a supplied state differs from
            what the gates compute. UnknownName: a port or a state does not exist.
    """
    rows, cycles = packed_streams(netlist, compile_netlist(netlist), streams, states or {}, linked)
    return Stimulus(netlist, rows, cycles)


def count(stimulus: Stimulus, delay: Delay = "zero") -> Toggles:
    """Transitions of every net, without glitches (``"zero"``) or with those of unit gate delays (``"unit"``)."""
    if delay not in ("zero", "unit"):
        raise ArgumentError("delay must be 'zero' or 'unit'", got=delay, where="delay")
    netlist, unit = stimulus.netlist, delay == "unit"
    program = compile_netlist(netlist)
    toggles = run(program, stimulus.rows, unit_delay=unit, count=True)[0]
    per_cycle = len(program.schedule) if unit else len(netlist.gates)
    return Toggles(netlist, delay, stimulus.cycles, toggles[: len(netlist.nets)], per_cycle * stimulus.cycles)


def outputs(stimulus: Stimulus) -> dict[str, NDArray[np.uint64]]:
    """Codes of every output port, uint64 [cycles], or [cycles, words] of 64 bits each for wider ports."""
    netlist = stimulus.netlist
    watched = np.array([net for bits in netlist.outputs.values() for net in bits], np.int64)
    collected = run(compile_netlist(netlist), stimulus.rows, watched=watched)[1]
    found, first = {}, 0
    for port, bits in netlist.outputs.items():
        words = np.empty((stimulus.cycles, -(-len(bits) // 64)), np.uint64)
        for column in range(words.shape[1]):
            codes = np.empty(stimulus.cycles, np.uint64)
            kernels.unpack(collected[first + 64 * column : first + min(64 * column + 64, len(bits))], codes)
            words[:, column] = codes
        found[port] = words[:, 0] if words.shape[1] == 1 else words
        first += len(bits)
    return found
