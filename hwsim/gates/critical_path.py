"""The longest path of a netlist in FO4, where every cell on it may be sized, and its cuts into pipeline stages.

Decides how long a netlist takes that nobody has sized. Cells of one drive that feed twenty pins are what no timed
flow leaves, so the delay of a path is that of logical effort (Sutherland, Sproull, Harris, "Logical Effort", 1999,
ch. 1): ``N F^(1/N) + P``, the least that any sizing of its N cells reaches. An effort f is a cell's delay slope in
the library times the load that the netlist puts on its net, and F their product, which sizing does not change; P sums
the parts of the delays that do not depend on load. At efforts above `EFFORT` buffers serve better, so the mean effort
stops there. As ``N F^(1/N) = max over f of N f (1 - ln f) + f ln F``, the longest path of all is found exactly: one
pass over the netlist for each f, the cost of a cell being ``p + f (1 - ln f + ln effort)``.

`SIZED` is the one constant fitted: the library's cells come in one drive and do not widen stacked transistors, and
ABC with a library of several drives reaches less. It is the geometric mean over eleven blocks that ABC sized with
another library (OSU 0.18 um, ``map -B 0.9; buffer; upsize; dnsize``); each block lies within a factor of 1.12 of it
(`tests/gates/test_critical_path.py`). Adding up the delays of the unsized netlist was rejected: it charges
wide nets as no sized circuit does, and the same blocks scatter more (1.27 to 1.60 times the sized ones, against 1.19
to 1.42 here). Wires are not in it; `hwsim.cost.clocking` adds them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.gates.delays import Delays, read_delays
from hwsim.gates.netlist import Netlist

EFFORT = 4.0
"""Largest mean stage effort of a path; the best one lies between 3 and 4 (Logical Effort, ch. 3)."""

SIZED = 1.325
"""Delay of a path in this library's cells over that of the same block sized by ABC in a library of many drives."""

SIZED_ERROR = 1.25
"""Factor within which a depth is expected: 1.12 among the blocks, and loads and mapping of other circuits."""

_EFFORTS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, EFFORT)


@dataclass(frozen=True, slots=True)
class Step:
    """One cell of a path, the net where it is left, and what it takes, in FO4."""

    instance: str
    cell: str
    net: str
    delay_fo4: float


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The longest path of a netlist, from an input port or a flip-flop to an output port or a flip-flop.

    Attributes:
        depth_fo4: its delay in FO4, without what the flip-flops at its ends take; 0 where there is no gate.
        loop_fo4: the longest path that begins at a flip-flop: the part that no pipeline stage can cut, as the next
            cycle waits for it; 0 for a combinational unit.
        start: net where the longest path begins.
        steps: its cells.
        effort: mean stage effort of the path.
        provenance: library and rule.
    """

    depth_fo4: float
    loop_fo4: float
    start: str
    steps: tuple[Step, ...]
    effort: float
    provenance: str

    @property
    def levels(self) -> int:
        """Cells on the path."""
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A netlist cut into stages between its cells.

    Attributes:
        stages: number of stages, the last one with all of the loop.
        depth_fo4: the longest stage, in FO4.
        register_bits: nets at every cut, `stages` - 1 of them: flip-flops that the cuts add.
    """

    stages: int
    depth_fo4: float
    register_bits: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def critical_path(netlist: Netlist) -> CriticalPath:
    """The longest path of `netlist`, with loads and delays of its own library.

    Raises:
        ArgumentError: the library gives no delay for a cell that the netlist uses. LibertyError: a malformed table.
    """
    delays = read_delays(netlist.library)
    graph = _graph(netlist, delays)
    note = f"logical effort in {netlist.library.name} / {SIZED:g}"
    best: tuple[float, float, int, list[float], dict[int, int]] | None = None
    for effort in _EFFORTS:
        arrival, came = _arrivals(graph, effort)
        end = max(graph.ends, key=lambda net: (arrival[net], -net), default=-1)
        if end >= 0 and (best is None or arrival[end] > best[0]):
            best = arrival[end], effort, end, arrival, came
    if best is None or best[2] not in best[4]:
        return CriticalPath(0.0, 0.0, "", (), 1.0, note)
    depth, effort, net, arrival, came = best
    steps: list[Step] = []
    while net in came:
        position = came[net]
        gate = graph.cells[position]
        before = gate.inputs[
            int(np.argmax([arrival[source] + gate.cost(i, effort) for i, source in enumerate(gate.inputs)]))
        ]
        instance = netlist.instances[gate.instance]
        steps.append(
            Step(instance.name, instance.cell.name, netlist.nets[net], (arrival[net] - arrival[before]) / _FO4)
        )
        net = before
    loop = max(_loop(graph, effort) for effort in _EFFORTS) / _FO4
    return CriticalPath(depth / _FO4, loop, netlist.nets[net], tuple(reversed(steps)), effort, note)


