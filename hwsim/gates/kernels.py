"""Compiled loops of the gate simulator: rows of 64-bit words, one lane a clock cycle.

Decides the layout: ``values[net, word]``, bit ``i`` of a word one cycle; column 0 holds the word before the block, so
that the value of the previous cycle is a shift. Widths are 64-bit throughout; all operations are Boolean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.gates.kinds import AND2, AO22, CHAIN4, FIRST, MAJ3, MUX2, OUTPUT, SECOND, XOR3
from hwsim.jit import intrinsic, njit, types

BLOCK_WORDS = 256


def _generate_ones(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.ctpop(arguments[0])


def _type_ones(context: Any, word: Any) -> Any:
    """Number of ones in a word: the processor's population count, which Numba does not offer."""
    return types.uint64(types.uint64), _generate_ones


_ones: Any = intrinsic(_type_ones)


@njit(inline="always")
def _mask(masks: np.uint64, operand: int) -> np.uint64:
    return np.uint64(0) - ((masks >> np.uint64(operand)) & np.uint64(1))


@njit(inline="always")
def _gate(v, plane, out, gate, kind, operands, masks, table, words):  # type: ignore[no-untyped-def]
    """``out[:words]`` = a gate over rows of ``v[plane]``; inlined, as each copy costs seconds of compilation."""
    a, b, c, d = operands[gate, 0], operands[gate, 1], operands[gate, 2], operands[gate, 3]
    ma, mb, mc, md = _mask(masks, 0), _mask(masks, 1), _mask(masks, 2), _mask(masks, 3)
    mo = _mask(masks, OUTPUT)
    if kind == AND2:
        for w in range(words):
            out[w] = ((v[plane, a, w] ^ ma) & (v[plane, b, w] ^ mb)) ^ mo
    elif kind == XOR3:
        mo ^= ma ^ mb ^ mc
        for w in range(words):
            out[w] = v[plane, a, w] ^ v[plane, b, w] ^ v[plane, c, w] ^ mo
    elif kind == CHAIN4:
        m1, m2 = _mask(masks, FIRST), _mask(masks, SECOND)
        for w in range(words):
            inner = ((v[plane, a, w] ^ ma) & (v[plane, b, w] ^ mb)) ^ m1
            out[w] = (((inner & (v[plane, c, w] ^ mc)) ^ m2) & (v[plane, d, w] ^ md)) ^ mo
    elif kind == AO22:
        for w in range(words):
            out[w] = (
                ((v[plane, a, w] ^ ma) & (v[plane, b, w] ^ mb)) | ((v[plane, c, w] ^ mc) & (v[plane, d, w] ^ md))
            ) ^ mo
    elif kind == MUX2:
        for w in range(words):
            select = v[plane, b, w] ^ mb
            out[w] = (((v[plane, a, w] ^ ma) & ~select) | ((v[plane, c, w] ^ mc) & select)) ^ mo
    elif kind == MAJ3:
        for w in range(words):
            x, y, z = v[plane, a, w] ^ ma, v[plane, b, w] ^ mb, v[plane, c, w] ^ mc
            out[w] = ((x & y) | (z & (x | y))) ^ mo
    else:  # the sum of the minterms of the truth table; an unused operand is the net of constant 0
        for w in range(words):
            found = np.uint64(0)
            for pattern in range(64):
                if (table >> np.uint64(pattern)) & np.uint64(1):
                    minterm = ~np.uint64(0)
                    for operand in range(6):
                        minterm &= ~(v[plane, operands[gate, operand], w] ^ _mask(np.uint64(pattern), operand))
                    found |= minterm
            out[w] = found


@njit(inline="always")
def _earlier(row, word):  # type: ignore[no-untyped-def]
    """A word of `row`, every lane holding the cycle before."""
    return (row[word] << np.uint64(1)) | (row[word - 1] >> np.uint64(63))


@njit(inline="always")
def _previous_cycle(settled, current, nets, words):  # type: ignore[no-untyped-def]
    """`current` = what `settled` was one cycle ago, with the new values at the inputs."""
    for net in range(2, current.shape[0]):
        current[net, 0] = settled[net, 0]
        for w in range(1, words + 1):
            current[net, w] = _earlier(settled[net], w)
    for position in range(nets.size):
        net = nets[position]
        for w in range(1, words + 1):
            current[net, w] = settled[net, w]


