"""Operand streams as lanes of 64 cycles a word, with the states that flip-flops hold in each.

The state is one more stream, found by evaluating the logic until each state equals the one that follows from the
cycle before (a pipeline needs as many passes as it has stages), or cycle by cycle where a loop through an accumulator
does not settle. States that an emulator supplies start that search and are checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates import kernels
from hwsim.gates.netlist import Netlist
from hwsim.gates.program import Program, run

SETTLING_PASSES = 64  # beyond this many passes the cycle-by-cycle loop is about as fast


def packed_streams(
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
        following = run(program, rows, watched=program.following)[1]
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
