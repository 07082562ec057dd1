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

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates import kernels
from hwsim.gates.kinds import reduce_function
from hwsim.gates.netlist import Gate, Netlist
from hwsim.jit import parallel_rows, thread_count

Delay = Literal["zero", "unit"]
SETTLING_PASSES = 64  # beyond this many passes the cycle-by-cycle loop is about as fast

_NONE = np.zeros(0, np.int64)


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
class Program:
    """A netlist as arrays; nets beyond the netlist's own hold next states that no gate output shows."""

    net_count: int
    arrays: tuple[NDArray[Any], ...]
    schedule: NDArray[np.int64]
    nets: NDArray[np.int64]
    inverted: NDArray[np.uint64]
    register_rows: NDArray[np.int64]
    following: NDArray[np.int64]


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
    rows, cycles = _streams(netlist, compile_netlist(netlist), streams, states or {}, linked)
    return Stimulus(netlist, rows, cycles)


def count(stimulus: Stimulus, delay: Delay = "zero") -> Toggles:
    """Transitions of every net, without glitches (``"zero"``) or with those of unit gate delays (``"unit"``)."""
    if delay not in ("zero", "unit"):
        raise ArgumentError("delay must be 'zero' or 'unit'", got=delay, where="delay")
    netlist, unit = stimulus.netlist, delay == "unit"
    program = compile_netlist(netlist)
    toggles = _run(program, stimulus.rows, unit_delay=unit, count=True)[0]
    per_cycle = len(program.schedule) if unit else len(netlist.gates)
    return Toggles(netlist, delay, stimulus.cycles, toggles[: len(netlist.nets)], per_cycle * stimulus.cycles)


def outputs(stimulus: Stimulus) -> dict[str, NDArray[np.uint64]]:
    """Codes of every output port, uint64 [cycles], or [cycles, words] of 64 bits each for wider ports."""
    netlist = stimulus.netlist
    watched = np.array([net for bits in netlist.outputs.values() for net in bits], np.int64)
    collected = _run(compile_netlist(netlist), stimulus.rows, watched=watched)[1]
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


@functools.lru_cache(maxsize=64)
def compile_netlist(netlist: Netlist) -> Program:
    """The arrays that the kernels read."""
    gates = list(netlist.gates)
    following = []
    for register in netlist.registers:
        if len(register.inputs) == 1 and register.table == 0b10 and register.inputs[0] >= 0:
            following.append(register.inputs[0])
            continue
        net = len(netlist.nets) + len(gates) - len(netlist.gates)
        inputs = tuple(register.q[0][0] if pin < 0 else pin for pin in register.inputs)
        gates.append(Gate(net, inputs, _upright(register.table, register.inputs, register.q[0][1])))
        following.append(net)
    kinds, operands = np.zeros(len(gates), np.int64), np.zeros((len(gates), 6), np.int64)
    masks, tables = np.zeros(len(gates), np.uint64), np.zeros(len(gates), np.uint64)
    for position, gate in enumerate(gates):
        kinds[position], order, constants, masks[position], table = reduce_function(len(gate.inputs), gate.table)
        nets = [gate.inputs[source] for source in order] + list(constants)
        operands[position, : len(nets)] = nets
        tables[position] = table
    sources = [net for bits in netlist.inputs.values() for net in bits]
    rows, inverted = [], [0] * len(sources)
    for register in netlist.registers:
        rows.append((len(sources), len(register.q)))
        sources += [net for net, _ in register.q]
        inverted += [int(flip) for _, flip in register.q]
    outputs = np.array([gate.output for gate in gates], np.int64)
    return Program(
        net_count=len(netlist.nets) + len(gates) - len(netlist.gates),
        arrays=(kinds, operands, masks, tables, outputs),
        schedule=_schedule(netlist, sources),
        nets=np.array(sources, np.int64),
        inverted=np.array(inverted, np.uint64),
        register_rows=np.array(rows, np.int64).reshape(-1, 2),
        following=np.array(following, np.int64),
    )