def pipeline(netlist: Netlist, stages: int) -> Pipeline:
    """`netlist` in `stages` stages as even as its cells allow.

    Cells go into the earliest stage that has room for them; what a flip-flop of the unit reaches stays together in
    the last one. The number of registers is that of this placement, which does not look for narrow cuts.

    Raises:
        ArgumentError: stages < 1.
    """
    if stages < 1:
        raise ArgumentError("stages must be at least 1", got=stages, where="pipeline")
    graph = _graph(netlist, read_delays(netlist.library))
    path = critical_path(netlist)
    placed = _placed(graph, path.effort, math.inf, stages)
    assert placed is not None
    low, high = path.depth_fo4 / stages / 2, placed[1] / _FO4
    for _ in range(12):  # to a part in 4,000
        middle = (low + high) / 2
        found = _placed(graph, path.effort, middle * _FO4, stages)
        if found is None:
            low = middle
        else:
            high, placed = middle, found
    stage, longest = placed
    return Pipeline(stages, longest / _FO4, _crossing(graph, stage, stages))


_FO4 = 5.0 * SIZED  # tau in one FO4, with the factor of sizing


@dataclass(frozen=True, slots=True)
class _Cell:
    """One output of one instance: parasitic and effort in tau from each input net."""

    instance: int
    output: int
    inputs: tuple[int, ...]
    parasitic: tuple[float, ...]
    log_effort: tuple[float, ...]

    def cost(self, index: int, effort: float) -> float:
        return self.parasitic[index] + effort * (1 - math.log(effort) + self.log_effort[index])


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    nets: int
    cells: tuple[_Cell, ...]
    begins: NDArray[np.float64]
    ends: tuple[int, ...]
    outputs: tuple[int, ...]
    sources: tuple[int, ...]
    stored: tuple[int, ...]


def _graph(netlist: Netlist, delays: Delays) -> _Graph:
    tau_ps = delays.fo4_ps / 5
    load_ff = np.zeros(len(netlist.nets))
    for instance in netlist.instances:
        for name, net in instance.nets.items():
            pin = instance.cell.pins[name]
            if pin.direction != "output":
                load_ff[net] += pin.capacitance_ff
    for bits in netlist.outputs.values():
        np.add.at(load_ff, list(bits), delays.inverter_ff)  # something reads a result
    driver = {
        net: (position, name)
        for position, instance in enumerate(netlist.instances)
        if instance.cell.flip_flop is None
        for name, net in instance.nets.items()
        if instance.cell.pins[name].direction == "output"
    }
    cells = []
    for gate in netlist.gates:
        position, output = driver[gate.output]
        instance = netlist.instances[position]
        arcs = delays.arcs.get(instance.cell.name, {})
        inputs, parasitic, efforts = [], [], []
        for name in instance.cell.outputs[output].reduced().inputs:
            if (arc := arcs.get((name, output))) is None:
                raise ArgumentError(
                    "a library must give a delay from every input to every output",
                    got=f"{instance.cell.name}.{name}",
                    where=netlist.library.name,
                )
            inputs.append(instance.nets[name])
            parasitic.append((arc.rise.fixed_ps + arc.fall.fixed_ps) / 2 / tau_ps)
            slope = (arc.rise.ps_per_ff + arc.fall.ps_per_ff) / 2 / tau_ps
            efforts.append(math.log(max(slope * load_ff[gate.output], 1e-3)))
        cells.append(_Cell(position, gate.output, tuple(inputs), tuple(parasitic), tuple(efforts)))
    states = tuple(net for register in netlist.registers for net, _ in register.q)
    ports = tuple(net for bits in netlist.inputs.values() for net in bits)
    results = tuple(net for bits in netlist.outputs.values() for net in bits)
    data = tuple(net for register in netlist.registers for net in register.inputs if net >= 0)
    # the clock-to-output delay of the flip-flop before covers a fan-out of four
    begins = np.log(np.maximum(load_ff / (EFFORT * delays.inverter_ff), 1.0))
    return _Graph(
        len(netlist.nets), tuple(cells), begins, tuple(dict.fromkeys(results + data)), results, ports + states, states
    )