@njit
def run_parts(  # type: ignore[no-untyped-def]
    start, stop, parts, net_count, nets, inverted, streams, program, schedule, unit_delay, watched, collected, toggles
):
    """Parts ``start .. stop`` of `parts` equal shares of the streams' blocks.

    Every block first settles all gates in topological order. In unit delay a second plane then starts from the
    settled values of the cycle before, takes the new inputs and walks `schedule`; a step of it visits its gates in
    reverse topological order, so that each reads what its inputs were one step ago.

    Args:
        streams: uint64 [inputs, words + 1], the first word holding the cycle before the first one.
        program: kinds, operands, masks, tables, outputs of the gates in topological order.
        schedule: gates in the order of unit-delay steps; unread in zero delay.
        watched: nets whose words go to `collected` [watched, words].
        toggles: int64 [parts, nets], added to; without columns nothing is counted.
    """
    kinds, operands, masks, tables, outputs = program
    words_total = streams.shape[1] - 1
    blocks = (words_total + BLOCK_WORDS - 1) // BLOCK_WORDS
    counted = toggles.shape[1] > 0
    planes = np.empty((2 if unit_delay else 1, net_count, BLOCK_WORDS + 1), np.uint64)
    planes[:, 0, :] = np.uint64(0)
    planes[:, 1, :] = ~np.uint64(0)
    scratch = np.empty(BLOCK_WORDS + 1, np.uint64)
    gates = kinds.size
    visits = gates + (schedule.size if unit_delay else 0)
    settled = planes[0]
    for part in range(start, stop):
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            first = block * BLOCK_WORDS
            words = min(BLOCK_WORDS, words_total - first)
            for position in range(nets.size):
                net, flip = nets[position], np.uint64(0) - inverted[position]
                for w in range(words + 1):
                    settled[net, w] = streams[position, first + w] ^ flip
            for visit in range(visits):
                if visit == gates:
                    _previous_cycle(settled, planes[1], nets, words)
                settling = visit < gates
                gate = visit if settling else schedule[visit - gates]
                plane = 0 if settling else 1
                net = outputs[gate]
                _gate(planes, plane, scratch, gate, kinds[gate], operands, masks[gate], tables[gate], words + 1)
                total = np.uint64(0)
                if settling:
                    planes[0, net, 0] = scratch[0]
                    for w in range(1, words + 1):
                        planes[0, net, w] = scratch[w]
                        total += _ones(scratch[w] ^ _earlier(scratch, w))
                else:
                    for w in range(1, words + 1):
                        total += _ones(scratch[w] ^ planes[1, net, w])
                        planes[1, net, w] = scratch[w]
                if counted and settling != unit_delay:
                    toggles[part, net] += np.int64(total)
            if counted:
                for position in range(nets.size):
                    net, total = nets[position], np.uint64(0)
                    for w in range(1, words + 1):
                        total += _ones(settled[net, w] ^ _earlier(settled[net], w))
                    toggles[part, net] += np.int64(total)
            for position in range(watched.size):
                for w in range(words):
                    collected[position, first + w] = settled[watched[position], w + 1]


@njit
def run_serial(  # type: ignore[no-untyped-def]
    net_count, nets, inverted, streams, program, registers, following, cycles
):
    """Fills the rows of `streams` that belong to registers, cycle after cycle: one lane, for loops through state.

    Args:
        registers: int64 [registers, 2]: the range of a register's rows in `streams`, as position and count.
        following: net of the next state of each register. The first word of `streams` holds the initial state.
    """
    _, operands, _, tables, outputs = program
    values = np.zeros(net_count, np.uint64)
    values[1] = np.uint64(1)
    state = np.empty(following.size, np.uint64)
    for register in range(following.size):
        state[register] = streams[registers[register, 0], 0] >> np.uint64(63)
    for cycle in range(cycles):
        word, lane = 1 + cycle // 64, np.uint64(cycle % 64)
        for register in range(following.size):
            for position in range(registers[register, 0], registers[register, 0] + registers[register, 1]):
                cleared = streams[position, word] & ~(np.uint64(1) << lane)
                streams[position, word] = cleared | (state[register] << lane)
        for position in range(nets.size):
            values[nets[position]] = ((streams[position, word] >> lane) & np.uint64(1)) ^ inverted[position]
        for gate in range(tables.size):
            pattern = np.uint64(0)
            for operand in range(6):
                pattern |= values[operands[gate, operand]] << np.uint64(operand)
            values[outputs[gate]] = (tables[gate] >> pattern) & np.uint64(1)
        for register in range(following.size):
            state[register] = values[following[register]]


@njit
def pack(columns, bits, rows):  # type: ignore[no-untyped-def]
    """Bit ``b`` of ``columns[cycle, element]`` to lane ``cycle`` of ``rows[element * bits + b]``.

    The word before the first repeats the first code and the lanes after the last repeat the last: neither toggles.
    """
    group = np.empty(64, np.uint64)
    for element in range(columns.shape[1]):
        base = element * bits
        for b in range(bits):
            rows[base + b, 0] = ((columns[0, element] >> np.uint64(b)) & np.uint64(1)) << np.uint64(63)
    for w in range(1, rows.shape[1]):
        first = (w - 1) * 64
        held = min(64, columns.shape[0] - first)
        for element in range(columns.shape[1]):
            base = element * bits
            for lane in range(64):
                group[lane] = columns[first + min(lane, held - 1), element]
            for b in range(bits):
                word = np.uint64(0)
                for lane in range(64):
                    word |= ((group[lane] >> np.uint64(b)) & np.uint64(1)) << np.uint64(lane)
                rows[base + b, w] = word


@njit
def unpack(rows: NDArray[np.uint64], codes: NDArray[np.uint64]) -> None:
    """The inverse of `pack` for rows [bits, words] without a leading word."""
    for cycle in range(codes.size):
        code = np.uint64(0)
        for bit in range(rows.shape[0]):
            code |= ((rows[bit, cycle // 64] >> np.uint64(cycle % 64)) & np.uint64(1)) << np.uint64(bit)
        codes[cycle] = code