def _upright(table: int, inputs: tuple[int, ...], inverted: bool) -> int:
    """The table of a next state, reading its own state from an output that may be inverted."""
    if not inverted or -1 not in inputs:
        return table
    flip = 1 << inputs.index(-1)
    return sum((table >> (pattern ^ flip) & 1) << pattern for pattern in range(1 << len(inputs)))


def _schedule(netlist: Netlist, sources: list[int]) -> NDArray[np.int64]:
    """Gates by step of unit delay: a gate moves one step after any input may move.

    Bit ``t`` of a net's times says that a path of ``t`` gates leads to it from an input.
    """
    times = [0] * len(netlist.nets)
    for net in sources:
        times[net] = 1
    active = []
    for gate in netlist.gates:
        for net in gate.inputs:
            times[gate.output] |= times[net] << 1
        active.append(times[gate.output])
    steps = max((t.bit_length() for t in active), default=0)
    order = [
        position
        for step in range(1, steps)
        for position in range(len(active) - 1, -1, -1)
        if active[position] >> step & 1
    ]
    return np.array(order, np.int64)


def _run(
    program: Program,
    rows: NDArray[np.uint64],
    *,
    unit_delay: bool = False,
    count: bool = False,
    watched: NDArray[np.int64] = _NONE,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    words = rows.shape[1] - 1
    parts = min(thread_count(), -(-words // kernels.BLOCK_WORDS))
    toggles = np.zeros((parts, program.net_count if count else 0), np.int64)
    collected = np.zeros((len(watched), words), np.uint64)
    parallel_rows(
        kernels.run_parts,
        parts,
        parts,
        program.net_count,
        program.nets,
        program.inverted,
        rows,
        program.arrays,
        program.schedule,
        unit_delay,
        watched,
        collected,
        toggles,
    )
    return toggles.sum(axis=0), collected


def _streams(
    netlist: Netlist,
    program: Program,
    streams: Mapping[str, ArrayLike],
    states: Mapping[str, ArrayLike],
    linked: bool,
) -> tuple[NDArray[np.uint64], int]:
    """Words [inputs and states, words + 1] of the streams, states derived, and the number of cycles."""
    for port in streams:
        if port not in netlist.inputs:
            raise UnknownName("an input port", port, netlist.inputs, where=netlist.name)
    missing = [port for port in netlist.inputs if port not in streams]
    if missing:
        raise ArgumentError("every input port must have a stream", got=missing, where=netlist.name)
    codes = {port: _codes(streams[port], len(bits), port) for port, bits in netlist.inputs.items()}
    held = {name: _codes(states[name], len(_state(netlist, name)), name) for name in states}
    lengths = {len(columns) for columns in [*codes.values(), *held.values()]} - {1}
    if len(lengths) > 1:
        raise ArgumentError("streams must have one length", got=sorted(lengths), where=netlist.name)
    cycles = max(lengths, default=1)
    rows = np.zeros((len(program.nets), -(-cycles // 64) + 1), np.uint64)
    first = 0
    for port, bits in netlist.inputs.items():
        _pack(codes[port], rows[first : first + len(bits)], cycles)
        first += len(bits)
    if netlist.registers:
        guess = np.zeros((len(netlist.registers), rows.shape[1]), np.uint64)
        known: set[int] = set()
        for name, columns in held.items():
            bits = _state(netlist, name)
            packed = np.zeros((len(bits), rows.shape[1]), np.uint64)
            _pack(columns, packed, cycles)
            guess[list(bits)] = packed
            known.update(bits)
        if linked:
            _derive_states(program, rows, guess, cycles)
            _check_states(netlist, program, rows, guess, held)
        elif len(known) < len(netlist.registers):
            raise ArgumentError("unlinked cycles must name every register", got=sorted(held), where=netlist.name)
        else:
            _place(program, rows, guess)
    return rows, cycles


def _state(netlist: Netlist, name: str) -> tuple[int, ...]:
    if name not in netlist.states:
        raise UnknownName("a state", name, netlist.states, where=netlist.name)
    return netlist.states[name]


def _codes(values: ArrayLike, width: int, where: str) -> NDArray[np.uint64]:
    """Codes as uint64 [cycles, elements], checked against the port's width."""
    array = np.asarray(values)
    if array.dtype.kind not in "iub" or array.ndim not in (1, 2) or array.shape[0] < 1:
        raise ArgumentError(
            "a stream must be integers [cycles] or [cycles, elements]",
            got=(array.dtype.name, array.shape),
            where=where,
        )
    columns = array.reshape(len(array), -1)
    if columns.shape[1] == 0 or width % columns.shape[1]:
        raise ArgumentError(f"elements must divide the port's {width} bits", got=columns.shape[1], where=where)
    bits = width // columns.shape[1]
    if bits > 64:
        raise ArgumentError("an element must have at most 64 bits", got=bits, where=where)
    low, high = int(columns.min()), int(columns.max())
    if high >= 1 << bits or low < -(1 << (bits - 1)):
        raise ArgumentError(f"a code must fit {bits} bits", got=high if high >= 1 << bits else low, where=where)
    if array.dtype.kind == "i":  # two's complement, wider than the port: bits above it are not packed
        columns = columns.astype(np.int64).view(np.uint64)
    return np.ascontiguousarray(columns, np.uint64)


def _pack(columns: NDArray[np.uint64], rows: NDArray[np.uint64], cycles: int) -> None:
    if len(columns) != cycles:
        columns = np.repeat(columns, cycles, axis=0)
    kernels.pack(columns, len(rows) // columns.shape[1], rows)


def _derive_states(program: Program, rows: NDArray[np.uint64], guess: NDArray[np.uint64], cycles: int) -> None:
    """Fills the states' rows: the one sequence that starts at the guess's first cycle and follows the logic."""
    first = guess[:, 1] & np.uint64(1)
    current = guess.copy()
    for _ in range(min(SETTLING_PASSES, cycles + 1)):
        _place(program, rows, current)
        following = _run(program, rows, watched=program.following)[1]
        state = np.empty_like(current)
        state[:, 2:] = following[:, 1:] << np.uint64(1) | following[:, :-1] >> np.uint64(63)
        state[:, 1] = following[:, 0] << np.uint64(1) | first
        state[:, 0] = first << np.uint64(63)
        _repeat_last(state, cycles)
        if np.array_equal(state, current):
            return
        current = state
    rows[program.register_rows[:, 0], 0] = first << np.uint64(63)
    kernels.run_serial(
        program.net_count,
        program.nets,
        program.inverted,
        rows,
        program.arrays,
        program.register_rows,
        program.following,
        cycles,
    )
    current = rows[program.register_rows[:, 0]]
    _repeat_last(current, cycles)
    _place(program, rows, current)


def _place(program: Program, rows: NDArray[np.uint64], states: NDArray[np.uint64]) -> None:
    for (first, count), state in zip(program.register_rows, states, strict=True):
        rows[first : first + count] = state


def _repeat_last(states: NDArray[np.uint64], cycles: int) -> None:
    """Lanes after the last cycle hold its value, so that they do not toggle."""
    used = (cycles - 1) % 64 + 1
    if used < 64:
        last = states[:, -1] >> np.uint64(used - 1) & np.uint64(1)
        above = np.uint64((1 << 64) - (1 << used))
        states[:, -1] = states[:, -1] & ~above | (np.uint64(0) - last) & above


def _check_states(
    netlist: Netlist,
    program: Program,
    rows: NDArray[np.uint64],
    guess: NDArray[np.uint64],
    held: Mapping[str, NDArray[np.uint64]],
) -> None:
    found = rows[program.register_rows[:, 0]]
    for name in held:
        bits = list(_state(netlist, name))
        different = (found[bits, 1:] ^ guess[bits, 1:]).any(axis=0)
        if different.any():
            word = int(different.argmax())
            lanes = int(np.bitwise_or.reduce(found[bits, 1 + word] ^ guess[bits, 1 + word]))
            cycle = 64 * word + (lanes & -lanes).bit_length() - 1
            raise ArgumentError(
                "a supplied state must equal what the gates compute, first differs in cycle",
                got=cycle,
                where=f"{netlist.name}.{name}",
            )
