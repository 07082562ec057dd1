"""A netlist as the arrays that kernels run: gates in order, sources, registers, and the schedule of unit delays."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.gates import kernels
from hwsim.gates.kinds import reduce_function
from hwsim.gates.netlist import Gate, Netlist
from hwsim.jit import parallel_rows, thread_count

_NONE = np.zeros(0, np.int64)


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


def run(
    program: Program,
    rows: NDArray[np.uint64],
    *,
    unit_delay: bool = False,
    count: bool = False,
    watched: NDArray[np.int64] = _NONE,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Evaluate every lane of `rows`, uint64 [sources, words + 1]; word 0 only holds what came before the first lane.

    Returns:
        transitions by net, int64 [nets] (none without `count`), and the values of the nets `watched`, uint64
        [watched, words].
    """
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