def _arrivals(graph: _Graph, effort: float) -> tuple[list[float], dict[int, int]]:
    """Latest time of every net in tau, and the cell that drives it."""
    arrival = (effort * graph.begins).tolist()
    came = {}
    for position, cell in enumerate(graph.cells):
        arrival[cell.output] = max(
            (arrival[source] + cell.cost(index, effort) for index, source in enumerate(cell.inputs)), default=0.0
        )
        if cell.inputs:
            came[cell.output] = position
    return arrival, came


def _loop(graph: _Graph, effort: float) -> float:
    """The longest path from a flip-flop to a flip-flop or an output, in tau."""
    arrival = dict.fromkeys(graph.stored, 0.0)
    for net in graph.stored:
        arrival[net] = effort * float(graph.begins[net])
    for cell in graph.cells:
        reached = [
            arrival[source] + cell.cost(index, effort)
            for index, source in enumerate(cell.inputs)
            if source in arrival
        ]
        if reached:
            arrival[cell.output] = max(reached)
    return max((arrival[net] for net in graph.ends if net in arrival and net not in graph.stored), default=0.0)


def _placed(graph: _Graph, effort: float, limit: float, stages: int) -> tuple[dict[int, int], float] | None:
    """Stage of every net in at most `stages` of `limit` tau, and the longest stage; None where there is no room."""
    last = stages - 1
    stage = dict.fromkeys(graph.sources, 0)
    for net in graph.stored:
        stage[net] = last  # and so is whatever it reaches
    at = dict.fromkeys(stage, 0.0)
    for net in at:
        at[net] = effort * float(graph.begins[net])
    longest = 0.0
    for cell in graph.cells:
        place = max((stage.get(source, 0) for source in cell.inputs), default=0)
        time = _time(cell, place, stage, at, effort)
        if time > limit:
            place += 1
            time = _time(cell, place, stage, at, effort)
        if time > limit or place > last:
            return None
        stage[cell.output], at[cell.output] = place, time
        longest = max(longest, time)
    return stage, longest


def _time(cell: _Cell, place: int, stage: dict[int, int], at: dict[int, float], effort: float) -> float:
    """When a cell of stage `place` is done; nets of earlier stages come from a register at its start."""
    return max(
        (
            (at.get(source, 0.0) if stage.get(source, 0) == place else 0.0) + max(cell.cost(index, effort), 0.0)
            for index, source in enumerate(cell.inputs)
        ),
        default=0.0,
    )


def _crossing(graph: _Graph, stage: dict[int, int], stages: int) -> tuple[int, ...]:
    """Nets that live across every cut: made before it and read behind it; results leave the last stage."""
    until: dict[int, int] = {}
    for cell in graph.cells:
        for source in cell.inputs:
            if source > 1:  # the constants are everywhere
                until[source] = max(until.get(source, 0), stage[cell.output])
    for net in graph.ends:
        if net > 1:
            until[net] = stages - 1
    counts = [0] * (stages - 1)
    for net, end in until.items():
        for cut in range(stage.get(net, 0), end):
            counts[cut] += 1
    return tuple(counts)
